#include "daemon/collector.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "daemon/config-live.h"
#include "daemon/recent-log.h"

struct Collector {
    CollectorParams params;
    int64_t started;
    pthread_mutex_t mutex;
    GPtrArray *under_way; /* of Collection; with `mutex` */
};

/* One request on its way. */
typedef struct Collection {
    Collector *collector;
    StatsRequest *request;
    Situation situation;
    _Atomic unsigned n_missing; /* reports */
    WorkerReport reports[];
} Collection;

static Worker *worker_at(const Collector *collector, guint i)
{
    return g_ptr_array_index(collector->params.workers, i);
}

static void free_collection(gpointer pointer)
{
    Collection *collection = pointer;
    for (guint i = 0; i < collection->collector->params.workers->len; i++)
        worker_report_clear(&collection->reports[i]);
    config_unref(collection->situation.config);
    g_free(collection);
}

/* Putting it together: on the thread of who asked */

static uint64_t sum_of(const uint64_t calls[CALL_OUTCOMES])
{
    uint64_t n = 0;
    for (int i = 0; i < CALL_OUTCOMES; i++)
        n += calls[i];
    return n;
}

static int compare_methods(const void *a, const void *b)
{
    const MethodStats *first = a, *second = b;
    uint64_t n_first = sum_of(first->calls), n_second = sum_of(second->calls);
    if (n_first != n_second)
        return n_first > n_second ? -1 : 1;
    return strcmp(first->name, second->name);
}

static void list_methods(const Collector *collector, Stats *stats)
{
    for (unsigned label = 0; label < METHOD_LABELS; label++) {
        const uint64_t *calls = stats->counters.calls[label];
        if (sum_of(calls) == 0)
            continue;
        MethodStats method = {
            .name = g_strdup(method_labels_name(collector->params.labels, label)),
        };
        memcpy(method.calls, calls, sizeof method.calls);
        g_array_append_val(stats->methods, method);
    }
    g_array_sort(stats->methods, compare_methods);
}

/* How good it is that one worker sees a server so. */
static int rank(ServerState state)
{
    static const int ranks[SERVER_STATES] = {
        [SERVER_STATE_UP] = 4,  [SERVER_STATE_TRYING] = 3,   [SERVER_STATE_PROBING] = 2,
        [SERVER_STATE_OUT] = 1, [SERVER_STATE_DRAINING] = 0,
    };
    return ranks[state];
}

/* A worker that has not called the server lately does not know that it is out: the news is of who
 * does. */
static ServerState told_state(const ServerReport *report)
{
    bool is_out = atomic_load(&report->endpoint->news) == ENDPOINT_NEWS_OUT;
    return report->state == SERVER_STATE_UP && is_out ? SERVER_STATE_OUT : report->state;
}

static void add_report(const ServerReport *report, ServerStats *server, ServerState *best)
{
    server->inflight += report->n_inflight;
    ServerState state = told_state(report);
    if (rank(state) > rank(*best))
        *best = state;
    if (report->state == SERVER_STATE_DRAINING)
        return;
    if (report->batching == SERVER_BATCHING_YES || server->batching == SERVER_BATCHING_UNKNOWN)
        server->batching = report->batching;
}

static void list_server(const Collection *collection, const ServerEntry *entry, Stats *stats)
{
    ServerStats server = {.name = g_strdup(entry->name)};
    ServerState best = SERVER_STATE_DRAINING;
    bool is_known = false;
    for (guint i = 0; i < stats->workers; i++) {
        const GArray *reports = collection->reports[i].servers;
        for (guint j = 0; j < reports->len; j++) {
            const ServerReport *report = &g_array_index(reports, ServerReport, j);
            if (report->endpoint != entry->endpoint)
                continue;
            add_report(report, &server, &best);
            is_known = true;
        }
    }
    if (!is_known) /* the workers are being told of it */
        best = SERVER_STATE_TRYING;
    for (int i = 0; i < SERVER_FAILURES; i++)
        server.failures[i] =
            atomic_load_explicit(&entry->endpoint->failures[i], memory_order_relaxed);
    server.up = best == SERVER_STATE_UP;
    server.state = server_state_name(best);
    stats->is_ready = stats->is_ready || server.up;
    g_array_append_val(stats->servers, server);
}

