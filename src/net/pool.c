#include "net/pool.h"

#include <string.h>

#include "base/check.h"

#define CONNECTING_PAUSE (100 * NSEC_PER_MSEC)

static void release_slots(Pool *pool)
{
    ListLink *link;
    while ((link = list_first(&pool->closed)) != NULL)
        slot_free(LIST_OWNER(link, Slot, server_link));
}

static void release_servers(Pool *pool)
{
    LIST_EACH_SAFE (&pool->servers, link) {
        Server *server = LIST_OWNER(link, Server, pool_link);
        if (!server_is_drained(server))
            continue;
        const ServerHealth *health = &server->health;
        log_debug("server %s is gone; it was up %" G_GUINT64_FORMAT " times, out %" G_GUINT64_FORMAT
                  " times",
                  server->name, health->n_entered[SERVER_STATE_UP],
                  health->n_entered[SERVER_STATE_OUT]);
        pool->n_draining--;
        server_free(server);
    }
}

static void release(void *data)
{
    Pool *pool = data;
    release_slots(pool);
    if (pool->n_draining > 0)
        release_servers(pool);
}

static void dispatch_again(void *data)
{
    Pool *pool = data;
    loop_defer(pool->loop, pool->dispatch);
}

void pool_pause_connecting(Pool *pool, const Server *server, int code)
{
    nsec_t now = loop_now(pool->loop);
    log_limited(&pool->log_limit, now, LOG_LEVEL_ERROR,
                "cannot open another connection to server %s: %s", server->name, g_strerror(code));
    loop_timer_set(&pool->connecting_pause, now + CONNECTING_PAUSE);
}

static void restart_pace(Pool *pool)
{
    pace_init(&pool->pace, pool->params.connections);
    batcher_set_gathering(pool->batcher, pace_gathering(&pool->pace));
}

void pool_init(Pool *pool, const PoolParams *params, Loop *loop, Batcher *batcher,
               LoopTask *dispatch, void (*on_answers)(void *data), void (*on_server_up)(void *data),
               void *data)
{
    *pool = (Pool){
        .params = *params,
        .loop = loop,
        .batcher = batcher,
        .dispatch = dispatch,
        .on_answers = on_answers,
        .on_server_up = on_server_up,
        .data = data,
    };
    list_init(&pool->servers);
    list_init(&pool->closed);
    list_init(&pool->abandoned);
    loop_task_init(&pool->release, release, pool);
    restart_pace(pool);
    loop_timer_init(&pool->overdue, loop, dispatch_again, pool);
    loop_timer_init(&pool->resolving, loop, dispatch_again, pool);
    loop_timer_init(&pool->connecting_pause, loop, dispatch_again, pool);
}

void pool_clear(Pool *pool)
{
    pool_close(pool, "closed");
    release_slots(pool);
    loop_cancel(&pool->release);
    LIST_EACH_SAFE (&pool->servers, link)
        server_free(LIST_OWNER(link, Server, pool_link));
    loop_timer_clear(&pool->connecting_pause);
    loop_timer_clear(&pool->resolving);
    loop_timer_clear(&pool->overdue);
    g_free(pool->iovecs);
    pool->iovecs = NULL;
}

void pool_start(Pool *pool, const ServerList *servers)
{
    if (!servers->complete)
        loop_timer_set(&pool->resolving, loop_now(pool->loop) + pool->params.connect_timeout);
    pool_set_servers(pool, servers);
}

void pool_set_params(Pool *pool, const PoolParams *params)
{
    bool asks = pool->params.asks;
    bool restarts = params->connections != pool->params.connections;
    pool->params = *params;
    pool->params.asks = asks;
    if (restarts)
        restart_pace(pool);
    pool->has_surplus = true;
    LIST_EACH (&pool->servers, link)
        server_watch_idle_slots(LIST_OWNER(link, Server, pool_link));
    loop_defer(pool->loop, pool->dispatch);
}

void pool_set_paused(Pool *pool, bool paused)
{
    pool->paused = paused;
    LIST_EACH_SAFE (&pool->servers, link) {
        if (!paused)
            server_wanted(LIST_OWNER(link, Server, pool_link));
    }
    loop_defer(pool->loop, pool->dispatch);
}

static void set_name(Server *server, const char *name)
{
    if (strcmp(server->name, name) == 0)
        return;
    log_debug("server %s is called %s from now on", server->name, name);
    g_free(server->name);
    server->name = g_strdup(name);
}

static const Server *find_server(const Pool *pool, const Endpoint *endpoint)
{
    LIST_EACH (&pool->servers, link) {
        const Server *server = LIST_OWNER(link, Server, pool_link);
        if (server->endpoint == endpoint)
            return server;
    }
    return NULL;
}

