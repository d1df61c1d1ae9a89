/* An engine: where a worker's calls go under one configuration: the methods, the batcher and the
 * pool of servers. What can change without calls noticing changes in place; for the rest (the
 * upstream's form, the order of calls, methods) there is another engine:
 *
 *   ClientSet --route--> engine in use
 *             --route--> retired engines: clients whose calls are still under way there
 *
 * A retired engine answers what it has, loses its clients one by one (client-set.h), then closes
 * its connections and is over. */
#pragma once

#include "base/list.h"
#include "daemon/config.h"
#include "net/client-set.h"
#include "net/pool.h"

typedef struct EngineParams {
    Config *config; /* referenced */
    Loop *loop;     /* borrowed, like all of the following */
    ClientSet *clients;
    Counters *counters;
    MethodLabels *labels;
    void (*on_turn)(void *data);      /* at the end of a turn in which anything changed */
    void (*on_server_up)(void *data); /* the other workers are to try again, too */
    void *data;
} EngineParams;

typedef struct Engine {
    ListLink link; /* the worker's: of retired engines */
    EngineParams params;
    MethodTable *methods;
    Batcher *batcher;
    Pool pool;
    Route route;
    LoopTask dispatch;
    LoopTimer window, deadline;
    bool finishing; /* retired, and without clients */
} Engine;

/* Knows of methods what `before` has learnt; NULL: nothing. */
Engine *engine_new(const EngineParams *params, const Engine *before);
void engine_free(Engine *engine); /* no client may have its route */

/* Takes over what can change in place. */
void engine_set_config(Engine *engine, const Config *config);

/* Whether both speak to servers in the same form: else a retired one keeps to those of before. */
bool engine_speaks_like(const Engine *engine, const Engine *other);

/* From now on nothing is waited for: every batch is due. */
void engine_drain(Engine *engine);

/* Another one is in use from now on: it answers what it has. Clients that do nothing but send
 * ONEWAYs on its connections stay for call_timeout at most. */
void engine_retire(Engine *engine);

/* Retired: true once it is over. To be asked again and again. */
bool engine_is_over(Engine *engine);

/* Closes its connections; calls that have not ended get INTERNAL_ERROR with `text`. */
void engine_close(Engine *engine, const char *text);
