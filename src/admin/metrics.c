/* Every metric is written whether or not it has counted anything yet, and with each of its reasons:
 * a rate needs the zero before the first one. */
#include "admin/metrics.h"

#include <inttypes.h>

#define PREFIX "thrift_batchd_"

/* Bounds of the histograms' buckets: powers of two, where ours end exactly. */
enum {
    CALLS_POWERS = 11,     /* 1 to 1,024 */
    NSEC_FIRST_POWER = 10, /* 1.024 us */
    NSEC_POWERS = 37,      /* up to 68.7 s */
};

/* The parts of the format */

static void begin(GString *text, const char *name, const char *type, const char *help)
{
    g_string_append_printf(text, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help,
                           name, type);
}

static void append_escaped(GString *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            g_string_append(text, "\\n");
            continue;
        }
        if (*value == '\\' || *value == '"')
            g_string_append_c(text, '\\');
        g_string_append_c(text, *value);
    }
}

static void add_value(GString *text, const char *name, uint64_t value)
{
    g_string_append_printf(text, PREFIX "%s %" PRIu64 "\n", name, value);
}

static void append_label(GString *text, char before, const char *label, const char *value)
{
    g_string_append_printf(text, "%c%s=\"", before, label);
    append_escaped(text, value);
    g_string_append_c(text, '"');
}

static void add_labelled(GString *text, const char *name, const char *label,
                         const char *label_value, uint64_t value)
{
    g_string_append_printf(text, PREFIX "%s", name);
    append_label(text, '{', label, label_value);
    g_string_append_printf(text, "} %" PRIu64 "\n", value);
}

static void add_labelled_twice(GString *text, const char *name, const char *first,
                               const char *first_value, const char *second,
                               const char *second_value, uint64_t value)
{
    g_string_append_printf(text, PREFIX "%s", name);
    append_label(text, '{', first, first_value);
    append_label(text, ',', second, second_value);
    g_string_append_printf(text, "} %" PRIu64 "\n", value);
}

static void add_counter(GString *text, const char *name, const char *help, uint64_t value)
{
    begin(text, name, "counter", help);
    add_value(text, name, value);
}

static void add_gauge(GString *text, const char *name, const char *help, uint64_t value)
{
    begin(text, name, "gauge", help);
    add_value(text, name, value);
}

/* In decimals, exactly. */
static void append_seconds(GString *text, uint64_t nsec)
{
    g_string_append_printf(text, "%" PRIu64 ".%09" PRIu64, nsec / NSEC_PER_SEC,
                           nsec % NSEC_PER_SEC);
    while (text->str[text->len - 1] == '0')
        g_string_truncate(text, text->len - 1);
    if (text->str[text->len - 1] == '.')
        g_string_truncate(text, text->len - 1);
}

static void append_plain(GString *text, uint64_t value)
{
    g_string_append_printf(text, "%" PRIu64, value);
}

typedef void AppendValue(GString *text, uint64_t value);

/* With a bucket for each power of two from `first` to before `end`. */
static void add_histogram(GString *text, const char *name, const Histogram *histogram,
                          unsigned first, unsigned end, AppendValue *append)
{
    uint64_t so_far = 0;
    unsigned bucket = 0;
    for (unsigned power = first; power < end; power++) {
        uint64_t bound = UINT64_C(1) << power;
        for (; bucket <= histogram_bucket(bound); bucket++)
            so_far += histogram->buckets[bucket];
        g_string_append_printf(text, PREFIX "%s_bucket{le=\"", name);
        append(text, bound);
        g_string_append_printf(text, "\"} %" PRIu64 "\n", so_far);
    }
    g_string_append_printf(text, PREFIX "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name,
                           histogram->count);
    g_string_append_printf(text, PREFIX "%s_sum ", name);
    append(text, histogram->sum);
    g_string_append_printf(text, "\n" PREFIX "%s_count %" PRIu64 "\n", name, histogram->count);
}

static void add_seconds(GString *text, const char *name, const char *help,
                        const Histogram *histogram)
{
    begin(text, name, "histogram", help);
    add_histogram(text, name, histogram, NSEC_FIRST_POWER, NSEC_POWERS, append_seconds);
}

/* The metrics */

static void add_daemon(GString *text, const Stats *stats)
{
    begin(text, "build_info", "gauge", "Always 1; the label says which version runs.");
    add_labelled(text, "build_info", "version", PACKAGE_VERSION, 1);
    begin(text, "start_time_seconds", "gauge", "When the daemon started, in seconds since 1970.");
    g_string_append(text, PREFIX "start_time_seconds ");
    append_seconds(text, (uint64_t)stats->started * 1000);
    g_string_append_c(text, '\n');
    begin(text, "state", "gauge", "1 for the state that the daemon is in.");
    static const DaemonState states[] = {DAEMON_STATE_RUNNING, DAEMON_STATE_PAUSED,
                                         DAEMON_STATE_DRAINING};
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        add_labelled(text, "state", "state", daemon_state_name(states[i]),
                     stats->state == states[i]);
}

