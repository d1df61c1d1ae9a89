#include "net/pool.h"

#include "base/check.h"

#define CONNECTING_PAUSE (100 * NSEC_PER_MSEC)

static void release_slots(void *data)
{
    Pool *pool = data;
    ListLink *link;
    while ((link = list_first(&pool->closed)) != NULL)
        slot_free(LIST_OWNER(link, Slot, server_link));
}

static void end_connecting_pause(void *data)
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

void pool_init(Pool *pool, const PoolParams *params, Loop *loop, Batcher *batcher,
               LoopTask *dispatch, void (*on_answers)(void *data), void *data)
{
    *pool = (Pool){
        .params = *params,
        .loop = loop,
        .batcher = batcher,
        .dispatch = dispatch,
        .on_answers = on_answers,
        .data = data,
    };
    list_init(&pool->servers);
    list_init(&pool->closed);
    list_init(&pool->abandoned);
    loop_task_init(&pool->release, release_slots, pool);
    loop_timer_init(&pool->connecting_pause, loop, end_connecting_pause, pool);
}

void pool_clear(Pool *pool)
{
    pool_close(pool, "closed");
    release_slots(pool);
    LIST_EACH_SAFE (&pool->servers, link)
        server_free(LIST_OWNER(link, Server, pool_link));
    loop_timer_clear(&pool->connecting_pause);
    g_free(pool->iovecs);
    pool->iovecs = NULL;
}

void pool_start(Pool *pool)
{
    LIST_EACH (&pool->servers, link)
        server_open_slot(LIST_OWNER(link, Server, pool_link));
}

/* The server that is up with the fewest calls in flight, among those that have an idle slot, or
 * among those that may open another one. */
static Server *least_loaded(const Pool *pool, bool idle)
{
    Server *best = NULL;
    LIST_EACH (&pool->servers, link) {
        Server *server = LIST_OWNER(link, Server, pool_link);
        bool fit = idle ? !list_empty(&server->idle)
                        : server->n_slots < pool->params.connections && server->n_connecting == 0;
        if (server->state == SERVER_STATE_UP && fit &&
            (best == NULL || server->n_inflight < best->n_inflight))
            best = server;
    }
    return best;
}

static bool has_hope(const Pool *pool)
{
    LIST_EACH (&pool->servers, link) {
        if (LIST_OWNER(link, Server, pool_link)->state != SERVER_STATE_OUT)
            return true;
    }
    return false;
}

static void fail_waiting(Pool *pool, nsec_t now)
{
    char text[sizeof pool->latest_failure + 64];
    g_snprintf(text, sizeof text, "thrift-batchd: no upstream server is reachable (%s)",
               pool->latest_failure);
    batcher_fail_waiting(pool->batcher, text, now);
}

void pool_dispatch(Pool *pool, nsec_t now)
{
    while (batcher_due(pool->batcher, now)) {
        Server *server = least_loaded(pool, true);
        if (server == NULL) {
            Server *other = least_loaded(pool, false);
            if (other != NULL && pool->connecting_pause.at == NSEC_NEVER)
                server_open_slot(other);
            break;
        }
        Slot *slot = LIST_OWNER(list_first(&server->idle), Slot, server_link);
        slot_send(slot, batcher_take(pool->batcher, now));
    }
    if (!has_hope(pool))
        fail_waiting(pool, now);
}

void pool_abandon(Pool *pool, Batch *batch)
{
    Slot *slot = batch->carrier;
    check(slot->batch == batch);
    if (!list_linked(&slot->abandoned_link))
        list_append(&pool->abandoned, &slot->abandoned_link);
}

void pool_drop_abandoned(Pool *pool)
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
