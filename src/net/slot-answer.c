/* Answers: read into the loop's shared buffer, or to the place of what came before; split,
 * delivered, and written to their clients before the bytes change. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "batch/native.h"
#include "batch/split.h"
#include "net/pool.h"
#include "net/server.h"
#include "net/slot-internal.h"

enum {
    PARTIAL_KEPT = 256 * 1024, /* memory that a slot keeps between long answers */
    SURPLUS_NAME_SIZE = 48,
};

static uint32_t n_batches_on(const Server *server)
{
    uint32_t n = 0;
    LIST_EACH (&server->other, link) {
        const Slot *slot = LIST_OWNER(link, Slot, server_link);
        n += slot->kind == SLOT_KIND_BATCH && slot->batch != NULL;
    }
    return n;
}

/* Nothing is under way any more. What it answered without having read it is of no use for others.
 */
static void leave_busy(Slot *slot)
{
    if (slot->unsent.len == 0)
        slot_become_idle(slot);
    else
        slot_close(slot, "");
}

void slot_finish_batch(Slot *slot)
{
    Pool *pool = slot->server->pool;
    if (slot->kind == SLOT_KIND_BATCH)
        pool_answered(pool, slot->batch, n_batches_on(slot->server));
    Batch *batch = slot_release_batch(slot);
    leave_busy(slot);
    if (slot->state == SLOT_STATE_IDLE)
        server_slot_idle(slot->server, slot);
    batcher_finish(pool->batcher, batch, loop_now(pool->loop));
}

/* The first from `call` on that was sent and is not over: its reply has not come or, of a ONEWAY,
 * it is not written. */
static Call *owed_from(const Batch *batch, Call *call)
{
    while (call != NULL && call->oneway && call->state == CALL_STATE_ENDED) {
        ListLink *next = list_next(&batch->calls, &call->batch_link);
        call = next != NULL ? LIST_OWNER(next, Call, batch_link) : NULL;
    }
    return call != NULL && call->state != CALL_STATE_WAITING ? call : NULL;
}

void slot_go_on(Slot *slot, Call *from)
{
    Pool *pool = slot->server->pool;
    Batch *batch = slot->batch;
    slot->due = owed_from(batch, from);
    batcher_drop_ended(batch, slot->due);
    slot_count_inflight(slot);
    if (slot->due == NULL && !list_linked(&batch->waiting_link)) {
        slot_finish_batch(slot);
    } else if (slot->due != NULL && batch->n_unanswered == 0) { /* nobody waits for it any more */
        pool_abandon(pool, batch);
        loop_defer(pool->loop, pool->dispatch);
    }
}

/* A reply to what was passed through as ONEWAY: later than what was answered before, and earlier
 * than what is due. */
static bool is_surplus(const Slot *slot, const Message *reply)
{
    int32_t due = slot->due != NULL ? slot->due->sent_seqid : slot->seqid;
    return slot->kind == SLOT_KIND_THROUGH && reply->seqid > slot->answered && reply->seqid < due &&
           (reply->type == MESSAGE_REPLY || reply->type == MESSAGE_EXCEPTION);
}

/* Of an idle slot: whether what was sent last had no answer. */
static bool may_get_surplus(const Slot *slot)
{
    return slot->kind == SLOT_KIND_THROUGH && slot->answered < slot->seqid - 1;
}

/* Nobody waits for it, and the others are no worse for it. */
static void pass_over_surplus(Slot *slot, const Message *reply)
{
    Server *server = slot->server;
    Pool *pool = server->pool;
    char name[SURPLUS_NAME_SIZE];
    bytes_printable(reply->name, name, sizeof name);
    log_limited(
        &server->log_limit, loop_now(pool->loop), LOG_LEVEL_WARNING,
        "server %s has answered '%s', which was sent to it as oneway: a client sends it so, "
        "or oneway = yes is wrong for it",
        server->name, name);
    slot->answered = reply->seqid;
    if (reply->type == MESSAGE_REPLY) /* else it may not even know the method */
        batcher_learn_answers(pool->batcher, reply->name);
}

