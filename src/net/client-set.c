#include "net/client-set.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/client-internal.h"

void client_set_publish(ClientSet *set)
{
    room_settle(&set->room, set->counters->pending_calls, set->counters->pending_bytes);
    uint64_t n_gone = set->n_accepted - set->counters->clients;
    if (n_gone != client_set_n_gone(set))
        atomic_store_explicit(&set->n_gone, n_gone, memory_order_relaxed);
}

uint64_t client_set_n_gone(const ClientSet *set)
{
    return atomic_load_explicit(&set->n_gone, memory_order_relaxed);
}

void client_set_write(ClientSet *set)
{
    ListLink *link;
    while ((link = list_first(&set->dirty)) != NULL) {
        list_remove(link);
        client_flush(LIST_OWNER(link, Client, dirty_link));
    }
}

static void resume_clients(void *data)
{
    ClientSet *set = data;
    set->at_bound = false;
    List due;
    list_take_all(&set->resuming, &due);
    ListLink *link;
    while ((link = list_first(&due)) != NULL && !client_set_at_bound(set)) {
        list_remove(link);
        client_resume(LIST_OWNER(link, Client, resume_link));
    }
    if (link == NULL) {
        if (!set->at_bound)
            room_stop_waiting(&set->room);
        return;
    }
    set->at_bound = true; /* the others go first next time */
    while ((link = list_last(&due)) != NULL) {
        list_remove(link);
        list_insert_after(&set->resuming.head, link);
    }
}

void client_set_wake(ClientSet *set)
{
    room_woken(&set->room);
    client_set_publish(set);
    loop_defer(set->loop, &set->resume);
}

static void flush_clients(void *data)
{
    client_set_flush(data);
}

static void free_closed(ClientSet *set)
{
    ListLink *link;
    while ((link = list_first(&set->closed)) != NULL) {
        Client *client = LIST_OWNER(link, Client, set_link);
        list_remove(link);
        batcher_forget_caller(&client->caller);
        client->route->n_clients--;
        g_free(client);
    }
}

static void release_clients(void *data)
{
    free_closed(data);
    client_set_publish(data);
}

static void close_idle_clients(void *data)
{
    ClientSet *set = data;
    nsec_t now = loop_now(set->loop);
    LIST_EACH_SAFE (&set->clients, link) {
        Client *client = LIST_OWNER(link, Client, set_link);
        if (client->state == CLIENT_STATE_CLOSED || client->caller.n_calls > 0 || client->unread ||
            client->stalled || unfinished_waits(client) ||
            nsec_until(client->active, now) < set->params.idle_timeout)
            continue;
        set->counters->client_errors[CLIENT_ERROR_IDLE]++;
        client_close(client);
    }
    loop_timer_set(&set->idle, now + set->params.idle_timeout / 4 + NSEC_PER_MSEC);
}

bool client_set_init(ClientSet *set, const ClientParams *params, Loop *loop, Route *route,
                     Counters *counters, Bounds *bounds, void (*wake)(void *data), void *data)
{
    *set = (ClientSet){
        .params = *params,
        .loop = loop,
        .route = route,
        .counters = counters,
    };
    call_cache_init(&set->call_cache);
    unfinished_init(set, params->max_unfinished_bytes);
    room_init(&set->room, bounds, wake, data);
    list_init(&set->clients);
    list_init(&set->dirty);
    list_init(&set->resuming);
    list_init(&set->closed);
    loop_task_init(&set->flush, flush_clients, set);
    loop_task_init(&set->resume, resume_clients, set);
    loop_task_init(&set->release, release_clients, set);
    loop_timer_init(&set->idle, loop, close_idle_clients, set);
    if (params->idle_timeout > 0)
        loop_timer_set(&set->idle, loop_now(loop) + params->idle_timeout);
    return poller_init(&set->poller, loop, client_ready);
}

void client_set_clear(ClientSet *set)
{
    free_closed(set);
    check(list_empty(&set->clients));
    unfinished_clear(set);
    block_cache_clear(&set->call_cache);
    poller_clear(&set->poller);
    loop_timer_clear(&set->idle);
}

void client_set_set_params(ClientSet *set, const ClientParams *params)
{
    set->params = *params;
    set->unfinished.most = params->max_unfinished_bytes;
    loop_timer_clear(&set->idle);
    if (params->idle_timeout > 0)
        close_idle_clients(set);
    LIST_EACH_SAFE (&set->clients, link)
        client_update(LIST_OWNER(link, Client, set_link));
}

void client_set_set_route(ClientSet *set, Route *route)
{
    set->route = route;
    client_set_follow_route(set);
}

void client_set_follow_route(ClientSet *set)
{
    LIST_EACH (&set->clients, link)
        client_follow_route(LIST_OWNER(link, Client, set_link));
}

void client_set_accept(ClientSet *set, int fd)
{
    set->counters->clients_total++;
    set->n_accepted++;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on unix sockets */
    client_new(set, fd);
}

void client_set_turn_away(ClientSet *set, int fd, uint32_t max_clients)
{
    set->counters->clients_total++;
    set->counters->client_errors[CLIENT_ERROR_MAX_CLIENTS]++;
    log_limited(&set->log_limit, loop_now(set->loop), LOG_LEVEL_WARNING,
                "a client was turned away: max_clients (%u) are connected", max_clients);
    close(fd);
}

void client_set_drain(ClientSet *set)
{
    set->draining = true;
}

bool client_set_settled(const ClientSet *set)
{
    LIST_EACH (&set->clients, link) {
        const Client *client = LIST_OWNER(link, Client, set_link);
        if (client->caller.n_calls > 0 || (client->stalled && client->state < CLIENT_STATE_CLOSING))
            return false;
    }
    return true;
}

void client_set_close(ClientSet *set)
{
    LIST_EACH_SAFE (&set->clients, link)
        client_close(LIST_OWNER(link, Client, set_link));
}
