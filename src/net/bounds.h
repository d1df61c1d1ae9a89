/* The bounds on pending calls and bytes that all workers share, so that nothing is shared while
 * they work.
 *
 *   Bounds: what nobody holds --borrow--> Room of a worker: what it may have pending
 *                              <--give back--
 *
 * Each worker holds a part of every bound, its room, and compares with that alone for each message.
 * Only when the room is used up does it borrow more, and once a turn, in room_settle(), it gives
 * back what it has clearly no use for: no cache line is written by several workers while the load
 * is steady. What all may have pending is never more than the bound; bytes, as with one worker, may
 * pass it by the one message that a worker was reading.
 *
 * A worker keeps up to two slacks and a call unused, and all slacks together are a small part of
 * the bound. A single worker borrows everything at once, and never gives back.
 *
 * At the bound a worker that finds no room waits, and is woken when somebody gives back. While one
 * waits, the others take nothing above their fair share (the bound divided by the workers): else
 * whoever holds everything would take again at once what becomes free, and clients of the others
 * would wait for ever. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum Bound { BOUND_CALLS, BOUND_BYTES, BOUNDS } Bound;

/* Shared; every function may be called from any thread once the rooms are made. */
typedef struct Bounds Bounds;

/* A worker's part; its own thread's alone, but for the flags. Zero before room_init(). */
typedef struct Room {
    Bounds *bounds;
    uint64_t held[BOUNDS];  /* borrowed */
    uint64_t limit[BOUNDS]; /* of what may be pending; `held`, or less while others wait */
    void (*wake)(void *data);
    void *data;
    _Atomic bool waits; /* written by its own thread */
    _Atomic bool woken; /* and has not looked yet */
} Room;

Bounds *bounds_new(unsigned n_workers, const uint64_t max[BOUNDS]);
void bounds_free(Bounds *bounds);

/* Other bounds from now on, from any thread. Where more is pending than may be, nothing is borrowed
 * until enough has ended; every room is to be settled for that. */
void bounds_set_max(Bounds *bounds, const uint64_t max[BOUNDS]);

/* The room of one of the workers. All are made before any is used, and none is used when the first
 * goes. `wake` is called from any thread, and has the room's own thread call room_woken() and
 * room_settle(). */
void room_init(Room *room, Bounds *bounds, void (*wake)(void *data), void *data);

/* Whether one more call may be taken where so much is pending here; borrows. False: the worker
 * waits, until it is woken or room_stop_waiting(). */
bool room_borrow(Room *room, const uint64_t pending[BOUNDS]);

static inline bool room_has(Room *room, uint64_t calls, uint64_t bytes)
{
    if (calls < room->limit[BOUND_CALLS] && bytes < room->limit[BOUND_BYTES])
        return true;
    return room_borrow(room, (const uint64_t[BOUNDS]){calls, bytes});
}

/* At the end of a turn, and when woken: gives back, and wakes those who wait for it. */
void room_settle(Room *room, uint64_t calls, uint64_t bytes);

/* Its worker has been told: somebody gives back, or wants what is unused here. */
void room_woken(Room *room);

/* Nobody here wants room any more. */
void room_stop_waiting(Room *room);
