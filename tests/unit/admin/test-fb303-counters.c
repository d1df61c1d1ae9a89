/* What fb303 says of statistics: counters and the status. */
#include <criterion/criterion.h>

#include "admin/fb303-counters.h"
#include "admin/fb303-status.h"
#include "made-stats.h"

static void expect(GHashTable *counters, const char *name, int64_t value)
{
    const int64_t *got = g_hash_table_lookup(counters, name);
    cr_expect_not_null(got, "no %s", name);
    cr_expect(got == NULL || *got == value, "%s is %ld", name, got == NULL ? 0 : (long)*got);
}

Test(fb303_counters, each_figure_has_its_name)
{
    Stats *stats = made_stats();
    GHashTable *counters = fb303_counters_new(stats);
    static const struct {
        const char *name;
        int64_t value;
    } expected[] = {
        {"calls_total.getUser.ok", 10},
        {"calls_total.getUser.withdrawn", 14},
        {"batches_total.full_calls", 20},
        {"batches_total.nobody_left", 24},
        {"client_errors_total.not_thrift", 30},
        {"client_errors_total.idle", 37},
        {"plain_calls_total", 41},
        {"passthrough_calls_total", 42},
        {"fallback_calls_total", 43},
        {"deduped_calls_total", 44},
        {"transcoded_calls_total", 45},
        {"retries_total", 46},
        {"clients_total", 47},
        {"clients", 48},
        {"pending_calls", 49},
        {"pending_bytes", 5000000000},
        {"server_up.127.0.0.1:9091", 1},
        {"server_up.users/10.0.0.7:9091", 0},
        {"server_batching.127.0.0.1:9091", 1},
        {"server_batching.users/10.0.0.7:9091", 0},
        {"server_inflight.127.0.0.1:9091", 7},
        {"server_failures_total.127.0.0.1:9091.connect", 50},
        {"server_failures_total.users/10.0.0.7:9091.broken", 63},
        {"batch_calls.count", 7},
        {"batch_calls.sum", 2079},
        {"batch_calls.p50", 4},
        {"batch_calls.p99", 2000},
        {"call_seconds.count", 1},
        {"call_seconds.sum_us", 100000000},
        {"call_seconds.p50_us", 100000000},
        {"upstream_seconds.sum_us", 136943},
        {"upstream_seconds.p99_us", 8388},
        {"batch_wait_seconds.count", 5},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
        expect(counters, expected[i].name, expected[i].value);
    cr_expect_eq(g_hash_table_size(counters), 2 * 5 + 5 + 8 + 6 + 4 + 2 * 7 + 4 * 4);
    g_hash_table_unref(counters);
    stats_free(stats);
}

static void expect_status(DaemonState state, bool up, Fb303Status status, const char *details)
{
    Stats *stats = made_stats();
    stats->state = state;
    g_array_index(stats->servers, ServerStats, 0).up = up;
    char *text = fb303_status_details(stats);
    cr_expect_eq(fb303_status(stats), status, "%s", details);
    cr_expect_str_eq(text, details);
    g_free(text);
    stats_free(stats);
}

Test(fb303_status, says_what_the_daemon_does)
{
    expect_status(DAEMON_STATE_RUNNING, true, FB303_STATUS_ALIVE,
                  "batching: 48 clients, 1 of 2 servers up, 49 calls pending");
    expect_status(DAEMON_STATE_RUNNING, false, FB303_STATUS_WARNING,
                  "no server is up: 48 clients, 0 of 2 servers up, 49 calls pending");
    expect_status(DAEMON_STATE_PAUSED, true, FB303_STATUS_WARNING,
                  "paused: 48 clients, 1 of 2 servers up, 49 calls pending");
    expect_status(DAEMON_STATE_DRAINING, true, FB303_STATUS_STOPPING,
                  "draining: 48 clients, 1 of 2 servers up, 49 calls pending");
}

Test(fb303_status, one_of_a_thing_is_no_plural)
{
    Stats *stats = made_stats();
    stats->counters.clients = 1;
    stats->counters.pending_calls = 0;
    g_array_set_size(stats->servers, 1);
    char *text = fb303_status_details(stats);
    cr_expect_str_eq(text, "batching: 1 client, 1 of 1 server up");
    g_free(text);
    stats_free(stats);
}
