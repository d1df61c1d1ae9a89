#include "admin/stats-json.h"

#include <json-glib/json-glib.h>
#include <string.h>

typedef void AddValue(JsonBuilder *json, uint64_t value);

/* JSON-GLib's integers have a sign. */
static void add_integer(JsonBuilder *json, uint64_t value)
{
    json_builder_add_int_value(json, value < INT64_MAX ? (gint64)value : INT64_MAX);
}

static void add_seconds(JsonBuilder *json, uint64_t nsec)
{
    json_builder_add_double_value(json, (double)nsec / 1e9);
}

static void add_number(JsonBuilder *json, const char *name, uint64_t value)
{
    json_builder_set_member_name(json, name);
    add_integer(json, value);
}

static void add_string(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void add_boolean(JsonBuilder *json, const char *name, bool value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_boolean_value(json, value);
}

static void add_time(JsonBuilder *json, const char *name, int64_t usec)
{
    json_builder_set_member_name(json, name);
    json_builder_add_double_value(json, (double)usec / 1e6);
}

static void begin_object(JsonBuilder *json, const char *name)
{
    json_builder_set_member_name(json, name);
    json_builder_begin_object(json);
}

static void begin_array(JsonBuilder *json, const char *name)
{
    json_builder_set_member_name(json, name);
    json_builder_begin_array(json);
}

/* Histograms */

static void add_buckets(JsonBuilder *json, const Histogram *histogram, AddValue *add)
{
    begin_array(json, "buckets");
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->buckets[i] == 0)
            continue;
        uint64_t max = histogram_bucket_max(i);
        json_builder_begin_array(json);
        add(json, max > 0 ? max : histogram->max);
        add_integer(json, histogram->buckets[i]);
        json_builder_end_array(json);
    }
    json_builder_end_array(json);
}

static void add_histogram(JsonBuilder *json, const char *name, const Histogram *histogram,
                          AddValue *add)
{
    begin_object(json, name);
    add_number(json, "count", histogram->count);
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        {"sum", histogram->sum},
        {"max", histogram->max},
        {"p50", histogram_percentile(histogram, 50)},
        {"p99", histogram_percentile(histogram, 99)},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        json_builder_set_member_name(json, values[i].name);
        add(json, values[i].value);
    }
    add_buckets(json, histogram, add);
    json_builder_end_object(json);
}

/* The parts of the document */

static void add_daemon(JsonBuilder *json, const Stats *stats)
{
    add_string(json, "version", PACKAGE_VERSION);
    add_time(json, "time", stats->time);
    add_time(json, "started", stats->started);
    add_string(json, "state", daemon_state_name(stats->state));
    add_boolean(json, "ready", stats->is_ready);
    add_number(json, "workers", stats->workers);
}

static void add_method(JsonBuilder *json, const MethodStats *method)
{
    json_builder_begin_object(json);
    add_string(json, "name", method->name);
    for (int i = 0; i < CALL_OUTCOMES; i++)
        add_number(json, call_outcome_name((CallOutcome)i), method->calls[i]);
    json_builder_end_object(json);
}

static void add_calls(JsonBuilder *json, const Stats *stats)
{
    begin_object(json, "calls");
    for (int i = 0; i < CALL_OUTCOMES; i++)
        add_number(json, call_outcome_name((CallOutcome)i), stats_n_outcome(stats, (CallOutcome)i));
    json_builder_end_object(json);
    begin_array(json, "methods");
    for (guint i = 0; i < stats->methods->len; i++)
        add_method(json, &g_array_index(stats->methods, MethodStats, i));
    json_builder_end_array(json);
}

static void add_ways(JsonBuilder *json, const Stats *stats)
{
    const Counters *counters = &stats->counters;
    begin_object(json, "batches");
    for (int i = 0; i < BATCH_REASONS; i++)
        add_number(json, batch_reason_name((BatchReason)i), counters->batches[i]);
    json_builder_end_object(json);
    add_number(json, "calls_saved", stats_calls_saved(stats));
    add_number(json, "plain_calls", counters->plain_calls);
    add_number(json, "passthrough_calls", counters->passthrough_calls);
    add_number(json, "fallback_calls", counters->fallback_calls);
    add_number(json, "deduped_calls", counters->deduped_calls);
    add_number(json, "transcoded_calls", counters->transcoded_calls);
    add_number(json, "retries", counters->retries);
}

