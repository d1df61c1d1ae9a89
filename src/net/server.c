#include "net/server.h"

#include "base/check.h"
#include "net/pool.h"

/* True when that has changed its state. */
static bool note(Server *server, ServerEvent event)
{
    ServerState before = server->health.state;
    if (!server_health_note(&server->health, event, server->pool->params.max_failures,
                            loop_now(server->pool->loop), g_random_double()))
        return false;
    log_debug("server %s: %s -> %s", server->name, server_state_name(before),
              server_state_name(server->health.state));
    loop_timer_clear(&server->probe);
    loop_timer_set(&server->probe, server->health.probe_at);
    return true;
}

static void close_slots(List *slots, const char *text)
{
    ListLink *link;
    while ((link = list_first(slots)) != NULL)
        slot_close(LIST_OWNER(link, Slot, server_link), text);
}

/* Connections that were busy when the server went out may have become idle since: they are in the
 * probe's place. Where busy ones are, it is tried later. */
static void on_probe(void *data)
{
    Server *server = data;
    if (server->health.state != SERVER_STATE_OUT)
        return;
    close_slots(&server->idle[SLOT_KIND_BATCH], "the server is out");
    if (!server_may_open_slot(server, SLOT_KIND_BATCH))
        loop_timer_set(&server->probe, loop_now(server->pool->loop) + SERVER_BACKOFF_FIRST);
    else if (note(server, SERVER_EVENT_PROBE_DUE))
        server_open_slot(server, SLOT_KIND_BATCH);
}

void server_up_elsewhere(Server *server)
{
    if (atomic_load(&server->endpoint->news) == ENDPOINT_NEWS_UP &&
        server_may_open_slot(server, SLOT_KIND_BATCH) && note(server, SERVER_EVENT_UP_ELSEWHERE))
        server_open_slot(server, SLOT_KIND_BATCH);
}

void server_wanted(Server *server)
{
    bool is_under_way = server->n_connecting[SLOT_KIND_BATCH] > 0;
    if (!is_under_way && !server_may_open_slot(server, SLOT_KIND_BATCH))
        return;
    if (note(server, SERVER_EVENT_WANTED) && !is_under_way)
        server_open_slot(server, SLOT_KIND_BATCH);
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
        if (server->n_connecting[SLOT_KIND_BATCH] == 0)
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
    if (server_is_up(server))
        ask(server, NULL);
}

static void on_patience(void *data)
{
    Server *server = data;
    loop_defer(server->pool->loop, server->pool->dispatch);
}

void server_new(Pool *pool, const ServerEntry *entry)
{
    Server *server = g_new0(Server, 1);
    server->pool = pool;
    server->endpoint = endpoint_ref(entry->endpoint);
    server->name = g_strdup(entry->name);
    server_health_init(&server->health);
    list_init(&server->idle[SLOT_KIND_BATCH]);
    list_init(&server->idle[SLOT_KIND_THROUGH]);
    server->misshapen = g_hash_table_new(NULL, NULL);
    server->unknown_native = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    loop_timer_init(&server->retry, pool->loop, on_retry, server);
    list_init(&server->other);
    list_append(&pool->servers, &server->pool_link);
    loop_timer_init(&server->probe, pool->loop, on_probe, server);
    loop_timer_init(&server->patience, pool->loop, on_patience, server);
    server_open_slot(server, SLOT_KIND_BATCH);
}

void server_free(Server *server)
{
    if (server == NULL)
        return;
    check(server->n_slots[SLOT_KIND_BATCH] == 0 && server->n_slots[SLOT_KIND_THROUGH] == 0);
    loop_timer_clear(&server->probe);
    loop_timer_clear(&server->patience);
    loop_timer_clear(&server->retry);
    g_hash_table_unref(server->unknown_native);
    g_hash_table_unref(server->misshapen);
    list_remove(&server->pool_link);
    endpoint_unref(server->endpoint);
    g_free(server->name);
    g_free(server);
}

static uint32_t most_slots(const Server *server, SlotKind kind)
{
    const PoolParams *params = &server->pool->params;
    return kind == SLOT_KIND_BATCH ? params->connections : params->passthrough_connections;
}

