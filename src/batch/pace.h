/* The pace: how adaptive flush uses a server's slots, found by trying.
 *
 * What is best depends on what a batch costs the server. One that works side by side and pays for
 * each call gains from every slot. One that pays for each message gains when callers that come back
 * together travel together (returning.h). One that takes a batch at a time gains nothing from a
 * second slot: what waits at the server could have waited here, and grown. So there is an order,
 *
 *     pace 0   every slot, nobody is waited for
 *     pace 1   every slot, returning callers are waited for
 *     pace 2   one slot less
 *     ...      to one slot
 *     crowd    every slot, the crowd is waited for
 *
 * and others are tried in turn with the present one, for some batches each: the crowd, one slot,
 * pace 0 (only it takes a crowd apart that travels together), one slot less than are in use, one
 * more. One is kept when calls take clearly less time with it. At a given number of busy clients
 * that means more throughput, at a given rate less latency. A great difference is seen soon, a
 * small one after more batches. Trials that bring nothing become rare, those of what is clearly
 * worse after a second look, until the load changes.
 *
 * Where the upstream is fast, a busy crowd is away for longer than it is waited for, and comes in
 * small batches that cost more than they gain. So the crowd is tried there as well: where so many
 * callers call that others are under way while a batch waits, and where they spend no small part of
 * their time here, but little of it at the upstream. It is not tried where they are elsewhere most
 * of the time, as in an open loop: there each would wait for others that have no reason to come.
 * And it has to be better by more than another pace.
 *
 * Only a batch that may still grow, and what stands behind it, is kept from an idle slot: a full
 * one gains nothing by waiting, nor does a lone client's. A batch in flight for twice as long as
 * they usually are does not count against the slots: nobody waits for a slow call because the
 * others were fast. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/nsec.h"
#include "batch/returning.h"

/* Calls at a pace. Those that are under way count with what they have waited so far: in the time
 * right after a change those that end first are not like the others. */
typedef struct PaceLoad {
    uint64_t n_ended;
    uint64_t n_pending;
    nsec_t waited; /* added up over all of them, wrapping around */
    nsec_t away; /* of their callers before: since earlier answers, up to RETURNING_MOST_ABSENCE */
    nsec_t at;   /* as of when */
} PaceLoad;

/* What is tried, in turn. */
typedef enum PaceKind {
    PACE_CROWD, /* or back from it */
    PACE_ONE_SLOT,
    PACE_APART, /* pace 0 */
    PACE_FEWER_SLOTS,
    PACE_MORE_SLOTS,
    PACE_KINDS
} PaceKind;

typedef struct Pace {
    uint32_t now;     /* the pace in force */
    uint32_t slowest; /* one slot; the next is the crowd */
    uint32_t chosen;  /* the best so far */
    uint32_t candidate;
    PaceKind kind;               /* of the candidate */
    unsigned step;               /* of a trial: chosen and candidate in turn; 0: no trial */
    unsigned pauses[PACE_KINDS]; /* epochs until such a candidate is tried */
    unsigned backoffs[PACE_KINDS];
    bool settling;                  /* this epoch is not measured: the pace before still shows */
    PaceLoad begin;                 /* of this epoch */
    unsigned n_batches;             /* answered in it */
    uint32_t in_flight;             /* batches, added up over those */
    bool shared;                    /* in this epoch calls met: in a batch, or in flight */
    bool crowded;                   /* the crowd may be tried: by the latest epoch of `chosen` */
    uint64_t epoch_calls;           /* of the latest epoch of `chosen` */
    uint32_t in_use;                /* slots on average, in that epoch */
    double rejected_at[PACE_KINDS]; /* what a call took at `chosen` then; 0: not rejected */
    unsigned n_unusual[PACE_KINDS]; /* epochs in a row in which it took otherwise */
    PaceLoad of_chosen, of_candidate;
    double before;   /* what a call took at `chosen` before the trial */
    nsec_t upstream; /* smoothed: from sending a batch to its answer */
} Pace;

/* For servers of `slots` slots. */
void pace_init(Pace *pace, uint32_t slots);

/* A batch was answered `upstream` after it was sent, while `n_in_flight` batches were under way on
 * its server, itself included. `met`: it had several calls, or waited to be sent. `load`: so
 * far. True when `chosen` has changed. */
bool pace_answered(Pace *pace, bool met, uint32_t n_in_flight, nsec_t upstream, PaceLoad load);

static inline bool pace_is_crowd(const Pace *pace, uint32_t which)
{
    return which > pace->slowest;
}

/* How many slots of a server may be used. */
static inline uint32_t pace_slots(const Pace *pace)
{
    bool all = pace->now == 0 || pace_is_crowd(pace, pace->now);
    return all ? pace->slowest : pace->slowest - pace->now + 1;
}

/* Whether a batch that may still grow goes now to a server of which so many are used. */
static inline bool pace_has_room(const Pace *pace, uint32_t n_used)
{
    return n_used < pace_slots(pace);
}

/* How returning callers are waited for. */
static inline Gathering pace_gathering(const Pace *pace)
{
    if (pace->now == 0)
        return GATHERING_NONE;
    if (pace_is_crowd(pace, pace->now))
        return GATHERING_CROWD;
    return pace_slots(pace) == 1 ? GATHERING_ONE_SLOT : GATHERING_SLOTS;
}

/* From when on a batch that was sent at `sent` does not count any more. */
static inline nsec_t pace_overdue(const Pace *pace, nsec_t sent)
{
    return sent + 2 * pace->upstream;
}
