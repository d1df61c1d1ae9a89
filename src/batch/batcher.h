/* The batcher decides which calls travel together, and when. It does no I/O and reads no clock.
 *
 *    submit ---> [held: behind the caller's calls] ---+
 *       |                                             | finish releases
 *       v                                             v
 *    open batch of its group --full--> full      ...joins the open batch
 *       |                                |
 *       +------- take (slot is free) ----+---> sent ---> answered, failed --> finish
 *
 *  - waiting: open and full batches, by the time at which their first call joined.
 *  - deadlines: every call that has not ended, by deadline.
 *
 * Every submitted call ends exactly once: answered, failed, expired or withdrawn; then
 * BatcherOps.call_ended is told. The operations must not call back into the batcher. */
#pragma once

#include "base/counters.h"
#include "batch/batch.h"
#include "batch/call.h"
#include "batch/method.h"
#include "batch/pace.h"
#include "batch/params.h"

typedef struct BatcherOps {
    /* The call has ended. Its caller may have departed. A reply is owed unless call->oneway, and
     * what it borrows is valid until the function returns that let the batcher know of the answer:
     * write it by then, or call_own_reply(). The owner finally calls call_leave_caller(). */
    void (*call_ended)(void *data, Call *call);

    /* All calls of a batch in flight have ended without its answer: nothing it may still bring is
     * wanted. Its carrier is to be dropped, and then batcher_finish() called. */
    void (*batch_abandoned)(void *data, Batch *batch);
} BatcherOps;

typedef struct Batcher Batcher;

/* `methods`, `ops`, `ops_data` and `counters` are borrowed and outlive the batcher. */
Batcher *batcher_new(const BatcherParams *params, MethodTable *methods, const BatcherOps *ops,
                     void *ops_data, Counters *counters);
void batcher_free(Batcher *batcher); /* no call may be left */

const BatcherParams *batcher_params(const Batcher *batcher);

/* Other rules from now on, for batches that are not sent. What calls carry with them stays as it
 * is: upstream, method and ordering are not taken over. */
void batcher_set_params(Batcher *batcher, const BatcherParams *params);

/* For the pace: the calls so far whose methods are batched. */
PaceLoad batcher_load(const Batcher *batcher, nsec_t now);

/* A connected client: counts for "nobody left to wait for". */
void batcher_add_caller(Batcher *batcher, Caller *caller);

/* It is this batcher's no longer: another one gets its calls, also where it was bound to a
 * connection here. It must be free and not departed. */
void batcher_remove_caller(Batcher *batcher, Caller *caller);

/* The client is gone: its waiting CALLs end as withdrawn, its ONEWAYs are still sent, and what is
 * in flight ends when it is answered. The caller must stay until its n_calls is 0; then
 * batcher_forget_caller(). */
void batcher_depart_caller(Batcher *batcher, Caller *caller, nsec_t now);
void batcher_forget_caller(Caller *caller);

/* Takes over a new call; `now` is the time at which its last byte was read. */
void batcher_submit(Batcher *batcher, Call *call, nsec_t now);

/* Counts a call that was answered with an error, or dropped, instead of being submitted. */
void batcher_count_refused(Batcher *batcher, Bytes method);

/* The next batch to be sent, of all or of those behind one that waits; NULL when none is due. It
 * stays where it is. */
Batch *batcher_next_due(const Batcher *batcher, nsec_t now);
Batch *batcher_next_due_behind(const Batcher *batcher, const Batch *batch, nsec_t now);

/* With adaptive flush a batch reads on: it takes along the calls that are there to be read, as long
 * as that brings some, at most until `window` has passed since its first; not where all calls under
 * way are one client's, nor where a batch behind it is due. If an answer comes meanwhile, it may
 * wait for the callers of that. This is the first that would be due if it did not; NULL when there
 * is none. */
const Batch *batcher_reading_on(const Batcher *batcher, nsec_t now);

