/* What other threads want done on a loop's thread: nobody touches another thread's loop, nor
 * anything that belongs to it. For what is rare (clients handed over, draining, waking), not for
 * calls. */
#pragma once

#include <glib.h>
#include <pthread.h>

#include "net/loop.h"

/* Runs on the mailbox's thread. */
typedef void MailboxRun(void *data, int value);

typedef struct Mailbox {
    struct event event;
    int wakeup; /* eventfd(2); -1 before mailbox_init() */
    pthread_mutex_t mutex;
    GArray *letters; /* of Letter; with `mutex` */
    GArray *reading; /* the thread's own: what it took out */
} Mailbox;

/* Must not move afterwards. */
bool mailbox_init(Mailbox *mailbox, Loop *loop, GError **error);
void mailbox_clear(Mailbox *mailbox); /* letters that nobody has read are dropped */

/* From any thread; runs on the loop's thread, soon, in the order of posting. */
void mailbox_post(Mailbox *mailbox, MailboxRun *run, void *data, int value);
