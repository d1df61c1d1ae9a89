#include "daemon/worker.h"

#include <errno.h>

#include "base/check.h"
#include "base/log.h"
#include "daemon/config-live.h"
#include "daemon/engine.h"
#include "daemon/linger.h"

#define SHUTTING_DOWN "thrift-batchd: shutting down"

/* How often retired engines are looked after. */
#define RETIRED_INTERVAL (50 * NSEC_PER_MSEC)

struct Worker {
    WorkerParams params;
    Config *config; /* in force */
    Loop *loop;
    Mailbox mailbox;
    Counters counters;
    ClientSet clients;
    Engine *engine; /* in use; NULL while the worker is half-built */
    List retired;   /* Engine.link */
    LoopTimer looking_after;
    Linger linger;
    bool paused;
    bool draining;
    bool settled; /* and said so */
};

/* Turns */

static bool is_settled(const Worker *worker)
{
    return worker->counters.pending_calls == 0 && client_set_settled(&worker->clients);
}

static void on_turn(void *data)
{
    Worker *worker = data;
    client_set_publish(&worker->clients);
    if (worker->draining && !worker->settled && is_settled(worker)) {
        worker->settled = true;
        worker->params.on_settled(worker->params.data);
    }
}

static void tell_of_server(void *data)
{
    Worker *worker = data;
    worker->params.on_server_up(worker->params.data);
}

static void read_room_letter(void *data, int value)
{
    (void)value;
    Worker *worker = data;
    client_set_wake(&worker->clients);
}

static void on_room(void *data)
{
    Worker *worker = data;
    mailbox_post(&worker->mailbox, read_room_letter, worker, 0);
}

/* Engines */

static Engine *make_engine(Worker *worker)
{
    EngineParams params = {
        .config = worker->config,
        .loop = worker->loop,
        .clients = &worker->clients,
        .counters = &worker->counters,
        .labels = worker->params.labels,
        .on_turn = on_turn,
        .on_server_up = tell_of_server,
        .data = worker,
    };
    Engine *engine = engine_new(&params, worker->engine);
    pool_set_paused(&engine->pool, worker->paused);
    return engine;
}

static void start_engine(Worker *worker)
{
    ServerList *servers = resolver_servers(worker->params.resolver);
    pool_start(&worker->engine->pool, servers);
    server_list_unref(servers);
}

static void look_after_retired(void *data)
{
    Worker *worker = data;
    client_set_follow_route(&worker->clients);
    LIST_EACH_SAFE (&worker->retired, link) {
        Engine *engine = LIST_OWNER(link, Engine, link);
        if (engine_is_over(engine))
            engine_free(engine);
    }
    if (!list_empty(&worker->retired))
        loop_timer_set(&worker->looking_after, loop_now(worker->loop) + RETIRED_INTERVAL);
}

static void replace_engine(Worker *worker)
{
    Engine *before = worker->engine;
    worker->engine = make_engine(worker);
    start_engine(worker);
    list_append(&worker->retired, &before->link);
    engine_retire(before);
    client_set_set_route(&worker->clients, &worker->engine->route);
    look_after_retired(worker);
}

/* Of all workers, beside max_pending_bytes: from then on it is scarce (unfinished.h). */
enum { MAX_UNFINISHED_BYTES = 8 * 1024 * 1024 };

static ClientParams client_params_of(const Config *config)
{
    size_t unfinished = MIN(config->upstream.max_pending_bytes, (size_t)MAX_UNFINISHED_BYTES);
    return (ClientParams){
        .max_message_size = config->client.max_message_size,
        .max_client_calls = config->client.max_client_calls,
        .max_client_output = config->client.max_client_output,
        .max_pending_bytes = config->upstream.max_pending_bytes,
        .max_unfinished_bytes = unfinished / config->daemon.workers,
        .idle_timeout = config->client.idle_timeout,
    };
}

void worker_take_config(Worker *worker)
{
    Config *before = worker->config, *config = worker->params.config(worker->params.data);
    worker->config = config;
    ClientParams client_params = client_params_of(config);
    client_set_set_params(&worker->clients, &client_params);
    client_set_wake(&worker->clients);
    if (config_calls_differ(before, config) && !worker->draining)
        replace_engine(worker);
    else
        engine_set_config(worker->engine, config);
    worker_take_servers(worker);
    config_unref(before);
}

static void close_and_stop(void *data)
{
    Worker *worker = data;
    client_set_flush(&worker->clients);
    client_set_close(&worker->clients);
    loop_stop(worker->loop);
}

/* Setting up */

static bool init_parts(Worker *worker, GError **error)
{
    ClientParams client_params = client_params_of(worker->config);
    worker->engine = make_engine(worker);
    if (client_set_init(&worker->clients, &client_params, worker->loop, &worker->engine->route,
                        &worker->counters, worker->params.bounds, on_room, worker))
        return mailbox_init(&worker->mailbox, worker->loop, error);
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot watch clients: %s",
                g_strerror(errno));
    return false;
}

