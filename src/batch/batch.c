#include "batch/batch.h"

#include <glib.h>

#include "base/check.h"

enum { BATCHES_KEPT = 64 };

void batch_cache_init(BlockCache *cache)
{
    block_cache_init(cache, sizeof(Batch), BATCHES_KEPT);
}

Batch *batch_new(BlockCache *cache, Group *group, nsec_t now)
{
    Batch *batch = block_cache_take(cache);
    *batch = (Batch){.cache = cache, .group = group, .since = now, .state = BATCH_STATE_OPEN};
    list_link_init(&batch->waiting_link);
    list_init(&batch->calls);
    list_init(&batch->followers);
    list_init(&batch->callers);
    group_ref(group);
    return batch;
}

void batch_free(Batch *batch)
{
    if (batch == NULL)
        return;
    check(list_empty(&batch->calls) && list_empty(&batch->followers));
    check(list_empty(&batch->callers));
    check(!list_linked(&batch->waiting_link));
    if (batch->group->open == batch)
        batch->group->open = NULL;
    group_unref(batch->group);
    buffer_clear(&batch->answers);
    buffer_clear(&batch->follower_answers);
    block_cache_give(batch->cache, batch);
}

void batch_add(Batch *batch, Call *call)
{
    check(call->batch == NULL);
    check(batch->state == BATCH_STATE_OPEN || batch_kind(batch) == BATCH_KIND_THROUGH);
    call->batch = batch;
    list_append(&batch->calls, &call->batch_link);
    batch->n_calls++;
    batch->bytes += call->size;
    batch->wire_bytes += call_wire_size(call);
}

static void discount(Batch *batch, const Call *call)
{
    batch->n_calls--;
    batch->bytes -= call->size;
    batch->wire_bytes -= call_wire_size(call);
}

void batch_remove(Batch *batch, Call *call)
{
    check(call->batch == batch);
    list_remove(&call->batch_link);
    call->batch = NULL;
    discount(batch, call);
}

void batch_forget(Batch *batch, Call *call)
{
    discount(batch, call);
    call_leave_batch(call);
}

const char *batch_reason_name(BatchReason reason)
{
    static const char *const names[] = {
        [BATCH_REASON_FULL_CALLS] = "full_calls",
        [BATCH_REASON_FULL_BYTES] = "full_bytes",
        [BATCH_REASON_SLOT] = "slot",
        [BATCH_REASON_WINDOW] = "window",
        [BATCH_REASON_NOBODY_LEFT] = "nobody_left",
    };
    return names[reason];
}
