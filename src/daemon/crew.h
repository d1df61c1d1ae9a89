/* The crew: all workers, their threads, the acceptor that gives them clients, and the resolver that
 * tells them of servers.
 *
 *   main thread   signals --> Crew      Acceptor   worker 1
 *                              |           |           ^ |
 *                   drain, end |   clients |   settled | | a server is up
 *                              v           v           | v
 *   resolver ---servers---> Mailbox of each worker    Mailbox of worker 1; of each worker
 *                                       |              ^ ^
 *   other threads                   worker 2, 3 ... ---+-+
 *
 * The first worker runs on the main thread, so that a daemon with one worker, and no names to look
 * up, has one thread. What the crew asks of it happens at once; what it asks of the others goes
 * through their mailboxes. */
#pragma once

#include <glib.h>

#include "base/counters.h"
#include "daemon/config.h"
#include "net/mailbox.h"

typedef struct Crew Crew;

/* Opens the listening sockets and starts the threads; all workers wait for
 * crew_run() to have clients. `config` is borrowed and outlives the crew. */
Crew *crew_new(const Config *config, GError **error);
void crew_free(Crew *crew);

/* The main thread's. */
Loop *crew_loop(Crew *crew);

/* Of one of the workers' loops; the first one's is the main thread's. */
Mailbox *crew_mailbox(const Crew *crew, guint worker);

/* Works until it is drained or stopped. */
void crew_run(Crew *crew);

/* Stops accepting, finishes the calls that were accepted, at most for drain_timeout, then stops. */
void crew_drain(Crew *crew);

/* Stops at once. */
void crew_stop(Crew *crew);

guint crew_size(const Crew *crew);

/* What one of them has counted. Not while the crew runs. */
const Counters *crew_counters(const Crew *crew, guint worker);
