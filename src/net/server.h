/* A server of the upstream: one address, its state (server-state.h) and its slots.
 *
 * One that is drained gets no new batch and no new client. What is in flight on it ends as it would
 * otherwise; then its connections close, and with the last of them it goes. A connection that
 * clients are bound to (a ONEWAY of theirs went there) stays for their next calls, but not for
 * longer than call_timeout. */
#pragma once

#include "base/counters.h"
#include "base/log.h"
#include "net/server-list.h"
#include "net/server-state.h"
#include "net/slot.h"

typedef struct Pool Pool;

/* Whether a server serves the batch method of envelopes. */
typedef enum ServerBatching {
    SERVER_BATCHING_UNKNOWN, /* it is being asked, or will be */
    SERVER_BATCHING_YES,
    SERVER_BATCHING_NO, /* asked again every batch_retry_interval */
} ServerBatching;

struct Server {
    ListLink pool_link; /* Pool.servers */
    Pool *pool;
    Endpoint *endpoint;
    char *name; /* as configured, with its address where the name has several */
    ServerHealth health;
    ServerBatching batching;
    bool asks;             /* the next connection asks whether it batches */
    List idle[SLOT_KINDS]; /* Slot.server_link; the latest used first */
    List other;            /* Slot.server_link; connecting and busy */
    uint32_t n_slots[SLOT_KINDS];
    uint32_t n_connecting[SLOT_KINDS];
    uint32_t n_inflight; /* calls */
    LoopTimer probe;
    LoopTimer patience;         /* DRAINING: for clients that are bound to a connection */
    LoopTimer retry;            /* of the question whether it batches */
    GHashTable *unknown_native; /* MethodPolicy -> nsec_t, until when it is passed through */
    GHashTable *misshapen;      /* of MethodPolicy: said so, and not answered rightly since */
    LogLimit log_limit, up_limit, out_limit, batching_limit;
};

/* A server of `pool`, which frees it. It is being connected to. */
void server_new(Pool *pool, const ServerEntry *entry);
void server_free(Server *server); /* its slots must be freed */

static inline bool server_is_up(const Server *server)
{
    return server->health.state == SERVER_STATE_UP;
}

static inline bool server_is_draining(const Server *server)
{
    return server->health.state == SERVER_STATE_DRAINING;
}

/* Another worker has reached it: it is worth a probe. */
void server_up_elsewhere(Server *server);

/* Calls that were held are to go on. Where it is out, it is tried at once, and they wait for that.
 */
void server_wanted(Server *server);

/* No name has its address any more. */
void server_drain(Server *server);

/* DRAINING: closes the connections that nobody needs any more. */
void server_close_unneeded(Server *server, nsec_t now);
bool server_is_drained(const Server *server);

/* Opens another connection, unless it has as many as it may have. */
void server_open_slot(Server *server, SlotKind kind);
bool server_may_open_slot(const Server *server, SlotKind kind);

/* Closes idle connections of which it has more than it may have by now; true where busy ones are
 * left of these. */
bool server_close_surplus(Server *server);

/* Idle connections are to end by an idle_timeout that may have become shorter. */
void server_watch_idle_slots(Server *server);

/* Closes its slots; batches in flight fail with `text`. */
void server_close_slots(Server *server, const char *text);

/* Whether a batch of this kind can be sent to it. */
bool server_batches(const Server *server, const Batch *batch, nsec_t now);

/* What happened on its slots. `why` is for people. */
void server_connected(Server *server, Slot *slot);
void server_slot_idle(Server *server, Slot *slot); /* after a batch: it may be asked on it */
void server_answered(Server *server);
void server_told(Server *server, bool batches, const char *why);
void server_unknown_native(Server *server, const MethodPolicy *policy, const char *why);
void server_misshapen(Server *server, const Method *method, const char *why);
void server_well_shaped(Server *server, const Method *method);
void server_failed(Server *server, ServerFailure failure, const char *why);
