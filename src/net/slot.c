#include "net/slot.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "batch/join.h"
#include "batch/native.h"
#include "batch/split.h"
#include "net/pool.h"
#include "net/server.h"

enum {
    WHY_SIZE = 320,
    TEXT_SIZE = 2 * WHY_SIZE,
    PARTIAL_KEPT = 1024 * 1024, /* memory that a slot keeps between long answers */
};

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

static void set_state(Slot *slot, SlotState state)
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

static void set_events(Slot *slot, short events)
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

/* The batch in flight is no longer this slot's. */
static Batch *release_batch(Slot *slot)
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
    set_state(slot, SLOT_STATE_CLOSED);
    set_events(slot, 0);
    loop_timer_clear(&slot->timer);
    carrier_clear(&slot->carrier);
    close(slot->fd);
    slot->fd = -1;
    loop_defer(slot->server->pool->loop, &slot->server->pool->release);
}

void slot_close(Slot *slot, const char *text)
{
    Pool *pool = slot->server->pool;
    nsec_t now = loop_now(pool->loop);
    Batch *batch = release_batch(slot);
    bool asked = slot->asking;
    close_connection(slot);
    if (asked)
        server_told(slot->server, false, text);
    if (batch != NULL) {
        batcher_fail_batch(pool->batcher, batch, text, now);
        batcher_finish(pool->batcher, batch, now);
    }
    loop_defer(pool->loop, pool->dispatch);
}

/* The connection failed while a call was on it, or while it was being made. */
static void fail(Slot *slot, ServerFailure failure, const char *why)
{
    Server *server = slot->server;
    char text[TEXT_SIZE];
    snprintf(text, sizeof text, "thrift-batchd: upstream %s: %s", server->name, why);
    slot_close(slot, text);
    server_failed(server, failure, why);
}

/* The server closed an idle connection, as it may. */
static void lost(Slot *slot, const char *why)
{
    if (slot->asking) {
        slot_close(slot, why);
        return;
    }
    if (slot->state == SLOT_STATE_BUSY) {
        fail(slot, SERVER_FAILURE_LOST, why);
        return;
    }
    log_debug("server %s: an idle connection is gone: %s", slot->server->name, why);
    slot_close(slot, why);
}

/* Connecting */

static void become_idle(Slot *slot)
{
    Pool *pool = slot->server->pool;
    set_state(slot, SLOT_STATE_IDLE);
    set_events(slot, slot->unsent.len > 0 ? EV_READ | EV_WRITE : EV_READ); /* of a ONEWAY */
    if (pool->params.idle_timeout > 0)
        loop_timer_set(&slot->timer, slot->since + pool->params.idle_timeout);
    loop_defer(pool->loop, pool->dispatch);
}