static void drain_server(Pool *pool, Server *server)
{
    if (server_is_draining(server))
        return;
    pool->n_draining++;
    server_drain(server);
}

void pool_set_servers(Pool *pool, const ServerList *servers)
{
    if (servers->complete)
        loop_timer_clear(&pool->resolving);
    if (servers->problem != NULL)
        g_strlcpy(pool->latest_failure, servers->problem, sizeof pool->latest_failure);
    LIST_EACH_SAFE (&pool->servers, link) {
        Server *server = LIST_OWNER(link, Server, pool_link);
        const ServerEntry *entry = server_list_find(servers, server->endpoint);
        if (entry != NULL)
            set_name(server, entry->name);
        else
            drain_server(pool, server);
    }
    for (guint i = 0; i < servers->entries->len; i++) {
        const ServerEntry *entry = &g_array_index(servers->entries, ServerEntry, i);
        if (find_server(pool, entry->endpoint) == NULL)
            server_new(pool, entry);
    }
    loop_defer(pool->loop, pool->dispatch);
}

void pool_server_up_elsewhere(Pool *pool)
{
    LIST_EACH (&pool->servers, link)
        server_up_elsewhere(LIST_OWNER(link, Server, pool_link));
}

/* Where the batch should rather go: away from the server that failed it, then where fewer calls are
 * in flight. */
static Server *preferred(const Batch *batch, Server *best, Server *other)
{
    if (best == NULL)
        return other;
    bool best_failed = best == batch->failed_on, other_failed = other == batch->failed_on;
    if (best_failed != other_failed)
        return best_failed ? other : best;
    return other->n_inflight < best->n_inflight ? other : best;
}

/* Whether adaptive flush uses another slot of the server for the batch; else, until when it does
 * not. */
static bool has_room(const Pool *pool, const Server *server, const Batch *batch, nsec_t now,
                     nsec_t *until)
{
    if (batcher_params(pool->batcher)->flush != FLUSH_ADAPTIVE ||
        pace_slots(&pool->pace) == pool->params.connections || !batch_may_grow(batch))
        return true;
    uint32_t n = 0;
    nsec_t earliest = NSEC_NEVER;
    LIST_EACH (&server->other, link) {
        const Slot *slot = LIST_OWNER(link, Slot, server_link);
        if (slot->kind != SLOT_KIND_BATCH || slot->batch == NULL)
            continue;
        nsec_t overdue = pace_overdue(&pool->pace, slot->batch->sent);
        if (overdue <= now)
            continue;
        n++;
        earliest = nsec_min(earliest, overdue);
    }
    if (pace_has_room(&pool->pace, n))
        return true;
    *until = nsec_min(*until, earliest);
    return false;
}

/* Whether the batch waits for the server's answer to the question whether it batches. */
static bool is_asking(const Server *server, const Batch *batch)
{
    return batch_kind(batch) == BATCH_KIND_ENVELOPE && server->batching == SERVER_BATCHING_UNKNOWN;
}

/* Where a batch is to go at once: the server that is up with the fewest calls in flight, among
 * those with an idle slot and those that cannot batch it. NULL: nowhere yet; `until` is set where
 * that is because slots are left idle. */
static Server *server_for(const Pool *pool, const Batch *batch, nsec_t now, nsec_t *until)
{
    Server *best = NULL;
    LIST_EACH (&pool->servers, link) {
        Server *server = LIST_OWNER(link, Server, pool_link);
        if (!server_is_up(server) || is_asking(server, batch))
            continue;
        if (!server_batches(server, batch, now) || (!list_empty(&server->idle[SLOT_KIND_BATCH]) &&
                                                    has_room(pool, server, batch, now, until)))
            best = preferred(batch, best, server);
    }
    return best;
}

/* Opens another connection for the batch where there are fewest calls in flight; `until` as in
 * has_room(). */
static void open_slot(Pool *pool, SlotKind kind, const Batch *batch, nsec_t now, nsec_t *until)
{
    Server *best = NULL;
    LIST_EACH (&pool->servers, link) {
        Server *server = LIST_OWNER(link, Server, pool_link);
        bool fit = kind == SLOT_KIND_THROUGH || (server->n_connecting[kind] == 0 &&
                                                 (server->asks || !is_asking(server, batch)) &&
                                                 has_room(pool, server, batch, now, until));
        if (server_is_up(server) && fit && server_may_open_slot(server, kind))
            best = preferred(batch, best, server);
    }
    if (best != NULL && pool->connecting_pause.at == NSEC_NEVER)
        server_open_slot(best, kind);
}

