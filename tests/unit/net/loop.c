/* Turns, deferred tasks, and timers that keep sub-millisecond times. */
#include "net/loop.h"

#include <criterion/criterion.h>
#include <time.h>
#include <unistd.h>

static nsec_t clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (nsec_t)time.tv_sec * NSEC_PER_SEC + (nsec_t)time.tv_nsec;
}

static Loop *new_loop(void)
{
    GError *error = NULL;
    Loop *loop = loop_new(&error);
    cr_assert_not_null(loop, "%s", error != NULL ? error->message : "");
    return loop;
}

typedef struct Firing {
    Loop *loop;
    LoopTimer timer;
    nsec_t due, fired;
} Firing;

static void on_fire(void *data)
{
    Firing *firing = data;
    firing->fired = clock_now();
    loop_stop(firing->loop);
}

/* How late a timer of `delay` is; negative: early. */
static int64_t lateness(nsec_t delay)
{
    Firing firing = {.loop = new_loop()};
    loop_timer_init(&firing.timer, firing.loop, on_fire, &firing);
    firing.due = clock_now() + delay;
    loop_timer_set(&firing.timer, firing.due);
    loop_run(firing.loop);
    loop_free(firing.loop);
    return (int64_t)(firing.fired - firing.due);
}

/* The machine may be busy, so lateness is judged by the best of many; earliness by the worst. */
Test(loop, timers_keep_windows_below_a_millisecond)
{
    const nsec_t delays[] = {100 * NSEC_PER_USEC, 250 * NSEC_PER_USEC, 500 * NSEC_PER_USEC};
    for (size_t i = 0; i < G_N_ELEMENTS(delays); i++) {
        int64_t best = INT64_MAX;
        for (int round = 0; round < 30; round++) {
            int64_t late = lateness(delays[i]);
            cr_assert_geq(late, 0,
                          "a timer of %" G_GUINT64_FORMAT " ns fired %" G_GINT64_FORMAT " ns early",
                          delays[i], -late);
            best = MIN(best, late);
        }
        cr_expect_lt(best, (int64_t)(300 * NSEC_PER_USEC),
                     "a timer of %" G_GUINT64_FORMAT " ns is %" G_GINT64_FORMAT " ns late at best",
                     delays[i], best);
    }
}

typedef struct StaleClock {
    Firing firing;
    LoopTimer first;
} StaleClock;

/* Works for a while, as a callback that handles many calls does, and sets a timer then. */
static void work_then_set(void *data)
{
    StaleClock *stale = data;
    nsec_t begin = clock_now();
    while (clock_now() - begin < 5 * NSEC_PER_MSEC)
        ;
    stale->firing.due = clock_now() + 500 * NSEC_PER_USEC;
    loop_timer_set(&stale->firing.timer, stale->firing.due);
}

Test(loop, a_timer_set_late_in_a_turn_is_not_early)
{
    StaleClock stale = {.firing = {.loop = new_loop()}};
    loop_timer_init(&stale.firing.timer, stale.firing.loop, on_fire, &stale.firing);
    loop_timer_init(&stale.first, stale.firing.loop, work_then_set, &stale);
    loop_timer_set(&stale.first, clock_now() + NSEC_PER_MSEC);
    loop_run(stale.firing.loop);
    cr_expect_geq(stale.firing.fired, stale.firing.due);
    loop_free(stale.firing.loop);
}

typedef struct Turns {
    Loop *loop;
    LoopTask again, stop;
    int runs;
} Turns;

static void run_again(void *data)
{
    Turns *turns = data;
    turns->runs++;
    if (turns->runs < 3)
        loop_defer(turns->loop, &turns->again);
    else
        loop_stop(turns->loop);
}

Test(loop, a_task_deferred_twice_runs_once_a_turn)
{
    Turns turns = {.loop = new_loop()};
    LoopTimer alive; /* the loop has something to wait for */
    loop_timer_init(&alive, turns.loop, run_again, &turns);
    loop_timer_set(&alive, clock_now() + 3600 * NSEC_PER_SEC);
    loop_task_init(&turns.again, run_again, &turns);
    loop_defer(turns.loop, &turns.again);
    loop_defer(turns.loop, &turns.again);
    loop_run(turns.loop);
    cr_expect_eq(turns.runs, 3);
    loop_timer_clear(&alive);
    loop_free(turns.loop);
}

enum { TOO_MANY_EVENTS = 10000 };

/* A pipe with a byte that nobody reads: it stays ready. */
typedef struct Busy {
    Loop *loop;
    LoopTask *task; /* deferred at the first event; NULL: none */
    struct event ready;
    int pipe[2];
    int events;
    nsec_t first, latest;
} Busy;