static void on_connected(Slot *slot)
{
    int code = 0;
    socklen_t len = sizeof code;
    if (getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        code = errno;
    if (code != 0) {
        char why[WHY_SIZE];
        snprintf(why, sizeof why, "cannot connect: %s", g_strerror(code));
        fail(slot, SERVER_FAILURE_CONNECT, why);
        return;
    }
    slot->server->n_connecting[slot->kind]--;
    become_idle(slot);
    server_connected(slot->server, slot);
}

static void on_timer(void *data)
{
    Slot *slot = data;
    const PoolParams *params = &slot->server->pool->params;
    nsec_t now = loop_now(slot->server->pool->loop);
    switch (slot->state) {
    case SLOT_STATE_CONNECTING:
        fail(slot, SERVER_FAILURE_CONNECT, "cannot connect: no answer within connect_timeout");
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
            slot_close(slot, "no answer within connect_timeout");
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
    if (server->state == SERVER_STATE_UP && is_shortage(code)) {
        pool_pause_connecting(server->pool, server, code);
        return;
    }
    char why[WHY_SIZE];
    snprintf(why, sizeof why, "cannot connect: %s", g_strerror(code));
    server_failed(server, SERVER_FAILURE_CONNECT, why);
}

Slot *slot_new(Server *server, SlotKind kind)
{
    Pool *pool = server->pool;
    int fd = start_connecting(&server->address);
    if (fd < 0) {
        could_not_connect(server, errno);
        return NULL;
    }
    Slot *slot = g_new0(Slot, 1);
    slot->server = server;
    slot->kind = kind;
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
    set_events(slot, EV_WRITE);
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

/* Sending */

static void keep_unsent(Slot *slot, const struct iovec *iovecs, size_t n, size_t skip)
{
    for (size_t i = 0; i < n; i++) {
        size_t skipped = MIN(skip, iovecs[i].iov_len);
        skip -= skipped;
        buffer_append(&slot->unsent, (const uint8_t *)iovecs[i].iov_base + skipped,
                      iovecs[i].iov_len - skipped);
    }
    set_events(slot, EV_READ | EV_WRITE);
}

/* Writes as much as the socket takes and keeps the rest. False when the connection is broken and
 * nothing was written. */
static bool write_batch(Slot *slot, const struct iovec *iovecs, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t count = MIN(n - at, (size_t)IOV_MAX), total = 0;
        for (size_t i = 0; i < count; i++)
            total += iovecs[at + i].iov_len;
        struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)(iovecs + at),
                                 .msg_iovlen = count};
        ssize_t len = sendmsg(slot->fd, &message, MSG_NOSIGNAL);
        if (len < 0 && errno != EAGAIN && errno != EINTR && at == 0)
            return false;
        if (len < 0 || (size_t)len < total) {
            keep_unsent(slot, iovecs + at, n - at, len > 0 ? (size_t)len : 0);
            return true;
        }
        at += count;
    }
    return true;
}

static void give_back(Slot *slot)
{
    Pool *pool = slot->server->pool;
    char text[TEXT_SIZE];
    snprintf(text, sizeof text, "thrift-batchd: upstream %s: the connection was lost",
             slot->server->name);
    Batch *batch = release_batch(slot);
    slot_close(slot, text);
    batcher_requeue(pool->batcher, batch, text, loop_now(pool->loop));
}

/* The sequence id of the next of `n` messages. */
static int32_t take_seqids(Slot *slot, uint32_t n)
{
    int32_t first = slot->seqid;
    slot->seqid = (int32_t)(((uint32_t)slot->seqid + n) & INT32_MAX);
    return first;
}

static void become_busy(Slot *slot)
{
    check(slot->state == SLOT_STATE_IDLE);
    Pool *pool = slot->server->pool;
    set_state(slot, SLOT_STATE_BUSY);
    frame_reader_init(&slot->reader, batcher_params(pool->batcher)->upstream,
                      pool->params.max_answer_size, false);
}

/* Tells the server how many calls it has here now. */
static void count_inflight(Slot *slot)
{
    slot->server->n_inflight += slot->batch->n_unanswered - slot->n_inflight;
    slot->n_inflight = slot->batch->n_unanswered;
}

void slot_send(Slot *slot, Batch *batch)
{
    Pool *pool = slot->server->pool;
    const BatcherParams *params = batcher_params(pool->batcher);
    become_busy(slot);
    slot->batch = batch;
    batch->carrier = &slot->carrier;
    batch->seqid = take_seqids(slot, batch->plain ? batch_travelling(batch) : 1);
    slot->due = batch->plain ? batch_first(batch) : NULL;
    count_inflight(slot);
    struct iovec *iovecs = pool_iovecs(pool, join_max_iovecs(batch));
    size_t n = join_batch(batch, params, loop_now(pool->loop), &slot->head, iovecs);
    if (!write_batch(slot, iovecs, n))
        give_back(slot);
}

/* The first from `call` on that was sent and is owed a reply. */
static Call *owed_from(const Batch *batch, Call *call)
{
    while (call != NULL && call->oneway && call->state == CALL_STATE_ENDED) {
        ListLink *next = list_next(&batch->calls, &call->batch_link);
        call = next != NULL ? LIST_OWNER(next, Call, batch_link) : NULL;
    }
    return call != NULL && call->state != CALL_STATE_WAITING ? call : NULL;
}

