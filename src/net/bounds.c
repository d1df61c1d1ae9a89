#include "net/bounds.h"

#include <glib.h>
#include <stdlib.h>

#include "base/check.h"

/* The slacks that all workers may keep are at most 1/SLACKS of a bound. */
enum { SLACKS = 64 };

/* What is written when somebody borrows or gives back, apart from what everybody reads: the padding
 * is wanted. */
struct Bounds { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    _Atomic uint64_t max[BOUNDS];
    _Atomic uint64_t slack[BOUNDS];
    _Atomic uint64_t fair[BOUNDS];
    Room **rooms;
    unsigned n_workers, n_rooms;
    _Alignas(64) _Atomic int64_t left[BOUNDS]; /* negative: a bound has been lowered below that */
    _Alignas(64) _Atomic unsigned n_waiting;
};

static uint64_t get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void set(_Atomic uint64_t *value, uint64_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

Bounds *bounds_new(unsigned n_workers, const uint64_t max[BOUNDS])
{
    Bounds *bounds = aligned_alloc(_Alignof(Bounds), sizeof *bounds);
    check(bounds != NULL);
    *bounds = (Bounds){.n_workers = n_workers, .rooms = g_new0(Room *, n_workers)};
    bounds_set_max(bounds, max);
    return bounds;
}

void bounds_set_max(Bounds *bounds, const uint64_t max[BOUNDS])
{
    unsigned n = bounds->n_workers;
    for (int i = 0; i < BOUNDS; i++) {
        uint64_t before = atomic_exchange(&bounds->max[i], max[i]);
        set(&bounds->slack[i], n == 1 ? max[i] : max[i] / SLACKS / n);
        set(&bounds->fair[i], MAX(max[i] / n, 1));
        atomic_fetch_add(&bounds->left[i], (int64_t)max[i] - (int64_t)before);
    }
}

void bounds_free(Bounds *bounds)
{
    if (bounds == NULL)
        return;
    g_free(bounds->rooms);
    free(bounds);
}

void room_init(Room *room, Bounds *bounds, void (*wake)(void *data), void *data)
{
    check(bounds->n_rooms < bounds->n_workers);
    bounds->rooms[bounds->n_rooms++] = room;
    *room = (Room){.bounds = bounds, .wake = wake, .data = data};
}

static bool others_wait(const Room *room)
{
    unsigned n_waiting = atomic_load(&room->bounds->n_waiting);
    return n_waiting > atomic_load_explicit(&room->waits, memory_order_relaxed);
}

static void set_limit(Room *room, Bound bound, bool yields)
{
    const Bounds *bounds = room->bounds;
    uint64_t most = yields ? get(&bounds->fair[bound]) : get(&bounds->max[bound]);
    room->limit[bound] = MIN(room->held[bound], most);
}

/* As much of `amount` as is left. */
static uint64_t take_left(_Atomic int64_t *left, uint64_t amount)
{
    int64_t before = atomic_load(left), taken;
    do
        taken = MIN(before, (int64_t)amount);
    while (taken > 0 && !atomic_compare_exchange_weak(left, &before, before - taken));
    return taken > 0 ? (uint64_t)taken : 0;
}

static bool may_borrow(const Room *room, Bound bound, uint64_t pending, bool yields)
{
    if (yields && pending >= get(&room->bounds->fair[bound]))
        return false;
    return pending < room->held[bound] || atomic_load(&room->bounds->left[bound]) > 0;
}

static bool borrow(Room *room, Bound bound, uint64_t pending, bool yields)
{
    Bounds *bounds = room->bounds;
    uint64_t slack = yields ? 0 : get(&bounds->slack[bound]);
    if (pending >= room->held[bound])
        room->held[bound] +=
            take_left(&bounds->left[bound], pending + 1 + slack - room->held[bound]);
    set_limit(room, bound, yields);
    return pending < room->limit[bound];
}

/* Nothing of one bound where the other is in the way: given back unused, it would wake those who
 * wait too, and they this one, for ever. */
static bool borrow_all(Room *room, const uint64_t pending[BOUNDS])
{
    bool yields = others_wait(room), may = true;
    for (Bound bound = 0; bound < BOUNDS; bound++) {
        set_limit(room, bound, yields);
        may = may_borrow(room, bound, pending[bound], yields) && may;
    }
    return may && borrow(room, BOUND_CALLS, pending[BOUND_CALLS], yields) &&
           borrow(room, BOUND_BYTES, pending[BOUND_BYTES], yields);
}

static void start_waiting(Room *room)
{
    if (atomic_load_explicit(&room->waits, memory_order_relaxed))
        return;
    atomic_store(&room->waits, true);
    atomic_fetch_add(&room->bounds->n_waiting, 1);
}

void room_stop_waiting(Room *room)
{
    if (!atomic_load_explicit(&room->waits, memory_order_relaxed))
        return;
    atomic_store(&room->waits, false);
    atomic_fetch_sub(&room->bounds->n_waiting, 1);
}

static void wake_others(const Room *room, bool waiting)
{
    const Bounds *bounds = room->bounds;
    for (unsigned i = 0; i < bounds->n_rooms; i++) {
        Room *other = bounds->rooms[i];
        bool wanted = other != room && atomic_load(&other->waits) == waiting;
        if (wanted && !atomic_exchange(&other->woken, true))
            other->wake(other->data);
    }
}

/* Whoever gives back first does so and then looks who waits; whoever waits first says so and then
 * looks what there is: one of the two sees the other. Where nothing that ends here will make room,
 * what others keep unused is asked for; not of those who wait, else two would wake each other for
 * ever. */
bool room_borrow(Room *room, const uint64_t pending[BOUNDS])
{
    bool found = borrow_all(room, pending);
    if (!found) {
        start_waiting(room);
        found = borrow_all(room, pending);
    }
    if (found)
        room_stop_waiting(room);
    else if (pending[BOUND_CALLS] == 0)
        wake_others(room, false);
    return found;
}

static bool give_back(Room *room, Bound bound, uint64_t pending, bool yields)
{
    uint64_t slack = yields ? 0 : get(&room->bounds->slack[bound]);
    uint64_t kept = pending + slack;
    bool gives = room->held[bound] > kept && room->held[bound] - kept > slack;
    if (gives) {
        atomic_fetch_add(&room->bounds->left[bound], (int64_t)(room->held[bound] - kept));
        room->held[bound] = kept;
    }
    set_limit(room, bound, yields);
    return gives;
}

void room_settle(Room *room, uint64_t calls, uint64_t bytes)
{
    bool yields = others_wait(room);
    bool gave = give_back(room, BOUND_CALLS, calls, yields);
    gave = give_back(room, BOUND_BYTES, bytes, yields) || gave;
    if (gave && others_wait(room))
        wake_others(room, true);
}

void room_woken(Room *room)
{
    atomic_store(&room->woken, false);
}