static Slot *idle_through_slot(const Pool *pool, const Batch *batch)
{
    Server *best = NULL;
    LIST_EACH (&pool->servers, link) {
        Server *server = LIST_OWNER(link, Server, pool_link);
        if (server_is_up(server) && !list_empty(&server->idle[SLOT_KIND_THROUGH]))
            best = preferred(batch, best, server);
    }
    return best != NULL ? LIST_OWNER(list_first(&best->idle[SLOT_KIND_THROUGH]), Slot, server_link)
                        : NULL;
}

static uint32_t n_connecting_through(const Pool *pool)
{
    uint32_t n = 0;
    LIST_EACH (&pool->servers, link)
        n += LIST_OWNER(link, Server, pool_link)->n_connecting[SLOT_KIND_THROUGH];
    return n;
}

bool pool_has_hope(const Pool *pool)
{
    LIST_EACH (&pool->servers, link) {
        const Server *server = LIST_OWNER(link, Server, pool_link);
        if (server_is_up(server) || server->health.state == SERVER_STATE_TRYING)
            return true;
    }
    return pool->resolving.at != NSEC_NEVER;
}

static void fail_waiting(Pool *pool, nsec_t now)
{
    char text[sizeof pool->latest_failure + 64];
    g_snprintf(text, sizeof text, "thrift-batchd: no upstream server is reachable (%s)",
               pool->latest_failure);
    batcher_fail_waiting(pool->batcher, text, now);
}

/* Among equals the one that was used longest ago comes first. */
static void is_used(Pool *pool, Server *server)
{
    list_remove(&server->pool_link);
    list_append(&pool->servers, &server->pool_link);
}

/* The server for the batch, as server_for(). Where there is none, a slot is opened if that may be,
 * and the batches wait. */
static Server *server_or_wait(Pool *pool, const Batch *batch, nsec_t now)
{
    nsec_t until = NSEC_NEVER;
    Server *server = server_for(pool, batch, now, &until);
    if (server == NULL) {
        open_slot(pool, SLOT_KIND_BATCH, batch, now, &until);
        loop_timer_set(&pool->overdue, until);
        batcher_set_blocked(pool->batcher, true);
    }
    return server;
}

/* Whether the batch may wait for a server's answer whether it batches, which is no reason for those
 * behind it to wait. */
static bool may_wait_for_question(const Pool *pool, const Batch *batch)
{
    LIST_EACH (&pool->servers, link) {
        const Server *server = LIST_OWNER(link, Server, pool_link);
        if (server_is_up(server) && is_asking(server, batch))
            return true;
    }
    return false;
}

static Batch *next_due(const Pool *pool, const Batch *behind, nsec_t now)
{
    return behind == NULL ? batcher_next_due(pool->batcher, now)
                          : batcher_next_due_behind(pool->batcher, behind, now);
}

static void dispatch_batches(Pool *pool, nsec_t now)
{
    batcher_set_blocked(pool->batcher, false);
    Batch *batch, *waiting = NULL;
    while ((batch = next_due(pool, waiting, now)) != NULL) {
        Server *server = server_or_wait(pool, batch, now);
        if (server == NULL && !may_wait_for_question(pool, batch))
            return;
        if (server == NULL) {
            waiting = batch;
            continue;
        }
        if (!server_batches(server, batch, now)) {
            batcher_pass_through(pool->batcher, batch, now + pool->params.batch_retry_interval,
                                 now);
            continue;
        }
        is_used(pool, server);
        Slot *slot = LIST_OWNER(list_first(&server->idle[SLOT_KIND_BATCH]), Slot, server_link);
        batcher_take(pool->batcher, batch, now);
        slot_send(slot, batch);
    }
    /* With no slot for it either, it is that which it waits for. */
    const Batch *reading_on = batcher_reading_on(pool->batcher, now);
    if (reading_on != NULL)
        server_or_wait(pool, reading_on, now);
}

/* A server that is less loaded than the one that is used, for want of a connection there, gets one
 * for the next. */
static void open_on_less_loaded(Pool *pool, const Server *used)
{
    LIST_EACH (&pool->servers, link) {
        Server *server = LIST_OWNER(link, Server, pool_link);
        if (server_is_up(server) && server->n_inflight < used->n_inflight &&
            list_empty(&server->idle[SLOT_KIND_THROUGH]) &&
            server->n_connecting[SLOT_KIND_THROUGH] == 0 && pool->connecting_pause.at == NSEC_NEVER)
            server_open_slot(server, SLOT_KIND_THROUGH);
    }
}

