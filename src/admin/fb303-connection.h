/* A connection of the fb303 interface. Messages are answered one after another, in their order and
 * in the form in which they came.
 *
 *             whole message           statistics have come           written
 *   READING ----------------> WAITING ---------------------> WRITING --------> READING
 *      | garbage, idle, gone     |                             | idle, gone
 *      v                         |                             v
 *    CLOSED <--------------------+- - the peer is not looked at here; writing tells
 *
 * What cannot be followed by another message (arguments that do not parse) is answered in the state
 * LAST_WORDS, which is WRITING with the end behind it. */
#pragma once

#include "admin/fb303-service.h"
#include "base/log.h"
#include "wire/frame.h"

enum {
    FB303_MAX_MESSAGE = 64 << 10, /* bytes, without frame header */
    FB303_MAX_CONNECTIONS = 64,
    FB303_RESERVED = 8, /* of these, for those who may change the daemon */
};
#define FB303_IDLE_TIMEOUT (60 * NSEC_PER_SEC)

typedef struct Fb303Connection Fb303Connection;

/* What the connections share. */
typedef struct Fb303Connections {
    Loop *loop;       /* borrowed, like the next three */
    Mailbox *mailbox; /* of the loop's thread */
    const AdminOps *ops;
    void *ops_data;
    Fb303Service *service;
    nsec_t idle_timeout; /* for a whole message to come, and for a reply to be taken */
    List open;           /* the longest idle first */
    List closed;         /* to be freed */
    uint32_t n_open;
    LoopTimer idle;
    LoopTask release;
    LogLimit log_limit;
} Fb303Connections;

/* The struct is zero-initialised by this, and must not move afterwards. */
void fb303_connections_init(Fb303Connections *set, Loop *loop, Mailbox *mailbox,
                            const AdminOps *ops, void *ops_data, nsec_t idle_timeout);

/* Closes and frees all of them, those that wait for statistics too: these must not arrive any more.
 */
void fb303_connections_clear(Fb303Connections *set);

/* Takes over an accepted connection, or closes it where there are too many. */
void fb303_connections_accept(Fb303Connections *set, int fd);