bool server_may_open_slot(const Server *server, SlotKind kind)
{
    return server->n_slots[kind] < most_slots(server, kind);
}

void server_open_slot(Server *server, SlotKind kind)
{
    if (server_may_open_slot(server, kind))
        slot_new(server, kind);
}

void server_close_slots(Server *server, const char *text)
{
    close_slots(&server->idle[SLOT_KIND_BATCH], text);
    close_slots(&server->idle[SLOT_KIND_THROUGH], text);
    close_slots(&server->other, text);
}

static void come_up(Server *server)
{
    Pool *pool = server->pool;
    bool is_news = endpoint_tell(server->endpoint, ENDPOINT_NEWS_UP);
    log_limited(&server->up_limit, loop_now(pool->loop), is_news ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
                "server %s is up", server->name);
    if (is_news)
        atomic_store(&server->endpoint->batching, (int)SERVER_BATCHING_UNKNOWN);
    server->batching = SERVER_BATCHING_UNKNOWN;
    server->asks = pool->params.asks;
    if (!server->asks)
        server->batching = SERVER_BATCHING_YES;
    if (is_news)
        pool->on_server_up(pool->data);
}

static bool has_one_connection(const Server *server)
{
    uint32_t n = 0;
    for (SlotKind kind = 0; kind < SLOT_KINDS; kind++)
        n += server->n_slots[kind] - server->n_connecting[kind];
    return n == 1;
}

/* Behind an address that there was no connection to may be another by now, an earlier version that
 * does not batch. One that did not batch keeps the time of its next question: it may be slow to
 * answer. */
void server_connected(Server *server, Slot *slot)
{
    if (note(server, SERVER_EVENT_CONNECTED)) {
        come_up(server);
    } else if (server->pool->params.asks && server->batching == SERVER_BATCHING_YES &&
               has_one_connection(server)) {
        server->batching = SERVER_BATCHING_UNKNOWN;
        server->asks = true;
    }
    if (server->asks)
        ask(server, slot);
}

void server_slot_idle(Server *server, Slot *slot)
{
    if (server->asks && server_is_up(server) && slot->kind == SLOT_KIND_BATCH)
        ask(server, slot);
}

/* Said once of all workers, and not again when the configuration changes. */
static void log_batching(Server *server, const char *why)
{
    bool is_news = atomic_exchange(&server->endpoint->batching, (int)server->batching) !=
                   (int)server->batching;
    bool batches = server->batching == SERVER_BATCHING_YES;
    LogLevel level = batches ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING;
    Bytes method = batcher_params(server->pool->batcher)->method;
    log_limited(&server->batching_limit, loop_now(server->pool->loop),
                is_news ? level : LOG_LEVEL_DEBUG, "server %s %s %.*s%s%s%s", server->name,
                batches ? "serves" : "does not serve", (int)method.len, (const char *)method.data,
                batches ? ": calls to it are batched" : " (", batches ? "" : why,
                batches ? "" : "): calls to it are passed through");
}

