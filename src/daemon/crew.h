/* The crew: all workers, their threads, the acceptor that gives them clients, the resolver that
 * tells them of servers, and the collector of what they have counted.
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

#include "admin/admin.h"
#include "base/counters.h"
#include "daemon/config.h"
#include "net/loop.h"

typedef struct Crew Crew;

/* Opens the listening sockets and starts the threads; all workers wait for
 * crew_run() to have clients. `config` is referenced. */
Crew *crew_new(Config *config, GError **error);
void crew_free(Crew *crew);

/* The main thread's. */
Loop *crew_loop(Crew *crew);

/* Works until it is drained or stopped, and tells the service manager of it. */
void crew_run(Crew *crew);

/* Stops accepting, finishes the calls that were accepted, at most for drain_timeout, then stops. */
void crew_drain(Crew *crew);

/* Stops at once. */
void crew_stop(Crew *crew);

/* From any thread */

/* The configuration that was set last; the caller unrefs it. */
Config *crew_config(Crew *crew);

/* Another configuration from now on; what only a restart changes stays as it is. Whoever collects
 * afterwards sees it. */
void crew_set_config(Crew *crew, Config *config);

/* Calls are held and nothing is sent while the crew is paused; draining ends that. */
void crew_set_paused(Crew *crew, bool paused);

void crew_request_drain(Crew *crew);
bool crew_is_draining(const Crew *crew);
void crew_collect(Crew *crew, StatsRequest *request); /* see admin.h */

guint crew_size(const Crew *crew);

/* What one of them has counted. Not while the crew runs. */
const Counters *crew_counters(const Crew *crew, guint worker);
