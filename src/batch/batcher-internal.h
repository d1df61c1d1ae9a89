/* What the batcher's files share:
 *
 *   batcher.c   callers, the waiting batches and their windows, taking and finishing
 *   through.c   calls that are passed through
 *   outcome.c   how calls end: answers, failures, deadlines; batches that were not executed */
#pragma once

#include <glib.h>

#include "batch/batcher.h"
#include "batch/retry-budget.h"

struct Batcher {
    BatcherParams params;
    MethodTable *methods;
    const BatcherOps *ops;
    void *ops_data;
    Counters *counters;
    BlockCache batches;
    RetryBudget retry_budget;
    PaceLoad load;  /* `waited`: less n_pending times now */
    List waiting;   /* Batch.waiting_link, by `since` */
    List through;   /* Batch.waiting_link: have calls that are to be passed through, as they came */
    List deadlines; /* Call.deadline_link, by `deadline` */
    Group through_group;
    GHashTable *native_groups; /* of Group */
    uint32_t n_callers;
    uint32_t n_busy;     /* callers with a call waiting or, under strict order, in flight */
    Gathering gathering; /* adaptive: how returning callers are waited for */
    bool blocked;        /* there is no slot for what is due or read on */
    bool draining;
};

static inline bool batcher_is_strict(const Batcher *batcher)
{
    return batcher->params.ordering == ORDERING_STRICT;
}

/* Keeps n_busy, when the caller's calls have changed. */
static inline void batcher_update_busy(Batcher *batcher, Caller *caller)
{
    uint32_t n = caller->n_waiting;
    if (batcher_is_strict(batcher))
        n |= caller->n_held | caller->n_sent;
    bool busy = n > 0 && !caller->departed;
    if (busy == caller->counted_busy)
        return;
    caller->counted_busy = busy;
    batcher->n_busy += busy ? 1U : UINT32_MAX;
}

/* A caller's batch, under strict order. */
void batcher_enter_batch(Caller *caller, Batch *batch);
void batcher_leave_batch(Caller *caller);

/* Puts a call that must not be held into a batch. */
void batcher_place(Batcher *batcher, Call *call, nsec_t now);
void batcher_insert_waiting(Batcher *batcher, Batch *batch);
void batcher_remove_waiting(Batcher *batcher, Call *call);
void batcher_release_held(Batcher *batcher, Caller *caller, nsec_t now);

/* A call that has not ended does. */
void batcher_end_call(Batcher *batcher, Call *call, CallOutcome outcome, nsec_t now);
void batcher_fail_call(Batcher *batcher, Call *call, CallOutcome outcome, const char *text,
                       nsec_t now);

/* Whether the call goes through, for itself or because it must follow one that did. */
bool through_applies(const Call *call);

/* Whether the call would be batched, and goes through because its caller's earlier calls do whose
 * server does not batch it. */
bool through_follows(const Call *call, nsec_t now);
void through_fall_back(Batcher *batcher, Call *call, nsec_t now);
void through_add(Batcher *batcher, Call *call, nsec_t now);
void through_unbind(Caller *caller);
