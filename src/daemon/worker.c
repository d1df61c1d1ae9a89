#include "daemon/worker.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "batch/batcher.h"
#include "daemon/linger.h"
#include "net/client-set.h"
#include "net/pool.h"

#define SHUTTING_DOWN "thrift-batchd: shutting down"

struct Worker {
    const Config *config;
    Resolver *resolver;
    Loop *loop;
    Mailbox mailbox;
    Counters counters;
    MethodTable *methods;
    Batcher *batcher;
    ClientSet clients;
    Pool pool;
    LoopTask dispatch;
    LoopTimer window, deadline;
    Linger linger;
    void (*on_settled)(void *data);
    void (*on_server_up)(void *data);
    void *data;
    bool draining;
    bool settled; /* and said so */
};

/* The batcher's operations */

static void on_call_ended(void *data, Call *call)
{
    Worker *worker = data;
    client_set_deliver(&worker->clients, call);
}

static void on_batch_abandoned(void *data, Batch *batch)
{
    Worker *worker = data;
    pool_abandon(&worker->pool, batch);
}

static const BatcherOps batcher_ops = {
    .call_ended = on_call_ended,
    .batch_abandoned = on_batch_abandoned,
};

/* Turns */

static void flush_replies(void *data)
{
    Worker *worker = data;
    client_set_flush(&worker->clients);
}

static void tell_of_server(void *data)
{
    Worker *worker = data;
    worker->on_server_up(worker->data);
}

static bool is_settled(const Worker *worker)
{
    return worker->counters.pending_calls == 0 && client_set_settled(&worker->clients);
}

/* One that is not needed any more stays set: it will be soon again, and fires in vain at worst. */
static void set_timer(LoopTimer *timer, nsec_t at)
{
    if (at != NSEC_NEVER)
        loop_timer_set(timer, at);
}

static void dispatch(void *data)
{
    Worker *worker = data;
    nsec_t now = loop_now(worker->loop);
    pool_dispatch(&worker->pool, now);
    client_set_flush(&worker->clients);
    set_timer(&worker->window, batcher_next_window(worker->batcher, now));
    set_timer(&worker->deadline, batcher_next_deadline(worker->batcher));
    client_set_publish(&worker->clients);
    if (worker->draining && !worker->settled && is_settled(worker)) {
        worker->settled = true;
        worker->on_settled(worker->data);
    }
}

static void on_window(void *data)
{
    Worker *worker = data;
    loop_defer(worker->loop, &worker->dispatch);
}

static void on_deadline(void *data)
{
    Worker *worker = data;
    batcher_expire(worker->batcher, loop_now(worker->loop));
    pool_drop_abandoned(&worker->pool);
    loop_defer(worker->loop, &worker->dispatch);
}

/* Setting up */

