/* A worker: one event loop with its listeners, clients, batcher and servers, wired together.
 *
 *   listener -> ClientSet --submit--> Batcher --take--> Pool -> Server -> Slot
 *                   ^                    |  ^                              |
 *                   +----call_ended------+  +--------answers, failures-----+
 *
 * At the end of a turn in which anything changed, `dispatch` sends what is due, writes replies and
 * sets the timers. */
#pragma once

#include <glib.h>

#include "base/counters.h"
#include "daemon/config.h"
#include "net/loop.h"

typedef struct Worker Worker;

/* Resolves the servers, opens the listening sockets and starts connecting. `config` is borrowed and
 * outlives the worker. */
Worker *worker_new(const Config *config, GError **error);
void worker_free(Worker *worker);

Loop *worker_loop(Worker *worker);
const Counters *worker_counters(const Worker *worker);

/* Works until it is drained or stopped. */
void worker_run(Worker *worker);

/* Stops accepting, finishes the calls that were accepted, at most for drain_timeout, then stops. */
void worker_drain(Worker *worker);
