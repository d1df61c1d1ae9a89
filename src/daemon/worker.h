/* A worker: one event loop with its clients, batcher and servers, wired together. It runs on a
 * thread of its own and shares nothing with the others but the bounds and what is known of servers.
 *
 *   Acceptor -> ClientSet --submit--> Batcher --take--> Pool -> Server -> Slot
 *                   ^                    |  ^                              |
 *                   +----call_ended------+  +--------answers, failures-----+
 *
 * At the end of a turn in which anything changed, `dispatch` sends what is due, writes replies and
 * sets the timers. */
#pragma once

#include <glib.h>

#include "base/counters.h"
#include "daemon/config.h"
#include "daemon/resolver.h"
#include "net/bounds.h"
#include "net/client-set.h"
#include "net/loop.h"
#include "net/mailbox.h"

typedef struct Worker Worker;

/* All borrowed for the worker's life. */
typedef struct WorkerParams {
    const Config *config;
    Resolver *resolver;
    Bounds *bounds;
    void (*on_settled)(void *data);   /* draining, every reply owed has been written; called once */
    void (*on_server_up)(void *data); /* the other workers are to try again, too */
    void *data;
} WorkerParams;

Worker *worker_new(const WorkerParams *params, GError **error);
void worker_free(Worker *worker); /* its thread has ended */

/* From any thread: how to have the rest called on the worker's own. */
Mailbox *worker_mailbox(Worker *worker);

Loop *worker_loop(Worker *worker);
ClientSet *worker_clients(Worker *worker);
const Counters *worker_counters(const Worker *worker);

/* Connects to the servers and works until worker_end() or until the loop is stopped. */
void worker_run(Worker *worker);

/* Takes over a connection. */
void worker_accept(Worker *worker, int fd);

/* The resolver's list has changed. */
void worker_take_servers(Worker *worker);

/* Another worker has reached a server. */
void worker_server_up(Worker *worker);

/* Finishes the calls that were accepted; later ones are told so until worker_end(). */
void worker_drain(Worker *worker);

/* Closes the clients and stops the loop. */
void worker_end(Worker *worker);

/* The same before all has been answered: the calls that are pending get an error. */
void worker_give_up(Worker *worker);
