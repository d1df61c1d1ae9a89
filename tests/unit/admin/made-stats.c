#include "made-stats.h"

static void add_method(Stats *stats, const char *name, uint64_t first)
{
    MethodStats method = {.name = g_strdup(name)};
    for (int i = 0; i < CALL_OUTCOMES; i++)
        method.calls[i] = first + (uint64_t)i;
    g_array_append_val(stats->methods, method);
}

static void add_server(Stats *stats, ServerStats server, uint64_t first_failure)
{
    server.name = g_strdup(server.name);
    for (int i = 0; i < SERVER_FAILURES; i++)
        server.failures[i] = first_failure + (uint64_t)i;
    g_array_append_val(stats->servers, server);
}

static void add_event(Stats *stats, int64_t time, LogLevel level, const char *text)
{
    EventStats event = {.time = time, .level = level, .text = g_strdup(text)};
    g_array_append_val(stats->events, event);
}

static void add_setting(Stats *stats, const char *section, const char *key, const char *value,
                        bool is_given, bool is_live)
{
    SettingStats setting = {g_strdup(section), g_strdup(key), g_strdup(value), is_given, is_live};
    g_array_append_val(stats->settings, setting);
}

static void count(Counters *counters)
{
    for (int i = 0; i < BATCH_REASONS; i++)
        counters->batches[i] = 20 + (uint64_t)i;
    for (int i = 0; i < CLIENT_ERRORS; i++)
        counters->client_errors[i] = 30 + (uint64_t)i;
    counters->plain_calls = 41;
    counters->passthrough_calls = 42;
    counters->fallback_calls = 43;
    counters->deduped_calls = 44;
    counters->transcoded_calls = 45;
    counters->retries = 46;
    counters->clients_total = 47;
    counters->clients = 48;
    counters->pending_calls = 49;
    counters->pending_bytes = 5000000000;
}

static void record(Counters *counters)
{
    static const uint64_t calls[] = {1, 2, 3, 4, 5, 64, 2000};
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
        histogram_record(&counters->batch_calls, calls[i]);
    static const uint64_t waits[] = {0, 1024, 1025, 2048, 3000000000};
    for (size_t i = 0; i < G_N_ELEMENTS(waits); i++)
        histogram_record(&counters->batch_wait_nsec, waits[i]);
    histogram_record(&counters->call_nsec, 100 * NSEC_PER_SEC);
    for (int i = 0; i < 95; i++)
        histogram_record(&counters->upstream_nsec, NSEC_PER_MSEC);
    for (int i = 0; i < 5; i++)
        histogram_record(&counters->upstream_nsec, 8388608);
}

Stats *made_stats(void)
{
    Stats *stats = stats_new();
    stats->time = 1790000000123456;
    stats->started = 1780000000500000;
    stats->is_ready = true;
    stats->workers = 2;
    stats->config_path = g_strdup("/etc/thrift-batchd/thrift-batchd.ini");
    stats->max_clients = 10000;
    stats->max_pending_calls = 100000;
    stats->max_pending_bytes = 268435456;
    add_method(stats, "getUser", 10);
    add_method(stats, "say \"hi\"\\\n", 1);
    add_server(stats,
               (ServerStats){.name = (char *)"127.0.0.1:9091",
                             .up = true,
                             .state = "up",
                             .batching = SERVER_BATCHING_YES,
                             .inflight = 7},
               50);
    add_server(stats,
               (ServerStats){.name = (char *)"users/10.0.0.7:9091",
                             .state = "out",
                             .batching = SERVER_BATCHING_UNKNOWN},
               60);
    add_event(stats, 1789999999250000, LOG_LEVEL_WARNING, "server users is out: \"refused\"");
    add_event(stats, 1790000000000000, LOG_LEVEL_INFO, "reloaded");
    add_setting(stats, "batch", "window", "500us", true, false);
    add_setting(stats, "batch", "max_calls", "64", false, true);
    add_setting(stats, "method.getUser", "batch", "off", true, false);
    count(&stats->counters);
    record(&stats->counters);
    return stats;
}
