#include <stdio.h>

#include "base/check.h"
#include "base/prefetch.h"
#include "batch/batcher-internal.h"
#include "batch/dedupe.h"

enum { ERROR_TEXT_SIZE = 768 };

static inline void leave_queues(Batcher *batcher, Call *call)
{
    switch (call->state) {
    case CALL_STATE_HELD:
        list_remove(&call->batch_link);
        call->caller->n_held--;
        break;
    case CALL_STATE_WAITING:
        batcher_remove_waiting(batcher, call);
        break;
    case CALL_STATE_SENT:
        call->caller->n_sent--;
        call->batch->n_unanswered--;
        break;
    case CALL_STATE_NEW:
    case CALL_STATE_ENDED:
        check(false);
    }
    list_remove(&call->deadline_link);
}

static inline void end_call(Batcher *batcher, Call *call, CallOutcome outcome, nsec_t now)
{
    leave_queues(batcher, call);
    call->state = CALL_STATE_ENDED;
    if (call->type == MESSAGE_CALL && call->method->answers)
        call->oneway = call->method->policy->oneway; /* it has answered since this was submitted */
    if (call->group->returning != NULL) {
        batcher->load.n_ended++;
        batcher->load.n_pending--;
        batcher->load.waited += now;
    }
    group_unref(call->group);
    call->group = NULL;
    batcher_update_busy(batcher, call->caller);
    Counters *counters = batcher->counters;
    counters->calls[call->method->label][outcome]++;
    counters->pending_calls--;
    counters->pending_bytes -= call_memory(call);
    histogram_record(&counters->call_nsec, nsec_until(call->arrived, now));
    batcher->ops->call_ended(batcher->ops_data, call);
}

void batcher_end_call(Batcher *batcher, Call *call, CallOutcome outcome, nsec_t now)
{
    end_call(batcher, call, outcome, now);
}

void batcher_fail_call(Batcher *batcher, Call *call, CallOutcome outcome, const char *text,
                       nsec_t now)
{
    call_set_error(call, EXCEPTION_INTERNAL_ERROR, text);
    batcher_end_call(batcher, call, outcome, now);
}

nsec_t batcher_next_deadline(const Batcher *batcher)
{
    ListLink *first = list_first(&batcher->deadlines);
    return first != NULL ? LIST_OWNER(first, Call, deadline_link)->deadline : NSEC_NEVER;
}

/* Answers and failures */

static void expire_call(Batcher *batcher, Call *call, nsec_t now)
{
    Batch *batch = call->state == CALL_STATE_SENT ? call->batch : NULL;
    char text[ERROR_TEXT_SIZE];
    snprintf(text, sizeof text, "thrift-batchd: no answer within call_timeout (%.3g s); %s",
             (double)batcher->params.call_timeout / (double)NSEC_PER_SEC,
             batch != NULL ? "the call was sent and may have been executed"
                           : "the call was still waiting and was not sent");
    batcher_fail_call(batcher, call, CALL_OUTCOME_TIMEOUT, text, now);
    if (batch != NULL)
        batch->some_expired = true;
    if (batch != NULL && batch->n_unanswered == 0)
        batcher->ops->batch_abandoned(batcher->ops_data, batch);
}

void batcher_expire(Batcher *batcher, nsec_t now)
{
    ListLink *link;
    while ((link = list_first(&batcher->deadlines)) != NULL) {
        Call *call = LIST_OWNER(link, Call, deadline_link);
        if (call->deadline > now)
            break;
        Caller *caller = call->caller;
        expire_call(batcher, call, now);
        if (caller->batch == NULL)
            batcher_release_held(batcher, caller, now);
    }
}

/* No message came: a oneway method, unless this method is known to answer. */
static void end_without_answer(Batcher *batcher, Call *call, nsec_t now)
{
    bool owed = call->type == MESSAGE_CALL && !call->method->policy->oneway;
    if (owed && call->method->answers) {
        call->oneway = false;
        batcher_fail_call(batcher, call, CALL_OUTCOME_ERROR,
                          "thrift-batchd: the upstream's batch answer holds no reply to this call",
                          now);
        return;
    }
    if (!call->oneway)
        method_learn_oneway(call->method);
    call->oneway = true;
    batcher_end_call(batcher, call, CALL_OUTCOME_OK, now);
}

