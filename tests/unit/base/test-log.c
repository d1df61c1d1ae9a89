#include <criterion/criterion.h>
#include <glib.h>
#include <stdio.h>

#include "base/log.h"

static char lines[4096];
static unsigned n_lines;
static LogLevel latest_level;

static void keep_line(LogLevel level, const char *line)
{
    n_lines++;
    latest_level = level;
    g_strlcpy(lines, line, sizeof lines);
}

static void start(LogLevel threshold)
{
    log_set_sink(keep_line);
    log_set_level(threshold);
}

Test(log, passes_what_is_at_the_threshold_or_above)
{
    start(LOG_LEVEL_WARNING);
    log_error("%s %d", "one", 1);
    cr_assert_str_eq(lines, "one 1");
    cr_assert_eq(latest_level, LOG_LEVEL_ERROR);
    log_warning("two");
    cr_assert_str_eq(lines, "two");
    cr_assert_eq(latest_level, LOG_LEVEL_WARNING);
    log_info("three");
    log_debug("four");
    cr_assert_eq(n_lines, 2);
    cr_assert(log_enabled(LOG_LEVEL_WARNING) && !log_enabled(LOG_LEVEL_INFO));
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("five");
    cr_assert_str_eq(lines, "five");
}

Test(log, begins_with_the_name_of_its_thread)
{
    start(LOG_LEVEL_INFO);
    log_set_origin("worker 2");
    log_info("%s", "one");
    cr_assert_str_eq(lines, "worker 2: one");
    log_set_origin(NULL);
    log_info("two");
    cr_assert_str_eq(lines, "two");
}

Test(log, without_a_sink_drops_everything)
{
    log_error("nobody listens");
    start(LOG_LEVEL_INFO);
    log_set_sink(NULL);
    log_error("nobody listens any more");
    cr_assert_eq(n_lines, 0);
}

Test(log, cuts_a_line_that_is_too_long)
{
    start(LOG_LEVEL_INFO);
    char *text = g_strnfill(5000, 'x');
    log_info("%s", text);
    size_t len = strlen(lines);
    cr_assert(len >= 500 && len < 5000 && strspn(lines, "x") == len);
    g_free(text);
}

static const nsec_t begin = 1000 * NSEC_PER_SEC;

static void fail_at(LogLimit *limit, nsec_t now, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        log_limited(limit, now, LOG_LEVEL_WARNING, "peer %u failed", i);
}

Test(log_limited, lets_a_burst_through_then_a_line_a_second_with_how_many_it_held_back)
{
    start(LOG_LEVEL_INFO);
    LogLimit limit = {0};
    fail_at(&limit, begin, 500);
    unsigned burst = n_lines;
    cr_assert(burst > 1 && burst <= 20, "%u lines", burst);
    char *latest = g_strdup_printf("peer %u failed", burst - 1);
    cr_assert_str_eq(lines, latest);
    g_free(latest);

    fail_at(&limit, begin + NSEC_PER_SEC - 1, 100);
    cr_assert_eq(n_lines, burst);
    fail_at(&limit, begin + NSEC_PER_SEC, 1);
    cr_assert_eq(n_lines, burst + 1);
    char *expected = g_strdup_printf("peer 0 failed (%u more like this held back)", 600 - burst);
    cr_assert_str_eq(lines, expected);
    g_free(expected);

    fail_at(&limit, begin + 2 * NSEC_PER_SEC - 1, 7);
    cr_assert_eq(n_lines, burst + 1, "one line a second while it goes on");
    fail_at(&limit, begin + 2 * NSEC_PER_SEC, 1);
    cr_assert_eq(n_lines, burst + 2);
    cr_assert_str_eq(lines, "peer 0 failed (7 more like this held back)");
}

Test(log_limited, has_a_burst_again_after_a_quiet_time)
{
    start(LOG_LEVEL_INFO);
    LogLimit limit = {0};
    fail_at(&limit, begin, 5);
    fail_at(&limit, begin + NSEC_PER_SEC, 5);
    fail_at(&limit, begin + 2 * NSEC_PER_SEC, 5);
    cr_assert_eq(n_lines, 15);
    cr_assert_str_eq(lines, "peer 4 failed");
}

Test(log_limited, counts_each_place_on_its_own_and_nothing_below_the_threshold)
{
    start(LOG_LEVEL_ERROR);
    LogLimit one = {0}, other = {0};
    fail_at(&one, begin, 100);
    cr_assert_eq(n_lines, 0);
    log_set_level(LOG_LEVEL_INFO);
    fail_at(&one, begin, 1);
    cr_assert_str_eq(lines, "peer 0 failed");
    fail_at(&one, begin, 100);
    unsigned so_far = n_lines;
    fail_at(&other, begin, 1);
    cr_assert_eq(n_lines, so_far + 1);
}
