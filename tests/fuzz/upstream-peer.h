/* The server's end of the connections that the upstream fuzzer has the daemon's pool open: takes
 * requests as they come, answers them rightly or with a twist, and sends anything else too. */
#pragma once

#include <glib.h>

#include "net/address.h"
#include "wire/frame.h"

enum { PEER_CONNECTIONS = 8, PEER_REQUESTS = 32 };

/* How an answer differs from the right one. None of them moves what was said about one call to
 * where it would be taken for another's, so whatever gets there is the daemon's fault. */
typedef enum PeerTwist {
    PEER_TWIST_NONE,
    PEER_TWIST_SWAP,      /* the first two in each other's place */
    PEER_TWIST_DROP,      /* the last is missing */
    PEER_TWIST_REPEAT,    /* the first stands at the end again */
    PEER_TWIST_OVERWRITE, /* the first in the second's place too */
    PEER_TWIST_UNKNOWN,   /* UNKNOWN_METHOD */
    PEER_TWIST_EXCEPTION, /* INTERNAL_ERROR */
    PEER_TWIST_SEQID,     /* of no call */
    PEER_TWISTS
} PeerTwist;

typedef struct PeerConnection {
    int fd;
    FrameReader reader;
    Buffer in;                      /* not a whole request yet */
    Buffer out;                     /* not sent yet */
    Buffer requests[PEER_REQUESTS]; /* not answered yet: messages without frame header */
    unsigned n_requests;
} PeerConnection;

typedef struct Peer {
    Form form;
    PeerConnection connections[PEER_CONNECTIONS];
    unsigned n_connections;
} Peer;

#define PEER_BATCH_METHOD "executeBatch"
/* A method that the server takes for oneway. */
#define PEER_ONEWAY_METHOD "quiet"
/* Native batch methods: list<string> gets(1: list<string>), map<string, string> finds(1: ...). */
#define PEER_LIST_METHOD "gets"
#define PEER_MAP_METHOD  "finds"

/* Where all peers listen: a name that the kernel chose. */
Address peer_address(void);

void peer_init(Peer *peer, Form form);
void peer_clear(Peer *peer);

/* Accepts and reads what has come. */
void peer_read(Peer *peer);

/* The oldest request, or the one behind it: its answer is to be sent. Every method but the native
 * ones returns its first argument, a string. */
void peer_answer(Peer *peer, PeerConnection *connection, unsigned index, PeerTwist twist);

/* Sends what is to be sent, at most `max` bytes of it. */
void peer_send(PeerConnection *connection, size_t max);

void peer_close(Peer *peer, PeerConnection *connection);