void batcher_learn_answers(Batcher *batcher, Bytes bare_name)
{
    method_table_learn_answers(batcher->methods, bare_name);
}

void batcher_pass_over_call(Batcher *batcher, Call *call, nsec_t now)
{
    end_without_answer(batcher, call, now);
}

static void deliver_answer(Batcher *batcher, Call *call, nsec_t now)
{
    const BatcherParams *params = &batcher->params;
    CallOutcome outcome =
        call->answer.type == MESSAGE_EXCEPTION ? CALL_OUTCOME_EXCEPTION : CALL_OUTCOME_OK;
    if (call->answer.len <= params->max_message_size &&
        call_set_answer(call, params->upstream.protocol, params->max_message_size)) {
        end_call(batcher, call, outcome, now);
        return;
    }
    char text[ERROR_TEXT_SIZE];
    snprintf(text, sizeof text,
             "thrift-batchd: the reply is larger than max_message_size (%zu bytes)%s",
             params->max_message_size,
             call->answer.len <= params->max_message_size
                 ? " in the client's protocol, or nested deeper than 64 levels"
                 : "");
    batcher_fail_call(batcher, call, CALL_OUTCOME_ERROR, text, now);
}

static void answer_call(Batcher *batcher, Call *call, nsec_t now)
{
    check(call->state == CALL_STATE_SENT);
    call->batch->some_answered = true;
    if (call->answer.misnamed) {
        batcher_fail_call(batcher, call, CALL_OUTCOME_ERROR,
                          "thrift-batchd: the upstream's reply names another method", now);
        return;
    }
    if (call->answer.len == 0) {
        end_without_answer(batcher, call, now);
        return;
    }
    if (call->type == MESSAGE_CALL) {
        method_learn_answers(call->method);
        call->oneway = call->method->policy->oneway;
    }
    Caller *caller = call->caller;
    Returning *returning = call->batch->group->returning;
    if (returning != NULL) {
        if (caller->n_calls == 1 && !caller->departed)
            returning_answered(returning, caller, now);
    }
    if (call->oneway)
        batcher_end_call(batcher, call, CALL_OUTCOME_OK, now);
    else
        deliver_answer(batcher, call, now);
}

static void note_upstream_time(Batcher *batcher, const Batch *batch, nsec_t now)
{
    nsec_t time = nsec_until(batch->sent, now);
    histogram_record(&batcher->counters->upstream_nsec, time);
    if (batch->group->returning == NULL)
        return;
    Returning *returning = batch->group->returning;
    Batch *open = batch->group->open;
    if (open != NULL && batcher->blocked && batcher->gathering != GATHERING_CROWD)
        open->gathers = now;
    returning_begin(returning, time, batcher->params.window, batcher->gathering, now);
}

static void answer_calls(Batcher *batcher, List *calls, nsec_t now)
{
    LIST_EACH (calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        const ListLink *next = list_next(calls, link);
        if (next != NULL)
            prefetch(LIST_OWNER(next, Call, batch_link)->caller, CALLER_PREFETCHED);
        if (call->state == CALL_STATE_SENT)
            answer_call(batcher, call, now);
    }
}

void batcher_answer_call(Batcher *batcher, Call *call, nsec_t now)
{
    Batch *batch = call->batch;
    note_upstream_time(batcher, batch, now);
    if (batch->n_followers > 0)
        dedupe_answers(batch, call, batcher->params.max_message_size);
    if (call->state == CALL_STATE_SENT)
        answer_call(batcher, call, now);
    LIST_EACH (&batch->followers, link) {
        Call *follower = LIST_OWNER(link, Call, batch_link);
        if (follower->leader == call && follower->state == CALL_STATE_SENT)
            answer_call(batcher, follower, now);
    }
}

