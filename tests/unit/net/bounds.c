/* Rooms of several workers: what they may have pending together, who is woken, and who yields. */
#include "net/bounds.h"

#include <criterion/criterion.h>
#include <glib.h>
#include <pthread.h>

enum { MOST_WORKERS = 4 };

typedef struct Crew {
    Bounds *bounds;
    Room rooms[MOST_WORKERS];
    uint64_t calls[MOST_WORKERS]; /* pending */
    unsigned wakes[MOST_WORKERS];
} Crew;

static void count_wake(void *data)
{
    (*(unsigned *)data)++;
}

static void set_up(Crew *crew, unsigned n, uint64_t max_calls, uint64_t max_bytes)
{
    const uint64_t max[BOUNDS] = {[BOUND_CALLS] = max_calls, [BOUND_BYTES] = max_bytes};
    *crew = (Crew){.bounds = bounds_new(n, max)};
    for (unsigned i = 0; i < n; i++)
        room_init(&crew->rooms[i], crew->bounds, count_wake, &crew->wakes[i]);
}

/* One more call, where there is room. */
static bool take(Crew *crew, unsigned i)
{
    bool has = room_has(&crew->rooms[i], crew->calls[i], 0);
    crew->calls[i] += has;
    return has;
}

static uint64_t take_all(Crew *crew, unsigned i)
{
    uint64_t n = 0;
    while (take(crew, i))
        n++;
    return n;
}

static void end_calls(Crew *crew, unsigned i, uint64_t n)
{
    crew->calls[i] -= n;
    room_settle(&crew->rooms[i], crew->calls[i], 0);
}

/* As a worker does that has been woken, and wants as much as there is. */
static uint64_t look(Crew *crew, unsigned i)
{
    room_woken(&crew->rooms[i]);
    return take_all(crew, i);
}

Test(bounds, one_worker_may_have_all_of_it_and_no_more)
{
    const uint64_t bounds[] = {1, 2, 100, 100000};
    for (size_t i = 0; i < G_N_ELEMENTS(bounds); i++) {
        Crew crew;
        set_up(&crew, 1, bounds[i], 1024);
        cr_expect_eq(take_all(&crew, 0), bounds[i]);
        end_calls(&crew, 0, 1);
        cr_expect_eq(take_all(&crew, 0), 1);
        bounds_free(crew.bounds);
    }
}

Test(bounds, all_together_have_no_more_and_almost_all_of_it)
{
    const uint64_t bounds[] = {1, 2, 3, 10, 127, 1000, 100000};
    for (size_t i = 0; i < G_N_ELEMENTS(bounds); i++) {
        Crew crew;
        set_up(&crew, 4, bounds[i], 1024);
        uint64_t n = 0;
        for (bool any = true; any;) {
            any = false;
            for (unsigned worker = 0; worker < 4; worker++) {
                bool took = take(&crew, worker);
                n += took;
                any = any || took;
            }
        }
        cr_expect_leq(n, bounds[i]);
        cr_expect_geq(n, bounds[i] - bounds[i] / 32);
        bounds_free(crew.bounds);
    }
}

Test(bounds, bytes_are_one)
{
    Crew crew;
    set_up(&crew, 2, 1000000, 1000);
    cr_expect(room_has(&crew.rooms[0], 1, 999));
    cr_expect_not(room_has(&crew.rooms[0], 1, 1000));
    cr_expect_not(room_has(&crew.rooms[1], 0, 0));
    room_settle(&crew.rooms[0], 1, 400);
    cr_expect(room_has(&crew.rooms[1], 0, 0));
    cr_expect_not(room_has(&crew.rooms[1], 1, 600));
    bounds_free(crew.bounds);
}

