#include "batch/batcher.h"

#include <glib.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"

enum { ERROR_TEXT_SIZE = 256 };

struct Batcher {
    BatcherParams params;
    MethodTable *methods;
    const BatcherOps *ops;
    void *ops_data;
    Counters *counters;
    List waiting;   /* Batch.waiting_link, by `since` */
    List deadlines; /* Call.deadline_link, by `deadline` */
    uint32_t n_callers;
    uint32_t n_busy; /* callers with a call waiting or, under strict order, in flight */
    bool draining;
};

Batcher *batcher_new(const BatcherParams *params, MethodTable *methods, const BatcherOps *ops,
                     void *ops_data, Counters *counters)
{
    Batcher *batcher = g_new(Batcher, 1);
    *batcher = (Batcher){
        .params = *params,
        .methods = methods,
        .ops = ops,
        .ops_data = ops_data,
        .counters = counters,
    };
    list_init(&batcher->waiting);
    list_init(&batcher->deadlines);
    return batcher;
}

void batcher_free(Batcher *batcher)
{
    if (batcher == NULL)
        return;
    check(list_empty(&batcher->waiting) && list_empty(&batcher->deadlines));
    g_free(batcher);
}

const BatcherParams *batcher_params(const Batcher *batcher)
{
    return &batcher->params;
}

static bool is_strict(const Batcher *batcher)
{
    return batcher->params.ordering == ORDERING_STRICT;
}

/* Callers */

static void update_busy(Batcher *batcher, Caller *caller)
{
    bool busy =
        caller->n_waiting > 0 || (is_strict(batcher) && (caller->n_held > 0 || caller->n_sent > 0));
    busy = busy && !caller->departed;
    if (busy == caller->counted_busy)
        return;
    caller->counted_busy = busy;
    if (busy)
        batcher->n_busy++;
    else
        batcher->n_busy--;
}

void batcher_add_caller(Batcher *batcher, Caller *caller)
{
    check(caller->n_calls == 0 && !caller->departed);
    batcher->n_callers++;
}

void batcher_forget_caller(Batcher *batcher, Caller *caller)
{
    check(caller->departed && caller->n_calls == 0);
    list_remove(&caller->batch_link);
    caller->batch = NULL;
    (void)batcher;
}

static void enter_batch(Caller *caller, Batch *batch)
{
    if (caller->batch == batch) {
        if (caller->lane == 0)
            caller->lane = ++batch->n_lanes;
        return;
    }
    check(caller->batch == NULL);
    caller->batch = batch;
    list_append(&batch->callers, &caller->batch_link);
}

static void leave_batch(Caller *caller)
{
    list_remove(&caller->batch_link);
    caller->batch = NULL;
    caller->lane = 0;
}

/* Waiting batches */

/* A batch that was sent before and came back goes first among those of the same time. */
static bool is_before(const Batch *batch, const Batch *other)
{
    return batch->since < other->since || (batch->since == other->since && batch->sent > 0);
}

static void insert_waiting(Batcher *batcher, Batch *batch)
{
    ListLink *position = batcher->waiting.head.prev;
    while (position != &batcher->waiting.head &&
           is_before(batch, LIST_OWNER(position, Batch, waiting_link)))
        position = position->prev;
    list_insert_after(position, &batch->waiting_link);
}

static void seal(Batch *batch, BatchReason reason)
{
    batch->state = BATCH_STATE_FULL;
    batch->reason = reason;
    batch->group->open = NULL;
}

static bool fits(const Batcher *batcher, const Batch *batch, const Call *call)
{
    return batch->bytes + call->size <= batcher->params.max_bytes &&
           batch->wire_bytes + call_wire_size(call) <= BATCH_MAX_WIRE_BYTES;
}

/* The batch of the call's group that takes it. */
static Batch *open_batch(Batcher *batcher, const Call *call, nsec_t now)
{
    Group *group = call->method->group;
    if (group->open != NULL && !fits(batcher, group->open, call))
        seal(group->open, BATCH_REASON_FULL_BYTES);
    if (group->open == NULL) {
        group->open = batch_new(group, now);
        insert_waiting(batcher, group->open);
    }
    return group->open;
}

