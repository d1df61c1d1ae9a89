/* Tells how the daemon is getting on: the service manager every few seconds, and while it drains,
 * the log as well. Collects statistics for it, but only where somebody reads them. */
#pragma once

#include "admin/admin.h"

typedef struct Progress Progress;

/* Of the main thread; all is borrowed. */
typedef struct ProgressParams {
    Loop *loop;
    Mailbox *mailbox;
    void (*collect)(void *data, StatsRequest *request); /* as AdminOps.collect */
    void *data;
} ProgressParams;

Progress *progress_new(const ProgressParams *params);
void progress_free(Progress *progress); /* the loop has ended, or the mailbox is gone */

/* The daemon has begun to drain and gives up at that time. */
void progress_drain(Progress *progress, nsec_t until);