static void on_ready(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    Busy *busy = argument;
    busy->latest = loop_now(busy->loop);
    if (busy->events++ == 0) {
        busy->first = busy->latest;
        if (busy->task != NULL)
            loop_defer(busy->loop, busy->task);
    }
    if (busy->events == TOO_MANY_EVENTS) {
        event_base_loopbreak(busy->loop->base);
        loop_stop(busy->loop);
    }
}

static void busy_begin(Busy *busy, Loop *loop, LoopTask *task)
{
    *busy = (Busy){.loop = loop, .task = task};
    cr_assert_eq(pipe(busy->pipe), 0);
    cr_assert_eq(write(busy->pipe[1], "x", 1), 1);
    event_assign(&busy->ready, loop->base, busy->pipe[0], EV_READ | EV_PERSIST, on_ready, busy);
    event_add(&busy->ready, NULL);
}

static void busy_end(Busy *busy)
{
    event_del(&busy->ready);
    close(busy->pipe[0]);
    close(busy->pipe[1]);
}

Test(loop, something_that_stays_ready_holds_up_neither_tasks_nor_the_clock)
{
    Turns turns = {.loop = new_loop()};
    loop_task_init(&turns.again, run_again, &turns);
    Busy busy;
    busy_begin(&busy, turns.loop, &turns.again);
    loop_run(turns.loop);
    cr_expect_eq(turns.runs, 3);
    cr_expect_eq(busy.events, 3, "%d events in 3 turns", busy.events);
    cr_expect_gt(busy.latest, busy.first);
    busy_end(&busy);
    loop_free(turns.loop);
}

Test(loop, something_that_stays_ready_holds_up_no_timer)
{
    Firing firing = {.loop = new_loop()};
    Busy busy;
    busy_begin(&busy, firing.loop, NULL);
    loop_timer_init(&firing.timer, firing.loop, on_fire, &firing);
    firing.due = clock_now() + 500 * NSEC_PER_USEC;
    loop_timer_set(&firing.timer, firing.due);
    loop_run(firing.loop);
    cr_expect_geq(firing.fired, firing.due, "not within %d turns", busy.events);
    busy_end(&busy);
    loop_free(firing.loop);
}

typedef struct Patient {
    Loop *loop;
    LoopTimer timer;
    LoopTask again;
    nsec_t due;
    int firings;
} Patient;

static void run_for_ever(void *data)
{
    Patient *patient = data;
    loop_defer(patient->loop, &patient->again);
}

/* As whoever is called by a timer has to: looks at the clock, and sets it again while it is too
 * early. */
static void on_patient(void *data)
{
    Patient *patient = data;
    if (loop_now(patient->loop) >= patient->due) {
        loop_stop(patient->loop);
    } else if (++patient->firings == TOO_MANY_EVENTS) {
        event_base_loopbreak(patient->loop->base);
        loop_stop(patient->loop);
    } else {
        loop_timer_set(&patient->timer, patient->due);
    }
}

/* The turn has begun before the time, and its work goes on until after it. */
static void work_past_due(void *data)
{
    Patient *patient = data;
    patient->due = loop_now(patient->loop) + NSEC_PER_MSEC;
    while (clock_now() < patient->due)
        ;
    loop_timer_set(&patient->timer, patient->due);
}

Test(loop, a_timer_that_becomes_due_within_a_turn_with_tasks_does_not_spin)
{
    Patient patient = {.loop = new_loop()};
    LoopTimer work;
    loop_timer_init(&work, patient.loop, work_past_due, &patient);
    loop_timer_init(&patient.timer, patient.loop, on_patient, &patient);
    loop_task_init(&patient.again, run_for_ever, &patient);
    loop_timer_set(&work, clock_now());
    loop_defer(patient.loop, &patient.again);
    loop_run(patient.loop);
    cr_expect_lt(patient.firings, 10, "%d firings before its time", patient.firings);
    loop_timer_clear(&patient.timer);
    loop_free(patient.loop);
}

Test(loop, a_cleared_timer_does_not_fire_and_a_sooner_time_wins)
{
    Firing cleared = {.loop = new_loop()};
    loop_timer_init(&cleared.timer, cleared.loop, on_fire, &cleared);
    loop_timer_set(&cleared.timer, clock_now() + NSEC_PER_MSEC);
    loop_timer_set(&cleared.timer, NSEC_NEVER);
    Firing firing = {.loop = cleared.loop};
    loop_timer_init(&firing.timer, firing.loop, on_fire, &firing);
    loop_timer_set(&firing.timer, clock_now() + 3600 * NSEC_PER_SEC);
    loop_timer_set(&firing.timer, clock_now() + 3 * NSEC_PER_MSEC);
    loop_run(firing.loop);
    cr_expect_eq(cleared.fired, 0);
    cr_expect_gt(firing.fired, 0);
    loop_free(firing.loop);
}
