/* Messages that have not come whole: their bytes are kept until the rest is there, and what all of
 * them may take is bounded, whatever clients claim and never send.
 *
 *   PLENTY --`most` bytes are kept--> SCARCE --less than half of it--> PLENTY
 *
 * While memory is scarce one of these clients is read, the others wait: it has the turn. When its
 * message is whole, or nothing more comes of it, the next has. Nobody who delivers is refused; who
 * has the turn and delivers nothing, though its message began call_timeout ago, or takes longer
 * than that for its turn, is closed. Everybody else is read on, in small pieces, so that ordinary
 * calls go through. */
#pragma once

#include "base/bytes.h"
#include "net/loop.h"
#include "wire/frame.h"

typedef struct Client Client;
typedef struct ClientSet ClientSet;

/* A message that is cut short, or messages that may not be taken yet. */
typedef struct Partial {
    ListLink link; /* Unfinished.partials */
    Client *client;
    FrameReader reader;
    Buffer bytes;
    nsec_t since; /* it began */
} Partial;

typedef struct Unfinished {
    List partials; /* Partial.link */
    size_t bytes;  /* of all of them */
    size_t most;
    bool scarce;
    Partial *reading; /* has the turn; NULL: nobody, for now */
    size_t read;      /* its bytes when it was last looked at */
    nsec_t turn;      /* when it got the turn */
    LoopTimer timer;
    LoopTask task;
} Unfinished;

void unfinished_init(ClientSet *set, size_t most);
void unfinished_clear(ClientSet *set); /* no client may be left */

/* Keeps bytes of the client, behind those that are kept. `reader` is copied for the first. */
void unfinished_keep(Client *client, const FrameReader *reader, Bytes bytes);

/* Forgets so many bytes at the start, or everything. */
void unfinished_drop(Client *client, size_t n);
void unfinished_free(Client *client);

/* Whether the client is not to be read for now. */
bool unfinished_waits(const Client *client);

/* How much may be read at a time of a client. */
size_t unfinished_read_size(const Client *client);
