#include "daemon/crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/acceptor.h"
#include "daemon/collector.h"
#include "daemon/config-live.h"
#include "daemon/descriptor-limit.h"
#include "daemon/notify.h"
#include "daemon/progress.h"
#include "daemon/watchdog.h"
#include "daemon/worker.h"

/* The thread of a worker other than the first. */
typedef struct Thread {
    Worker *worker;
    pthread_t id;
    char name[24]; /* pthread_setname_np(3) takes 15 characters */
} Thread;

struct Crew {
    Config *config; /* in force; the main thread's */
    pthread_mutex_t mutex;
    Config *next; /* that all are to take over, once told; with `mutex`, never NULL */
    Resolver *resolver;
    MethodLabels *labels;
    Collector *collector;
    Bounds *bounds;
    GPtrArray *workers; /* of Worker */
    Thread *threads;    /* of all workers but the first */
    guint n_threads;    /* started */
    Acceptor *acceptor; /* NULL once draining */
    LoopTimer drain;
    guint n_settled;
    Progress *progress; /* NULL before crew_run() */
    Watchdog *watchdog; /* NULL where nobody waits for it */
    _Atomic bool reload_failed;
    bool paused;
    bool draining;
};

static Worker *worker_at(const Crew *crew, guint i)
{
    return g_ptr_array_index(crew->workers, i);
}

/* Asking the workers */

static void read_drain_letter(void *data, int value)
{
    (void)value;
    worker_drain(data);
}

static void read_end_letter(void *data, int value)
{
    (void)value;
    worker_end(data);
}

static void read_give_up_letter(void *data, int value)
{
    (void)value;
    worker_give_up(data);
}

static void read_servers_letter(void *data, int value)
{
    (void)value;
    worker_take_servers(data);
}

static void read_server_up_letter(void *data, int value)
{
    (void)value;
    worker_server_up(data);
}

static void read_config_letter(void *data, int value)
{
    (void)value;
    worker_take_config(data);
}

static void read_paused_letter(void *data, int paused)
{
    worker_set_paused(data, paused != 0);
}

static void read_stop_letter(void *data, int value)
{
    (void)value;
    loop_stop(worker_loop(data));
}

/* The first comes last: it stops the main loop. */
static void ask_all(Crew *crew, MailboxRun *run, int value)
{
    for (guint i = crew->workers->len - 1; i > 0; i--)
        mailbox_post(worker_mailbox(worker_at(crew, i)), run, worker_at(crew, i), value);
    run(worker_at(crew, 0), value);
}

/* From any thread. */
static void post_all(Crew *crew, MailboxRun *run)
{
    for (guint i = 0; i < crew->workers->len; i++)
        mailbox_post(worker_mailbox(worker_at(crew, i)), run, worker_at(crew, i), 0);
}

/* On the resolver's thread. */
static void on_servers(void *data)
{
    post_all(data, read_servers_letter);
}

/* On the thread of any worker. */
static void on_server_up(void *data)
{
    post_all(data, read_server_up_letter);
}

static void on_drain_timeout(void *data)
{
    ask_all(data, read_give_up_letter, 0);
}

static void count_settled(void *data, int value)
{
    (void)value;
    Crew *crew = data;
    crew->n_settled++;
    if (crew->n_settled == crew->workers->len)
        ask_all(crew, read_end_letter, 0);
}

/* On the thread of any worker. */
static void on_settled(void *data)
{
    Crew *crew = data;
    mailbox_post(worker_mailbox(worker_at(crew, 0)), count_settled, crew, 0);
}

void crew_drain(Crew *crew)
{
    /* First those who may still read calls, then the sockets: who sees that nobody listens any
     * more finds everybody draining. A client on its way to a worker comes before the letter. */
    crew->draining = true;
    ask_all(crew, read_drain_letter, 0);
    g_clear_pointer(&crew->acceptor, acceptor_free);
    nsec_t timeout = crew->config->daemon.drain_timeout;
    notify_stopping(timeout);
    progress_drain(crew->progress, loop_now(crew_loop(crew)) + timeout);
    if (timeout == 0)
        on_drain_timeout(crew);
    else
        loop_timer_set(&crew->drain, loop_now(crew_loop(crew)) + timeout);
}

void crew_stop(Crew *crew)
{
    ask_all(crew, read_stop_letter, 0);
}

bool crew_is_draining(const Crew *crew)
{
    return crew->draining;
}

/* Changing */

