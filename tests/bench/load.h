/* bench-load, whole: what it is asked for, what it does, what it has found. */
#pragma once

#include "client.h"
#include "latency.h"

#include <glib.h>

typedef struct LoadOptions {
    char *connect, *transport, *protocol, *method;
    gint connections, depth, payload, connecting, account;
    gint64 calls;                      /* 0: until the time is over */
    double rate;                       /* of all connections, a second; 0: closed loop */
    double warm_up, seconds, patience; /* seconds */
    gboolean idle, no_greeting;
} LoadOptions;

typedef enum LoadPhase {
    LOAD_PHASE_GREETING, /* every client connects and makes one call */
    LOAD_PHASE_WARM_UP,
    LOAD_PHASE_MEASURING,
    LOAD_PHASE_DRAINING, /* no new calls */
} LoadPhase;

typedef struct Load {
    const LoadOptions *options;
    Talk talk;
    Client *clients;
    LoadPhase phase;
    uint64_t begun, right, wrong;            /* calls, of all phases */
    uint64_t begun_measured, right_measured; /* of those, while measuring */
    uint64_t unsent;  /* open loop: calls whose time had come and that found no client free */
    uint64_t greeted; /* clients */
    nsec_t greeting_time, begin, end; /* begin and end of measuring */
    uint64_t cpu_ns;                  /* of the process that is accounted, while measuring */
    Latency latency;

    /* Open loop: clients without a call, the longest idle first; a ring. */
    Client **idle;
    size_t idle_first, idle_count;
    nsec_t next_arrival;
    uint64_t random;
} Load;

/* All phases. */
void load_run(Load *load, const LoadOptions *options);
void load_clear(Load *load);

/* The calls that never got an answer. */
uint64_t load_missing(const Load *load);

/* One JSON object on stdout. */
void load_report(const Load *load);

/* CPU time of a process, all threads, in nanoseconds as exactly as the kernel tells; 0: unknown. */
uint64_t account_cpu_ns(int pid);