static void list_servers(const Collection *collection, Stats *stats)
{
    ServerList *servers = resolver_servers(collection->collector->params.resolver);
    for (guint i = 0; i < servers->entries->len; i++)
        list_server(collection, &g_array_index(servers->entries, ServerEntry, i), stats);
    server_list_unref(servers);
    stats->is_ready = stats->is_ready && stats->state != DAEMON_STATE_DRAINING;
}

static void note_config(const Config *config, Stats *stats)
{
    stats->config_path = g_strdup(config->path);
    stats->max_clients = config->client.max_clients;
    stats->max_pending_calls = config->upstream.max_pending_calls;
    stats->max_pending_bytes = config->upstream.max_pending_bytes;
    g_array_unref(stats->settings);
    stats->settings = config_settings(config);
}

static Stats *make_stats(const Collection *collection)
{
    const Collector *collector = collection->collector;
    Stats *stats = stats_new();
    stats->time = g_get_real_time();
    stats->started = collector->started;
    stats->state = collection->situation.state;
    stats->reload_failed = collection->situation.reload_failed;
    stats->workers = collector->params.workers->len;
    for (guint i = 0; i < stats->workers; i++)
        counters_add(&stats->counters, &collection->reports[i].counters);
    list_methods(collector, stats);
    list_servers(collection, stats);
    note_config(collection->situation.config, stats);
    g_array_unref(stats->events);
    stats->events = recent_log_copy();
    return stats;
}

static void finish(void *data, int value)
{
    (void)value;
    Collection *collection = data;
    Collector *collector = collection->collector;
    StatsRequest *request = collection->request;
    Stats *stats = make_stats(collection);
    pthread_mutex_lock(&collector->mutex);
    g_ptr_array_remove_fast(collector->under_way, collection);
    pthread_mutex_unlock(&collector->mutex);
    request->done(request, stats);
}

/* Collecting */

/* On the worker's thread. */
static void report(void *data, int i)
{
    Collection *collection = data;
    worker_make_report(worker_at(collection->collector, (guint)i), &collection->reports[i]);
    if (atomic_fetch_sub(&collection->n_missing, 1) == 1)
        mailbox_post(collection->request->mailbox, finish, collection, 0);
}

/* On the main thread: behind every change that was asked for before. */
static void ask_workers(void *data, int value)
{
    (void)value;
    Collection *collection = data;
    const CollectorParams *params = &collection->collector->params;
    params->look(params->data, &collection->situation);
    for (guint i = 0; i < params->workers->len; i++)
        mailbox_post(worker_mailbox(worker_at(collection->collector, i)), report, collection,
                     (int)i);
}

void collector_collect(Collector *collector, StatsRequest *request)
{
    guint n = collector->params.workers->len;
    Collection *collection = g_malloc0(sizeof *collection + n * sizeof(WorkerReport));
    collection->collector = collector;
    collection->request = request;
    atomic_init(&collection->n_missing, n);
    pthread_mutex_lock(&collector->mutex);
    g_ptr_array_add(collector->under_way, collection);
    pthread_mutex_unlock(&collector->mutex);
    mailbox_post(worker_mailbox(worker_at(collector, 0)), ask_workers, collection, 0);
}

Collector *collector_new(const CollectorParams *params)
{
    Collector *collector = g_new0(Collector, 1);
    collector->params = *params;
    collector->started = g_get_real_time();
    pthread_mutex_init(&collector->mutex, NULL);
    collector->under_way = g_ptr_array_new_with_free_func(free_collection);
    return collector;
}

void collector_free(Collector *collector)
{
    if (collector == NULL)
        return;
    g_ptr_array_unref(collector->under_way);
    pthread_mutex_destroy(&collector->mutex);
    g_free(collector);
}
