#include "net/slot.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/pool.h"
#include "net/server.h"
#include "net/slot-internal.h"

static const char *state_name(SlotState state)
{
    static const char *const names[] = {
        [SLOT_STATE_CONNECTING] = "connecting",
        [SLOT_STATE_IDLE] = "idle",
        [SLOT_STATE_BUSY] = "busy",
        [SLOT_STATE_CLOSED] = "closed",
    };
    return names[state];
}

/* The latest used first; those that somebody is bound to last, so that others leave them alone. */
static void add_to_idle(Slot *slot)
{
    List *idle = &slot->server->idle[slot->kind];
    if (list_empty(&slot->carrier.bound))
        list_insert_after(&idle->head, &slot->server_link);
    else
        list_append(idle, &slot->server_link);
}

void slot_set_state(Slot *slot, SlotState state)
{
    check(slot->state != SLOT_STATE_CLOSED && slot->state != state);
    Server *server = slot->server;
    log_debug("server %s, connection %d: %s -> %s", server->name, slot->fd, state_name(slot->state),
              state_name(state));
    slot->state = state;
    slot->since = loop_now(server->pool->loop);
    list_remove(&slot->server_link);
    switch (state) {
    case SLOT_STATE_IDLE:
        add_to_idle(slot);
        break;
    case SLOT_STATE_CONNECTING:
    case SLOT_STATE_BUSY:
        list_append(&server->other, &slot->server_link);
        break;
    case SLOT_STATE_CLOSED:
        list_append(&server->pool->closed, &slot->server_link);
        break;
    }
}

static void on_event(evutil_socket_t fd, short what, void *argument);

void slot_set_events(Slot *slot, short events)
{
    if (slot->events == events)
        return;
    if (slot->events != 0)
        event_del(&slot->event);
    slot->events = events;
    if (events == 0)
        return;
    check(event_assign(&slot->event, slot->server->pool->loop->base, slot->fd,
                       (short)(events | EV_PERSIST), on_event, slot) == 0);
    check(event_add(&slot->event, NULL) == 0);
}

/* Ending */

static void take_from_server(Slot *slot)
{
    Server *server = slot->server;
    server->n_slots[slot->kind]--;
    if (slot->state == SLOT_STATE_CONNECTING)
        server->n_connecting[slot->kind]--;
}

Batch *slot_release_batch(Slot *slot)
{
    Batch *batch = g_steal_pointer(&slot->batch);
    slot->server->n_inflight -= slot->n_inflight;
    slot->n_inflight = 0;
    list_remove(&slot->abandoned_link);
    slot->due = NULL;
    return batch;
}

static void close_connection(Slot *slot)
{
    take_from_server(slot);
    slot_set_state(slot, SLOT_STATE_CLOSED);
    slot_set_events(slot, 0);
    loop_timer_clear(&slot->timer);
    carrier_clear(&slot->carrier);
    close(slot->fd);
    slot->fd = -1;
    loop_defer(slot->server->pool->loop, &slot->server->pool->release);
}

static void end(Slot *slot, bool repeats, const char *text)
{
    Pool *pool = slot->server->pool;
    nsec_t now = loop_now(pool->loop);
    Batch *batch = slot_release_batch(slot);
    bool asked = slot->asking;
    close_connection(slot);
    if (asked && slot->server->batching != SERVER_BATCHING_YES) /* else another has been told */
        server_told(slot->server, false, text);
    if (batch != NULL)
        batch->failed_on = slot->server;
    if (batch != NULL && repeats) {
        batcher_repeat(pool->batcher, batch, text, now);
    } else if (batch != NULL) {
        batcher_fail_batch(pool->batcher, batch, text, now);
        batcher_finish(pool->batcher, batch, now);
    }
    loop_defer(pool->loop, pool->dispatch);
}

void slot_close(Slot *slot, const char *text)
{
    end(slot, false, text);
}

void slot_fail(Slot *slot, ServerFailure failure, const char *why)
{
    Server *server = slot->server;
    if (slot->asking) { /* a no is no failure */
        slot_close(slot, why);
        return;
    }
    char text[SLOT_TEXT_SIZE];
    snprintf(text, sizeof text, "thrift-batchd: upstream %s: %s", server->name, why);
    end(slot, true, text);
    server_failed(server, failure, why);
}

void slot_lost(Slot *slot, const char *why)
{
    if (slot->state == SLOT_STATE_BUSY) {
        slot_fail(slot, SERVER_FAILURE_LOST, why);
        return;
    }
    log_debug("server %s: an idle connection is gone: %s", slot->server->name, why);
    slot_close(slot, why);
}

/* Connecting */