static void join_open_batch(Batcher *batcher, Call *call, nsec_t now)
{
    Batch *batch = open_batch(batcher, call, now);
    batch_add(batch, call);
    call->state = CALL_STATE_WAITING;
    if (is_strict(batcher))
        enter_batch(call->caller, batch);
    call->caller->n_waiting++;
    if (batch->n_calls >= batcher->params.max_calls)
        seal(batch, BATCH_REASON_FULL_CALLS);
    else if (batch->bytes >= batcher->params.max_bytes)
        seal(batch, BATCH_REASON_FULL_BYTES);
}

/* Under strict order a call may only join the batch in which its caller's earlier calls are. */
static bool must_be_held(Batcher *batcher, const Call *call)
{
    Batch *batch = call->caller->batch;
    if (batch == NULL)
        return false;
    if (batch->state != BATCH_STATE_OPEN || batch->group != call->method->group)
        return true;
    if (!fits(batcher, batch, call))
        seal(batch, BATCH_REASON_FULL_BYTES);
    return batch->state != BATCH_STATE_OPEN;
}

static void release_held(Batcher *batcher, Caller *caller, nsec_t now)
{
    ListLink *link;
    while ((link = list_first(&caller->held)) != NULL) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (must_be_held(batcher, call))
            break;
        list_remove(link);
        caller->n_held--;
        join_open_batch(batcher, call, now);
    }
    update_busy(batcher, caller);
}

static void remove_waiting(Batcher *batcher, Call *call)
{
    Batch *batch = call->batch;
    Caller *caller = call->caller;
    bool was_first = batch_first(batch) == call;
    batch_remove(batch, call);
    caller->n_waiting--;
    if (caller->batch == batch && caller->n_waiting == 0)
        leave_batch(caller);
    if (batch->n_calls == 0) {
        list_remove(&batch->waiting_link);
        batch_free(batch);
    } else if (was_first && batch_first(batch)->arrived > batch->since) {
        batch->since = batch_first(batch)->arrived;
        list_remove(&batch->waiting_link);
        insert_waiting(batcher, batch);
    }
}

/* Submitting and ending */

static void insert_deadline(Batcher *batcher, Call *call)
{
    ListLink *position = batcher->deadlines.head.prev;
    while (position != &batcher->deadlines.head &&
           LIST_OWNER(position, Call, deadline_link)->deadline > call->deadline)
        position = position->prev;
    list_insert_after(position, &call->deadline_link);
}

/* By what the client sent and what is known of the method now. */
static bool travels_oneway(const Call *call, const Method *method)
{
    return call->type == MESSAGE_ONEWAY || method->oneway || method->policy->oneway;
}

static void set_method(Batcher *batcher, Call *call)
{
    Caller *caller = call->caller;
    Method *method = method_table_get(batcher->methods, call_name(call), caller->last_method);
    if (call->type == MESSAGE_ONEWAY)
        method_learn_oneway(method);
    call->oneway = travels_oneway(call, method);
    call->method = caller->last_method = method;
}

