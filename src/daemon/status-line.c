#include "daemon/status-line.h"

static double calls_per_second(const Stats *stats, const Stats *earlier)
{
    int64_t since = earlier != NULL ? earlier->time : stats->started;
    uint64_t before = earlier != NULL ? stats_n_calls(earlier) : 0;
    double seconds = (double)(stats->time - since) / G_USEC_PER_SEC;
    return seconds > 0 ? (double)(stats_n_calls(stats) - before) / seconds : 0;
}

static void add_batches(GString *line, const Histogram *now, const Histogram *earlier)
{
    uint64_t n_batches = now->count - (earlier != NULL ? earlier->count : 0);
    uint64_t n_calls = now->sum - (earlier != NULL ? earlier->sum : 0);
    if (n_batches > 0)
        g_string_append_printf(line, ", %.1f calls a batch", (double)n_calls / (double)n_batches);
}

static guint n_up(const GArray *servers)
{
    guint n = 0;
    for (guint i = 0; i < servers->len; i++)
        n += g_array_index(servers, ServerStats, i).up;
    return n;
}

char *status_line(const Stats *stats, const Stats *earlier)
{
    GString *line = g_string_new(NULL);
    if (stats->state == DAEMON_STATE_PAUSED)
        g_string_append_printf(line, "Paused: %u calls held, ", stats->counters.pending_calls);
    g_string_append_printf(line, "%u clients, %.0f calls/s", stats->counters.clients,
                           calls_per_second(stats, earlier));
    add_batches(line, &stats->counters.batch_calls,
                earlier != NULL ? &earlier->counters.batch_calls : NULL);
    g_string_append_printf(line, ", %u of %u servers up", n_up(stats->servers),
                           stats->servers->len);
    return g_string_free(line, FALSE);
}

char *status_line_draining(const Stats *stats, nsec_t left)
{
    return g_strdup_printf("%u calls pending, %.0f s left", stats->counters.pending_calls,
                           (double)left / (double)NSEC_PER_SEC);
}
