/* Batches as c_glib's generated code reads and writes them: an independent opinion on what join
 * writes and split reads. Its headers declare a ThriftType of their own, so they stay in
 * envelope-oracle.c, and no type of the wire layer appears here. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

typedef struct EnvelopeRequest {
    Buffer message;
    bool has_timeout, has_lane;
    int32_t timeout_ms, lane;
} EnvelopeRequest;

typedef struct Envelope {
    char *name;
    int type;
    int32_t seqid;
    unsigned n_requests;
    EnvelopeRequest *requests;
} Envelope;

/* Reads an executeBatch message without frame header; false when c_glib does not accept it, or not
 * all of it. */
bool envelope_read(bool compact, Bytes message, Envelope *ret);
void envelope_clear(Envelope *envelope);

/* Appends a REPLY of executeBatch; a response without bytes has no message. */
void envelope_write_answer(bool compact, const char *name, int32_t seqid, const Bytes *responses,
                           unsigned n_responses, Buffer *out);
