/* Returning callers: the refinement of adaptive flush.
 *
 * A crowd of clients in closed loops comes back together: a batch is answered, and within moments
 * those that it was of call again. Sent at once, the first of them would take the slot alone, and
 * the others would wait for the next: the crowd splits into parts that take turns. So a batch waits
 * for the callers of the latest answer, and goes as soon as the last of them is there. That is at
 * most
 *
 *     patience = half of the time that the upstream takes, and never more than `window`,
 *
 * counted from when it could go: from its first call or, if no slot was free, from the answer that
 * freed one. Waited for are only callers that have come back so quickly the last time; a lone
 * client waits for nobody, and where the upstream is fast nobody waits at all.
 *
 * Kept for each envelope group and each native method: their times differ. */
#pragma once

#include <stdint.h>

#include "base/nsec.h"
#include "batch/caller.h"

typedef struct Returning {
    nsec_t upstream; /* smoothed: from sending to an answer */
    nsec_t patience; /* 0: nobody is waited for */
    nsec_t until;
    uint32_t round; /* of answers */
    uint32_t n;     /* callers of the latest answer that are still to come */
} Returning;

/* An answer came that took `upstream`; whom it goes to is told by returning_answered(). */
void returning_begin(Returning *returning, nsec_t upstream, nsec_t window, nsec_t now);

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
    caller->returns = nsec_until(caller->answered, now) <= returning->patience;
    returning_forget(caller);
}

/* Until when a batch that waits since `since` goes on waiting; 0: it does not. */
static inline nsec_t returning_wait(const Returning *returning, nsec_t since)
{
    return returning->n > 0 ? nsec_min(returning->until, since + returning->patience) : 0;
}