Test(bounds, who_found_no_room_is_woken_once_by_who_gives_back)
{
    Crew crew;
    set_up(&crew, 3, 10, 1024);
    cr_assert_eq(take_all(&crew, 0), 10);
    end_calls(&crew, 0, 5);
    cr_expect_eq(crew.wakes[1], 0, "it did not ask for room");
    cr_assert_eq(take_all(&crew, 0), 5);
    cr_assert_eq(take_all(&crew, 1), 0);
    end_calls(&crew, 0, 1);
    end_calls(&crew, 0, 1);
    cr_expect_eq(crew.wakes[1], 1, "%u", crew.wakes[1]);
    cr_expect_eq(crew.wakes[2], 1, "only to ask for what it keeps unused");
    cr_expect_eq(look(&crew, 1), 2);
    end_calls(&crew, 0, 1);
    cr_expect_eq(crew.wakes[1], 2, "it waits again");
    bounds_free(crew.bounds);
}

Test(bounds, what_an_idle_worker_keeps_unused_can_be_had)
{
    Crew crew;
    set_up(&crew, 2, 1, 1024);
    cr_assert(room_has(&crew.rooms[1], 0, 0), "and it takes nothing");
    cr_assert_eq(take_all(&crew, 0), 0);
    cr_expect_eq(crew.wakes[1], 1);
    room_woken(&crew.rooms[1]);
    end_calls(&crew, 1, 0);
    cr_expect_eq(crew.wakes[0], 1);
    cr_expect_eq(look(&crew, 0), 1);
    bounds_free(crew.bounds);
}

Test(bounds, who_holds_everything_yields_to_who_waits_until_the_shares_are_fair)
{
    Crew crew;
    set_up(&crew, 2, 100, 1024);
    cr_assert_eq(take_all(&crew, 0), 100);
    cr_assert_eq(take_all(&crew, 1), 0);
    for (int turn = 0; turn < 60; turn++) {
        if (crew.calls[0] > 0)
            end_calls(&crew, 0, 1);
        take_all(&crew, 0); /* it is always the first to look */
        look(&crew, 1);
    }
    cr_expect_eq(crew.calls[0], 50, "%d", (int)crew.calls[0]);
    cr_expect_eq(crew.calls[1], 50, "%d", (int)crew.calls[1]);
    room_stop_waiting(&crew.rooms[1]);
    end_calls(&crew, 1, 50);
    cr_expect_eq(look(&crew, 0), 50, "nobody waits any more");
    bounds_free(crew.bounds);
}

Test(bounds, a_steady_load_shares_nothing)
{
    Crew crew;
    set_up(&crew, 4, 100000, 1 << 20);
    for (int i = 0; i < 50; i++)
        take(&crew, 1);
    uint64_t held = crew.rooms[1].held[BOUND_CALLS];
    for (int turn = 0; turn < 1000; turn++) {
        for (int i = 0; i < 50; i++)
            take(&crew, 1);
        end_calls(&crew, 1, 50);
        cr_assert_eq(crew.rooms[1].held[BOUND_CALLS], held);
    }
    bounds_free(crew.bounds);
}

/* Workers in threads that take and end calls; a conditional variable stands for the mailbox. */
typedef struct Racer {
    Room room;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool woken;
    unsigned seed;
    _Atomic uint64_t *pending;
    uint64_t most; /* pending over all, as seen */
} Racer;

enum { RACE_BOUND = 7, RACE_TURNS = 20000 };

static void wake_racer(void *data)
{
    Racer *racer = data;
    pthread_mutex_lock(&racer->mutex);
    racer->woken = true;
    pthread_cond_signal(&racer->changed);
    pthread_mutex_unlock(&racer->mutex);
}

static void await_wake(Racer *racer)
{
    pthread_mutex_lock(&racer->mutex);
    while (!racer->woken)
        pthread_cond_wait(&racer->changed, &racer->mutex);
    racer->woken = false;
    pthread_mutex_unlock(&racer->mutex);
    room_woken(&racer->room);
}

