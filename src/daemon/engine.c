#include "daemon/engine.h"

#include <string.h>

/* The batcher's operations */

static void on_call_ended(void *data, Call *call)
{
    Engine *engine = data;
    client_set_deliver(engine->params.clients, call);
}

static void on_batch_abandoned(void *data, Batch *batch)
{
    Engine *engine = data;
    pool_abandon(&engine->pool, batch);
}

static const BatcherOps batcher_ops = {
    .call_ended = on_call_ended,
    .batch_abandoned = on_batch_abandoned,
};

/* Turns */

static void flush_replies(void *data)
{
    Engine *engine = data;
    client_set_flush(engine->params.clients);
}

static void tell_of_server(void *data)
{
    Engine *engine = data;
    engine->params.on_server_up(engine->params.data);
}

static void dispatch(void *data)
{
    Engine *engine = data;
    nsec_t now = loop_now(engine->params.loop);
    pool_dispatch(&engine->pool, now);
    client_set_flush(engine->params.clients);
    loop_timer_set(&engine->window, batcher_next_window(engine->batcher, now));
    loop_timer_set(&engine->deadline, batcher_next_deadline(engine->batcher));
    engine->params.on_turn(engine->params.data);
}

static void on_window(void *data)
{
    Engine *engine = data;
    loop_defer(engine->params.loop, &engine->dispatch);
}

static void on_deadline(void *data)
{
    Engine *engine = data;
    batcher_expire(engine->batcher, loop_now(engine->params.loop));
    loop_defer(engine->params.loop, &engine->dispatch);
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

Engine *engine_new(const EngineParams *params, const Engine *before)
{
    Engine *engine = g_new0(Engine, 1);
    Config *config = config_ref(params->config);
    BatcherParams batcher_params = batcher_params_of(config);
    PoolParams pool_params = pool_params_of(config);
    engine->params = *params;
    list_link_init(&engine->link);
    engine->methods = method_table_new((MethodPolicy *const *)config->methods->pdata,
                                       config->methods->len, params->labels);
    if (before != NULL)
        method_table_inherit(engine->methods, before->methods);
    engine->batcher =
        batcher_new(&batcher_params, engine->methods, &batcher_ops, engine, params->counters);
    loop_task_init(&engine->dispatch, dispatch, engine);
    loop_timer_init(&engine->window, params->loop, on_window, engine);
    loop_timer_init(&engine->deadline, params->loop, on_deadline, engine);
    pool_init(&engine->pool, &pool_params, params->loop, engine->batcher, &engine->dispatch,
              flush_replies, tell_of_server, engine);
    engine->route = (Route){.batcher = engine->batcher, .dispatch = &engine->dispatch};
    return engine;
}

void engine_free(Engine *engine)
{
    if (engine == NULL)
        return;
    list_remove(&engine->link);
    pool_clear(&engine->pool);
    loop_cancel(&engine->dispatch);
    loop_timer_clear(&engine->window);
    loop_timer_clear(&engine->deadline);
    batcher_free(engine->batcher);
    method_table_free(engine->methods);
    config_unref(engine->params.config);
    g_free(engine);
}

void engine_set_config(Engine *engine, const Config *config)
{
    BatcherParams batcher_params = batcher_params_of(config);
    PoolParams pool_params = pool_params_of(config);
    batcher_set_params(engine->batcher, &batcher_params);
    pool_set_params(&engine->pool, &pool_params);
    loop_defer(engine->params.loop, &engine->dispatch);
}

bool engine_speaks_like(const Engine *engine, const Engine *other)
{
    Form form = batcher_params(engine->batcher)->upstream;
    Form other_form = batcher_params(other->batcher)->upstream;
    return form.transport == other_form.transport && form.protocol == other_form.protocol;
}

void engine_retire(Engine *engine)
{
    engine->route.bound_until =
        loop_now(engine->params.loop) + batcher_params(engine->batcher)->call_timeout;
    engine_drain(engine);
}

void engine_drain(Engine *engine)
{
    batcher_drain(engine->batcher);
    loop_defer(engine->params.loop, &engine->dispatch);
}

/* With the last client the last call has ended: from now on nothing comes any more. */
static void finish(Engine *engine)
{
    engine->finishing = true;
    ServerList *none = server_list_new();
    none->complete = true;
    pool_set_servers(&engine->pool, none);
    server_list_unref(none);
}

bool engine_is_over(Engine *engine)
{
    if (engine->route.n_clients == 0 && !engine->finishing)
        finish(engine);
    return engine->finishing && list_empty(&engine->pool.servers);
}

void engine_close(Engine *engine, const char *text)
{
    pool_close(&engine->pool, text);
    batcher_fail_waiting(engine->batcher, text, loop_now(engine->params.loop));
}
