/* Joining: a batch in flight as the bytes that go to the server, by reference: the calls' own bytes
 * with what the envelope adds written into the room around them, and a head and tail of the batch.
 *
 *   envelope  [frame] header executeBatch, BatchRequest { list<Request> ... }   (DESIGN: the batch
 *             service); the sequence id of a call is its position
 *   plain     [frame] message, [frame] message, ...; sequence ids count up from batch->seqid */
#pragma once

#include <sys/uio.h>

#include "batch/batch.h"
#include "batch/params.h"

/* The batch call without requests, which executes nothing and asks a server whether it batches. */
void join_question(const BatcherParams *params, int32_t seqid, Buffer *out);

/* The messages of the calls from `first` on, each by itself, with sequence ids that count up from
 * `seqid`, which are noted in their sent_seqid. */
size_t join_singles(Batch *batch, Call *first, const BatcherParams *params, int32_t seqid,
                    struct iovec *iovecs);

/* How many iovecs join_batch() needs at most. */
size_t join_max_iovecs(const Batch *batch);

/* Writes the batch, whose `seqid` is set, to `iovecs` and returns how many were used. `head` is
 * overwritten; what the iovecs point to is borrowed from it and from the calls, until either
 * changes. `now`: a call's timeoutMs is what is left until its `answer_by`. */
size_t join_batch(Batch *batch, const BatcherParams *params, nsec_t now, Buffer *head,
                  struct iovec *iovecs);
