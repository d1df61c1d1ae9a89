/* Splitting: checks an upstream's answer against the batch in flight that it answers, and finds
 * each call's reply in it. Nothing is delivered here: either every call of the batch has its
 * `answer`, or the answer is broken and none is to be believed. */
#pragma once

#include "batch/batch.h"
#include "batch/params.h"

typedef enum SplitStatus {
    SPLIT_OK,
    SPLIT_E_REFUSED, /* the server answered with an exception */
    SPLIT_E_BROKEN,  /* wrong count, order or type, or it does not parse */
} SplitStatus;

enum { SPLIT_WHY_SIZE = 200 };

/* The answer to an envelope. Sets Call.answer of every call, borrowed from `reply`, whose bytes
 * must be writable. `why` says what is wrong when the result is not SPLIT_OK. */
SplitStatus split_envelope(Batch *batch, const BatcherParams *params, const Message *reply,
                           char why[SPLIT_WHY_SIZE]) __attribute__((warn_unused_result));

/* The answer to the call of a plain batch that was sent with `seqid`. `prefixed`: its frame header
 * stands before it. */
SplitStatus split_plain(Call *call, const BatcherParams *params, int32_t seqid,
                        const Message *reply, bool prefixed, char why[SPLIT_WHY_SIZE])
    __attribute__((warn_unused_result));
