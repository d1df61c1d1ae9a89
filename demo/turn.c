#include "turn.h"

typedef struct Waiter {
    GCond called;
    gboolean ready;
} Waiter;

void turn_init(Turn *turn)
{
    g_mutex_init(&turn->lock);
    turn->taken = FALSE;
    g_queue_init(&turn->waiting);
}

void turn_clear(Turn *turn)
{
    g_mutex_clear(&turn->lock);
    g_queue_clear(&turn->waiting);
}

void turn_take(Turn *turn)
{
    g_mutex_lock(&turn->lock);
    if (turn->taken) {
        Waiter waiter = {.ready = FALSE};

        g_cond_init(&waiter.called);
        g_queue_push_tail(&turn->waiting, &waiter);
        while (!waiter.ready)
            g_cond_wait(&waiter.called, &turn->lock);
        g_cond_clear(&waiter.called);
    }
    turn->taken = TRUE;
    g_mutex_unlock(&turn->lock);
}

void turn_pass(Turn *turn)
{
    Waiter *next;

    g_mutex_lock(&turn->lock);
    next = g_queue_pop_head(&turn->waiting);
    if (next != NULL) { /* it stays taken: nobody slips in between */
        next->ready = TRUE;
        g_cond_signal(&next->called);
    } else {
        turn->taken = FALSE;
    }
    g_mutex_unlock(&turn->lock);
}
