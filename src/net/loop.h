/* One worker's event loop: libevent with a clock, precise timers, tasks at the end of a turn and
 * buffers that all of its connections share. A turn is one wait for events, their callbacks, the
 * timers that are due, and then the deferred tasks.
 *
 * The timers are the loop's own, behind one timerfd that is set to the earliest of them. libevent's
 * are either rounded to milliseconds (a window of 500 us takes 4 ms) or cost a system call each
 * turn; here it is one when the loop is about to wait and an earlier time has come up.
 *
 * No callback frees its own object: it closes it and defers a task that frees it. */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/nsec.h"

enum { LOOP_READ_SIZE = 64 * 1024, LOOP_WRITE_SIZE = 32 * 1024 };

typedef struct Loop {
    struct event_base *base;
    uint8_t *read_buffer;  /* LOOP_READ_SIZE; its bytes are valid until the next read */
    uint8_t *write_buffer; /* LOOP_WRITE_SIZE; overwritten by pieces_send() */
    List tasks;            /* LoopTask.link */
    List timers;           /* LoopTimer.link: those that are set, by `at` */
    struct event timer_event;
    nsec_t timer_at; /* what the timerfd is set to; NSEC_NEVER: nothing */
    nsec_t now;      /* of this turn; 0: not read yet */
    int timer_fd;
    bool stopping;
} Loop;

/* Runs once at the end of the turn in which it is deferred. */
typedef struct LoopTask {
    ListLink link;
    void (*run)(void *data);
    void *data;
} LoopTask;

/* Fires once at its time, or somewhat earlier when it was moved to a later one: whoever is called
 * looks at the clock and sets it again. */
typedef struct LoopTimer {
    ListLink link;
    Loop *loop;
    nsec_t at; /* NSEC_NEVER: not set */
    void (*fire)(void *data);
    void *data;
} LoopTimer;

Loop *loop_new(GError **error);
void loop_free(Loop *loop);

/* Turns until loop_stop(). */
void loop_run(Loop *loop);
void loop_stop(Loop *loop);

/* CLOCK_MONOTONIC, read once a turn. */
nsec_t loop_now(Loop *loop);

void loop_task_init(LoopTask *task, void (*run)(void *data), void *data);
void loop_defer(Loop *loop, LoopTask *task); /* nothing happens when it already is deferred */
void loop_cancel(LoopTask *task);            /* nor when it is not */

void loop_timer_init(LoopTimer *timer, Loop *loop, void (*fire)(void *data), void *data);
void loop_timer_set(LoopTimer *timer, nsec_t at); /* NSEC_NEVER: clears it */
void loop_timer_clear(LoopTimer *timer);