static void add_calls(GString *text, const Stats *stats)
{
    begin(text, "calls_total", "counter", "Calls that have ended, by method and outcome.");
    for (guint i = 0; i < stats->methods->len; i++) {
        const MethodStats *method = &g_array_index(stats->methods, MethodStats, i);
        for (int j = 0; j < CALL_OUTCOMES; j++)
            add_labelled_twice(text, "calls_total", "method", method->name, "outcome",
                               call_outcome_name((CallOutcome)j), method->calls[j]);
    }
    add_seconds(text, "call_seconds", "From a call's last byte to its end.",
                &stats->counters.call_nsec);
}

static void add_batches(GString *text, const Counters *counters)
{
    begin(text, "batches_total", "counter", "Batches sent, by the reason to send them then.");
    for (int i = 0; i < BATCH_REASONS; i++)
        add_labelled(text, "batches_total", "reason", batch_reason_name((BatchReason)i),
                     counters->batches[i]);
    begin(text, "batch_calls", "histogram", "Callers in a batch that was sent.");
    add_histogram(text, "batch_calls", &counters->batch_calls, 0, CALLS_POWERS, append_plain);
    add_seconds(text, "batch_wait_seconds",
                "How long a batch's first call waited until the batch was sent.",
                &counters->batch_wait_nsec);
    add_seconds(text, "upstream_seconds",
                "From the sending of a batch, or of plain calls, to an answer.",
                &counters->upstream_nsec);
}

static void add_ways(GString *text, const Counters *counters)
{
    add_counter(text, "plain_calls_total",
                "Calls sent as single calls because their batch was too small for an envelope.",
                counters->plain_calls);
    add_counter(text, "passthrough_calls_total",
                "Calls sent as single calls because they cannot be batched.",
                counters->passthrough_calls);
    add_counter(text, "fallback_calls_total",
                "Calls passed through because where they went could not batch them.",
                counters->fallback_calls);
    add_counter(text, "deduped_calls_total",
                "Calls that were answered with the answer to an equal one of their batch.",
                counters->deduped_calls);
    add_counter(text, "transcoded_calls_total",
                "Calls whose client speaks another protocol than the upstream.",
                counters->transcoded_calls);
    add_counter(text, "retries_total", "Calls sent again after a failure.", counters->retries);
}

static void add_config(GString *text, const Stats *stats)
{
    add_gauge(text, "config_last_reload_successful",
              "0 where the configuration file could not be taken over when it was read last.",
              !stats->reload_failed);
}

static void add_clients(GString *text, const Stats *stats)
{
    const Counters *counters = &stats->counters;
    add_gauge(text, "clients", "Clients that are connected.", counters->clients);
    add_gauge(text, "max_clients", "The configured limit of clients.", stats->max_clients);
    add_counter(text, "clients_total", "Clients that were accepted.", counters->clients_total);
    begin(text, "client_errors_total", "counter",
          "What was wrong with clients, by reason: closed, turned away or answered with an error.");
    for (int i = 0; i < CLIENT_ERRORS; i++)
        add_labelled(text, "client_errors_total", "reason", client_error_name((ClientError)i),
                     counters->client_errors[i]);
}

static void add_pending(GString *text, const Stats *stats)
{
    add_gauge(text, "pending_calls", "Calls that were read and are not answered yet.",
              stats->counters.pending_calls);
    add_gauge(text, "max_pending_calls", "The configured limit of pending calls.",
              stats->max_pending_calls);
    add_gauge(text, "pending_bytes", "Size of the pending calls' messages.",
              stats->counters.pending_bytes);
    add_gauge(text, "max_pending_bytes", "The configured limit of pending bytes.",
              stats->max_pending_bytes);
}

static void add_server_gauge(GString *text, const Stats *stats, const char *name, const char *help,
                             uint64_t (*value)(const ServerStats *server))
{
    begin(text, name, "gauge", help);
    for (guint i = 0; i < stats->servers->len; i++) {
        const ServerStats *server = &g_array_index(stats->servers, ServerStats, i);
        add_labelled(text, name, "server", server->name, value(server));
    }
}

static uint64_t up_of(const ServerStats *server)
{
    return server->up;
}

static uint64_t batching_of(const ServerStats *server)
{
    return server->batching == SERVER_BATCHING_YES;
}

static uint64_t inflight_of(const ServerStats *server)
{
    return server->inflight;
}

static void add_servers(GString *text, const Stats *stats)
{
    add_server_gauge(text, stats, "server_up", "1 while the server is used, 0 while it is not.",
                     up_of);
    add_server_gauge(text, stats, "server_batching",
                     "1 where the server serves the batch method, 0 where it does not or has not "
                     "said so yet.",
                     batching_of);
    add_server_gauge(text, stats, "server_inflight", "Calls in flight on the server.", inflight_of);
    begin(text, "server_failures_total", "counter", "Failures of the server, by reason.");
    for (guint i = 0; i < stats->servers->len; i++) {
        const ServerStats *server = &g_array_index(stats->servers, ServerStats, i);
        for (int j = 0; j < SERVER_FAILURES; j++)
            add_labelled_twice(text, "server_failures_total", "server", server->name, "reason",
                               server_failure_name((ServerFailure)j), server->failures[j]);
    }
}

char *metrics_text(const Stats *stats)
{
    GString *text = g_string_sized_new(32768);
    add_daemon(text, stats);
    add_calls(text, stats);
    add_batches(text, &stats->counters);
    add_ways(text, &stats->counters);
    add_config(text, stats);
    add_clients(text, stats);
    add_pending(text, stats);
    add_servers(text, stats);
    return g_string_free(text, FALSE);
}