static void finish_batch(Slot *slot);

void slot_send_through(Slot *slot, Batch *batch)
{
    Pool *pool = slot->server->pool;
    nsec_t now = loop_now(pool->loop);
    bool is_new = slot->batch == NULL;
    if (is_new)
        become_busy(slot);
    slot->batch = batch;
    Call *first = batcher_send_through(pool->batcher, batch, &slot->carrier, now);
    if (first != NULL) {
        struct iovec *iovecs = pool_iovecs(pool, join_max_iovecs(batch));
        size_t n = join_singles(batch, first, batcher_params(pool->batcher), slot->seqid, iovecs);
        take_seqids(slot, (uint32_t)n);
        if (slot->unsent.len > 0) {
            keep_unsent(slot, iovecs, n, 0);
        } else if (!write_batch(slot, iovecs, n)) {
            if (is_new)
                give_back(slot);
            else
                lost(slot, "the connection was lost");
            return;
        }
        batcher_through_written(pool->batcher, batch, now);
        count_inflight(slot);
        if (slot->due == NULL)
            slot->due = first;
    }
    slot->due = owed_from(batch, slot->due);
    if (slot->due == NULL)
        finish_batch(slot);
}

void slot_ask(Slot *slot)
{
    Pool *pool = slot->server->pool;
    Buffer question = {0};
    become_busy(slot);
    slot->asking = true;
    join_question(batcher_params(pool->batcher), take_seqids(slot, 1), &question);
    struct iovec iovec = {question.data, question.len};
    loop_timer_set(&slot->timer, slot->since + pool->params.connect_timeout);
    if (!write_batch(slot, &iovec, 1))
        slot_close(slot, "the connection was lost");
    buffer_clear(&question);
}

static void write_unsent(Slot *slot)
{
    ssize_t len = send(slot->fd, slot->unsent.data, slot->unsent.len, MSG_NOSIGNAL);
    if (len < 0) {
        if (errno != EAGAIN && errno != EINTR)
            lost(slot, g_strerror(errno));
        return;
    }
    buffer_drop(&slot->unsent, (size_t)len);
    if (slot->unsent.len > 0)
        return;
    buffer_clear(&slot->unsent);
    set_events(slot, EV_READ);
}

/* Answers */

static uint32_t n_batches_on(const Server *server)
{
    uint32_t n = 0;
    LIST_EACH (&server->other, link) {
        const Slot *slot = LIST_OWNER(link, Slot, server_link);
        n += slot->kind == SLOT_KIND_BATCH && slot->batch != NULL;
    }
    return n;
}

static void finish_batch(Slot *slot)
{
    Pool *pool = slot->server->pool;
    if (slot->kind == SLOT_KIND_BATCH)
        pool_answered(pool, slot->batch, n_batches_on(slot->server));
    Batch *batch = release_batch(slot);
    if (slot->unsent.len == 0 || slot->kind == SLOT_KIND_THROUGH)
        become_idle(slot);
    else /* an answer to what it cannot have read: of no use for another batch */
        slot_close(slot, "");
    server_answered(slot->server);
    if (slot->state == SLOT_STATE_IDLE)
        server_slot_idle(slot->server, slot);
    batcher_finish(pool->batcher, batch, loop_now(pool->loop));
}