Config *crew_config(Crew *crew)
{
    pthread_mutex_lock(&crew->mutex);
    Config *config = config_ref(crew->next);
    pthread_mutex_unlock(&crew->mutex);
    return config;
}

static void get_max(const Config *config, uint64_t ret[BOUNDS])
{
    ret[BOUND_CALLS] = config->upstream.max_pending_calls;
    ret[BOUND_BYTES] = config->upstream.max_pending_bytes;
}

static void log_config(const Config *before, const Config *config)
{
    g_autofree char *changes = config_describe_changes(before, config);
    const char *what = changes[0] != '\0' ? changes : "nothing changes";
    if (config_is_live(config))
        log_info("until the next reload: %s", what);
    else
        log_info("reloaded %s: %s", config->path, what);
}

/* On the main thread. */
static void take_config(void *data, int value)
{
    (void)value;
    Crew *crew = data;
    Config *before = crew->config;
    crew->config = crew_config(crew);
    uint64_t max[BOUNDS];
    get_max(crew->config, max);
    bounds_set_max(crew->bounds, max);
    log_set_level(crew->config->daemon.log_level);
    descriptor_limit_raise(crew->config);
    if (crew->acceptor != NULL)
        acceptor_set_config(crew->acceptor, crew->config);
    resolver_set_names(crew->resolver, crew->config->upstream.servers,
                       crew->config->upstream.resolve_interval);
    ask_all(crew, read_config_letter, 0);
    log_config(before, crew->config);
    config_unref(before);
}

void crew_note_reload(Crew *crew, bool succeeded)
{
    atomic_store(&crew->reload_failed, !succeeded);
}

void crew_set_config(Crew *crew, Config *config)
{
    config_ref(config);
    pthread_mutex_lock(&crew->mutex);
    Config *before = crew->next;
    crew->next = config;
    pthread_mutex_unlock(&crew->mutex);
    config_unref(before);
    mailbox_post(worker_mailbox(worker_at(crew, 0)), take_config, crew, 0);
}

static void take_paused(void *data, int paused)
{
    Crew *crew = data;
    if (crew->draining || crew->paused == (paused != 0))
        return;
    crew->paused = paused != 0;
    log_info(crew->paused ? "paused: calls are held until it is resumed" : "resumed");
    ask_all(crew, read_paused_letter, paused);
}

void crew_set_paused(Crew *crew, bool paused)
{
    mailbox_post(worker_mailbox(worker_at(crew, 0)), take_paused, crew, paused);
}

static void take_drain(void *data, int value)
{
    (void)value;
    Crew *crew = data;
    if (crew->draining)
        return;
    log_info("draining: asked to by an admin interface");
    crew_drain(crew);
}

void crew_request_drain(Crew *crew)
{
    mailbox_post(worker_mailbox(worker_at(crew, 0)), take_drain, crew, 0);
}

void crew_collect(Crew *crew, StatsRequest *request)
{
    collector_collect(crew->collector, request);
}

/* On the main thread. */
static void look(void *data, Situation *ret)
{
    Crew *crew = data;
    *ret = (Situation){
        .config = config_ref(crew->config),
        .state = crew->draining ? DAEMON_STATE_DRAINING
                 : crew->paused ? DAEMON_STATE_PAUSED
                                : DAEMON_STATE_RUNNING,
        .reload_failed = atomic_load(&crew->reload_failed),
    };
}

static Config *current_config(void *data)
{
    return crew_config(data);
}

/* Threads */

static void *thread_main(void *argument)
{
    Thread *thread = argument;
    log_set_origin(thread->name);
    worker_run(thread->worker);
    return NULL;
}

/* Signals are the main thread's. */
static bool start_thread(Thread *thread, GError **error)
{
    sigset_t all, before;
    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int code = pthread_create(&thread->id, NULL, thread_main, thread);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (code != 0) {
        g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(code), "cannot start %s: %s",
                    thread->name, g_strerror(code));
        return false;
    }
    pthread_setname_np(thread->id, thread->name);
    return true;
}

static bool start_threads(Crew *crew, GError **error)
{
    crew->threads = g_new0(Thread, crew->workers->len - 1);
    for (guint i = 1; i < crew->workers->len; i++) {
        Thread *thread = &crew->threads[i - 1];
        thread->worker = worker_at(crew, i);
        snprintf(thread->name, sizeof thread->name, "worker %u", i + 1);
        if (!start_thread(thread, error))
            return false;
        crew->n_threads++;
    }
    return true;
}