static BatcherParams batcher_params_of(const Config *config)
{
    return (BatcherParams){
        .upstream = {config->upstream.transport, config->upstream.protocol, true},
        .method = bytes_from_string(config->batch.method),
        .flush = config->batch.flush,
        .ordering = config->client.ordering,
        .window = config->batch.window,
        .call_timeout = config->upstream.call_timeout,
        .max_calls = config->batch.max_calls,
        .max_bytes = config->batch.max_bytes,
        .min_calls = config->batch.min_calls,
        .retries = config->upstream.retries,
        .max_message_size = config->client.max_message_size,
    };
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

/* Whether any method may travel in an envelope: one of a section that says so, or one of none. */
static bool uses_envelopes(const Config *config)
{
    bool all_named = false;
    for (guint i = 0; i < config->methods->len; i++) {
        const MethodPolicy *policy = g_ptr_array_index(config->methods, i);
        if (policy->batch == BATCH_MODE_ENVELOPE)
            return true;
        all_named = all_named || strcmp(policy->name, "*") == 0;
    }
    return !all_named;
}

static PoolParams pool_params_of(const Config *config)
{
    return (PoolParams){
        .connections = config->upstream.connections,
        .passthrough_connections = config->upstream.passthrough_connections,
        .asks = uses_envelopes(config),
        .batch_retry_interval = config->batch.batch_retry_interval,
        .connect_timeout = config->upstream.connect_timeout,
        .idle_timeout = config->upstream.idle_timeout,
        .max_failures = config->upstream.max_failures,
        .max_answer_size = config->upstream.max_pending_bytes,
    };
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

static void close_and_stop(void *data)
{
    Worker *worker = data;
    client_set_flush(&worker->clients);
    client_set_close(&worker->clients);
    loop_stop(worker->loop);
}

static bool init_parts(Worker *worker, Bounds *bounds, GError **error)
{
    const Config *config = worker->config;
    BatcherParams batcher_params = batcher_params_of(config);
    ClientParams client_params = client_params_of(config);
    PoolParams pool_params = pool_params_of(config);
    worker->methods =
        method_table_new((MethodPolicy *const *)config->methods->pdata, config->methods->len, NULL);
    worker->batcher =
        batcher_new(&batcher_params, worker->methods, &batcher_ops, worker, &worker->counters);
    loop_task_init(&worker->dispatch, dispatch, worker);
    loop_timer_init(&worker->window, worker->loop, on_window, worker);
    loop_timer_init(&worker->deadline, worker->loop, on_deadline, worker);
    linger_init(&worker->linger, worker->loop, &worker->clients, close_and_stop, worker);
    pool_init(&worker->pool, &pool_params, worker->loop, worker->batcher, &worker->dispatch,
              flush_replies, tell_of_server, worker);
    if (client_set_init(&worker->clients, &client_params, worker->loop, worker->batcher,
                        &worker->counters, &worker->dispatch, bounds, on_room, worker))
        return true;
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
    worker->config = params->config;
    worker->resolver = params->resolver;
    worker->loop = loop;
    worker->on_settled = params->on_settled;
    worker->on_server_up = params->on_server_up;
    worker->data = params->data;
    worker->mailbox.wakeup = -1;
    if (!init_parts(worker, params->bounds, error) ||
        !mailbox_init(&worker->mailbox, loop, error)) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

void worker_free(Worker *worker)
{
    if (worker == NULL)
        return;
    nsec_t now = loop_now(worker->loop);
    client_set_close(&worker->clients);
    pool_close(&worker->pool, SHUTTING_DOWN);
    batcher_fail_waiting(worker->batcher, SHUTTING_DOWN, now);
    pool_clear(&worker->pool);
    client_set_clear(&worker->clients);
    loop_timer_clear(&worker->window);
    loop_timer_clear(&worker->deadline);
    linger_clear(&worker->linger);
    mailbox_clear(&worker->mailbox);
    batcher_free(worker->batcher);
    method_table_free(worker->methods);
    loop_free(worker->loop);
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

void worker_run(Worker *worker)
{
    ServerList *servers = resolver_servers(worker->resolver);
    pool_start(&worker->pool, servers);
    server_list_unref(servers);
    loop_run(worker->loop);
}

void worker_accept(Worker *worker, int fd)
{
    client_set_accept(&worker->clients, fd);
}

void worker_take_servers(Worker *worker)
{
    ServerList *servers = resolver_servers(worker->resolver);
    pool_set_servers(&worker->pool, servers);
    server_list_unref(servers);
}

void worker_server_up(Worker *worker)
{
    pool_server_up_elsewhere(&worker->pool);
}

void worker_drain(Worker *worker)
{
    check(!worker->draining);
    if (worker->counters.pending_calls > 0)
        log_info("draining: %u calls are pending", worker->counters.pending_calls);
    worker->draining = true;
    client_set_drain(&worker->clients);
    batcher_drain(worker->batcher);
    loop_defer(worker->loop, &worker->dispatch);
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
    pool_close(&worker->pool, SHUTTING_DOWN);
    batcher_fail_waiting(worker->batcher, SHUTTING_DOWN, loop_now(worker->loop));
    linger_clear(&worker->linger);
    close_and_stop(worker);
}
