#include "net/server.h"

#include "base/check.h"
#include "net/pool.h"

#define BACKOFF_FIRST (100 * NSEC_PER_MSEC)
#define BACKOFF_MAX   (5 * NSEC_PER_SEC)

static const char *state_name(ServerState state)
{
    static const char *const names[] = {
        [SERVER_STATE_TRYING] = "trying",
        [SERVER_STATE_UP] = "up",
        [SERVER_STATE_OUT] = "out",
    };
    return names[state];
}

static void set_state(Server *server, ServerState state)
{
    log_debug("server %s: %s -> %s", server->name, state_name(server->state), state_name(state));
    server->state = state;
}

static void close_slots(List *slots, const char *text);
static void schedule_probe(Server *server);

/* Connections that were busy when the server went out may have become idle since: they are in the
 * probe's place. Where busy ones are, it is tried later. */
static void on_probe(void *data)
{
    Server *server = data;
    if (server->state != SERVER_STATE_OUT)
        return;
    close_slots(&server->idle[SLOT_KIND_BATCH], "the server is out");
    if (server_may_open_slot(server, SLOT_KIND_BATCH))
        server_open_slot(server, SLOT_KIND_BATCH);
    else
        schedule_probe(server);
}

/* Asks on `slot`, or on whichever comes first. */
static void ask(Server *server, Slot *slot)
{
    server->asks = true;
    if (slot == NULL || slot->kind != SLOT_KIND_BATCH) {
        ListLink *idle = list_first(&server->idle[SLOT_KIND_BATCH]);
        slot = idle != NULL ? LIST_OWNER(idle, Slot, server_link) : NULL;
    }
    if (slot == NULL) {
        server_open_slot(server, SLOT_KIND_BATCH);
        return;
    }
    server->asks = false;
    slot_ask(slot);
}

static void on_retry(void *data)
{
    Server *server = data;
    if (server->batching != SERVER_BATCHING_NO)
        return;
    /* Should the question not get through, there is the next one. */
    loop_timer_set(&server->retry,
                   loop_now(server->pool->loop) + server->pool->params.batch_retry_interval);
    if (server->state == SERVER_STATE_UP)
        ask(server, NULL);
}

void server_new(Pool *pool, const Address *address, const char *name)
{
    Server *server = g_new0(Server, 1);
    server->pool = pool;
    server->address = *address;
    server->name = g_strdup(name);
    list_init(&server->idle[SLOT_KIND_BATCH]);
    list_init(&server->idle[SLOT_KIND_THROUGH]);
    server->misshapen = g_hash_table_new(NULL, NULL);
    server->unknown_native = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    loop_timer_init(&server->retry, pool->loop, on_retry, server);
    list_init(&server->other);
    list_append(&pool->servers, &server->pool_link);
    loop_timer_init(&server->probe, pool->loop, on_probe, server);
}

void server_free(Server *server)
{
    if (server == NULL)
        return;
    check(server->n_slots[SLOT_KIND_BATCH] == 0 && server->n_slots[SLOT_KIND_THROUGH] == 0);
    loop_timer_clear(&server->probe);
    loop_timer_clear(&server->retry);
    g_hash_table_unref(server->unknown_native);
    g_hash_table_unref(server->misshapen);
    list_remove(&server->pool_link);
    g_free(server->name);
    g_free(server);
}

bool server_may_open_slot(const Server *server, SlotKind kind)
{
    const PoolParams *params = &server->pool->params;
    uint32_t most = kind == SLOT_KIND_BATCH ? params->connections : params->passthrough_connections;
    return server->n_slots[kind] < most;
}

void server_open_slot(Server *server, SlotKind kind)
{
    if (server_may_open_slot(server, kind))
        slot_new(server, kind);
}

static void close_slots(List *slots, const char *text)
{
    ListLink *link;
    while ((link = list_first(slots)) != NULL)
        slot_close(LIST_OWNER(link, Slot, server_link), text);
}

void server_close_slots(Server *server, const char *text)
{
    close_slots(&server->idle[SLOT_KIND_BATCH], text);
    close_slots(&server->idle[SLOT_KIND_THROUGH], text);
    close_slots(&server->other, text);
}

void server_connected(Server *server, Slot *slot)
{
    if (server->state != SERVER_STATE_UP) {
        log_info("server %s is up", server->name);
        set_state(server, SERVER_STATE_UP);
        server->n_failures = 0;
        server->batching = SERVER_BATCHING_UNKNOWN;
        loop_timer_clear(&server->probe);
        server->asks = server->pool->params.asks;
        if (!server->asks)
            server->batching = SERVER_BATCHING_YES;
    }
    if (server->asks)
        ask(server, slot);
}

