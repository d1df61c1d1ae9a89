/* A slot: one connection to a server, carrying one batch at a time; or, of the other kind, one
 * client's calls that are passed through.
 *
 *   CONNECTING ---> IDLE <---> BUSY
 *        \           |          /
 *         +--------> CLOSED <--+        (freed at the end of the turn)
 *
 * A batch is sent at once, large calls from where they lie (pieces.h); what the socket does not
 * take is kept. Its answer is read into the loop's shared buffer and, when it came whole, split and
 * delivered from there. */
#pragma once

#include "batch/batcher.h"
#include "net/loop.h"
#include "wire/frame.h"

typedef struct Server Server;

typedef enum SlotState {
    SLOT_STATE_CONNECTING,
    SLOT_STATE_IDLE,
    SLOT_STATE_BUSY,
    SLOT_STATE_CLOSED,
} SlotState;

typedef enum SlotKind { SLOT_KIND_BATCH, SLOT_KIND_THROUGH, SLOT_KINDS } SlotKind;

typedef struct Slot {
    ListLink server_link;    /* Server.idle, Server.other; Pool.closed once closed */
    ListLink abandoned_link; /* Pool.abandoned */
    Server *server;
    SlotKind kind;
    Carrier carrier;
    struct event event;
    LoopTimer timer; /* of connecting, or of being idle */
    int fd;
    short events;
    SlotState state;
    nsec_t since;        /* in this state */
    int32_t seqid;       /* of the next message */
    int32_t answered;    /* of the latest that was answered by itself; -1: none */
    Batch *batch;        /* in flight; NULL unless BUSY, and while asking */
    bool asking;         /* BUSY with the question whether the server batches */
    Call *due;           /* of calls that travel by themselves: whose reply comes next */
    uint32_t n_inflight; /* calls */
    Buffer head;         /* of the batch, see join.h */
    Buffer unsent;       /* of the batch, or the question */
    size_t n_written;    /* of `unsent`, from its beginning */
    Buffer partial;      /* an answer that is cut short */
    FrameReader reader;
} Slot;

/* Starts connecting. NULL when that fails at once; the server has been told. */
Slot *slot_new(Server *server, SlotKind kind);

/* Asks the server, on an idle slot, whether it batches: server_told(). */
void slot_ask(Slot *slot);

/* Sends a batch on an idle slot. When the connection turns out to be broken before a byte is
 * written, the batch is given back to the batcher. */
void slot_send(Slot *slot, Batch *batch);

/* Sends the calls of a batch that are to be passed through, on an idle slot or on the one on which
 * the batch is in flight. */
void slot_send_through(Slot *slot, Batch *batch);

/* An idle slot is closed when idle_timeout has passed: to be called again when that is another. */
void slot_watch_idle(Slot *slot);

/* Closes the connection. A batch in flight fails with `text`. */
void slot_close(Slot *slot, const char *text);

void slot_free(Slot *slot); /* it must be closed */
