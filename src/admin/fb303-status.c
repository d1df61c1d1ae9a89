#include "admin/fb303-status.h"

static uint32_t n_servers_up(const Stats *stats)
{
    uint32_t n = 0;
    for (guint i = 0; i < stats->servers->len; i++)
        n += g_array_index(stats->servers, ServerStats, i).up;
    return n;
}

Fb303Status fb303_status(const Stats *stats)
{
    switch (stats->state) {
    case DAEMON_STATE_RUNNING:
        return n_servers_up(stats) > 0 ? FB303_STATUS_ALIVE : FB303_STATUS_WARNING;
    case DAEMON_STATE_PAUSED:
        return FB303_STATUS_WARNING;
    case DAEMON_STATE_DRAINING:
        break;
    }
    return FB303_STATUS_STOPPING;
}

static const char *doing(const Stats *stats)
{
    switch (stats->state) {
    case DAEMON_STATE_RUNNING:
        return n_servers_up(stats) > 0 ? "batching" : "no server is up";
    case DAEMON_STATE_PAUSED:
        return "paused";
    case DAEMON_STATE_DRAINING:
        break;
    }
    return "draining";
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

char *fb303_status_details(const Stats *stats)
{
    const Counters *counters = &stats->counters;
    GString *text = g_string_new(doing(stats));
    g_string_append_printf(text, ": %u client%s, %u of %u server%s up", counters->clients,
                           plural(counters->clients), n_servers_up(stats), stats->servers->len,
                           plural(stats->servers->len));
    if (counters->pending_calls > 0)
        g_string_append_printf(text, ", %u call%s pending", counters->pending_calls,
                               plural(counters->pending_calls));
    return g_string_free(text, FALSE);
}
