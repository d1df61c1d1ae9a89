/* A client: one accepted connection, the calls read from it and the replies written to it.
 *
 *     read ---> FrameReader ---> Call ---> batcher ... call_ended ---> replies ---> send
 *      ^                                                                  |
 *      +---- paused while the client, or everybody, owes too much <-------+
 *
 * A connection owns memory only while a message of it is cut short (Partial) or a reply is unsent
 * (the calls in `replies`). It is read into the loop's shared buffer, a part at a time.
 *
 * The life of a client:
 *
 *   OPEN <--> PAUSED --peer leaves--> LEAVING --+    (from OPEN where a reply cannot be written)
 *    | \_________________________________       |
 *    |  sent what is no call             \      |
 *    v                                    v     v
 *   CLOSING --replies written--------> CLOSED --calls in flight ended--> freed */
#pragma once

#include "batch/caller.h"
#include "net/client-set.h"
#include "net/loop.h"
#include "net/poller.h"
#include "wire/frame.h"

typedef enum __attribute__((packed)) ClientState {
    CLIENT_STATE_OPEN,
    CLIENT_STATE_PAUSED,  /* not read, but its leaving is noticed */
    CLIENT_STATE_LEAVING, /* the peer has left: its ONEWAYs are still read */
    CLIENT_STATE_CLOSING, /* not read any more: closed when the replies owed are written */
    CLIENT_STATE_CLOSED,  /* without socket: waits for its calls in flight */
} ClientState;

struct Client {
    /* What the usual call touches: fetched ahead, by the poller and before an answer. */
    Caller caller;
    ClientSet *set;
    Route *route; /* the set's, but for what is under way on an earlier one */
    int fd;
    bool blocked; /* the socket has taken less than it was given: waits for EPOLLOUT */
    bool unread;  /* there may be more to read, or the connection's end */
    bool stalled; /* `partial` may hold whole messages that could not be taken yet */
    ClientState state;
    Form form;
    uint32_t events;  /* that it is watched for */
    nsec_t active;    /* its latest whole message or reply */
    Partial *partial; /* NULL most of the time */

    /* What the usual call does not touch. */
    size_t output;  /* bytes of `replies` that are not written yet */
    size_t written; /* bytes of the first of them that are */
    List replies;   /* Call.caller_link: ended, to be written in this order */
    ListLink set_link, dirty_link, resume_link;
};

_Static_assert(offsetof(struct Client, output) <= POLLER_PREFETCHED &&
                   offsetof(struct Client, output) <= CALLER_PREFETCHED,
               "what the usual call touches is fetched ahead");

/* Takes over the connection, and reads from it from now on. */
void client_new(ClientSet *set, int fd);

/* Closes the connection and gives up what is owed; it is freed when its calls in flight have ended.
 */
void client_close(Client *client);

/* Writes its replies as far as the peer takes them. */
void client_flush(Client *client);

/* What happened on the socket of `object`, a client: Poller.ready. */
void client_ready(void *object, uint32_t events);

/* Takes the set's route if nothing of it is under way on another one. */
void client_follow_route(Client *client);

/* Goes on after a limit held it up, or where one read did not take all. */
void client_resume(Client *client);
