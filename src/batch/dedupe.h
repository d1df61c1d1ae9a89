/* Dedupe: calls of a batch with equal method and arguments travel once. The first of them is the
 * leader; the others, its followers, get a copy of its answer. */
#pragma once

#include "batch/batch.h"

/* Moves the followers among the calls of a batch that is about to be sent to batch->followers. The
 * leader is answered by the latest of their deadlines. */
void dedupe_calls(Batch *batch);

/* Gives each follower, or those of one leader, a copy of its leader's answer, before any of these
 * is delivered. Of more than `max_size` bytes, which is not going to be delivered, it is none. */
void dedupe_answers(Batch *batch, const Call *leader, size_t max_size);

/* Puts the followers back to where they were. */
void dedupe_undo(Batch *batch);