/* The slot on which the batch can go on now. */
static Slot *through_slot_for(const Pool *pool, const Batch *batch)
{
    Carrier *wanted = batcher_wanted_carrier(batch);
    if (wanted == NULL)
        return idle_through_slot(pool, batch);
    Slot *slot = LIST_OWNER(wanted, Slot, carrier);
    return slot->batch == batch || slot->state == SLOT_STATE_IDLE ? slot : NULL;
}

static void dispatch_through(Pool *pool, nsec_t now)
{
    uint32_t n_unplaced = 0;
    for (Batch *batch = batcher_next_through(pool->batcher, NULL), *next; batch != NULL;
         batch = next) {
        next = batcher_next_through(pool->batcher, batch);
        Slot *slot = through_slot_for(pool, batch);
        if (slot != NULL) {
            open_on_less_loaded(pool, slot->server);
            is_used(pool, slot->server);
            if (server_is_draining(slot->server))
                batcher_complete(batch);
            slot_send_through(slot, batch);
        } else if (batcher_wanted_carrier(batch) == NULL &&
                   ++n_unplaced > n_connecting_through(pool))
            open_slot(pool, SLOT_KIND_THROUGH, batch, now, NULL);
    }
}

/* Behind what has just been sent there. */
static void drain_servers(Pool *pool, nsec_t now)
{
    LIST_EACH (&pool->servers, link) {
        Server *server = LIST_OWNER(link, Server, pool_link);
        if (server_is_draining(server))
            server_close_unneeded(server, now);
    }
}

static void close_surplus(Pool *pool)
{
    pool->has_surplus = false;
    LIST_EACH (&pool->servers, link) {
        if (server_close_surplus(LIST_OWNER(link, Server, pool_link)))
            pool->has_surplus = true;
    }
}

static void drop_abandoned(Pool *pool)
{
    ListLink *link;
    while ((link = list_first(&pool->abandoned)) != NULL) {
        Slot *slot = LIST_OWNER(link, Slot, abandoned_link);
        Server *server = slot->server;
        bool some_answered = slot->batch->some_answered;
        slot_close(slot, "");
        if (!some_answered)
            server_failed(server, SERVER_FAILURE_TIMEOUT, "no answer within call_timeout");
    }
}

void pool_dispatch(Pool *pool, nsec_t now)
{
    drop_abandoned(pool);
    if (pool->has_surplus)
        close_surplus(pool);
    if (pool->paused) {
        batcher_set_blocked(pool->batcher, true);
    } else {
        dispatch_batches(pool, now);
        dispatch_through(pool, now);
    }
    if (pool->n_draining > 0)
        drain_servers(pool, now);
    if (!pool->paused && !pool_has_hope(pool))
        fail_waiting(pool, now);
}

static const char *const gathering_texts[] = {
    [GATHERING_NONE] = "",
    [GATHERING_SLOTS] = ", returning callers are waited for",
    [GATHERING_ONE_SLOT] = ", returning callers are waited for",
    [GATHERING_CROWD] = ", all callers of the latest answer are waited for",
};

void pool_answered(Pool *pool, const Batch *batch, uint32_t n_in_flight)
{
    if (batcher_params(pool->batcher)->flush != FLUSH_ADAPTIVE)
        return;
    nsec_t now = loop_now(pool->loop), upstream = nsec_until(batch->sent, now);
    bool met = batch->n_taken > 1 || batch->sent > batch->since;
    if (pace_answered(&pool->pace, met, n_in_flight, upstream, batcher_load(pool->batcher, now)))
        log_debug("adaptive flush: %u slots of a server are used%s", pace_slots(&pool->pace),
                  gathering_texts[pace_gathering(&pool->pace)]);
    batcher_set_gathering(pool->batcher, pace_gathering(&pool->pace));
}

void pool_abandon(Pool *pool, Batch *batch)
{
    Slot *slot = LIST_OWNER(batch->carrier, Slot, carrier);
    check(slot->batch == batch);
    if (!list_linked(&slot->abandoned_link))
        list_append(&pool->abandoned, &slot->abandoned_link);
}

void pool_close(Pool *pool, const char *text)
{
    LIST_EACH (&pool->servers, link)
        server_close_slots(LIST_OWNER(link, Server, pool_link), text);
}

struct iovec *pool_iovecs(Pool *pool, size_t n)
{
    if (n > pool->n_iovecs) {
        pool->iovecs = g_renew(struct iovec, pool->iovecs, n);
        pool->n_iovecs = n;
    }
    return pool->iovecs;
}
