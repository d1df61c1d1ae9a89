#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../base/expect.h"
#include "admin/metrics.h"
#include "made-stats.h"

/* Whole lines; the text ends with one's end. */
static void expect_lines(const char *text, const char *const lines[])
{
    for (; *lines != NULL; lines++) {
        g_autofree char *line = g_strconcat("\n", "thrift_batchd_", *lines, "\n", NULL);
        if (strstr(text, line) == NULL)
            cr_assert_fail("no line '%s'", *lines);
    }
}

static void expect_metrics(const char *const lines[])
{
    Stats *stats = made_stats();
    g_autofree char *text = metrics_text(stats);
    expect_lines(text, lines);
    stats_free(stats);
}

Test(metrics, calls_by_method_and_outcome)
{
    expect_metrics((const char *const[]){
        "calls_total{method=\"getUser\",outcome=\"ok\"} 10",
        "calls_total{method=\"getUser\",outcome=\"exception\"} 11",
        "calls_total{method=\"getUser\",outcome=\"error\"} 12",
        "calls_total{method=\"getUser\",outcome=\"timeout\"} 13",
        "calls_total{method=\"getUser\",outcome=\"withdrawn\"} 14",
        NULL,
    });
}

Test(metrics, label_values_are_escaped)
{
    expect_metrics((const char *const[]){
        "calls_total{method=\"say \\\"hi\\\"\\\\\\n\",outcome=\"ok\"} 1",
        NULL,
    });
}

Test(metrics, batches_and_client_errors_by_reason)
{
    expect_metrics((const char *const[]){
        "batches_total{reason=\"full_calls\"} 20",
        "batches_total{reason=\"full_bytes\"} 21",
        "batches_total{reason=\"slot\"} 22",
        "batches_total{reason=\"window\"} 23",
        "batches_total{reason=\"nobody_left\"} 24",
        "client_errors_total{reason=\"not_thrift\"} 30",
        "client_errors_total{reason=\"message_too_large\"} 31",
        "client_errors_total{reason=\"nesting\"} 32",
        "client_errors_total{reason=\"protocol\"} 33",
        "client_errors_total{reason=\"message_type\"} 34",
        "client_errors_total{reason=\"output\"} 35",
        "client_errors_total{reason=\"max_clients\"} 36",
        "client_errors_total{reason=\"idle\"} 37",
        NULL,
    });
}

Test(metrics, plain_figures)
{
    expect_metrics((const char *const[]){
        "plain_calls_total 41",
        "passthrough_calls_total 42",
        "fallback_calls_total 43",
        "deduped_calls_total 44",
        "transcoded_calls_total 45",
        "retries_total 46",
        "clients_total 47",
        "clients 48",
        "pending_calls 49",
        "pending_bytes 5000000000",
        "max_clients 10000",
        "max_pending_calls 100000",
        "max_pending_bytes 268435456",
        "start_time_seconds 1780000000.5",
        "build_info{version=\"" PACKAGE_VERSION "\"} 1",
        "state{state=\"running\"} 1",
        "state{state=\"paused\"} 0",
        "state{state=\"draining\"} 0",
        NULL,
    });
}

Test(metrics, servers)
{
    expect_metrics((const char *const[]){
        "server_up{server=\"127.0.0.1:9091\"} 1",
        "server_up{server=\"users/10.0.0.7:9091\"} 0",
        "server_batching{server=\"127.0.0.1:9091\"} 1",
        "server_batching{server=\"users/10.0.0.7:9091\"} 0",
        "server_inflight{server=\"127.0.0.1:9091\"} 7",
        "server_failures_total{server=\"127.0.0.1:9091\",reason=\"connect\"} 50",
        "server_failures_total{server=\"127.0.0.1:9091\",reason=\"lost\"} 51",
        "server_failures_total{server=\"127.0.0.1:9091\",reason=\"timeout\"} 52",
        "server_failures_total{server=\"users/10.0.0.7:9091\",reason=\"broken\"} 63",
        NULL,
    });
}

Test(metrics, buckets_are_cumulative_and_exact)
{
    expect_metrics((const char *const[]){
        "batch_calls_bucket{le=\"1\"} 1",
        "batch_calls_bucket{le=\"2\"} 2",
        "batch_calls_bucket{le=\"4\"} 4",
        "batch_calls_bucket{le=\"8\"} 5",
        "batch_calls_bucket{le=\"32\"} 5",
        "batch_calls_bucket{le=\"64\"} 6",
        "batch_calls_bucket{le=\"1024\"} 6",
        "batch_calls_bucket{le=\"+Inf\"} 7",
        "batch_calls_sum 2079",
        "batch_calls_count 7",
        NULL,
    });
}

Test(metrics, times_are_in_seconds)
{
    expect_metrics((const char *const[]){
        "batch_wait_seconds_bucket{le=\"0.000001024\"} 2",
        "batch_wait_seconds_bucket{le=\"0.000002048\"} 4",
        "batch_wait_seconds_bucket{le=\"2.147483648\"} 4",
        "batch_wait_seconds_bucket{le=\"4.294967296\"} 5",
        "batch_wait_seconds_sum 3.000004097",
        "batch_wait_seconds_count 5",
        "call_seconds_bucket{le=\"68.719476736\"} 0",
        "call_seconds_bucket{le=\"+Inf\"} 1",
        "call_seconds_sum 100",
        "upstream_seconds_sum 0.13694304",
        NULL,
    });
}

Test(metrics, nothing_counted_yet_is_told_as_zeros)
{
    Stats *stats = stats_new();
    g_autofree char *text = metrics_text(stats);
    expect_lines(text, (const char *const[]){
                           "batches_total{reason=\"window\"} 0",
                           "client_errors_total{reason=\"idle\"} 0",
                           "retries_total 0",
                           "call_seconds_sum 0",
                           "call_seconds_count 0",
                           NULL,
                       });
    stats_free(stats);
}

/* Which text is its family's first, and that there is no other. */
static bool is_known(const char *text, const char *sample)
{
    size_t len = strcspn(sample, "{ ");
    static const char *const endings[] = {"", "_bucket", "_sum", "_count"};
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        size_t ending = strlen(endings[i]);
        if (len <= ending || strncmp(sample + len - ending, endings[i], ending) != 0)
            continue;
        g_autofree char *line = g_strdup_printf("\n# TYPE %.*s ", (int)(len - ending), sample);
        if (strstr(text, line) != NULL)
            return true;
    }
    return false;
}

Test(metrics, every_sample_has_help_and_type)
{
    Stats *stats = made_stats();
    g_autofree char *text = metrics_text(stats);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint n = g_strv_length(lines);
    cr_assert(n > 100);
    cr_assert_str_eq(lines[n - 1], "");
    for (guint i = 0; i + 1 < n; i++) {
        if (g_str_has_prefix(lines[i], "# HELP "))
            expect(g_str_has_prefix(lines[i + 1], "# TYPE "), "%s", lines[i]);
        else if (!g_str_has_prefix(lines[i], "# TYPE "))
            expect(is_known(text, lines[i]), "%s", lines[i]);
    }
    stats_free(stats);
}