/* The reply to a call that travels by itself. */
static void take_single_answer(Slot *slot, const Message *reply)
{
    Pool *pool = slot->server->pool;
    nsec_t now = loop_now(pool->loop);
    char why[SPLIT_WHY_SIZE];
    Batch *batch = slot->batch;
    Call *call;
    if (slot->due == NULL || split_single(batch, slot->due, batcher_params(pool->batcher), reply,
                                          &call, why) != SPLIT_OK) {
        fail(slot, SERVER_FAILURE_BROKEN, slot->due == NULL ? "a reply too many" : why);
        return;
    }
    for (Call *over = slot->due; over != call;
         over = LIST_OWNER(over->batch_link.next, Call, batch_link)) {
        if (over->state == CALL_STATE_SENT)
            batcher_pass_over_call(pool->batcher, over, now);
    }
    ListLink *next = list_next(&batch->calls, &call->batch_link);
    batcher_answer_call(pool->batcher, call, now);
    if (batch->n_followers > 0) /* their replies are borrowed from the batch */
        pool->on_answers(pool->data);
    slot->due = owed_from(batch, next != NULL ? LIST_OWNER(next, Call, batch_link) : NULL);
    batcher_drop_ended(batch, slot->due);
    count_inflight(slot);
    if (slot->due == NULL && !list_linked(&batch->waiting_link))
        finish_batch(slot);
}

static void take_refusal(Slot *slot, SplitStatus status, const char *why)
{
    Pool *pool = slot->server->pool;
    nsec_t now = loop_now(pool->loop);
    Server *server = slot->server;
    char text[TEXT_SIZE];
    snprintf(text, sizeof text, "thrift-batchd: upstream %s refused the batch: %s", server->name,
             why);
    if (status == SPLIT_E_MISSHAPEN) {
        snprintf(text, sizeof text, "thrift-batchd: upstream %s: %s", server->name, why);
        server_misshapen(server, slot->batch->group->method, why);
    } else {
        log_limited(&server->log_limit, now, LOG_LEVEL_WARNING, "server %s refused a batch: %s",
                    server->name, why);
    }
    batcher_fail_batch(pool->batcher, slot->batch, text, now);
    finish_batch(slot);
}

/* Nothing was executed: the server has not learnt this batch method. */
static void take_unknown_method(Slot *slot, const char *why)
{
    Pool *pool = slot->server->pool;
    Batch *batch = release_batch(slot);
    if (batch_kind(batch) == BATCH_KIND_NATIVE)
        server_unknown_native(slot->server, batch->group->method->policy, why);
    else
        server_told(slot->server, false, why);
    if (slot->unsent.len == 0)
        become_idle(slot);
    else /* an answer to what it cannot have read */
        slot_close(slot, "");
    nsec_t now = loop_now(pool->loop);
    batcher_pass_through(pool->batcher, batch, now + pool->params.batch_retry_interval, now);
}

static void take_batch_answer(Slot *slot, const Message *reply)
{
    Pool *pool = slot->server->pool;
    const BatcherParams *params = batcher_params(pool->batcher);
    char why[SPLIT_WHY_SIZE] = "";
    bool native = batch_kind(slot->batch) == BATCH_KIND_NATIVE;
    SplitStatus status = native ? native_split(slot->batch, params, reply, why)
                                : split_envelope(slot->batch, params, reply, why);
    switch (status) {
    case SPLIT_OK:
        if (native)
            server_well_shaped(slot->server, slot->batch->group->method);
        batcher_answer_batch(pool->batcher, slot->batch, loop_now(pool->loop));
        pool->on_answers(pool->data);
        finish_batch(slot);
        return;
    case SPLIT_E_REFUSED:
    case SPLIT_E_MISSHAPEN:
        take_refusal(slot, status, why);
        return;
    case SPLIT_E_UNKNOWN:
        take_unknown_method(slot, why);
        return;
    case SPLIT_E_BROKEN:
        fail(slot, SERVER_FAILURE_BROKEN, why);
        return;
    }
}

static void take_told(Slot *slot, const Message *reply)
{
    char why[SPLIT_WHY_SIZE] = "";
    const BatcherParams *params = batcher_params(slot->server->pool->batcher);
    SplitStatus status = split_question(params, reply, why);
    if (status == SPLIT_E_BROKEN) {
        slot_close(slot, why);
        return;
    }
    slot->asking = false;
    become_idle(slot);
    server_told(slot->server, status == SPLIT_OK, why);
}