void server_slot_idle(Server *server, Slot *slot)
{
    if (server->asks && server->state == SERVER_STATE_UP && slot->kind == SLOT_KIND_BATCH)
        ask(server, slot);
}

void server_told(Server *server, bool batches, const char *why)
{
    ServerBatching batching = batches ? SERVER_BATCHING_YES : SERVER_BATCHING_NO;
    if (batches && server->batching != batching)
        log_info("server %s serves %.*s: calls to it are batched", server->name,
                 (int)batcher_params(server->pool->batcher)->method.len,
                 (const char *)batcher_params(server->pool->batcher)->method.data);
    if (!batches && server->batching != batching)
        log_warning("server %s does not serve %.*s (%s): calls to it are passed through",
                    server->name, (int)batcher_params(server->pool->batcher)->method.len,
                    (const char *)batcher_params(server->pool->batcher)->method.data, why);
    server->batching = batching;
    nsec_t now = loop_now(server->pool->loop);
    if (!batches)
        loop_timer_set(&server->retry, now + server->pool->params.batch_retry_interval);
    loop_defer(server->pool->loop, server->pool->dispatch);
}

void server_unknown_native(Server *server, const MethodPolicy *policy, const char *why)
{
    nsec_t *until = g_new(nsec_t, 1);
    *until = loop_now(server->pool->loop) + server->pool->params.batch_retry_interval;
    g_hash_table_replace(server->unknown_native, (gpointer)(uintptr_t)policy, until);
    log_limited(&server->log_limit, loop_now(server->pool->loop), LOG_LEVEL_WARNING,
                "server %s does not serve %s (%s): calls of [method.%s] are passed through",
                server->name, policy->batch_method, why, policy->name);
}

bool server_batches(const Server *server, const Batch *batch, nsec_t now)
{
    if (batch_kind(batch) != BATCH_KIND_NATIVE)
        return server->batching == SERVER_BATCHING_YES;
    const nsec_t *until = g_hash_table_lookup(server->unknown_native, batch->group->method->policy);
    return until == NULL || now >= *until;
}

void server_misshapen(Server *server, const Method *method, const char *why)
{
    const MethodPolicy *policy = method->policy;
    if (!g_hash_table_add(server->misshapen, (gpointer)(uintptr_t)policy))
        return;
    log_warning("server %s: %s; see batch_requests, batch_responses and batch_response_item of "
                "[method.%s]",
                server->name, why, policy->name);
}

void server_well_shaped(Server *server, const Method *method)
{
    if (g_hash_table_size(server->misshapen) > 0)
        g_hash_table_remove(server->misshapen, method->policy);
}

void server_answered(Server *server)
{
    server->n_failures = 0;
    server->backoff = 0;
}

/* Exponential, from BACKOFF_FIRST to BACKOFF_MAX, with jitter so that many daemons do not probe in
 * step. */
static void schedule_probe(Server *server)
{
    if (server->probe.at != NSEC_NEVER || server->n_connecting[SLOT_KIND_BATCH] > 0)
        return;
    server->backoff =
        server->backoff == 0 ? BACKOFF_FIRST : nsec_min(2 * server->backoff, BACKOFF_MAX);
    nsec_t delay = (nsec_t)((double)server->backoff * g_random_double_range(0.75, 1.0));
    loop_timer_set(&server->probe, loop_now(server->pool->loop) + delay);
}

static void take_out(Server *server, const char *why)
{
    set_state(server, SERVER_STATE_OUT);
    log_warning("server %s is out: %s; it is tried again with backoff", server->name, why);
    close_slots(&server->idle[SLOT_KIND_BATCH], "the server is out");
    close_slots(&server->idle[SLOT_KIND_THROUGH], "the server is out");
}

void server_failed(Server *server, ServerFailure failure, const char *why)
{
    Pool *pool = server->pool;
    server->failures[failure]++;
    server->n_failures++;
    g_snprintf(pool->latest_failure, sizeof pool->latest_failure, "%s: %s", server->name, why);
    bool is_out =
        server->state == SERVER_STATE_TRYING ||
        (server->state == SERVER_STATE_UP && server->n_failures >= pool->params.max_failures);
    if (is_out)
        take_out(server, why);
    else
        log_limited(&server->log_limit, loop_now(pool->loop),
                    server->state == SERVER_STATE_OUT ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
                    "server %s: %s", server->name, why);
    if (server->state == SERVER_STATE_OUT)
        schedule_probe(server);
    loop_defer(pool->loop, pool->dispatch);
}