/* The reply to a call that travels by itself. */
static void take_single_answer(Slot *slot, const Message *reply)
{
    Pool *pool = slot->server->pool;
    nsec_t now = loop_now(pool->loop);
    char why[SPLIT_WHY_SIZE];
    Batch *batch = slot->batch;
    Call *call;
    if (is_surplus(slot, reply)) {
        pass_over_surplus(slot, reply);
        return;
    }
    if (slot->due == NULL || split_single(batch, slot->due, batcher_params(pool->batcher), reply,
                                          &call, why) != SPLIT_OK) {
        slot_fail(slot, SERVER_FAILURE_BROKEN, slot->due == NULL ? "a reply too many" : why);
        return;
    }
    for (Call *over = slot->due; over != call;
         over = LIST_OWNER(over->batch_link.next, Call, batch_link)) {
        if (over->state == CALL_STATE_SENT)
            batcher_pass_over_call(pool->batcher, over, now);
    }
    ListLink *next = list_next(&batch->calls, &call->batch_link);
    slot->answered = reply->seqid;
    server_answered(slot->server);
    batcher_answer_call(pool->batcher, call, now);
    if (batch->n_followers > 0) /* their replies are borrowed from the batch */
        pool->on_answers(pool->data);
    slot_go_on(slot, next != NULL ? LIST_OWNER(next, Call, batch_link) : NULL);
}

static void take_refusal(Slot *slot, SplitStatus status, const char *why)
{
    Pool *pool = slot->server->pool;
    nsec_t now = loop_now(pool->loop);
    Server *server = slot->server;
    char text[SLOT_TEXT_SIZE];
    snprintf(text, sizeof text, "thrift-batchd: upstream %s refused the batch: %s", server->name,
             why);
    if (status == SPLIT_E_MISSHAPEN) {
        snprintf(text, sizeof text, "thrift-batchd: upstream %s: %s", server->name, why);
        server_misshapen(server, slot->batch->group->method, why);
    } else {
        log_limited(&server->log_limit, now, LOG_LEVEL_WARNING, "server %s refused a batch: %s",
                    server->name, why);
    }
    server_answered(server);
    batcher_fail_batch(pool->batcher, slot->batch, text, now);
    slot_finish_batch(slot);
}

/* Nothing was executed: the server has not learnt this batch method. */
static void take_unknown_method(Slot *slot, const char *why)
{
    Pool *pool = slot->server->pool;
    Batch *batch = slot_release_batch(slot);
    if (batch_kind(batch) == BATCH_KIND_NATIVE)
        server_unknown_native(slot->server, batch->group->method->policy, why);
    else
        server_told(slot->server, false, why);
    leave_busy(slot);
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
        server_answered(slot->server);
        batcher_answer_batch(pool->batcher, slot->batch, loop_now(pool->loop));
        pool->on_answers(pool->data);
        slot_finish_batch(slot);
        return;
    case SPLIT_E_REFUSED:
    case SPLIT_E_MISSHAPEN:
        take_refusal(slot, status, why);
        return;
    case SPLIT_E_UNKNOWN:
        take_unknown_method(slot, why);
        return;
    case SPLIT_E_BROKEN:
        slot_fail(slot, SERVER_FAILURE_BROKEN, why);
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
    leave_busy(slot);
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
        return "an answer that says to be larger than max_pending_bytes (or no Thrift in the "
               "configured transport and protocol)";
    case FRAME_E_NESTING:
        return "an answer nested too deep";
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
    if (slot->state == SLOT_STATE_IDLE)
        slot_init_reader(slot);
    while (done < bytes.len) {
        if (slot->state == SLOT_STATE_IDLE && !may_get_surplus(slot)) {
            slot_fail(slot, SERVER_FAILURE_BROKEN, "it sent bytes that no call is waiting for");
            break;
        }
        Message message = {0};
        size_t taken;
        Bytes window = {bytes.data + done, bytes.len - done};
        FrameStatus status = frame_reader_take(&slot->reader, window, &message, &taken);
        if (status == FRAME_MORE)
            break;
        if (status != FRAME_MESSAGE) {
            slot_fail(slot, SERVER_FAILURE_BROKEN, frame_error(status));
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

void slot_read(Slot *slot)
{
    ssize_t len = slot->partial.len > 0 ? read_on(slot) : read_new(slot);
    if (len == 0)
        slot_lost(slot, "it closed the connection");
    else if (len < 0 && errno != EAGAIN && errno != EINTR)
        slot_lost(slot, g_strerror(errno));
}
