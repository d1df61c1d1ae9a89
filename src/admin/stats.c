#include "admin/stats.h"

#include <string.h>

static void clear_method(gpointer method)
{
    g_free(((MethodStats *)method)->name);
}

static void clear_server(gpointer server)
{
    g_free(((ServerStats *)server)->name);
}

static void clear_event(gpointer event)
{
    g_free(((EventStats *)event)->text);
}

static void clear_setting(gpointer pointer)
{
    SettingStats *setting = pointer;
    g_free(setting->section);
    g_free(setting->key);
    g_free(setting->value);
}

static GArray *new_array(size_t size, GDestroyNotify clear)
{
    GArray *array = g_array_new(FALSE, TRUE, (guint)size);
    g_array_set_clear_func(array, clear);
    return array;
}

GArray *event_array_new(void)
{
    return new_array(sizeof(EventStats), clear_event);
}

GArray *setting_array_new(void)
{
    return new_array(sizeof(SettingStats), clear_setting);
}

Stats *stats_new(void)
{
    Stats *stats = g_new0(Stats, 1);
    stats->methods = new_array(sizeof(MethodStats), clear_method);
    stats->servers = new_array(sizeof(ServerStats), clear_server);
    stats->events = event_array_new();
    stats->settings = setting_array_new();
    return stats;
}

void stats_free(Stats *stats)
{
    if (stats == NULL)
        return;
    g_array_unref(stats->methods);
    g_array_unref(stats->servers);
    g_array_unref(stats->events);
    g_array_unref(stats->settings);
    g_free(stats->config_path);
    g_free(stats);
}

uint64_t stats_n_outcome(const Stats *stats, CallOutcome outcome)
{
    uint64_t n = 0;
    for (guint i = 0; i < stats->methods->len; i++)
        n += g_array_index(stats->methods, MethodStats, i).calls[outcome];
    return n;
}

uint64_t stats_n_calls(const Stats *stats)
{
    uint64_t n = 0;
    for (int i = 0; i < CALL_OUTCOMES; i++)
        n += stats_n_outcome(stats, (CallOutcome)i);
    return n;
}

uint64_t stats_calls_saved(const Stats *stats)
{
    return stats->counters.batch_calls.sum - stats->counters.batch_calls.count;
}

const SettingStats *stats_setting(const Stats *stats, const char *section, const char *key)
{
    for (guint i = 0; i < stats->settings->len; i++) {
        const SettingStats *setting = &g_array_index(stats->settings, SettingStats, i);
        if (strcmp(setting->section, section) == 0 && strcmp(setting->key, key) == 0)
            return setting;
    }
    return NULL;
}

const char *call_outcome_name(CallOutcome outcome)
{
    static const char *const names[CALL_OUTCOMES] = {
        [CALL_OUTCOME_OK] = "ok",
        [CALL_OUTCOME_EXCEPTION] = "exception",
        [CALL_OUTCOME_ERROR] = "error",
        [CALL_OUTCOME_TIMEOUT] = "timeout",
        [CALL_OUTCOME_WITHDRAWN] = "withdrawn",
    };
    return names[outcome];
}

const char *client_error_name(ClientError error)
{
    static const char *const names[CLIENT_ERRORS] = {
        [CLIENT_ERROR_NOT_THRIFT] = "not_thrift",
        [CLIENT_ERROR_MESSAGE_TOO_LARGE] = "message_too_large",
        [CLIENT_ERROR_NESTING] = "nesting",
        [CLIENT_ERROR_PROTOCOL] = "protocol",
        [CLIENT_ERROR_MESSAGE_TYPE] = "message_type",
        [CLIENT_ERROR_OUTPUT] = "output",
        [CLIENT_ERROR_MAX_CLIENTS] = "max_clients",
        [CLIENT_ERROR_IDLE] = "idle",
    };
    return names[error];
}

const char *server_failure_name(ServerFailure failure)
{
    static const char *const names[SERVER_FAILURES] = {
        [SERVER_FAILURE_CONNECT] = "connect",
        [SERVER_FAILURE_LOST] = "lost",
        [SERVER_FAILURE_TIMEOUT] = "timeout",
        [SERVER_FAILURE_BROKEN] = "broken",
    };
    return names[failure];
}

const char *server_batching_name(ServerBatching batching)
{
    switch (batching) {
    case SERVER_BATCHING_YES:
        return "yes";
    case SERVER_BATCHING_NO:
        return "no";
    case SERVER_BATCHING_UNKNOWN:
        return "unknown";
    }
    return "unknown";
}

const char *daemon_state_name(DaemonState state)
{
    static const char *const names[] = {
        [DAEMON_STATE_RUNNING] = "running",
        [DAEMON_STATE_PAUSED] = "paused",
        [DAEMON_STATE_DRAINING] = "draining",
    };
    return names[state];
}
