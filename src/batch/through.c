/* Calls that are passed through. Under strict order a caller has at most one batch of them, which
 * it may extend while it is in flight; under relaxed order each call is a batch of its own.
 *
 * A ONEWAY is over when all of it is written, but its server may still be busy with it: its caller
 * is bound to the connection, and its next call follows there, whatever its method. */
#include "base/check.h"
#include "batch/batcher-internal.h"
#include "batch/dedupe.h"

bool through_applies(const Call *call)
{
    return call->through || call->caller->bound != NULL;
}

bool through_follows(const Call *call, nsec_t now)
{
    const Batch *batch = call->caller->batch;
    if (call->through || batch == NULL || now >= batch->unbatched_until ||
        batch->unbatched != call->group->kind)
        return false;
    return batch->unbatched == BATCH_KIND_ENVELOPE ||
           batch->unbatched_policy == call->method->policy;
}

static void bind(Caller *caller, Carrier *carrier)
{
    through_unbind(caller);
    caller->bound = carrier;
    list_append(&carrier->bound, &caller->bound_link);
}

void through_unbind(Caller *caller)
{
    list_remove(&caller->bound_link);
    caller->bound = NULL;
}

void carrier_init(Carrier *carrier)
{
    list_init(&carrier->bound);
}

void carrier_clear(Carrier *carrier)
{
    ListLink *link;
    while ((link = list_first(&carrier->bound)) != NULL)
        through_unbind(LIST_OWNER(link, Caller, bound_link));
}

void through_add(Batcher *batcher, Call *call, nsec_t now)
{
    Caller *caller = call->caller;
    Batch *batch = caller->batch;
    if (batch == NULL) {
        batch = batch_new(&batcher->batches, &batcher->through_group, now);
        if (batcher_is_strict(batcher))
            batcher_enter_batch(caller, batch);
    }
    batch_add(batch, call);
    call->state = CALL_STATE_WAITING;
    caller->n_waiting++;
    if (!list_linked(&batch->waiting_link))
        list_append(&batcher->through, &batch->waiting_link);
}

Batch *batcher_next_through(const Batcher *batcher, const Batch *after)
{
    ListLink *link = after == NULL ? list_first(&batcher->through)
                                   : list_next(&batcher->through, &after->waiting_link);
    return link != NULL ? LIST_OWNER(link, Batch, waiting_link) : NULL;
}

Carrier *batcher_wanted_carrier(const Batch *batch)
{
    return batch->carrier != NULL ? batch->carrier : batch_first(batch)->caller->bound;
}

void batcher_complete(Batch *batch)
{
    batch->complete = true;
}

Call *batcher_send_through(Batcher *batcher, Batch *batch, Carrier *carrier, nsec_t now)
{
    check(batch_kind(batch) == BATCH_KIND_THROUGH);
    list_remove(&batch->waiting_link);
    batch->state = BATCH_STATE_SENT;
    batch->some_answered = false;
    batch->carrier = carrier;
    batch->sent = now;
    Call *first = NULL;
    LIST_EACH (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->state != CALL_STATE_WAITING)
            continue;
        if (first == NULL)
            first = call;
        call->state = CALL_STATE_SENT;
        if (call->type == MESSAGE_CALL && call->method->answers)
            call->oneway = call->method->policy->oneway; /* it has answered since */
        call->caller->n_waiting--;
        call->caller->n_sent++;
        batch->n_unanswered++;
        batcher->counters->passthrough_calls++;
        if (call->attempts == 0 && !call->unbatched)
            retry_budget_add(&batcher->retry_budget, 1, now);
        if (call->oneway)
            bind(call->caller, carrier);
        else
            through_unbind(call->caller); /* its reply will tell that the others are over */
        if (!batcher_is_strict(batcher))  /* else it stays as busy as it was */
            batcher_release_held(batcher, call->caller, now);
    }
    return first;
}

void batcher_through_written(Batcher *batcher, Batch *batch, nsec_t now)
{
    LIST_EACH (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->state != CALL_STATE_SENT || !call->oneway)
            continue;
        if (call->type == MESSAGE_CALL && call->method->answers && !call->method->policy->oneway)
            call->oneway = false; /* it has answered meanwhile, and will answer this */
        else
            batcher_end_call(batcher, call, CALL_OUTCOME_OK, now);
    }
}

void through_fall_back(Batcher *batcher, Call *call, nsec_t now)
{
    call->through = true;
    batcher->counters->fallback_calls++;
    through_add(batcher, call, now);
}

static void unsend(Batcher *batcher, Call *call, nsec_t until)
{
    const Group *group = call->group;
    call->unbatched = call->state == CALL_STATE_SENT;
    if (call->unbatched)
        call->caller->n_sent--;
    else
        call->caller->n_waiting--;
    through_fall_back(batcher, call, call->arrived);
    call->batch->unbatched = group->kind;
    call->batch->unbatched_policy = call->method->policy;
    call->batch->unbatched_until = until;
    batcher_update_busy(batcher, call->caller);
}

void batcher_pass_through(Batcher *batcher, Batch *batch, nsec_t until, nsec_t now)
{
    list_remove(&batch->waiting_link);
    dedupe_undo(batch);
    g_autoptr(GPtrArray) callers = g_ptr_array_new();
    ListLink *link;
    while ((link = list_first(&batch->callers)) != NULL) {
        Caller *caller = LIST_OWNER(link, Caller, batch_link);
        batcher_leave_batch(caller);
        g_ptr_array_add(callers, caller);
    }
    while ((link = list_first(&batch->calls)) != NULL) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->state == CALL_STATE_SENT && call->caller->departed && !call->oneway)
            batcher_end_call(batcher, call, CALL_OUTCOME_WITHDRAWN, now);
        if (call->state == CALL_STATE_ENDED) {
            call_leave_batch(call);
            continue;
        }
        list_remove(link);
        call->batch = NULL;
        unsend(batcher, call, until);
    }
    for (guint i = 0; i < callers->len; i++)
        batcher_release_held(batcher, g_ptr_array_index(callers, i), now);
    batch_free(batch);
}
