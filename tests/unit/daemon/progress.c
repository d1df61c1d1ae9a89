/* Progress: statistics are collected only where somebody reads the line, and one at a time. */
#include "daemon/progress.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static Loop *loop;
static StatsRequest *asked;
static int n_asked;
static char latest_line[256];
static int n_lines;

static void collect(void *data, StatsRequest *request)
{
    (void)data;
    asked = request;
    n_asked++;
}

static void answer(uint32_t n_pending)
{
    Stats *stats = stats_new();
    stats->counters.pending_calls = n_pending;
    asked->done(asked, stats);
}

static void keep_line(LogLevel level, const char *line)
{
    (void)level;
    n_lines++;
    g_strlcpy(latest_line, line, sizeof latest_line);
}

static void stop(void *data)
{
    loop_stop(data);
}

static void turn_for(nsec_t duration)
{
    LoopTimer timer;
    loop_timer_init(&timer, loop, stop, loop);
    loop->stopping = false;
    loop->now = 0;
    loop_timer_set(&timer, loop_now(loop) + duration);
    loop_run(loop);
}

static Progress *start(void)
{
    GError *error = NULL;
    loop = loop_new(&error);
    log_set_sink(keep_line);
    return progress_new(&(ProgressParams){.loop = loop, .collect = collect});
}

static void end(Progress *progress)
{
    progress_free(progress);
    loop_free(loop);
}

Test(progress, costs_nothing_where_nobody_listens)
{
    unsetenv("NOTIFY_SOCKET");
    Progress *progress = start();
    cr_assert_eq(n_asked, 0);
    cr_assert(list_empty(&loop->timers), "it wakes for nothing");
    end(progress);
}

Test(progress, a_service_manager_is_told)
{
    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    Progress *progress = start();
    cr_assert_eq(n_asked, 1);
    answer(0);
    cr_assert_eq(n_lines, 0, "the log does not say how it is");
    end(progress);
}

Test(progress, a_drain_is_logged_until_it_is_over, .timeout = 30)
{
    unsetenv("NOTIFY_SOCKET");
    Progress *progress = start();
    loop->now = 0;
    progress_drain(progress, loop_now(loop) + 10 * NSEC_PER_SEC);
    cr_assert_eq(n_asked, 1);
    answer(12);
    cr_assert_str_eq(latest_line, "draining: 12 calls pending, 10 s left");
    turn_for(1200 * NSEC_PER_MSEC);
    cr_assert_eq(n_asked, 2);
    answer(0);
    cr_assert_eq(n_lines, 1, "there is nothing left to tell of");
    end(progress);
}

Test(progress, asks_no_more_before_it_is_answered, .timeout = 30)
{
    unsetenv("NOTIFY_SOCKET");
    Progress *progress = start();
    progress_drain(progress, loop_now(loop) + 10 * NSEC_PER_SEC);
    turn_for(1200 * NSEC_PER_MSEC);
    cr_assert_eq(n_asked, 1);
    end(progress);
}
