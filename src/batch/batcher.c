#include "batch/batcher.h"

#include <glib.h>

#include "base/check.h"
#include "batch/batcher-internal.h"
#include "batch/dedupe.h"
#include "batch/native.h"
#include "wire/header.h"

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
        .gathering = GATHERING_SLOTS,
    };
    batcher->through_group.kind = BATCH_KIND_THROUGH;
    batcher->native_groups = group_table_new();
    batch_cache_init(&batcher->batches);
    list_init(&batcher->waiting);
    list_init(&batcher->through);
    list_init(&batcher->deadlines);
    return batcher;
}

void batcher_free(Batcher *batcher)
{
    if (batcher == NULL)
        return;
    check(list_empty(&batcher->waiting) && list_empty(&batcher->through));
    check(list_empty(&batcher->deadlines));
    g_hash_table_unref(batcher->native_groups);
    block_cache_clear(&batcher->batches);
    g_free(batcher);
}

const BatcherParams *batcher_params(const Batcher *batcher)
{
    return &batcher->params;
}

void batcher_set_params(Batcher *batcher, const BatcherParams *params)
{
    const BatcherParams before = batcher->params;
    batcher->params = *params;
    batcher->params.upstream = before.upstream;
    batcher->params.method = before.method;
    batcher->params.ordering = before.ordering;
}

PaceLoad batcher_load(const Batcher *batcher, nsec_t now)
{
    PaceLoad load = batcher->load;
    load.waited += load.n_pending * now;
    load.at = now;
    return load;
}

/* Callers */

void batcher_add_caller(Batcher *batcher, Caller *caller)
{
    check(caller->n_calls == 0 && !caller->departed);
    batcher->n_callers++;
}

void batcher_remove_caller(Batcher *batcher, Caller *caller)
{
    check(caller_is_free(caller) && !caller->departed);
    returning_forget(caller);
    through_unbind(caller);
    caller->last_method = NULL;
    batcher->n_callers--;
    batcher_update_busy(batcher, caller);
}

void batcher_forget_caller(Caller *caller)
{
    check(caller->departed && caller->n_calls == 0);
    list_remove(&caller->batch_link);
    caller->batch = NULL;
    through_unbind(caller);
}

void batcher_enter_batch(Caller *caller, Batch *batch)
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

void batcher_leave_batch(Caller *caller)
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

void batcher_insert_waiting(Batcher *batcher, Batch *batch)
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
    Group *group = call->group;
    if (group->open != NULL && !fits(batcher, group->open, call))
        seal(group->open, BATCH_REASON_FULL_BYTES);
    if (group->open == NULL) {
        group->open = batch_new(&batcher->batches, group, now);
        group->open->gathers = now;
        batcher_insert_waiting(batcher, group->open);
    }
    return group->open;
}

/* The next turn: within one the time stands still. Whether a call is alone is decided when it
 * joins: by calls that end later in the turn, a batch could become due behind the dispatch. */
static nsec_t quiet_time(const Batcher *batcher, const Call *call, nsec_t now)
{
    bool alone = batcher->load.n_pending <= call->caller->n_calls;
    return alone ? 0 : now + 1;
}

static void join_open_batch(Batcher *batcher, Call *call, nsec_t now)
{
    Batch *batch = open_batch(batcher, call, now);
    batch_add(batch, call);
    batch->latest = now;
    batch->quiet = quiet_time(batcher, call, now);
    call->state = CALL_STATE_WAITING;
    if (batcher_is_strict(batcher))
        batcher_enter_batch(call->caller, batch);
    call->caller->n_waiting++;
    if (batch->n_calls >= batcher->params.max_calls)
        seal(batch, BATCH_REASON_FULL_CALLS);
    else if (batch->bytes >= batcher->params.max_bytes)
        seal(batch, BATCH_REASON_FULL_BYTES);
}

/* Under strict order a call may only join the batch in which its caller's earlier calls are. Under
 * relaxed order a caller has no more calls waiting in batches than one batch takes, so that batches
 * take from all callers in turn however many calls one of them sends. */