Worker *worker_new(const WorkerParams *params, GError **error)
{
    Loop *loop = loop_new(error);
    if (loop == NULL)
        return NULL;
    Worker *worker = g_new0(Worker, 1);
    worker->params = *params;
    worker->config = params->config(params->data);
    worker->loop = loop;
    worker->mailbox.wakeup = -1;
    list_init(&worker->retired);
    loop_timer_init(&worker->looking_after, loop, look_after_retired, worker);
    linger_init(&worker->linger, loop, &worker->clients, close_and_stop, worker);
    if (!init_parts(worker, error)) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

static void close_engines(Worker *worker)
{
    engine_close(worker->engine, SHUTTING_DOWN);
    LIST_EACH (&worker->retired, link)
        engine_close(LIST_OWNER(link, Engine, link), SHUTTING_DOWN);
}

void worker_free(Worker *worker)
{
    if (worker == NULL)
        return;
    client_set_close(&worker->clients);
    close_engines(worker);
    client_set_clear(&worker->clients);
    LIST_EACH_SAFE (&worker->retired, link)
        engine_free(LIST_OWNER(link, Engine, link));
    engine_free(worker->engine);
    loop_timer_clear(&worker->looking_after);
    linger_clear(&worker->linger);
    mailbox_clear(&worker->mailbox);
    loop_free(worker->loop);
    config_unref(worker->config);
    g_free(worker);
}

Loop *worker_loop(Worker *worker)
{
    return worker->loop;
}

Mailbox *worker_mailbox(Worker *worker)
{
    return &worker->mailbox;
}

ClientSet *worker_clients(Worker *worker)
{
    return &worker->clients;
}

const Counters *worker_counters(const Worker *worker)
{
    return &worker->counters;
}

/* Reports */

static void clear_server_report(gpointer report)
{
    endpoint_unref(((ServerReport *)report)->endpoint);
}

static void report_servers(const Engine *engine, GArray *reports)
{
    LIST_EACH (&engine->pool.servers, link) {
        const Server *server = LIST_OWNER(link, Server, pool_link);
        ServerReport report = {
            .endpoint = endpoint_ref(server->endpoint),
            .state = server->health.state,
            .batching = server->batching,
            .n_inflight = server->n_inflight,
        };
        g_array_append_val(reports, report);
    }
}

void worker_make_report(const Worker *worker, WorkerReport *ret)
{
    ret->counters = worker->counters;
    ret->servers = g_array_new(FALSE, FALSE, sizeof(ServerReport));
    g_array_set_clear_func(ret->servers, clear_server_report);
    report_servers(worker->engine, ret->servers);
    LIST_EACH (&worker->retired, link)
        report_servers(LIST_OWNER(link, Engine, link), ret->servers);
}

void worker_report_clear(WorkerReport *report)
{
    g_clear_pointer(&report->servers, g_array_unref);
}

/* What it is told */

void worker_run(Worker *worker)
{
    start_engine(worker);
    loop_run(worker->loop);
}

void worker_accept(Worker *worker, int fd)
{
    client_set_accept(&worker->clients, fd);
}

void worker_take_servers(Worker *worker)
{
    ServerList *servers = resolver_servers(worker->params.resolver);
    pool_set_servers(&worker->engine->pool, servers);
    LIST_EACH (&worker->retired, link) {
        Engine *engine = LIST_OWNER(link, Engine, link);
        if (!engine->finishing && engine_speaks_like(engine, worker->engine))
            pool_set_servers(&engine->pool, servers);
    }
    server_list_unref(servers);
}

void worker_server_up(Worker *worker)
{
    pool_server_up_elsewhere(&worker->engine->pool);
    LIST_EACH (&worker->retired, link)
        pool_server_up_elsewhere(&LIST_OWNER(link, Engine, link)->pool);
}

void worker_set_paused(Worker *worker, bool paused)
{
    worker->paused = paused;
    pool_set_paused(&worker->engine->pool, paused);
    LIST_EACH (&worker->retired, link)
        pool_set_paused(&LIST_OWNER(link, Engine, link)->pool, paused);
}

void worker_drain(Worker *worker)
{
    check(!worker->draining);
    worker->draining = true;
    if (worker->paused)
        worker_set_paused(worker, false);
    client_set_drain(&worker->clients);
    engine_drain(worker->engine);
}

void worker_end(Worker *worker)
{
    linger_begin(&worker->linger);
}

void worker_give_up(Worker *worker)
{
    client_set_flush(&worker->clients);
    if (!is_settled(worker))
        log_warning("drain_timeout has passed: %u calls get an error",
                    worker->counters.pending_calls);
    close_engines(worker);
    linger_clear(&worker->linger);
    close_and_stop(worker);
}
