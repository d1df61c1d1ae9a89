/* A caller is a client as batching sees it: the calls it waits for, and their order.
 *
 * Strict order rests on one rule: at any moment all of a caller's calls that are waiting in, or
 * travelling with, a batch are in the same batch (`batch`). Later calls that cannot join it are
 * held, in order, until it is finished. Under relaxed order calls are held while as many wait in
 * batches as one takes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/nsec.h"

typedef struct Batch Batch;
typedef struct Method Method;

/* Bytes from a caller on that are fetched ahead of its answer: what its owner needs for a reply
 * follows it. */
enum { CALLER_PREFETCHED = 256 };

typedef struct Caller {
    List calls; /* Call.caller_link: all that are neither answered nor withdrawn, as they came */
    List held;  /* Call.batch_link, as they came */
    Batch *batch;
    ListLink batch_link;           /* Batch.callers */
    struct BlockCache *call_cache; /* of its small calls; NULL: none */
    struct Carrier *bound;       /* an unanswered ONEWAY went there: the next call must follow it */
    ListLink bound_link;         /* Carrier.bound */
    nsec_t answered;             /* when it got all that it was owed; 0: it has called since */
    struct Returning *returning; /* where it is waited for, if its round is still that one */
    uint32_t returning_round;
    bool returns;        /* its latest absence was short: returning.h */
    Method *last_method; /* of the latest call: saves looking it up again */
    uint32_t n_calls;    /* in `calls` */
    uint32_t n_held;
    uint32_t n_waiting; /* in a batch that is not sent */
    uint32_t n_sent;    /* in flight and not ended */
    uint32_t lane;      /* in `batch`; 0 unless it has had several calls there */
    bool mixed;         /* see dedupe.c */
    bool counted_busy;  /* in Batcher.n_busy */
    bool departed;
} Caller;

/* Nothing of it is under way, but perhaps a ONEWAY that it is bound by. */
static inline bool caller_is_free(const Caller *caller)
{
    return caller->n_calls == 0 && caller->batch == NULL;
}

static inline void caller_init(Caller *caller)
{
    *caller = (Caller){0};
    list_init(&caller->calls);
    list_init(&caller->held);
    list_link_init(&caller->batch_link);
    list_link_init(&caller->bound_link);
}