static bool must_be_held(Batcher *batcher, const Call *call, nsec_t now)
{
    Batch *batch = call->caller->batch;
    if (!batcher_is_strict(batcher))
        return call->caller->n_waiting >= batcher->params.max_calls;
    if (batch == NULL)
        return false;
    if (batch_kind(batch) == BATCH_KIND_THROUGH || through_applies(call))
        return batch_kind(batch) != BATCH_KIND_THROUGH ||
               !(through_applies(call) || through_follows(call, now)) || batch->some_expired ||
               batch->complete; /* else it would never be given up */
    if (batch->state != BATCH_STATE_OPEN || batch->group != call->group)
        return true;
    if (!fits(batcher, batch, call))
        seal(batch, BATCH_REASON_FULL_BYTES);
    return batch->state != BATCH_STATE_OPEN;
}

void batcher_place(Batcher *batcher, Call *call, nsec_t now)
{
    if (through_follows(call, now))
        through_fall_back(batcher, call, now);
    else if (through_applies(call))
        through_add(batcher, call, now);
    else
        join_open_batch(batcher, call, now);
}

void batcher_release_held(Batcher *batcher, Caller *caller, nsec_t now)
{
    ListLink *link;
    while ((link = list_first(&caller->held)) != NULL) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (must_be_held(batcher, call, now))
            break;
        list_remove(link);
        caller->n_held--;
        batcher_place(batcher, call, now);
    }
    batcher_update_busy(batcher, caller);
}