static void take_answer(Slot *slot, const Message *reply)
{
    if (slot->asking)
        take_told(slot, reply);
    else if (slot->due != NULL || slot->kind == SLOT_KIND_THROUGH)
        take_single_answer(slot, reply);
    else
        take_batch_answer(slot, reply);
}

static const char *frame_error(FrameStatus status)
{
    switch (status) {
    case FRAME_E_TOO_LARGE:
        return "an answer larger than max_pending_bytes";
    case FRAME_E_NESTING:
        return "an answer nested deeper than 64 levels";
    case FRAME_E_NOT_THRIFT:
    case FRAME_E_BODY:
        return "an answer that is no Thrift message in the configured transport and protocol";
    case FRAME_MESSAGE:
    case FRAME_MORE:
        break;
    }
    return "";
}

/* Takes the answers at the start of `bytes` and returns how many bytes they had. */
static size_t take_answers(Slot *slot, Bytes bytes)
{
    size_t done = 0;
    while (done < bytes.len) {
        if (slot->state != SLOT_STATE_BUSY) {
            fail(slot, SERVER_FAILURE_BROKEN, "it sent bytes that no call is waiting for");
            break;
        }
        Message message = {0};
        size_t taken;
        Bytes window = {bytes.data + done, bytes.len - done};
        FrameStatus status = frame_reader_take(&slot->reader, window, &message, &taken);
        if (status == FRAME_MORE)
            break;
        if (status != FRAME_MESSAGE) {
            fail(slot, SERVER_FAILURE_BROKEN, frame_error(status));
            break;
        }
        take_answer(slot, &message);
        if (slot->state == SLOT_STATE_CLOSED)
            break;
        done += taken;
    }
    return done;
}

/* Takes the answers in `bytes`, whose replies are written before the bytes change. */
static size_t take_and_write(Slot *slot, Bytes bytes)
{
    Pool *pool = slot->server->pool;
    size_t done = take_answers(slot, bytes);
    pool->on_answers(pool->data);
    return done;
}

/* The rest of an answer that is cut short is read to its place. What it claims to be is no reason
 * to allocate: the room at most doubles. */
static ssize_t read_on(Slot *slot)
{
    Buffer *partial = &slot->partial;
    size_t wanted = frame_reader_wanted(&slot->reader), room = partial->len;
    if (wanted > partial->len)
        room = MIN(room, wanted - partial->len);
    room = MAX(room, (size_t)LOOP_READ_SIZE);
    ssize_t len = recv(slot->fd, buffer_reserve(partial, room), room, 0);
    if (len <= 0)
        return len;
    partial->len += (size_t)len;
    size_t done = take_and_write(slot, (Bytes){partial->data, partial->len});
    if (slot->state == SLOT_STATE_CLOSED)
        return len;
    buffer_drop(partial, done);
    if (partial->len == 0 && partial->cap > PARTIAL_KEPT)
        buffer_clear(partial);
    return len;
}

static ssize_t read_new(Slot *slot)
{
    Loop *loop = slot->server->pool->loop;
    ssize_t len = recv(slot->fd, loop->read_buffer, LOOP_READ_SIZE, 0);
    if (len <= 0)
        return len;
    size_t done = take_and_write(slot, (Bytes){loop->read_buffer, (size_t)len});
    if (slot->state != SLOT_STATE_CLOSED)
        buffer_append(&slot->partial, loop->read_buffer + done, (size_t)len - done);
    return len;
}

static void read_bytes(Slot *slot)
{
    ssize_t len = slot->partial.len > 0 ? read_on(slot) : read_new(slot);
    if (len == 0)
        lost(slot, "it closed the connection");
    else if (len < 0 && errno != EAGAIN && errno != EINTR)
        lost(slot, g_strerror(errno));
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
        write_unsent(slot);
    if ((what & EV_READ) && slot->state != SLOT_STATE_CLOSED)
        read_bytes(slot);
}
