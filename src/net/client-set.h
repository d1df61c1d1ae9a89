/* The clients of a worker: their limits, and what is done for all of them at the end of a turn. */
#pragma once

#include "base/counters.h"
#include "base/log.h"
#include "batch/batcher.h"
#include "net/bounds.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/unfinished.h"
#include "wire/frame.h"

typedef struct ClientParams {
    size_t max_message_size;
    uint32_t max_client_calls;
    size_t max_client_output;
    size_t max_pending_bytes;    /* a larger call is refused; the bounds themselves are in Room */
    size_t max_unfinished_bytes; /* of messages that have begun: more is scarce, see unfinished.h */
    nsec_t idle_timeout;         /* 0: never */
} ClientParams;

/* Where clients' calls go: one of several while the configuration is changing. */
typedef struct Route {
    Batcher *batcher;   /* borrowed, like the next */
    LoopTask *dispatch; /* deferred when batches may have become due */
    uint32_t n_clients;
    nsec_t
        bound_until; /* when clients are no longer kept for a ONEWAY of theirs; if not the set's */
} Route;

/* All clients of a worker. */
struct ClientSet {
    ClientParams params;
    Loop *loop;   /* borrowed, like the next two */
    Route *route; /* of new clients, and of others once nothing of theirs is under way */
    Counters *counters;
    FrameReader reader; /* of every client that keeps none */
    Poller poller;      /* of the clients' sockets */
    Unfinished unfinished;
    BlockCache call_cache;
    List clients;  /* Client.set_link */
    List dirty;    /* Client.dirty_link: have replies to be written */
    List resuming; /* Client.resume_link: paused at the bounds on pending calls, or about to
                      take messages that were read before it paused */
    List closed;   /* Client.set_link: to be freed */
    LoopTask flush, resume, release;
    LoopTimer idle;
    LogLimit log_limit;
    Room room;               /* for pending calls and bytes */
    uint64_t n_accepted;     /* clients */
    _Atomic uint64_t n_gone; /* of them, as far as others know: see client_set_publish() */
    bool at_bound;           /* of pending calls or bytes: somebody has been paused for it */
    bool draining;           /* calls are answered 'shutting down' */
    nsec_t refused_at;       /* when the latest of them came */
};

/* The set is zero-initialised by this; it must not move afterwards. `bounds` are those of all
 * workers; `wake` is called from any thread, and has the loop's thread call client_set_wake().
 * False: the process is out of descriptors; it must be cleared all the same. */
bool client_set_init(ClientSet *set, const ClientParams *params, Loop *loop, Route *route,
                     Counters *counters, Bounds *bounds, void (*wake)(void *data), void *data);
void client_set_clear(ClientSet *set); /* every client must be gone */

/* Other limits from now on, also for clients that one of before holds up; messages that have begun
 * keep theirs. */
void client_set_set_params(ClientSet *set, const ClientParams *params);

/* Calls go elsewhere from now on. Clients whose earlier calls are still under way follow as soon as
 * these have ended, and are not read before that. The call behind a ONEWAY that was passed through
 * still goes where that went, until the route's `bound_until`. */
void client_set_set_route(ClientSet *set, Route *route);

/* Has those follow that can now, also where nothing else happens to them. */
void client_set_follow_route(ClientSet *set);

/* Takes over a connection. */
void client_set_accept(ClientSet *set, int fd);

/* Closes a connection that is one too many, and counts it. */
void client_set_turn_away(ClientSet *set, int fd, uint32_t max_clients);

/* At the end of a turn: says how many clients have gone and how much is pending, to whoever shares
 * the limits. */
void client_set_publish(ClientSet *set);

/* How many of the clients that it was given have gone. From any thread. */
uint64_t client_set_n_gone(const ClientSet *set);

/* Another worker has given back what this one waits for, or wants what is unused here. */
void client_set_wake(ClientSet *set);

/* Takes over an ended call: BatcherOps.call_ended. */
void client_set_deliver(ClientSet *set, Call *call);

/* Whether as many calls or bytes are pending as may be: no client is read then. */
static inline bool client_set_at_bound(ClientSet *set)
{
    return !room_has(&set->room, set->counters->pending_calls, set->counters->pending_bytes);
}

/* Writes what has been delivered. To be called before the bytes that replies borrow change. */
void client_set_write(ClientSet *set);

static inline void client_set_flush(ClientSet *set)
{
    if (!list_empty(&set->dirty)) /* most replies are written when they are delivered */
        client_set_write(set);
}

/* From now on calls are answered 'shutting down' and ONEWAYs are dropped. */
void client_set_drain(ClientSet *set);

/* Whether every reply owed has been written. */
bool client_set_settled(const ClientSet *set);

/* Closes every client, whatever it is owed. */
void client_set_close(ClientSet *set);
