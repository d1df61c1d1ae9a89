/* The end of a worker's drain: every call that was accepted has been answered, and the clients that
 * are still connected are to be closed. A client that calls just then would find its connection
 * broken instead of being told, so they are closed after a moment in which nobody has called; who
 * goes on calling all the same is waited for no longer than a second. Without clients it is over at
 * once. */
#pragma once

#include "net/client-set.h"

typedef struct Linger {
    ClientSet *clients; /* borrowed, draining */
    nsec_t since;
    LoopTimer timer;
    LoopTask look;
    void (*over)(void *data);
    void *data;
} Linger;

/* Must not move afterwards. `over` is called once, on the loop's thread, from linger_begin() or
 * later, unless it is cleared before. */
void linger_init(Linger *linger, Loop *loop, ClientSet *clients, void (*over)(void *data),
                 void *data);
void linger_begin(Linger *linger);
void linger_clear(Linger *linger);
