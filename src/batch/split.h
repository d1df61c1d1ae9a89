/* Splitting: checks an upstream's answer against the batch in flight that it answers, and finds
 * each call's reply in it. Nothing is delivered here: either every call of the batch has its
 * `answer`, or the answer is broken and none is to be believed. */
#pragma once

#include "batch/batch.h"
#include "batch/params.h"

typedef enum SplitStatus {
    SPLIT_OK,
    SPLIT_E_REFUSED,   /* the server answered with an exception */
    SPLIT_E_UNKNOWN,   /* the server does not know the batch method: nothing was executed */
    SPLIT_E_MISSHAPEN, /* a native answer has not the configured shape */
    SPLIT_E_BROKEN,    /* wrong count, order or type, or it does not parse */
} SplitStatus;

enum { SPLIT_WHY_SIZE = 200 };

/* The answer to an envelope. Sets Call.answer of every call, borrowed from `reply`, whose bytes
 * must be writable. `why` says what is wrong when the result is not SPLIT_OK. */
SplitStatus split_envelope(Batch *batch, const BatcherParams *params, const Message *reply,
                           char why[SPLIT_WHY_SIZE]) __attribute__((warn_unused_result));

/* The answer to join_question(): SPLIT_OK when the server batches. */
SplitStatus split_question(const BatcherParams *params, const Message *reply,
                           char why[SPLIT_WHY_SIZE]) __attribute__((warn_unused_result));

/* The answer to a call that travels by itself; one of those from `due` on in its batch: `*ret` is
 * the one, and those before it have turned out to be oneway. */
SplitStatus split_single(Batch *batch, Call *due, const BatcherParams *params, const Message *reply,
                         Call **ret, char why[SPLIT_WHY_SIZE]) __attribute__((warn_unused_result));

/* The parts that native.h shares. */
SplitStatus split_broken(char why[SPLIT_WHY_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
SplitStatus split_check_header(const Message *reply, Bytes sent_name, int32_t seqid,
                               char why[SPLIT_WHY_SIZE]);
SplitStatus split_check_body(Protocol protocol, Bytes body, unsigned max_depth,
                             char why[SPLIT_WHY_SIZE]);
SplitStatus split_refusal(Protocol protocol, const Message *reply, char why[SPLIT_WHY_SIZE]);
