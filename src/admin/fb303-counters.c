#include "admin/fb303-counters.h"

static void set(GHashTable *counters, uint64_t value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void set(GHashTable *counters, uint64_t value, const char *format, ...)
{
    int64_t *number = g_new(int64_t, 1);
    *number = (int64_t)value;
    va_list arguments;
    va_start(arguments, format);
    g_hash_table_insert(counters, g_strdup_vprintf(format, arguments), number);
    va_end(arguments);
}

static void set_histogram(GHashTable *counters, const Histogram *histogram, const char *name)
{
    set(counters, histogram->count, "%s.count", name);
    set(counters, histogram->sum, "%s.sum", name);
    set(counters, histogram_percentile(histogram, 50), "%s.p50", name);
    set(counters, histogram_percentile(histogram, 99), "%s.p99", name);
}

/* Of nanoseconds. An i64 has no fractions of a second. */
static void set_durations(GHashTable *counters, const Histogram *histogram, const char *name)
{
    set(counters, histogram->count, "%s.count", name);
    set(counters, histogram->sum / NSEC_PER_USEC, "%s.sum_us", name);
    set(counters, histogram_percentile(histogram, 50) / NSEC_PER_USEC, "%s.p50_us", name);
    set(counters, histogram_percentile(histogram, 99) / NSEC_PER_USEC, "%s.p99_us", name);
}

static void set_method(GHashTable *counters, const MethodStats *method)
{
    for (int i = 0; i < CALL_OUTCOMES; i++)
        set(counters, method->calls[i], "calls_total.%s.%s", method->name,
            call_outcome_name((CallOutcome)i));
}

static void set_server(GHashTable *counters, const ServerStats *server)
{
    set(counters, server->up, "server_up.%s", server->name);
    set(counters, server->batching == SERVER_BATCHING_YES, "server_batching.%s", server->name);
    set(counters, server->inflight, "server_inflight.%s", server->name);
    for (int i = 0; i < SERVER_FAILURES; i++)
        set(counters, server->failures[i], "server_failures_total.%s.%s", server->name,
            server_failure_name((ServerFailure)i));
}

static void set_clients(GHashTable *counters, const Counters *from)
{
    set(counters, from->clients, "clients");
    set(counters, from->clients_total, "clients_total");
    for (int i = 0; i < CLIENT_ERRORS; i++)
        set(counters, from->client_errors[i], "client_errors_total.%s",
            client_error_name((ClientError)i));
    set(counters, from->pending_calls, "pending_calls");
    set(counters, from->pending_bytes, "pending_bytes");
}

static void set_batches(GHashTable *counters, const Counters *from)
{
    for (int i = 0; i < BATCH_REASONS; i++)
        set(counters, from->batches[i], "batches_total.%s", batch_reason_name((BatchReason)i));
    set(counters, from->plain_calls, "plain_calls_total");
    set(counters, from->passthrough_calls, "passthrough_calls_total");
    set(counters, from->fallback_calls, "fallback_calls_total");
    set(counters, from->deduped_calls, "deduped_calls_total");
    set(counters, from->transcoded_calls, "transcoded_calls_total");
    set(counters, from->retries, "retries_total");
    set_histogram(counters, &from->batch_calls, "batch_calls");
    set_durations(counters, &from->batch_wait_nsec, "batch_wait_seconds");
    set_durations(counters, &from->call_nsec, "call_seconds");
    set_durations(counters, &from->upstream_nsec, "upstream_seconds");
}

void fb303_counters_fill(const Stats *stats, GHashTable *counters)
{
    for (guint i = 0; i < stats->methods->len; i++)
        set_method(counters, &g_array_index(stats->methods, MethodStats, i));
    for (guint i = 0; i < stats->servers->len; i++)
        set_server(counters, &g_array_index(stats->servers, ServerStats, i));
    set_clients(counters, &stats->counters);
    set_batches(counters, &stats->counters);
}

GHashTable *fb303_counters_new(const Stats *stats)
{
    GHashTable *counters = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    fb303_counters_fill(stats, counters);
    return counters;
}