void slot_watch_idle(Slot *slot)
{
    const PoolParams *params = &slot->server->pool->params;
    if (params->idle_timeout > 0)
        loop_timer_set(&slot->timer, slot->since + params->idle_timeout);
}

void slot_init_reader(Slot *slot)
{
    Pool *pool = slot->server->pool;
    frame_reader_init(&slot->reader, batcher_params(pool->batcher)->upstream,
                      pool->params.max_answer_size, false);
}

void slot_become_idle(Slot *slot)
{
    Pool *pool = slot->server->pool;
    slot_set_state(slot, SLOT_STATE_IDLE);
    slot_set_events(slot, EV_READ);
    slot_watch_idle(slot);
    loop_defer(pool->loop, pool->dispatch);
}

static void on_connected(Slot *slot)
{
    int code = 0;
    socklen_t len = sizeof code;
    if (getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        code = errno;
    if (code != 0) {
        char why[SLOT_WHY_SIZE];
        snprintf(why, sizeof why, "cannot connect: %s", g_strerror(code));
        slot_fail(slot, SERVER_FAILURE_CONNECT, why);
        return;
    }
    slot->server->n_connecting[slot->kind]--;
    slot_become_idle(slot);
    server_connected(slot->server, slot);
}

static void on_timer(void *data)
{
    Slot *slot = data;
    const PoolParams *params = &slot->server->pool->params;
    nsec_t now = loop_now(slot->server->pool->loop);
    switch (slot->state) {
    case SLOT_STATE_CONNECTING:
        slot_fail(slot, SERVER_FAILURE_CONNECT, "cannot connect: no answer within connect_timeout");
        break;
    case SLOT_STATE_IDLE:
        if (params->idle_timeout == 0)
            break;
        if (now >= slot->since + params->idle_timeout)
            slot_close(slot, "idle");
        else
            loop_timer_set(&slot->timer, slot->since + params->idle_timeout);
        break;
    case SLOT_STATE_BUSY:
        if (!slot->asking)
            break;
        if (now >= slot->since + params->connect_timeout)
            slot_close(slot,
                       "no answer within connect_timeout: either it does not answer what it does "
                       "not know, or it speaks another transport or protocol than [upstream] "
                       "says");
        else /* it was set earlier, for connecting or being idle */
            loop_timer_set(&slot->timer, slot->since + params->connect_timeout);
        break;
    case SLOT_STATE_CLOSED:
        break;
    }
}

static int start_connecting(const Address *address)
{
    int fd = socket(address->sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on unix sockets */
    int result = connect(fd, (const struct sockaddr *)&address->sockaddr, address->len);
    if (result == 0 || errno == EINPROGRESS)
        return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

/* The fault is on this side: descriptors or memory are short, or a unix socket's backlog is full.
 */
static bool is_shortage(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM || code == EAGAIN;
}

static void could_not_connect(Server *server, int code)
{
    if (server_is_up(server) && is_shortage(code)) {
        pool_pause_connecting(server->pool, server, code);
        return;
    }
    char why[SLOT_WHY_SIZE];
    snprintf(why, sizeof why, "cannot connect: %s", g_strerror(code));
    server_failed(server, SERVER_FAILURE_CONNECT, why);
}

Slot *slot_new(Server *server, SlotKind kind)
{
    Pool *pool = server->pool;
    int fd = start_connecting(&server->endpoint->address);
    if (fd < 0) {
        could_not_connect(server, errno);
        return NULL;
    }
    Slot *slot = g_new0(Slot, 1);
    slot->server = server;
    slot->kind = kind;
    slot->answered = -1;
    carrier_init(&slot->carrier);
    slot->fd = fd;
    slot->state = SLOT_STATE_CONNECTING;
    slot->since = loop_now(pool->loop);
    list_link_init(&slot->abandoned_link);
    list_append(&server->other, &slot->server_link);
    loop_timer_init(&slot->timer, pool->loop, on_timer, slot);
    loop_timer_set(&slot->timer, slot->since + pool->params.connect_timeout);
    server->n_slots[kind]++;
    server->n_connecting[kind]++;
    slot_set_events(slot, EV_WRITE);
    return slot;
}

void slot_free(Slot *slot)
{
    if (slot == NULL)
        return;
    check(slot->state == SLOT_STATE_CLOSED && slot->batch == NULL);
    list_remove(&slot->server_link);
    buffer_clear(&slot->head);
    buffer_clear(&slot->unsent);
    buffer_clear(&slot->partial);
    g_free(slot);
}

static void on_event(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    Slot *slot = argument;
    if (slot->state == SLOT_STATE_CONNECTING) {
        on_connected(slot);
        return;
    }
    if (what & EV_WRITE)
        slot_write_unsent(slot);
    if ((what & EV_READ) && slot->state != SLOT_STATE_CLOSED)
        slot_read(slot);
}
