#include "daemon/recent-log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "admin/stats.h"

Test(recent_log, keeps_the_latest_lines_the_oldest_first)
{
    char line[16];
    for (int i = 0; i < 2 * RECENT_LOG_LINES + 3; i++) {
        snprintf(line, sizeof line, "line %d", i);
        recent_log_add(LOG_LEVEL_INFO, line);
    }
    recent_log_add(LOG_LEVEL_DEBUG, "not kept");
    recent_log_add(LOG_LEVEL_ERROR, "the last\xff");
    g_autoptr(GArray) events = recent_log_copy();
    cr_assert_eq(events->len, RECENT_LOG_LINES);
    const EventStats *first = &g_array_index(events, EventStats, 0);
    const EventStats *last = &g_array_index(events, EventStats, RECENT_LOG_LINES - 1);
    cr_expect_str_eq(first->text, "line 54");
    cr_expect_str_eq(last->text, "the last\xef\xbf\xbd");
    cr_expect_eq(last->level, LOG_LEVEL_ERROR);
    cr_expect(first->time <= last->time && first->time > 0);
}

Test(recent_log, cuts_a_long_line)
{
    g_autofree char *line = g_strnfill(5000, 'x');
    recent_log_add(LOG_LEVEL_INFO, line);
    g_autoptr(GArray) events = recent_log_copy();
    cr_expect_eq(strlen(g_array_index(events, EventStats, 0).text), 511);
}