void batcher_answer_batch(Batcher *batcher, Batch *batch, nsec_t now)
{
    note_upstream_time(batcher, batch, now);
    dedupe_answers(batch, NULL, batcher->params.max_message_size);
    answer_calls(batcher, &batch->calls, now);
    answer_calls(batcher, &batch->followers, now);
}

void batcher_fail_batch(Batcher *batcher, Batch *batch, const char *text, nsec_t now)
{
    dedupe_undo(batch);
    LIST_EACH (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->state == CALL_STATE_SENT)
            batcher_fail_call(batcher, call, CALL_OUTCOME_ERROR, text, now);
    }
}

void batcher_fail_waiting(Batcher *batcher, const char *text, nsec_t now)
{
    LIST_EACH_SAFE (&batcher->deadlines, link) {
        Call *call = LIST_OWNER(link, Call, deadline_link);
        if (call->state != CALL_STATE_SENT)
            batcher_fail_call(batcher, call, CALL_OUTCOME_ERROR, text, now);
    }
}

/* Puts a call that was in flight back among the waiting ones. */
static void unsend_call(Batcher *batcher, Call *call)
{
    call->state = CALL_STATE_WAITING;
    call->answer = (CallAnswer){0};
    call->attempts++;
    call->caller->n_sent--;
    call->caller->n_waiting++;
    batcher->counters->retries++;
    batcher_update_busy(batcher, call->caller);
}

/* Why a call is not sent again; NULL: it is. */
static const char *why_not_again(Batcher *batcher, const Call *call, bool executed, nsec_t now)
{
    bool repeats = !executed || call->method->policy->idempotent;
    if (!repeats || call->attempts >= batcher->params.retries)
        return executed ? "; the call may have been executed" : "";
    if (executed && !retry_budget_take(&batcher->retry_budget, now))
        return "; the call may have been executed, and is not sent again: too many have been";
    return NULL;
}

/* `executed`: they may have been. */
static void send_again(Batcher *batcher, Batch *batch, bool executed, const char *text, nsec_t now)
{
    check(batch->state == BATCH_STATE_SENT);
    dedupe_undo(batch);
    LIST_EACH_SAFE (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->state == CALL_STATE_WAITING) /* passed through, and came later */
            continue;
        if (call->state == CALL_STATE_SENT && call->caller->departed && !call->oneway)
            batcher_end_call(batcher, call, CALL_OUTCOME_WITHDRAWN, now);
        if (call->state == CALL_STATE_SENT) {
            const char *why = why_not_again(batcher, call, executed, now);
            if (why == NULL) {
                unsend_call(batcher, call);
                continue;
            }
            char reply[ERROR_TEXT_SIZE];
            snprintf(reply, sizeof reply, "%s%s", text, why);
            batcher_fail_call(batcher, call, CALL_OUTCOME_ERROR, reply, now);
        }
        batch_forget(batch, call);
    }
    if (batch->n_calls == 0) {
        batcher_finish(batcher, batch, now);
        return;
    }
    LIST_EACH_SAFE (&batch->callers, link) {
        Caller *caller = LIST_OWNER(link, Caller, batch_link);
        if (caller->n_waiting > 0)
            continue;
        batcher_leave_batch(caller);
        batcher_release_held(batcher, caller, now);
    }
    batch->carrier = NULL;
    batch->unbatched_until = 0; /* it may go to another server */
    batch->complete = false;
    batch->n_unanswered = 0;
    batch->some_answered = batch->some_expired = false;
    if (batch_kind(batch) == BATCH_KIND_THROUGH) {
        batch->state = BATCH_STATE_OPEN;
        if (!list_linked(&batch->waiting_link))
            list_append(&batcher->through, &batch->waiting_link);
    } else {
        batch->state = BATCH_STATE_FULL;
        batcher_insert_waiting(batcher, batch);
    }
}

void batcher_requeue(Batcher *batcher, Batch *batch, const char *text, nsec_t now)
{
    send_again(batcher, batch, false, text, now);
}

void batcher_repeat(Batcher *batcher, Batch *batch, const char *text, nsec_t now)
{
    send_again(batcher, batch, true, text, now);
}
