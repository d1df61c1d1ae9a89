/* Native batches: calls spliced into a typed batch method that the upstream has of its own, and its
 * answer spliced back, by the wire values alone. The shapes are those of a MethodPolicy with
 * BATCH_MODE_NATIVE (DESIGN: batching):
 *
 *   getUser(1: item, other...)   -->  getUsers(batch_requests: list<item>, other...)
 *   getUser's result {0: value}  <--  list by position, or map by item, at batch_responses
 *
 * Everything is in the upstream's protocol. */
#pragma once

#include <sys/uio.h>

#include "batch/batch.h"
#include "batch/params.h"
#include "batch/split.h"

/* What a call's arguments give to a batch. */
typedef struct NativeItem {
    ThriftType type;
    Bytes value;     /* as a list's element; borrowed from the arguments or from `spare` */
    int16_t last_id; /* of the other arguments' fields; 0 without any */
} NativeItem;

/* Takes a call's arguments apart. The other arguments' fields are appended to `others`, in the form
 * in which they follow the start of a struct. `spare` is a byte that the element may need. False
 * when the call cannot be batched: the item is absent, another argument has the list's field id, or
 * the item would be nested deeper than a call may be. */
bool native_take_item(const MethodPolicy *policy, Protocol protocol, Bytes arguments,
                      Buffer *others, uint8_t *spare, NativeItem *ret);

/* As join_batch(): the call of the policy's batch method with the calls' items. */
size_t native_join(Batch *batch, const BatcherParams *params, Buffer *head, struct iovec *iovecs);

/* As split_envelope(). Replies are put together in batch->answers, as messages to their calls. */
SplitStatus native_split(Batch *batch, const BatcherParams *params, const Message *reply,
                         char why[SPLIT_WHY_SIZE]) __attribute__((warn_unused_result));
