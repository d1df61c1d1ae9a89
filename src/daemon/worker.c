#include "daemon/worker.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "batch/batcher.h"
#include "net/client-set.h"
#include "net/listener.h"
#include "net/pool.h"

#define SHUTTING_DOWN "thrift-batchd: shutting down"

struct Worker {
    const Config *config;
    Loop *loop;
    Counters counters;
    MethodTable *methods;
    Batcher *batcher;
    ClientSet clients;
    Pool pool;
    GPtrArray *listeners; /* of Listener */
    LoopTask dispatch;
    LoopTimer window, deadline, drain;
    bool draining;
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

static void stop(Worker *worker)
{
    client_set_flush(&worker->clients);
    client_set_close(&worker->clients);
    loop_stop(worker->loop);
}

static bool is_settled(const Worker *worker)
{
    return worker->counters.pending_calls == 0 && client_set_settled(&worker->clients);
}

static void dispatch(void *data)
{
    Worker *worker = data;
    nsec_t now = loop_now(worker->loop);
    pool_dispatch(&worker->pool, now);
    client_set_flush(&worker->clients);
    loop_timer_set(&worker->window, batcher_next_window(worker->batcher, now));
    loop_timer_set(&worker->deadline, batcher_next_deadline(worker->batcher));
    if (worker->draining && is_settled(worker))
        stop(worker);
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

static void on_drain_timeout(void *data)
{
    Worker *worker = data;
    log_warning("drain_timeout has passed: %u calls get an error", worker->counters.pending_calls);
    pool_close(&worker->pool, SHUTTING_DOWN);
    batcher_fail_waiting(worker->batcher, SHUTTING_DOWN, loop_now(worker->loop));
    stop(worker);
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

static ClientParams client_params_of(const Config *config)
{
    return (ClientParams){
        .max_clients = config->client.max_clients,
        .max_message_size = config->client.max_message_size,
        .max_client_calls = config->client.max_client_calls,
        .max_client_output = config->client.max_client_output,
        .max_pending_calls = config->upstream.max_pending_calls,
        .max_pending_bytes = config->upstream.max_pending_bytes,
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

static void add_server(Worker *worker, const AddressName *name, const GArray *addresses)
{
    for (guint i = 0; i < addresses->len; i++) {
        const Address *address = &g_array_index(addresses, Address, i);
        if (addresses->len == 1) {
            server_new(&worker->pool, address, name->text);
            continue;
        }
        char text[ADDRESS_TEXT_SIZE];
        address_format(&address->sockaddr, address->len, text);
        g_autofree char *full_name = g_strdup_printf("%s/%s", name->text, text);
        server_new(&worker->pool, address, full_name);
    }
}

static bool add_servers(Worker *worker, GError **error)
{
    const GArray *names = worker->config->upstream.servers;
    for (guint i = 0; i < names->len; i++) {
        const AddressName *name = &g_array_index(names, AddressName, i);
        g_autoptr(GArray) addresses = address_resolve(name, error);
        if (addresses == NULL)
            return false;
        add_server(worker, name, addresses);
    }
    return true;
}

static void on_accept(void *data, int fd)
{
    Worker *worker = data;
    client_set_accept(&worker->clients, fd);
}

static bool add_listener(Worker *worker, const Address *address, GError **error)
{
    Listener *listener = listener_new(worker->loop, address, worker->config->daemon.socket_mode,
                                      on_accept, worker, error);
    if (listener == NULL)
        return false;
    g_ptr_array_add(worker->listeners, listener);
    char text[ADDRESS_TEXT_SIZE];
    listener_format(listener, text);
    log_info("listening on %s", text);
    return true;
}

static bool add_listeners(Worker *worker, GError **error)
{
    const GArray *names = worker->config->daemon.listen;
    for (guint i = 0; i < names->len; i++) {
        const AddressName *name = &g_array_index(names, AddressName, i);
        g_autoptr(GArray) addresses = address_resolve(name, error);
        if (addresses == NULL)
            return false;
        for (guint j = 0; j < addresses->len; j++) {
            if (!add_listener(worker, &g_array_index(addresses, Address, j), error))
                return false;
        }
    }
    return true;
}

static void free_listener(gpointer listener)
{
    listener_free(listener);
}

static bool init_parts(Worker *worker)
{
    const Config *config = worker->config;
    BatcherParams batcher_params = batcher_params_of(config);
    ClientParams client_params = client_params_of(config);
    PoolParams pool_params = pool_params_of(config);
    worker->methods =
        method_table_new((MethodPolicy *const *)config->methods->pdata, config->methods->len);
    worker->batcher =
        batcher_new(&batcher_params, worker->methods, &batcher_ops, worker, &worker->counters);
    loop_task_init(&worker->dispatch, dispatch, worker);
    loop_timer_init(&worker->window, worker->loop, on_window, worker);
    loop_timer_init(&worker->deadline, worker->loop, on_deadline, worker);
    loop_timer_init(&worker->drain, worker->loop, on_drain_timeout, worker);
    pool_init(&worker->pool, &pool_params, worker->loop, worker->batcher, &worker->dispatch,
              flush_replies, worker);
    worker->listeners = g_ptr_array_new_with_free_func(free_listener);
    return client_set_init(&worker->clients, &client_params, worker->loop, worker->batcher,
                           &worker->counters, &worker->dispatch);
}

Worker *worker_new(const Config *config, GError **error)
{
    Loop *loop = loop_new(error);
    if (loop == NULL)
        return NULL;
    Worker *worker = g_new0(Worker, 1);
    worker->config = config;
    worker->loop = loop;
    if (!init_parts(worker)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot watch clients: %s",
                    g_strerror(errno));
        worker_free(worker);
        return NULL;
    }
    if (!add_servers(worker, error) || !add_listeners(worker, error)) {
        worker_free(worker);
        return NULL;
    }
    pool_start(&worker->pool);
    return worker;
}

void worker_free(Worker *worker)
{
    if (worker == NULL)
        return;
    nsec_t now = loop_now(worker->loop);
    g_ptr_array_unref(worker->listeners);
    client_set_close(&worker->clients);
    pool_close(&worker->pool, SHUTTING_DOWN);
    batcher_fail_waiting(worker->batcher, SHUTTING_DOWN, now);
    pool_clear(&worker->pool);
    client_set_clear(&worker->clients);
    loop_timer_clear(&worker->window);
    loop_timer_clear(&worker->deadline);
    loop_timer_clear(&worker->drain);
    batcher_free(worker->batcher);
    method_table_free(worker->methods);
    loop_free(worker->loop);
    g_free(worker);
}

Loop *worker_loop(Worker *worker)
{
    return worker->loop;
}

const Counters *worker_counters(const Worker *worker)
{
    return &worker->counters;
}

void worker_run(Worker *worker)
{
    loop_run(worker->loop);
}

void worker_drain(Worker *worker)
{
    check(!worker->draining);
    worker->draining = true;
    g_ptr_array_set_size(worker->listeners, 0);
    client_set_drain(&worker->clients);
    batcher_drain(worker->batcher);
    nsec_t timeout = worker->config->daemon.drain_timeout;
    if (timeout == 0 && !is_settled(worker))
        on_drain_timeout(worker);
    else
        loop_timer_set(&worker->drain, loop_now(worker->loop) + timeout);
    loop_defer(worker->loop, &worker->dispatch);
}