static void leave_queues(Batcher *batcher, Call *call)
{
    switch (call->state) {
    case CALL_STATE_HELD:
        list_remove(&call->batch_link);
        call->caller->n_held--;
        break;
    case CALL_STATE_WAITING:
        remove_waiting(batcher, call);
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

static void end_call(Batcher *batcher, Call *call, CallOutcome outcome, nsec_t now)
{
    leave_queues(batcher, call);
    call->state = CALL_STATE_ENDED;
    if (call->type == MESSAGE_CALL && call->method->answers)
        call->oneway = call->method->policy->oneway; /* it has answered since this was submitted */
    update_busy(batcher, call->caller);
    Counters *counters = batcher->counters;
    counters->calls[outcome]++;
    counters->pending_calls--;
    counters->pending_bytes -= call_memory(call);
    histogram_record(&counters->call_nsec, nsec_until(call->arrived, now));
    batcher->ops->call_ended(batcher->ops_data, call);
}

static void fail_call(Batcher *batcher, Call *call, CallOutcome outcome, const char *text,
                      nsec_t now)
{
    call_set_error(call, EXCEPTION_INTERNAL_ERROR, text);
    end_call(batcher, call, outcome, now);
}

void batcher_submit(Batcher *batcher, Call *call, nsec_t now)
{
    check(call->state == CALL_STATE_NEW);
    Caller *caller = call->caller;
    call->arrived = now;
    call->deadline = now + batcher->params.call_timeout;
    insert_deadline(batcher, call);
    set_method(batcher, call);
    batcher->counters->pending_calls++;
    batcher->counters->pending_bytes += call_memory(call);
    if (call->form.protocol != batcher->params.upstream.protocol)
        batcher->counters->transcoded_calls++;
    if (caller->n_held > 0 || must_be_held(batcher, call)) {
        call->state = CALL_STATE_HELD;
        list_append(&caller->held, &call->batch_link);
        caller->n_held++;
    } else {
        join_open_batch(batcher, call, now);
    }
    update_busy(batcher, caller);
    if (caller->departed && !call->oneway)
        end_call(batcher, call, CALL_OUTCOME_WITHDRAWN, now);
}

void batcher_depart_caller(Batcher *batcher, Caller *caller, nsec_t now)
{
    check(!caller->departed);
    caller->departed = true;
    batcher->n_callers--;
    update_busy(batcher, caller);
    LIST_EACH_SAFE (&caller->calls, link) {
        Call *call = LIST_OWNER(link, Call, caller_link);
        bool waits = call->state == CALL_STATE_HELD || call->state == CALL_STATE_WAITING;
        if (waits && !call->oneway)
            end_call(batcher, call, CALL_OUTCOME_WITHDRAWN, now);
    }
    release_held(batcher, caller, now);
}

/* Sending */

static bool nobody_left(const Batcher *batcher)
{
    return batcher->n_busy >= batcher->n_callers;
}

static bool batch_due(const Batcher *batcher, const Batch *batch, nsec_t now, BatchReason *ret)
{
    if (batch->state == BATCH_STATE_FULL) {
        *ret = batch->reason;
        return true;
    }
    if (batcher->params.flush == FLUSH_ADAPTIVE || batcher->draining) {
        *ret = BATCH_REASON_SLOT;
        return true;
    }
    if (now >= batch->since + batcher->params.window) {
        *ret = BATCH_REASON_WINDOW;
        return true;
    }
    *ret = BATCH_REASON_NOBODY_LEFT;
    return nobody_left(batcher);
}

static Batch *first_due(const Batcher *batcher, nsec_t now, BatchReason *ret_reason)
{
    LIST_EACH (&batcher->waiting, link) {
        Batch *batch = LIST_OWNER(link, Batch, waiting_link);
        if (batch_due(batcher, batch, now, ret_reason))
            return batch;
    }
    return NULL;
}

bool batcher_due(const Batcher *batcher, nsec_t now)
{
    BatchReason reason;
    return first_due(batcher, now, &reason) != NULL;
}

/* A small batch saves its envelope, once every method in it is known to answer: a reply is what
 * tells that a plain call is over. */
static bool travels_plain(const Batcher *batcher, const Batch *batch)
{
    if (batch->n_calls >= batcher->params.min_calls)
        return false;
    LIST_EACH (&batch->calls, link) {
        const Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->oneway || !call->method->answers)
            return false;
    }
    return true;
}

static void count_batch(Batcher *batcher, const Batch *batch)
{
    Counters *counters = batcher->counters;
    if (batch->plain) {
        counters->plain_calls += batch->n_calls;
    } else {
        counters->batches[batch->reason]++;
        histogram_record(&counters->batch_calls, batch->n_calls);
    }
    histogram_record(&counters->batch_wait_nsec, nsec_until(batch->since, batch->sent));
}

Batch *batcher_take(Batcher *batcher, nsec_t now)
{
    BatchReason reason;
    Batch *batch = first_due(batcher, now, &reason);
    if (batch == NULL)
        return NULL;
    if (batch->state == BATCH_STATE_OPEN)
        seal(batch, reason);
    list_remove(&batch->waiting_link);
    batch->state = BATCH_STATE_SENT;
    batch->n_unanswered = batch->n_calls;
    batch->plain = travels_plain(batcher, batch);
    LIST_EACH (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        call->state = CALL_STATE_SENT;
        call->oneway = travels_oneway(call, call->method);
        call->caller->n_waiting--;
        call->caller->n_sent++;
        update_busy(batcher, call->caller);
    }
    bool first_time = batch->sent == 0;
    batch->sent = now;
    if (first_time)
        count_batch(batcher, batch);
    return batch;
}

nsec_t batcher_next_window(const Batcher *batcher, nsec_t now)
{
    LIST_EACH (&batcher->waiting, link) {
        const Batch *batch = LIST_OWNER(link, Batch, waiting_link);
        BatchReason reason;
        if (!batch_due(batcher, batch, now, &reason))
            return batch->since + batcher->params.window;
    }
    return NSEC_NEVER;
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
    fail_call(batcher, call, CALL_OUTCOME_TIMEOUT, text, now);
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
            release_held(batcher, caller, now);
    }
}