static void *race(void *data)
{
    Racer *racer = data;
    uint64_t calls = 0;
    for (int turn = 0; turn < RACE_TURNS; turn++) {
        unsigned wanted = (unsigned)rand_r(&racer->seed) % (2 * RACE_BOUND);
        while (wanted > 0 && room_has(&racer->room, calls, 0)) {
            calls++;
            wanted--;
            uint64_t all = atomic_fetch_add(racer->pending, 1) + 1;
            racer->most = MAX(racer->most, all);
        }
        if (wanted > 0 && calls == 0)
            await_wake(racer); /* nothing of its own will end */
        else
            room_stop_waiting(&racer->room);
        uint64_t ended = calls == 0 ? 0 : 1 + (uint64_t)rand_r(&racer->seed) % calls;
        atomic_fetch_sub(racer->pending, ended);
        calls -= ended;
        room_settle(&racer->room, calls, 0);
    }
    atomic_fetch_sub(racer->pending, calls);
    room_settle(&racer->room, 0, 0);
    room_stop_waiting(&racer->room);
    return NULL;
}

Test(bounds, threads_lose_neither_room_nor_wakes, .timeout = 60)
{
    const uint64_t max[BOUNDS] = {RACE_BOUND, 1024};
    Bounds *bounds = bounds_new(MOST_WORKERS, max);
    _Atomic uint64_t pending = 0;
    static Racer racers[MOST_WORKERS];
    for (unsigned i = 0; i < MOST_WORKERS; i++) {
        room_init(&racers[i].room, bounds, wake_racer, &racers[i]);
        pthread_mutex_init(&racers[i].mutex, NULL);
        pthread_cond_init(&racers[i].changed, NULL);
        racers[i].seed = i + 1;
        racers[i].pending = &pending;
    }
    for (unsigned i = 0; i < MOST_WORKERS; i++)
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    for (unsigned i = 0; i < MOST_WORKERS; i++) {
        pthread_join(racers[i].thread, NULL);
        cr_expect_leq(racers[i].most, RACE_BOUND);
    }
    uint64_t left = 0;
    for (; left <= RACE_BOUND && room_borrow(&racers[0].room, (uint64_t[BOUNDS]){left, 0}); left++)
        ;
    cr_expect_eq(left, RACE_BOUND, "%d left", (int)left);
    bounds_free(bounds);
}

static void set_max_calls(Crew *crew, unsigned n, uint64_t max_calls)
{
    const uint64_t max[BOUNDS] = {[BOUND_CALLS] = max_calls, [BOUND_BYTES] = 1024};
    bounds_set_max(crew->bounds, max);
    for (unsigned i = 0; i < n; i++) {
        room_woken(&crew->rooms[i]);
        room_settle(&crew->rooms[i], crew->calls[i], 0);
    }
}

static uint64_t pending(const Crew *crew, unsigned n)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += crew->calls[i];
    return total;
}

Test(bounds, may_be_raised_while_they_are_used_up)
{
    for (unsigned n = 1; n <= 2; n++) {
        Crew crew;
        set_up(&crew, n, 100, 1024);
        cr_expect_eq(take_all(&crew, 0), 100);
        set_max_calls(&crew, n, 300);
        cr_expect_eq(take_all(&crew, 0), 200, "%u workers", n);
        bounds_free(crew.bounds);
    }
}

Test(bounds, may_be_lowered_below_what_is_pending)
{
    for (unsigned n = 1; n <= 2; n++) {
        Crew crew;
        set_up(&crew, n, 1000, 1024);
        take_all(&crew, 0);
        set_max_calls(&crew, n, 10);
        cr_expect_eq(take_all(&crew, 0), 0);
        end_calls(&crew, 0, 985);
        cr_expect_eq(take_all(&crew, 0), 0, "15 are pending");
        cr_expect_eq(take_all(&crew, n - 1), 0);
        end_calls(&crew, 0, 15);
        while (take_all(&crew, 0) + take_all(&crew, n - 1) > 0)
            ;
        cr_expect_eq(pending(&crew, n), 10, "%u workers: %d", n, (int)pending(&crew, n));
        bounds_free(crew.bounds);
    }
}