/* They have been asked to end. */
static void join_threads(Crew *crew)
{
    for (; crew->n_threads > 0; crew->n_threads--)
        check(pthread_join(crew->threads[crew->n_threads - 1].id, NULL) == 0);
}

/* Setting up */

static bool add_workers(Crew *crew, GError **error)
{
    WorkerParams params = {
        .resolver = crew->resolver,
        .bounds = crew->bounds,
        .labels = crew->labels,
        .config = current_config,
        .on_settled = on_settled,
        .on_server_up = on_server_up,
        .data = crew,
    };
    for (uint32_t i = 0; i < crew->config->daemon.workers; i++) {
        Worker *worker = worker_new(&params, error);
        if (worker == NULL)
            return false;
        g_ptr_array_add(crew->workers, worker);
    }
    loop_timer_init(&crew->drain, crew_loop(crew), on_drain_timeout, crew);
    return true;
}

static bool set_up(Crew *crew, GError **error)
{
    if (!add_workers(crew, error))
        return false;
    crew->acceptor = acceptor_new(crew->config, crew->workers, error);
    return crew->acceptor != NULL && start_threads(crew, error) &&
           resolver_start(crew->resolver, on_servers, crew, error);
}

static void free_worker(gpointer worker)
{
    worker_free(worker);
}

Crew *crew_new(Config *config, GError **error)
{
    uint64_t max[BOUNDS];
    get_max(config, max);
    Crew *crew = g_new0(Crew, 1);
    crew->config = config_ref(config);
    crew->next = config_ref(config);
    pthread_mutex_init(&crew->mutex, NULL);
    crew->labels = method_labels_new();
    crew->resolver = resolver_new(config->upstream.servers, config->upstream.resolve_interval);
    crew->bounds = bounds_new(config->daemon.workers, max);
    crew->workers = g_ptr_array_new_with_free_func(free_worker);
    CollectorParams params = {crew->workers, crew->resolver, crew->labels, look, crew};
    crew->collector = collector_new(&params);
    if (!set_up(crew, error)) {
        crew_free(crew);
        return NULL;
    }
    return crew;
}

void crew_free(Crew *crew)
{
    if (crew == NULL)
        return;
    if (crew->n_threads > 0) { /* not all could be started */
        crew_stop(crew);
        join_threads(crew);
    }
    collector_free(crew->collector);
    resolver_free(crew->resolver);
    acceptor_free(crew->acceptor);
    if (crew->drain.loop != NULL)
        loop_timer_clear(&crew->drain);
    g_ptr_array_unref(crew->workers);
    g_free(crew->threads);
    bounds_free(crew->bounds);
    method_labels_free(crew->labels);
    config_unref(crew->config);
    config_unref(crew->next);
    pthread_mutex_destroy(&crew->mutex);
    g_free(crew);
}

Loop *crew_loop(Crew *crew)
{
    return worker_loop(worker_at(crew, 0));
}

/* NULL where nobody waits for it. */
static Watchdog *start_watchdog(Crew *crew)
{
    nsec_t interval = notify_watchdog_interval();
    if (interval == 0)
        return NULL;
    g_autoptr(GPtrArray) mailboxes = g_ptr_array_new();
    for (guint i = 0; i < crew->workers->len; i++)
        g_ptr_array_add(mailboxes, worker_mailbox(worker_at(crew, i)));
    WatchdogParams params = {
        .loop = crew_loop(crew),
        .home = worker_mailbox(worker_at(crew, 0)),
        .watched = mailboxes,
        .period = interval / 2,
        .alive = notify_alive,
    };
    return watchdog_new(&params);
}

static void collect(void *data, StatsRequest *request)
{
    crew_collect(data, request);
}

static Progress *start_progress(Crew *crew)
{
    ProgressParams params = {
        .loop = crew_loop(crew),
        .mailbox = worker_mailbox(worker_at(crew, 0)),
        .collect = collect,
        .data = crew,
    };
    return progress_new(&params);
}

void crew_run(Crew *crew)
{
    notify_ready();
    crew->watchdog = start_watchdog(crew);
    crew->progress = start_progress(crew);
    worker_run(worker_at(crew, 0));
    join_threads(crew);
    progress_free(crew->progress);
    watchdog_free(crew->watchdog);
}

guint crew_size(const Crew *crew)
{
    return crew->workers->len;
}

const Counters *crew_counters(const Crew *crew, guint worker)
{
    return worker_counters(worker_at(crew, worker));
}
