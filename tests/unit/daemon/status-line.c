/* The lines that tell how the daemon is getting on. */
#include "daemon/status-line.h"

#include <criterion/criterion.h>

static Stats *stats_at(int64_t seconds, uint64_t n_calls, uint64_t n_batches)
{
    Stats *stats = stats_new();
    stats->started = 1000 * G_USEC_PER_SEC;
    stats->time = stats->started + seconds * G_USEC_PER_SEC;
    stats->state = DAEMON_STATE_RUNNING;
    stats->counters.clients = 12;
    MethodStats method = {.name = g_strdup("echo"), .calls = {[CALL_OUTCOME_OK] = n_calls}};
    g_array_append_val(stats->methods, method);
    stats->counters.batch_calls.count = n_batches;
    stats->counters.batch_calls.sum = n_calls;
    for (int i = 0; i < 3; i++) {
        ServerStats server = {.name = g_strdup("server"), .up = i > 0};
        g_array_append_val(stats->servers, server);
    }
    return stats;
}

static void expect(char *line, const char *expected)
{
    cr_assert_str_eq(line, expected);
    g_free(line);
}

Test(status_line, since_the_start)
{
    Stats *stats = stats_at(10, 1000, 100);
    expect(status_line(stats, NULL),
           "12 clients, 100 calls/s, 10.0 calls a batch, 2 of 3 servers up");
    stats_free(stats);
}

Test(status_line, since_the_latest)
{
    Stats *earlier = stats_at(10, 1000, 100), *stats = stats_at(15, 18000, 1100);
    expect(status_line(stats, earlier),
           "12 clients, 3400 calls/s, 17.0 calls a batch, 2 of 3 servers up");
    stats_free(earlier);
    stats_free(stats);
}

Test(status_line, without_batches)
{
    Stats *earlier = stats_at(10, 1000, 100), *stats = stats_at(15, 1000, 100);
    expect(status_line(stats, earlier), "12 clients, 0 calls/s, 2 of 3 servers up");
    stats_free(earlier);
    stats_free(stats);
}

Test(status_line, no_time_has_passed)
{
    Stats *stats = stats_at(0, 0, 0);
    expect(status_line(stats, NULL), "12 clients, 0 calls/s, 2 of 3 servers up");
    expect(status_line(stats, stats), "12 clients, 0 calls/s, 2 of 3 servers up");
    stats_free(stats);
}

Test(status_line, paused)
{
    Stats *stats = stats_at(10, 0, 0);
    stats->state = DAEMON_STATE_PAUSED;
    stats->counters.pending_calls = 7;
    expect(status_line(stats, NULL),
           "Paused: 7 calls held, 12 clients, 0 calls/s, 2 of 3 servers up");
    stats_free(stats);
}

Test(status_line, draining)
{
    Stats *stats = stats_at(10, 0, 0);
    stats->counters.pending_calls = 12;
    expect(status_line_draining(stats, 3 * NSEC_PER_SEC), "12 calls pending, 3 s left");
    stats_free(stats);
}
