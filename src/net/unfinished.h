/* Messages that have not come whole: their bytes are kept until the rest is there, and what all of
 * them may take is bounded, whatever clients claim and never send.
 *
 *   PLENTY  everybody is read
 *   SCARCE  from `most` bytes on, until it is half of that: of the clients with a large message one
 *           is read at a time
 *   SHORT   from twice as much on: of all that have begun a message one is read at a time, and the
 *           others in small pieces
 *
 * Who is read has the turn, until its message is whole or nothing more comes of it; its own bytes
 * do not count. Those that had a turn and sent nothing in it come last. Nobody is closed before
 * memory is SHORT: then who stops in the middle of its turn, sends nothing in several, or takes
 * longer than call_timeout. */
#pragma once

#include "base/bytes.h"
#include "net/loop.h"
#include "wire/frame.h"

typedef struct Client Client;
typedef struct ClientSet ClientSet;

/* A message that is cut short, or messages that may not be taken yet. */
typedef struct Partial {
    ListLink link; /* Unfinished.fresh or .idle */
    Client *client;
    FrameReader reader;
    Buffer bytes;
    unsigned n_idle; /* turns in a row in which nothing came */
} Partial;

typedef enum Scarcity {
    SCARCITY_PLENTY,
    SCARCITY_SCARCE,
    SCARCITY_SHORT,
} Scarcity;

typedef struct Unfinished {
    List fresh, idle; /* Partial.link; `idle`: those with n_idle > 0 */
    size_t bytes;     /* of all of them */
    size_t most;
    Scarcity scarcity;
    bool changed;     /* since clients were brought in line with it */
    bool told;        /* the log says that it is not PLENTY */
    Partial *reading; /* has the turn, or had it when there was plenty again; NULL: nobody */
    bool delivers;    /* something has come in this turn */
    nsec_t turn;      /* it began */
    nsec_t progress;  /* something came, or the turn began */
    LoopTimer timer;
    LoopTask task;
} Unfinished;

void unfinished_init(ClientSet *set, size_t most);
void unfinished_clear(ClientSet *set); /* no client may be left */

/* Keeps bytes of the client, behind those that are kept. `reader` is copied for the first. */
void unfinished_keep(Client *client, const FrameReader *reader, Bytes bytes);

/* Forgets so many bytes at the start, of messages that were taken; or everything. */
void unfinished_drop(Client *client, size_t n);
void unfinished_free(Client *client);

/* Whether the client is not to be read for now. */
bool unfinished_waits(const Client *client);

/* How much may be read at a time of a client. */
size_t unfinished_read_size(const Client *client);
