/* Returning callers: the refinement of adaptive flush.
 *
 * A crowd of clients in closed loops comes back together: a batch is answered, and within moments
 * those that it was of call again. Sent at once, the first of them would take the slot alone, and
 * the others would wait for the next: the crowd splits into parts that take turns. So a batch waits
 * for the callers of the latest answer, and goes as soon as the last of them is there. It waits
 * from one caller to the next, the longer the more are missing:
 *
 *     time for the next = patience * missing / (missing + here), half or twice that
 *     patience          = the time that the upstream takes, and never more than `window`
 *
 * Half of it where another batch may go meanwhile; twice where a server has one slot, and all would
 * have to wait until the late one's own message is answered. All in all it waits no longer than
 * `patience`, counted from when it could go: from its first call or, if no slot was free, from the
 * answer that freed one.
 *
 * Waited for are only callers whose absence was short the last time, and no longer than for such an
 * absence: `patience` or, if that is more, three quarters of the time that the upstream takes. One
 * that is away for all of it may be waiting for another's answer, and would wait for its own. A
 * lone client waits for nobody, and where the upstream is fast nobody waits at all, but for a
 * crowd.
 *
 * A crowd, where that has been found to pay (pace.h), is waited for by other rules: for all callers
 * of the latest answer who were away for RETURNING_MOST_ABSENCE or less, until `patience` has
 * passed, which is `window` and at most 2 ms. That counts from the batch's first call in any case.
 *
 * Kept for each envelope group and each native method: their times differ. */
#pragma once

#include <stdint.h>

#include "base/nsec.h"
#include "batch/caller.h"

/* Who is away for longer is elsewhere, or one of so many that others are always there. */
#define RETURNING_MOST_ABSENCE (20 * NSEC_PER_MSEC)

typedef enum Gathering {
    GATHERING_NONE,
    GATHERING_SLOTS,    /* another batch may go meanwhile */
    GATHERING_ONE_SLOT, /* none may */
    GATHERING_CROWD,    /* by the rules for a crowd */
} Gathering;

typedef struct Returning {
    nsec_t upstream; /* smoothed: from sending to an answer */
    nsec_t patience; /* 0: nobody is waited for */
    nsec_t absence;  /* at most, of callers that are waited for */
    nsec_t until;    /* the callers of the latest answer are no longer waited for */
    uint32_t round;  /* of answers */
    uint32_t n;      /* callers of the latest answer that are still to come */
} Returning;

/* An answer came that took `upstream`; whom it goes to is told by returning_answered(). */
void returning_begin(Returning *returning, nsec_t upstream, nsec_t window, Gathering gathering,
                     nsec_t now);

/* The caller has got all that it was owed. */
static inline void returning_answered(Returning *returning, Caller *caller, nsec_t now)
{
    caller->answered = now;
    if (returning->patience == 0 || !caller->returns)
        return;
    caller->returning = returning;
    caller->returning_round = returning->round;
    returning->n++;
}

/* It is not waited for any longer. */
static inline void returning_forget(Caller *caller)
{
    Returning *returning = caller->returning;
    caller->returning = NULL;
    if (returning != NULL && returning->round == caller->returning_round)
        returning->n--;
}

/* The caller calls while it is owed nothing. */
static inline void returning_called(const Returning *returning, Caller *caller, nsec_t now)
{
    caller->returns = nsec_until(caller->answered, now) <= returning->absence;
    returning_forget(caller);
}

/* Until when a batch of `n_here` calls goes on waiting that could go since `since` and whose latest
 * call joined at `latest`; 0: it does not. */
static inline nsec_t returning_wait(const Returning *returning, Gathering gathering, nsec_t since,
                                    nsec_t latest, uint32_t n_here)
{
    if (gathering == GATHERING_NONE || returning->n == 0)
        return 0;
    nsec_t patience = returning->patience;
    nsec_t until = nsec_min(returning->until, since + patience);
    if (gathering == GATHERING_CROWD)
        return until;
    nsec_t next = patience * returning->n / (returning->n + n_here);
    next = gathering == GATHERING_ONE_SLOT ? 2 * next : next / 2;
    return nsec_min(until, nsec_max(since, latest) + next);
}
