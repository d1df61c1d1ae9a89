/* A batch: the calls that travel upstream together.
 *
 *   OPEN --full--> FULL --\
 *     \---- slot, window, nobody left ----> SENT --> finished (freed)
 *
 * OPEN takes calls; one a group. A batch that loses its last call before it is sent is freed.
 *
 * Calls that are passed through form batches too, one caller's each: they are written one after
 * another on a connection of their own, and under strict order such a batch goes on taking its
 * caller's calls while it is SENT, so that they follow each other without waiting. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counters.h"
#include "base/list.h"
#include "base/nsec.h"
#include "batch/call.h"
#include "batch/group.h"
#include "batch/method.h"

typedef enum BatchState {
    BATCH_STATE_OPEN,
    BATCH_STATE_FULL,
    BATCH_STATE_SENT,
} BatchState;

/* What a batch travels on; embedded in net's connection. */
typedef struct Carrier {
    List bound; /* Caller.bound_link: their next call must follow on this connection */
} Carrier;

void carrier_init(Carrier *carrier);
void carrier_clear(Carrier *carrier); /* the connection is gone: nobody is bound to it any more */

struct Batch {
    BlockCache *cache;     /* that the batch came from */
    ListLink waiting_link; /* Batcher.waiting */
    Group *group;
    List calls;       /* Call.batch_link: those that travel, in order of position */
    List followers;   /* Call.batch_link: answered with what another call of the batch gets */
    List callers;     /* Caller.batch_link: under strict order, those whose batch this is */
    uint32_t n_calls; /* followers included */
    uint32_t n_followers;
    uint32_t n_taken;      /* followers included: `n_calls` when it was taken */
    uint32_t n_unanswered; /* sent calls that have not ended */
    uint32_t n_lanes;
    size_t bytes;      /* messages as they came */
    size_t wire_bytes; /* at most, as they travel */
    nsec_t since;      /* its first call joined */
    nsec_t gathers;    /* adaptive: since when it waits for returning callers */
    nsec_t latest;     /* its latest call joined */
    nsec_t quiet;      /* adaptive: until then others are looked for; 0: they are not */
    nsec_t sent;
    BatchState state;
    BatchReason reason;
    bool plain; /* its calls travel as they are, one after another */
    bool some_answered;
    bool some_expired; /* in flight */
    bool complete;    /* its caller's next calls do not follow in it, though it is passed through */
    int32_t seqid;    /* of the batch call, or of the first plain call: set when it is joined */
    Carrier *carrier; /* NULL until it is on a connection */
    const void *failed_on; /* the server that failed it the last time; only to be compared */

    /* Passed through: calls of this kind (native: of this policy) follow until then as well, for
     * its server does not batch them. */
    BatchKind unbatched;
    const MethodPolicy *unbatched_policy;
    nsec_t unbatched_until;

    Buffer answers;          /* native: the answers to the calls, spliced from the upstream's */
    Buffer follower_answers; /* a copy for each follower: delivering changes an answer's bytes */
};

/* Sizes `cache` for batches; it outlives them. */
void batch_cache_init(BlockCache *cache);

Batch *batch_new(BlockCache *cache, Group *group, nsec_t now);
void batch_free(Batch *batch); /* it must be empty, and in no list */

/* A batch's length is an i32 on the wire. */
enum { BATCH_MAX_WIRE_BYTES = INT32_MAX - 64 * 1024 };

/* Puts `call` last, or takes it out (the call stays). */
void batch_add(Batch *batch, Call *call);
void batch_remove(Batch *batch, Call *call);

/* Takes an ended call out for good. */
void batch_forget(Batch *batch, Call *call);

static inline BatchKind batch_kind(const Batch *batch)
{
    return batch->group->kind;
}

/* How many calls travel: what a server sees. */
static inline uint32_t batch_travelling(const Batch *batch)
{
    return batch->n_calls - batch->n_followers;
}

static inline Call *batch_first(const Batch *batch)
{
    ListLink *link = list_first(&batch->calls);
    return link != NULL ? LIST_OWNER(link, Call, batch_link) : NULL;
}

/* Of one that waits: whether it is open, and others than the only caller of all may join. */
static inline bool batch_may_grow(const Batch *batch)
{
    return batch->state == BATCH_STATE_OPEN && batch->quiet > 0;
}

const char *batch_reason_name(BatchReason reason);