/* Takes a batch that is due, for which there is a free slot. It is in flight from now on, until
 * batcher_requeue(), batcher_repeat(), batcher_pass_through() or batcher_finish(). */
void batcher_take(Batcher *batcher, Batch *batch, nsec_t now);

/* Calls to be passed through. Batches with such calls, as they came: the first, or the one behind
 * `after`; NULL when there is none. */
Batch *batcher_next_through(const Batcher *batcher, const Batch *after);

/* The connection on which such a batch must go: where it is in flight already, or where an earlier
 * ONEWAY of its caller went. NULL: any. */
Carrier *batcher_wanted_carrier(const Batch *batch);

/* No further call follows in the batch: its carrier is to be left. */
void batcher_complete(Batch *batch);

/* The batch's calls that wait are now in flight on `carrier`; returns the first of them, the others
 * follow it in batch->calls. Once they are written, batcher_through_written(). */
Call *batcher_send_through(Batcher *batcher, Batch *batch, Carrier *carrier, nsec_t now);
void batcher_through_written(Batcher *batcher, Batch *batch, nsec_t now);

/* Nothing of the batch was executed, and it cannot be batched where it went: its calls are passed
 * through, and until `until` what its callers send of that kind while these are unanswered. The
 * batch, waiting or in flight, is gone. */
void batcher_pass_through(Batcher *batcher, Batch *batch, nsec_t until, nsec_t now);

/* When the next batch that is not due at `now` becomes so, or a call's deadline passes, without
 * anything else happening; NSEC_NEVER if never. */
nsec_t batcher_next_window(const Batcher *batcher, nsec_t now);
nsec_t batcher_next_deadline(const Batcher *batcher);

/* Ends the calls whose deadline has passed. */
void batcher_expire(Batcher *batcher, nsec_t now);

/* A server has answered a method of this bare name, which was sent to it as ONEWAY. */
void batcher_learn_answers(Batcher *batcher, Bytes bare_name);

/* Ends a call in flight that has turned out to be oneway: a later one was answered before it. */
void batcher_pass_over_call(Batcher *batcher, Call *call, nsec_t now);

/* Ends a call in flight by its `answer` (split.h has checked and set it), and those that follow it;
 * the call itself may have ended already. */
void batcher_answer_call(Batcher *batcher, Call *call, nsec_t now);
void batcher_answer_batch(Batcher *batcher, Batch *batch, nsec_t now);

/* Ends the calls of a batch in flight that have not ended, or all calls that are not in flight,
 * with INTERNAL_ERROR. */
void batcher_fail_batch(Batcher *batcher, Batch *batch, const char *text, nsec_t now);
void batcher_fail_waiting(Batcher *batcher, const char *text, nsec_t now);

/* No byte of the batch has reached a server: its calls wait again, except those that have used up
 * their retries, which end with INTERNAL_ERROR and `text`. The batch is gone from its carrier. */
void batcher_requeue(Batcher *batcher, Batch *batch, const char *text, nsec_t now);

/* The server failed with the batch in flight, which may have been executed: the same, but only
 * calls of idempotent methods wait again, as far as the budget allows (retry-budget.h). */
void batcher_repeat(Batcher *batcher, Batch *batch, const char *text, nsec_t now);

/* A batch of calls that travel by themselves: those before `until` (NULL: all) that have ended
 * leave it, so that one which is extended again and again does not grow. */
void batcher_drop_ended(Batch *batch, const Call *until);

/* The batch is no longer in flight and all of its calls have ended; frees it. */
void batcher_finish(Batcher *batcher, Batch *batch, nsec_t now);

/* How adaptive flush waits for returning callers (returning.h): GATHERING_SLOTS at first. */
void batcher_set_gathering(Batcher *batcher, Gathering gathering);

/* Whether there is no slot for what is due, or would be. A batch begins to wait for returning
 * callers when there is one again. */
void batcher_set_blocked(Batcher *batcher, bool blocked);

/* From now on nothing is waited for: every batch is due. */
void batcher_drain(Batcher *batcher);
