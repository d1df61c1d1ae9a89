/* The pool: the servers of the upstream, and which slot the next batch goes to.
 *
 * A batch is only taken from the batcher when a slot is idle, so that connecting never holds one
 * up; adaptive flush may leave slots idle (pace.h). It goes to the server that is up, has an idle
 * slot, and has the fewest calls in flight; when batches are due, or read on, and no slot is idle,
 * another connection is opened. With no server up and no first attempt under way, waiting calls get
 * their error at once.
 *
 * Which servers there are is told by pool_set_servers(), again and again; those that are no longer
 * among them are drained (server.h). */
#pragma once

#include <sys/uio.h>

#include "batch/batcher.h"
#include "batch/pace.h"
#include "net/loop.h"
#include "net/server.h"

typedef struct PoolParams {
    uint32_t connections;             /* to a server, for batches */
    uint32_t passthrough_connections; /* to a server, for what is passed through */
    bool asks;                        /* some calls travel in envelopes: servers are asked */
    nsec_t batch_retry_interval;
    nsec_t connect_timeout;
    nsec_t idle_timeout; /* 0: never */
    uint32_t max_failures;
    size_t max_answer_size; /* of one answer, bytes */
} PoolParams;

struct Pool {
    PoolParams params;
    Loop *loop; /* borrowed, like the next three */
    Batcher *batcher;
    LoopTask *dispatch; /* calls pool_dispatch(): deferred when a slot may have become free */
    void (*on_answers)(void *data);   /* replies were delivered: write them, they borrow bytes */
    void (*on_server_up)(void *data); /* what other workers are to be told */
    void *data;
    List servers; /* Server.pool_link */
    uint32_t n_draining;
    List closed;    /* Slot.server_link: to be freed */
    List abandoned; /* Slot.abandoned_link */
    LoopTask release;
    Pace pace;                  /* adaptive flush: how the slots are used */
    LoopTimer overdue;          /* set: a batch waits for one in flight, until then at most */
    LoopTimer resolving;        /* set: calls wait for the first answer about names */
    LoopTimer connecting_pause; /* set: this side lacks what a connection needs */
    LogLimit log_limit;
    struct iovec *iovecs;
    size_t n_iovecs;
    bool paused;
    bool has_surplus;         /* there may be more connections than `params` allow by now */
    char latest_failure[256]; /* of any server, for the text of errors */
};

void pool_init(Pool *pool, const PoolParams *params, Loop *loop, Batcher *batcher,
               LoopTask *dispatch, void (*on_answers)(void *data), void (*on_server_up)(void *data),
               void *data);
void pool_clear(Pool *pool);

/* Connects to the servers. Where names are still being looked up, calls wait for that as for a
 * first attempt to connect. */
void pool_start(Pool *pool, const ServerList *servers);

/* From now on these are the servers: connects to new ones, drains those that are not among them. */
void pool_set_servers(Pool *pool, const ServerList *servers);

/* Other parameters from now on; `asks` stays as it is. Connections that are too many are closed as
 * they become idle. */
void pool_set_params(Pool *pool, const PoolParams *params);

/* While it is paused nothing is sent: calls wait, for as long as their timeouts let them. What is
 * in flight ends as usual, and servers are still probed. */
void pool_set_paused(Pool *pool, bool paused);

/* Another worker has reached a server: tries again those that are out here and not there. */
void pool_server_up_elsewhere(Pool *pool);

/* A server is up, or may be in a moment. */
bool pool_has_hope(const Pool *pool);

/* Closes what was abandoned, and sends the batches that are due, as far as slots are free. */
void pool_dispatch(Pool *pool, nsec_t now);

/* A batch was answered, of which `n_in_flight` were under way on its server. */
void pool_answered(Pool *pool, const Batch *batch, uint32_t n_in_flight);

/* Nobody waits any more for what a batch in flight is owed. Its connection is closed in the next
 * pool_dispatch(). */
void pool_abandon(Pool *pool, Batch *batch);

/* Closes every connection; batches in flight fail with `text`. */
void pool_close(Pool *pool, const char *text);

/* No further connections for a moment: the process has no descriptors left, or the like. */
void pool_pause_connecting(Pool *pool, const Server *server, int code);

/* Room for `n` iovecs, valid until the next call. */
struct iovec *pool_iovecs(Pool *pool, size_t n);
