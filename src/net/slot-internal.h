/* What the slot's files share:
 *
 *   slot.c         its life: connecting, idle, closed; events
 *   slot-send.c    batches, questions and single calls to the server
 *   slot-answer.c  what the server answers */
#pragma once

#include "base/counters.h"
#include "net/slot.h"

enum {
    SLOT_WHY_SIZE = 320, /* why something failed, for people */
    SLOT_TEXT_SIZE = 2 * SLOT_WHY_SIZE,
};

/* Logs the transition and moves the slot to the list of the new state. */
void slot_set_state(Slot *slot, SlotState state);
void slot_set_events(Slot *slot, short events);
void slot_become_idle(Slot *slot);

/* Where the next message begins. */
void slot_init_reader(Slot *slot);

/* The connection failed while a call was on it or while it was being made; or it was closed by the
 * server, which is a failure only in the first case. */
void slot_fail(Slot *slot, ServerFailure failure, const char *why);
void slot_lost(Slot *slot, const char *why);

/* The batch in flight is no longer this slot's. */
Batch *slot_release_batch(Slot *slot);

/* Every call of the batch in flight has ended. */
void slot_finish_batch(Slot *slot);

/* Tells the server how many calls it has here now. */
void slot_count_inflight(Slot *slot);

/* Of calls that travel by themselves, when some have ended: `from`, or the first behind it that is
 * not over, is due. Where none is, the batch is finished, and where nobody waits for it, abandoned.
 */
void slot_go_on(Slot *slot, Call *from);

/* The socket takes more; it has more. */
void slot_write_unsent(Slot *slot);
void slot_read(Slot *slot);