void batcher_remove_waiting(Batcher *batcher, Call *call)
{
    Batch *batch = call->batch;
    Caller *caller = call->caller;
    bool was_first = batch_first(batch) == call;
    batch_remove(batch, call);
    caller->n_waiting--;
    if (batch->state == BATCH_STATE_SENT) /* passed through: its earlier calls are in flight */
        return;
    if (caller->batch == batch && caller->n_waiting == 0)
        batcher_leave_batch(caller);
    if (batch->n_calls == 0) {
        list_remove(&batch->waiting_link);
        batch_free(batch);
    } else if (was_first && batch_kind(batch) != BATCH_KIND_THROUGH &&
               batch_first(batch)->arrived > batch->since) {
        batch->since = batch_first(batch)->arrived;
        list_remove(&batch->waiting_link);
        batcher_insert_waiting(batcher, batch);
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
    call->bare_at = method->name.len > 0
                        ? method->bare_at
                        : (uint32_t)(call->name_len - header_bare_name(call_name(call)).len);
}

/* NULL when the call cannot be batched. */
static Group *native_group(Batcher *batcher, Call *call)
{
    if (call->method->name.len == 0)
        return NULL;
    Group like = {
        .kind = BATCH_KIND_NATIVE,
        .returning = &call->method->returning,
        .method = call->method,
    };
    NativeItem item;
    uint8_t *spare = call->bytes + CALL_ROOM + call->request_len;
    if (!native_take_item(call->method->policy, batcher->params.upstream.protocol,
                          call_arguments(call), &like.others, spare, &item)) {
        buffer_clear(&like.others);
        return NULL;
    }
    call->item = item.value;
    like.item_type = item.type;
    like.others_last_id = item.last_id;
    return group_table_get(batcher->native_groups, &like);
}

/* What the call may travel with; through when that is nothing. */
static void set_group(Batcher *batcher, Call *call)
{
    const MethodPolicy *policy = call->method->policy;
    Group *group = call->method->group;
    switch (policy->batch) {
    case BATCH_MODE_ENVELOPE:
        break;
    case BATCH_MODE_NATIVE:
        group = call->oneway ? NULL : native_group(batcher, call);
        break;
    case BATCH_MODE_OFF:
        group = NULL;
        break;
    }
    call->through = group == NULL;
    call->group = group != NULL ? group : &batcher->through_group;
    group_ref(call->group);
}

void batcher_submit(Batcher *batcher, Call *call, nsec_t now)
{
    check(call->state == CALL_STATE_NEW);
    Caller *caller = call->caller;
    call->arrived = now;
    call->deadline = now + batcher->params.call_timeout;
    insert_deadline(batcher, call);
    set_method(batcher, call);
    set_group(batcher, call);
    Returning *returning = call->group->returning;
    if (returning != NULL) {
        batcher->load.n_pending++;
        batcher->load.waited -= now;
    }
    if (returning != NULL && caller->n_calls == 1) {
        if (caller->answered != 0)
            batcher->load.away +=
                nsec_min(nsec_until(caller->answered, now), RETURNING_MOST_ABSENCE);
        returning_called(returning, caller, now);
    } else {
        returning_forget(caller);
    }
    caller->answered = 0;
    batcher->counters->pending_calls++;
    batcher->counters->pending_bytes += call_memory(call);
    if (call->form.protocol != batcher->params.upstream.protocol)
        batcher->counters->transcoded_calls++;
    if (caller->n_held > 0 || must_be_held(batcher, call, now)) {
        call->state = CALL_STATE_HELD;
        list_append(&caller->held, &call->batch_link);
        caller->n_held++;
    } else {
        batcher_place(batcher, call, now);
    }
    batcher_update_busy(batcher, caller);
    if (caller->departed && !call->oneway)
        batcher_end_call(batcher, call, CALL_OUTCOME_WITHDRAWN, now);
}

void batcher_count_refused(Batcher *batcher, Bytes method)
{
    unsigned label = method_table_get(batcher->methods, method, NULL)->label;
    batcher->counters->calls[label][CALL_OUTCOME_ERROR]++;
}

void batcher_depart_caller(Batcher *batcher, Caller *caller, nsec_t now)
{
    check(!caller->departed);
    caller->departed = true;
    returning_forget(caller);
    batcher->n_callers--;
    batcher_update_busy(batcher, caller);
    LIST_EACH_SAFE (&caller->calls, link) {
        Call *call = LIST_OWNER(link, Call, caller_link);
        bool waits = call->state == CALL_STATE_HELD || call->state == CALL_STATE_WAITING;
        if (waits && !call->oneway)
            batcher_end_call(batcher, call, CALL_OUTCOME_WITHDRAWN, now);
    }
    batcher_release_held(batcher, caller, now);
}

/* Sending */

static bool nobody_left(const Batcher *batcher)
{
    return batcher->n_busy >= batcher->n_callers;
}

/* When an open batch is due by the time alone. */
static nsec_t due_time(const Batcher *batcher, const Batch *batch)
{
    const Returning *returning = batch->group->returning;
    if (batcher->params.flush != FLUSH_ADAPTIVE)
        return batch->since + batcher->params.window;
    return returning_wait(returning, batcher->gathering, batch->gathers, batch->latest,
                          batch->n_calls);
}

/* But for reading on: is_reading_on(). */
static bool batch_due(const Batcher *batcher, const Batch *batch, nsec_t now, BatchReason *ret)
{
    bool adaptive = batcher->params.flush == FLUSH_ADAPTIVE;
    if (batch->state == BATCH_STATE_FULL) {
        *ret = batch->reason;
        return true;
    }
    if (batcher->draining || now >= due_time(batcher, batch)) {
        *ret = adaptive || batcher->draining ? BATCH_REASON_SLOT : BATCH_REASON_WINDOW;
        return true;
    }
    *ret = adaptive ? BATCH_REASON_SLOT : BATCH_REASON_NOBODY_LEFT;
    return nobody_left(batcher);
}

static nsec_t quiet_by(const Batcher *batcher, const Batch *batch)
{
    return nsec_min(batch->quiet, batch->since + batcher->params.window);
}

/* Whether a batch that is due otherwise takes along what is there to be read; with flush = window
 * none does. Without a slot there is no need to look: it cannot go before other calls are read. */
static bool is_reading_on(const Batcher *batcher, const Batch *batch, nsec_t now)
{
    return !batcher->draining && !batcher->blocked && batch->state == BATCH_STATE_OPEN &&
           now < quiet_by(batcher, batch) && !nobody_left(batcher);
}

/* The first from `link` on. One that reads on goes all the same when one behind it does: the
 * earlier has the first slot. */
static Batch *first_due(const Batcher *batcher, ListLink *link, nsec_t now)
{
    Batch *first = NULL;
    for (; link != NULL; link = list_next(&batcher->waiting, link)) {
        Batch *batch = LIST_OWNER(link, Batch, waiting_link);
        BatchReason reason;
        if (!batch_due(batcher, batch, now, &reason))
            continue;
        if (first == NULL)
            first = batch;
        if (!is_reading_on(batcher, batch, now))
            return first;
    }
    return NULL;
}

Batch *batcher_next_due(const Batcher *batcher, nsec_t now)
{
    return first_due(batcher, list_first(&batcher->waiting), now);
}

Batch *batcher_next_due_behind(const Batcher *batcher, const Batch *batch, nsec_t now)
{
    return first_due(batcher, list_next(&batcher->waiting, &batch->waiting_link), now);
}

const Batch *batcher_reading_on(const Batcher *batcher, nsec_t now)
{
    LIST_EACH (&batcher->waiting, link) {
        const Batch *batch = LIST_OWNER(link, Batch, waiting_link);
        BatchReason reason;
        if (batch_due(batcher, batch, now, &reason) && is_reading_on(batcher, batch, now))
            return batch;
    }
    return NULL;
}

/* A small batch saves its envelope, once every method in it is known to answer: a reply is what
 * tells that a plain call is over. */
static bool travels_plain(const Batcher *batcher, const Batch *batch)
{
    if (batch_travelling(batch) >= batcher->params.min_calls)
        return false;
    LIST_EACH (&batch->calls, link) {
        const Call *call = LIST_OWNER(link, Call, batch_link);
        bool answers = call->method->answers || batch_kind(batch) == BATCH_KIND_NATIVE;
        if (call->oneway || !answers)
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

void batcher_take(Batcher *batcher, Batch *batch, nsec_t now)
{
    BatchReason reason;
    check(batch_due(batcher, batch, now, &reason));
    if (batch->state == BATCH_STATE_OPEN)
        seal(batch, reason);
    list_remove(&batch->waiting_link);
    batch->state = BATCH_STATE_SENT;
    batch->n_unanswered = batch->n_taken = batch->n_calls;
    uint32_t position = 0;
    LIST_EACH (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        call->state = CALL_STATE_SENT;
        call->position = position++;
        call->answer_by = call->deadline;
        call->oneway = travels_oneway(call, call->method);
        call->caller->n_waiting--;
        call->caller->n_sent++;
        if (!batcher_is_strict(batcher)) /* else it stays as busy as it was */
            batcher_release_held(batcher, call->caller, now);
    }
    dedupe_calls(batch);
    batcher->counters->deduped_calls += batch->n_followers;
    batch->plain = travels_plain(batcher, batch);
    bool first_time = batch->sent == 0;
    batch->sent = now;
    if (first_time) {
        retry_budget_add(&batcher->retry_budget, batch->n_calls, now);
        count_batch(batcher, batch);
    }
}

nsec_t batcher_next_window(const Batcher *batcher, nsec_t now)
{
    nsec_t next = NSEC_NEVER;
    LIST_EACH (&batcher->waiting, link) {
        const Batch *batch = LIST_OWNER(link, Batch, waiting_link);
        BatchReason reason;
        if (!batch_due(batcher, batch, now, &reason)) /* each group has its own patience */
            next = nsec_min(next, due_time(batcher, batch));
        else if (is_reading_on(batcher, batch, now))
            next = nsec_min(next, quiet_by(batcher, batch));
    }
    return next;
}

void batcher_drop_ended(Batch *batch, const Call *until)
{
    LIST_EACH_SAFE (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call == until || call->state != CALL_STATE_ENDED)
            break;
        batch_forget(batch, call);
    }
}

/* Calls that came for its connection and were not written go on without it. */
static bool has_unwritten(Batch *batch)
{
    if (!list_linked(&batch->waiting_link))
        return false;
    LIST_EACH_SAFE (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (call->state == CALL_STATE_ENDED)
            batch_forget(batch, call);
    }
    batch->state = BATCH_STATE_OPEN;
    batch->carrier = NULL;
    batch->unbatched_until = 0; /* it may go to another server */
    batch->some_answered = batch->some_expired = batch->complete = false;
    if (batch->n_calls > 0)
        return true;
    list_remove(&batch->waiting_link);
    return false;
}

void batcher_finish(Batcher *batcher, Batch *batch, nsec_t now)
{
    check(batch->state == BATCH_STATE_SENT);
    if (has_unwritten(batch))
        return;
    dedupe_undo(batch);
    LIST_EACH_SAFE (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        check(call->state == CALL_STATE_ENDED);
        call_leave_batch(call);
    }
    ListLink *link;
    while ((link = list_first(&batch->callers)) != NULL) {
        Caller *caller = LIST_OWNER(link, Caller, batch_link);
        batcher_leave_batch(caller);
        if (!list_empty(&caller->held))
            batcher_release_held(batcher, caller, now);
    }
    batch_free(batch);
}

void batcher_set_gathering(Batcher *batcher, Gathering gathering)
{
    batcher->gathering = gathering;
}

void batcher_set_blocked(Batcher *batcher, bool blocked)
{
    batcher->blocked = blocked;
}

void batcher_drain(Batcher *batcher)
{
    batcher->draining = true;
}
