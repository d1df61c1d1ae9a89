/* Sees that every worker's loop turns, and says so for as long as it is true. A worker is asked by
 * a letter, and answers when its loop comes to it; all are asked anew when all have answered.
 *
 *   home   ask --+--> Mailbox of worker 1 --+--> all have answered: alive
 *                +--> Mailbox of worker 2 --+    one has not: silence, and a warning */
#pragma once

#include "net/mailbox.h"

typedef struct Watchdog Watchdog;

typedef struct WatchdogParams {
    Loop *loop;          /* where it runs; borrowed, like the mailboxes */
    Mailbox *home;       /* that loop's */
    GPtrArray *watched;  /* of Mailbox, of each worker's loop; a reference is taken */
    nsec_t period;       /* how often they are asked */
    void (*alive)(void); /* all have answered; on `loop` */
} WatchdogParams;

/* Asks for the first time at once. */
Watchdog *watchdog_new(const WatchdogParams *params);

/* The loops must have ended, or their mailboxes gone: a worker may still have its letter. */
void watchdog_free(Watchdog *watchdog);
