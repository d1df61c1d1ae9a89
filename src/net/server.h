/* A server of the upstream: one address, its state and its slots.
 *
 *   TRYING --connected--> UP --max_failures in a row--> OUT --probe connected--> UP
 *      \----------------- failed -----------------------^ */
#pragma once

#include "base/counters.h"
#include "base/log.h"
#include "net/address.h"
#include "net/slot.h"

typedef struct Pool Pool;

typedef enum ServerState {
    SERVER_STATE_TRYING, /* the first attempt to connect is under way */
    SERVER_STATE_UP,
    SERVER_STATE_OUT, /* probed with backoff */
} ServerState;

struct Server {
    ListLink pool_link; /* Pool.servers */
    Pool *pool;
    Address address;
    char *name; /* as configured, with its address where the name has several */
    ServerState state;
    List idle;  /* Slot.server_link; the latest used first */
    List other; /* Slot.server_link; connecting and busy */
    uint32_t n_slots;
    uint32_t n_connecting;
    uint32_t n_inflight; /* calls */
    uint32_t n_failures; /* in a row */
    nsec_t backoff;      /* before the latest probe */
    LoopTimer probe;
    uint64_t failures[SERVER_FAILURES];
    LogLimit log_limit;
};

/* A server of `pool`, which frees it. */
void server_new(Pool *pool, const Address *address, const char *name);
void server_free(Server *server); /* its slots must be freed */

/* Opens another connection, unless it has as many as it may have. */
void server_open_slot(Server *server);

/* Closes its slots; batches in flight fail with `text`. */
void server_close_slots(Server *server, const char *text);

/* What happened on its slots. `why` is for people. */
void server_connected(Server *server);
void server_answered(Server *server);
void server_failed(Server *server, ServerFailure failure, const char *why);