void server_told(Server *server, bool batches, const char *why)
{
    if (server_is_draining(server))
        return;
    ServerBatching batching = batches ? SERVER_BATCHING_YES : SERVER_BATCHING_NO;
    Pool *pool = server->pool;
    if (server->batching != batching) {
        server->batching = batching;
        log_batching(server, why);
    }
    if (!batches)
        loop_timer_set(&server->retry, loop_now(pool->loop) + pool->params.batch_retry_interval);
    loop_defer(pool->loop, pool->dispatch);
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

/* For each answer: usually there is nothing to forget, and a random number less to draw. */
void server_answered(Server *server)
{
    if (server->health.n_failures > 0 || server->health.backoff > 0)
        note(server, SERVER_EVENT_ANSWERED);
}

static void take_out(Server *server, const char *why)
{
    bool is_news = endpoint_tell(server->endpoint, ENDPOINT_NEWS_OUT);
    log_limited(&server->out_limit, loop_now(server->pool->loop),
                is_news ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG,
                "server %s is out: %s; it is tried again with backoff%s", server->name, why,
                pool_has_hope(server->pool) ? "" : "; none is left, calls get an error");
    close_slots(&server->idle[SLOT_KIND_BATCH], "the server is out");
    close_slots(&server->idle[SLOT_KIND_THROUGH], "the server is out");
    LIST_EACH_SAFE (&server->other, link) { /* they would bring it up before it is probed */
        Slot *slot = LIST_OWNER(link, Slot, server_link);
        if (slot->state == SLOT_STATE_CONNECTING)
            slot_close(slot, "the server is out");
    }
}

void server_failed(Server *server, ServerFailure failure, const char *why)
{
    Pool *pool = server->pool;
    ServerState before = server->health.state;
    bool was_used = before == SERVER_STATE_TRYING || before == SERVER_STATE_UP;
    atomic_fetch_add_explicit(&server->endpoint->failures[failure], 1, memory_order_relaxed);
    g_snprintf(pool->latest_failure, sizeof pool->latest_failure, "%s: %s", server->name, why);
    bool changed = note(server, failure == SERVER_FAILURE_CONNECT ? SERVER_EVENT_NOT_CONNECTED
                                                                  : SERVER_EVENT_CALL_FAILED);
    if (changed && was_used)
        take_out(server, why);
    else
        log_limited(&server->log_limit, loop_now(pool->loop),
                    was_used ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "server %s: %s", server->name,
                    why);
    loop_defer(pool->loop, pool->dispatch);
}

/* Other parameters */

void server_watch_idle_slots(Server *server)
{
    for (SlotKind kind = 0; kind < SLOT_KINDS; kind++) {
        LIST_EACH (&server->idle[kind], link)
            slot_watch_idle(LIST_OWNER(link, Slot, server_link));
    }
}

/* An idle connection on which the call behind a ONEWAY is to follow. */
static bool is_needed(const Slot *slot)
{
    return !list_empty(&slot->carrier.bound);
}

bool server_close_surplus(Server *server)
{
    bool some_left = false;
    for (SlotKind kind = 0; kind < SLOT_KINDS; kind++) {
        LIST_EACH_SAFE (&server->idle[kind], link) {
            Slot *slot = LIST_OWNER(link, Slot, server_link);
            if (server->n_slots[kind] > most_slots(server, kind) && !is_needed(slot))
                slot_close(slot, "more than may be open");
        }
        some_left = some_left || server->n_slots[kind] > most_slots(server, kind);
    }
    return some_left;
}

/* Draining */

/* Connections that carry no call end now; where calls are passed through, no further ones follow
 * them. */
static void finish_slots(Server *server)
{
    LIST_EACH_SAFE (&server->other, link) {
        Slot *slot = LIST_OWNER(link, Slot, server_link);
        if (slot->batch == NULL)
            slot_close(slot, "the server is drained");
        else
            batcher_complete(slot->batch);
    }
}

void server_drain(Server *server)
{
    Pool *pool = server->pool;
    if (!note(server, SERVER_EVENT_VANISHED))
        return;
    server->asks = false;
    loop_timer_clear(&server->retry);
    loop_timer_set(&server->patience,
                   loop_now(pool->loop) + batcher_params(pool->batcher)->call_timeout);
    finish_slots(server);
    loop_defer(pool->loop, pool->dispatch);
    loop_defer(pool->loop, &pool->release);
}

void server_close_unneeded(Server *server, nsec_t now)
{
    bool patient = server->patience.at != NSEC_NEVER && now < server->patience.at;
    for (SlotKind kind = 0; kind < SLOT_KINDS; kind++) {
        LIST_EACH_SAFE (&server->idle[kind], link) {
            Slot *slot = LIST_OWNER(link, Slot, server_link);
            if (!is_needed(slot) || !patient)
                slot_close(slot, "the server is drained");
        }
    }
}

bool server_is_drained(const Server *server)
{
    return server_is_draining(server) && server->n_slots[SLOT_KIND_BATCH] == 0 &&
           server->n_slots[SLOT_KIND_THROUGH] == 0;
}