/* No message came: a oneway method, unless this method is known to answer. */
static void end_without_answer(Batcher *batcher, Call *call, nsec_t now)
{
    if (!call->oneway && call->method->answers) {
        fail_call(batcher, call, CALL_OUTCOME_ERROR,
                  "thrift-batchd: the upstream's batch answer holds no reply to this call", now);
        return;
    }
    if (!call->oneway)
        method_learn_oneway(call->method);
    call->oneway = true;
    end_call(batcher, call, CALL_OUTCOME_OK, now);
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
             "thrift-batchd: the reply is larger than max_message_size (%zu bytes)",
             params->max_message_size);
    fail_call(batcher, call, CALL_OUTCOME_ERROR, text, now);
}

static void answer_call(Batcher *batcher, Call *call, nsec_t now)
{
    check(call->state == CALL_STATE_SENT);
    call->batch->some_answered = true;
    if (call->answer.misnamed) {
        fail_call(batcher, call, CALL_OUTCOME_ERROR,
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
    if (call->oneway)
        end_call(batcher, call, CALL_OUTCOME_OK, now);
    else
        deliver_answer(batcher, call, now);
}

void batcher_answer_call(Batcher *batcher, Call *call, nsec_t now)
{
    histogram_record(&batcher->counters->upstream_nsec, nsec_until(call->batch->sent, now));
    answer_call(batcher, call, now);
}

void batcher_answer_batch(Batcher *batcher, Batch *batch, nsec_t now)
{
    histogram_record(&batcher->counters->upstream_nsec, nsec_until(batch->sent, now));
    LIST_EACH (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->state == CALL_STATE_SENT)
            answer_call(batcher, call, now);
    }
}

void batcher_fail_batch(Batcher *batcher, Batch *batch, const char *text, nsec_t now)
{
    LIST_EACH (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->state == CALL_STATE_SENT)
            fail_call(batcher, call, CALL_OUTCOME_ERROR, text, now);
    }
}

void batcher_fail_waiting(Batcher *batcher, const char *text, nsec_t now)
{
    LIST_EACH_SAFE (&batcher->deadlines, link) {
        Call *call = LIST_OWNER(link, Call, deadline_link);
        if (call->state != CALL_STATE_SENT)
            fail_call(batcher, call, CALL_OUTCOME_ERROR, text, now);
    }
}

/* Puts a call of a batch that was not sent after all back among the waiting ones. */
static void unsend_call(Batcher *batcher, Call *call)
{
    call->state = CALL_STATE_WAITING;
    call->attempts++;
    call->caller->n_sent--;
    call->caller->n_waiting++;
    batcher->counters->retries++;
    update_busy(batcher, call->caller);
}

void batcher_requeue(Batcher *batcher, Batch *batch, const char *text, nsec_t now)
{
    check(batch->state == BATCH_STATE_SENT);
    LIST_EACH_SAFE (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->state == CALL_STATE_SENT && call->caller->departed && !call->oneway)
            end_call(batcher, call, CALL_OUTCOME_WITHDRAWN, now);
        if (call->state == CALL_STATE_SENT && call->attempts >= batcher->params.retries)
            fail_call(batcher, call, CALL_OUTCOME_ERROR, text, now);
        if (call->state == CALL_STATE_SENT) {
            unsend_call(batcher, call);
            continue;
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
        leave_batch(caller);
        release_held(batcher, caller, now);
    }
    batch->state = BATCH_STATE_FULL;
    batch->carrier = NULL;
    insert_waiting(batcher, batch);
}

void batcher_finish(Batcher *batcher, Batch *batch, nsec_t now)
{
    check(batch->state == BATCH_STATE_SENT);
    LIST_EACH_SAFE (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        check(call->state == CALL_STATE_ENDED);
        call_leave_batch(call);
    }
    ListLink *link;
    while ((link = list_first(&batch->callers)) != NULL) {
        Caller *caller = LIST_OWNER(link, Caller, batch_link);
        leave_batch(caller);
        release_held(batcher, caller, now);
    }
    batch_free(batch);
}

void batcher_drain(Batcher *batcher)
{
    batcher->draining = true;
}
