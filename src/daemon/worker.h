/* A worker: one event loop with its clients and where their calls go, wired together. It runs on a
 * thread of its own and shares nothing with the others but the bounds and what is known of servers.
 *
 *   Acceptor -> ClientSet --submit--> Batcher --take--> Pool -> Server -> Slot
 *                   ^                 |  ^          (engine.h)             |
 *                   +----call_ended---+  +--------answers, failures--------+
 *
 * At the end of a turn in which anything changed, the engine's `dispatch` sends what is due, writes
 * replies and sets the timers. */
#pragma once

#include <glib.h>

#include "base/counters.h"
#include "daemon/config.h"
#include "daemon/resolver.h"
#include "net/bounds.h"
#include "net/client-set.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/server.h"

typedef struct Worker Worker;

/* All borrowed for the worker's life. */
typedef struct WorkerParams {
    Resolver *resolver;
    Bounds *bounds;
    MethodLabels *labels;
    Config *(*config)(void *data);    /* in force; from any thread, the caller unrefs it */
    void (*on_settled)(void *data);   /* draining, every reply owed has been written; called once */
    void (*on_server_up)(void *data); /* the other workers are to try again, too */
    void *data;
} WorkerParams;

/* A server as one worker sees it. */
typedef struct ServerReport {
    Endpoint *endpoint; /* referenced */
    ServerState state;
    ServerBatching batching;
    uint32_t n_inflight; /* calls */
} ServerReport;

/* What a worker has to tell. */
typedef struct WorkerReport {
    Counters counters;
    GArray *servers; /* of ServerReport */
} WorkerReport;

void worker_report_clear(WorkerReport *report);

Worker *worker_new(const WorkerParams *params, GError **error);
void worker_free(Worker *worker); /* its thread has ended */

/* From any thread: how to have the rest called on the worker's own. */
Mailbox *worker_mailbox(Worker *worker);

Loop *worker_loop(Worker *worker);
ClientSet *worker_clients(Worker *worker);
const Counters *worker_counters(const Worker *worker);

/* Connects to the servers and works until worker_end() or until the loop is stopped. */
void worker_run(Worker *worker);

/* Fills an empty report. */
void worker_make_report(const Worker *worker, WorkerReport *ret);

/* Takes over a connection. */
void worker_accept(Worker *worker, int fd);

/* There is another configuration: takes it over, and loses no client and no call. */
void worker_take_config(Worker *worker);

/* While it is paused calls are held, and nothing is sent. */
void worker_set_paused(Worker *worker, bool paused);

/* The resolver's list has changed. */
void worker_take_servers(Worker *worker);

/* Another worker has reached a server. */
void worker_server_up(Worker *worker);

/* Finishes the calls that were accepted; later ones are told so until worker_end(). */
void worker_drain(Worker *worker);

/* Draining, all has been answered: closes the clients once they are quiet (linger.h), and stops the
 * loop. */
void worker_end(Worker *worker);

/* Does so at once, whatever has been answered: the calls that are pending get an error. */
void worker_give_up(Worker *worker);