static void add_clients(JsonBuilder *json, const Stats *stats)
{
    const Counters *counters = &stats->counters;
    add_number(json, "clients", counters->clients);
    add_number(json, "clients_total", counters->clients_total);
    begin_object(json, "client_errors");
    for (int i = 0; i < CLIENT_ERRORS; i++)
        add_number(json, client_error_name((ClientError)i), counters->client_errors[i]);
    json_builder_end_object(json);
    add_number(json, "pending_calls", counters->pending_calls);
    add_number(json, "pending_bytes", counters->pending_bytes);
    begin_object(json, "limits");
    add_number(json, "max_clients", stats->max_clients);
    add_number(json, "max_pending_calls", stats->max_pending_calls);
    add_number(json, "max_pending_bytes", stats->max_pending_bytes);
    json_builder_end_object(json);
}

static void add_histograms(JsonBuilder *json, const Counters *counters)
{
    add_histogram(json, "batch_calls", &counters->batch_calls, add_integer);
    add_histogram(json, "batch_wait_seconds", &counters->batch_wait_nsec, add_seconds);
    add_histogram(json, "call_seconds", &counters->call_nsec, add_seconds);
    add_histogram(json, "upstream_seconds", &counters->upstream_nsec, add_seconds);
}

static void add_server(JsonBuilder *json, const ServerStats *server)
{
    json_builder_begin_object(json);
    add_string(json, "name", server->name);
    add_boolean(json, "up", server->up);
    add_string(json, "state", server->state);
    add_string(json, "batching", server_batching_name(server->batching));
    add_number(json, "inflight", server->inflight);
    begin_object(json, "failures");
    for (int i = 0; i < SERVER_FAILURES; i++)
        add_number(json, server_failure_name((ServerFailure)i), server->failures[i]);
    json_builder_end_object(json);
    json_builder_end_object(json);
}

static void add_servers(JsonBuilder *json, const GArray *servers)
{
    begin_array(json, "servers");
    for (guint i = 0; i < servers->len; i++)
        add_server(json, &g_array_index(servers, ServerStats, i));
    json_builder_end_array(json);
}

static const char *level_name(LogLevel level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_DEBUG:
        return "debug";
    }
    return "debug";
}

static void add_events(JsonBuilder *json, const GArray *events)
{
    begin_array(json, "events");
    for (guint i = 0; i < events->len; i++) {
        const EventStats *event = &g_array_index(events, EventStats, i);
        json_builder_begin_object(json);
        add_time(json, "time", event->time);
        add_string(json, "level", level_name(event->level));
        add_string(json, "text", event->text);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static void add_setting(JsonBuilder *json, const SettingStats *setting)
{
    begin_object(json, setting->key);
    add_string(json, "value", setting->value);
    add_boolean(json, "given", setting->is_given);
    add_boolean(json, "live", setting->is_live);
    json_builder_end_object(json);
}

/* The settings of a section follow each other. */
static void add_sections(JsonBuilder *json, const GArray *settings)
{
    const char *section = NULL;
    begin_object(json, "sections");
    for (guint i = 0; i < settings->len; i++) {
        const SettingStats *setting = &g_array_index(settings, SettingStats, i);
        if (section == NULL || strcmp(section, setting->section) != 0) {
            if (section != NULL)
                json_builder_end_object(json);
            section = setting->section;
            begin_object(json, section);
        }
        add_setting(json, setting);
    }
    if (section != NULL)
        json_builder_end_object(json);
    json_builder_end_object(json);
}

static void add_config(JsonBuilder *json, const Stats *stats)
{
    begin_object(json, "config");
    add_string(json, "path", stats->config_path);
    add_boolean(json, "reload_failed", stats->reload_failed);
    add_sections(json, stats->settings);
    json_builder_end_object(json);
}

static char *generate(JsonBuilder *json)
{
    JsonNode *root = json_builder_get_root(json);
    g_autoptr(JsonGenerator) generator = json_generator_new();
    json_generator_set_root(generator, root);
    json_node_unref(root);
    return json_generator_to_data(generator, NULL);
}

char *stats_json(const Stats *stats)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    add_daemon(json, stats);
    add_calls(json, stats);
    add_ways(json, stats);
    add_clients(json, stats);
    add_histograms(json, &stats->counters);
    add_servers(json, stats->servers);
    add_events(json, stats->events);
    add_config(json, stats);
    json_builder_end_object(json);
    return generate(json);
}
