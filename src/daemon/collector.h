/* Statistics of the whole daemon, collected while it works: each worker copies its figures when it
 * reads the letter, and nothing is locked or shared for that.
 *
 *   any thread --collect--> main thread: configuration, state
 *                              +--letter--> each worker: its report
 *                                              +--the last one, a letter--> who asked: Stats */
#pragma once

#include "admin/admin.h"
#include "daemon/config.h"
#include "daemon/resolver.h"
#include "daemon/worker.h"

typedef struct Collector Collector;

/* What the daemon does at the moment. */
typedef struct Situation {
    Config *config; /* in force; referenced */
    DaemonState state;
    bool reload_failed; /* the latest one */
} Situation;

/* All borrowed. */
typedef struct CollectorParams {
    GPtrArray *workers; /* of Worker; the first one's thread is the main thread */
    Resolver *resolver;
    MethodLabels *labels;

    void (*look)(void *data, Situation *ret); /* called on the main thread */
    void *data;
} CollectorParams;

Collector *collector_new(const CollectorParams *params);

/* Requests that are under way are never done. The workers' threads have ended. */
void collector_free(Collector *collector);

/* AdminOps.collect */
void collector_collect(Collector *collector, StatsRequest *request);
