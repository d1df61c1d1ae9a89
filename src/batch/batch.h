/* A batch: the calls that travel upstream together.
 *
 *   OPEN --full--> FULL --\
 *     \---- slot, window, nobody left ----> SENT --> finished (freed)
 *
 * OPEN takes calls; one a group. A batch that loses its last call before it is sent is freed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counters.h"
#include "base/list.h"
#include "base/nsec.h"
#include "batch/call.h"

typedef enum BatchState {
    BATCH_STATE_OPEN,
    BATCH_STATE_FULL,
    BATCH_STATE_SENT,
} BatchState;

/* Calls that may share a batch. */
typedef struct Group {
    char *name;  /* NULL: the default group */
    Batch *open; /* the batch that takes calls, or NULL */
} Group;

struct Batch {
    ListLink waiting_link; /* Batcher.waiting */
    Group *group;
    List calls;   /* Call.batch_link, in order of position */
    List callers; /* Caller.batch_link: under strict order, those whose batch this is */
    uint32_t n_calls;
    uint32_t n_unanswered; /* once sent: calls that have not ended */
    uint32_t n_lanes;
    size_t bytes;      /* messages as they came */
    size_t wire_bytes; /* at most, as they travel */
    nsec_t since;      /* its first call joined */
    nsec_t sent;
    BatchState state;
    BatchReason reason;
    bool plain; /* its calls travel as they are, one after another */
    bool some_answered;
    int32_t seqid; /* of the batch call, or of the first plain call: set when it is joined */
    void *carrier; /* what it travels on; belongs to net */
};

Batch *batch_new(Group *group, nsec_t now);
void batch_free(Batch *batch); /* it must be empty, and in no list */

/* A batch's length is an i32 on the wire. */
enum { BATCH_MAX_WIRE_BYTES = INT32_MAX - 64 * 1024 };

/* Puts `call` last, or takes it out (the call stays). */
void batch_add(Batch *batch, Call *call);
void batch_remove(Batch *batch, Call *call);

/* Takes an ended call out for good. */
void batch_forget(Batch *batch, Call *call);

static inline Call *batch_first(const Batch *batch)
{
    ListLink *link = list_first(&batch->calls);
    return link != NULL ? LIST_OWNER(link, Call, batch_link) : NULL;
}

const char *batch_reason_name(BatchReason reason);
