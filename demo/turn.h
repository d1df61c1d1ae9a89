/* A lock that threads get in the order in which they asked. An ordinary one lets a busy connection
 * overtake the others for ever, which no single-threaded server does. */
#pragma once

#include <glib.h>

typedef struct Turn {
    GMutex lock;
    gboolean taken;
    GQueue waiting; /* of GCond, one a thread */
} Turn;

void turn_init(Turn *turn);
void turn_clear(Turn *turn);
void turn_take(Turn *turn);
void turn_pass(Turn *turn);
