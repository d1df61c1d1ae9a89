/* Sending: batches, questions, and calls that are passed through. A batch is sent in pieces, its
 * calls; what the socket does not take is copied and waits in `unsent`. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/check.h"
#include "batch/join.h"
#include "net/pieces.h"
#include "net/pool.h"
#include "net/server.h"
#include "net/slot-internal.h"

static void keep_unsent(Slot *slot, const struct iovec *iovecs, size_t n, size_t skip)
{
    for (size_t i = 0; i < n; i++) {
        size_t skipped = MIN(skip, iovecs[i].iov_len);
        skip -= skipped;
        buffer_append(&slot->unsent, (const uint8_t *)iovecs[i].iov_base + skipped,
                      iovecs[i].iov_len - skipped);
    }
    slot_set_events(slot, EV_READ | EV_WRITE);
}

/* Writes as much as the socket takes and keeps the rest. False when the connection is broken and
 * nothing was written. */
static bool write_batch(Slot *slot, const struct iovec *iovecs, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t count = MIN(n - at, (size_t)IOV_MAX);
        ssize_t len = pieces_send(slot->server->pool->loop, slot->fd, iovecs + at, count);
        if (len < 0 && errno != EAGAIN && errno != EINTR && at == 0)
            return false;
        if (len < 0 || (size_t)len < pieces_len(iovecs + at, count)) {
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
    char text[SLOT_TEXT_SIZE];
    snprintf(text, sizeof text, "thrift-batchd: upstream %s: the connection was lost",
             slot->server->name);
    Batch *batch = slot_release_batch(slot);
    slot_close(slot, text);
    batch->failed_on = slot->server;
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
    slot_set_state(slot, SLOT_STATE_BUSY);
    slot_init_reader(slot);
}

void slot_count_inflight(Slot *slot)
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
    slot_count_inflight(slot);
    struct iovec *iovecs = pool_iovecs(pool, join_max_iovecs(batch));
    size_t n = join_batch(batch, params, loop_now(pool->loop), &slot->head, iovecs);
    if (!write_batch(slot, iovecs, n))
        give_back(slot);
}

/* The ONEWAYs among calls that are passed through are over. Before, they are as much a load as any
 * other call. */
static void note_written(Slot *slot)
{
    Pool *pool = slot->server->pool;
    batcher_through_written(pool->batcher, slot->batch, loop_now(pool->loop));
    slot_go_on(slot, slot->due);
}

void slot_send_through(Slot *slot, Batch *batch)
{
    Pool *pool = slot->server->pool;
    nsec_t now = loop_now(pool->loop);
    bool is_new = slot->batch == NULL;
    if (is_new)
        become_busy(slot);
    slot->batch = batch;
    Call *first = batcher_send_through(pool->batcher, batch, &slot->carrier, now);
    if (batcher_params(pool->batcher)->ordering == ORDERING_RELAXED)
        loop_defer(pool->loop, pool->dispatch); /* held calls may have been released */
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
                slot_lost(slot, "the connection was lost");
            return;
        }
        slot_count_inflight(slot);
        if (slot->due == NULL)
            slot->due = first;
    }
    if (slot->unsent.len == 0)
        note_written(slot);
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

void slot_write_unsent(Slot *slot)
{
    Buffer *unsent = &slot->unsent;
    ssize_t len =
        send(slot->fd, unsent->data + slot->n_written, unsent->len - slot->n_written, MSG_NOSIGNAL);
    if (len < 0) {
        if (errno != EAGAIN && errno != EINTR)
            slot_lost(slot, g_strerror(errno));
        return;
    }
    slot->n_written += (size_t)len;
    if (slot->n_written < unsent->len / 2) /* so that no byte is moved more than once or twice */
        return;
    buffer_drop(unsent, slot->n_written);
    slot->n_written = 0;
    if (unsent->len > 0)
        return;
    buffer_clear(unsent);
    slot_set_events(slot, EV_READ);
    if (slot->kind == SLOT_KIND_THROUGH && slot->batch != NULL)
        note_written(slot);
}
