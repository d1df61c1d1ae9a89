/* Dedupe: calls of a batch with equal method and arguments travel once. The first of them is the
 * leader; the others, its followers, get a copy of its answer. */
#pragma once

#include "batch/batch.h"

/* Moves the followers among the calls of a batch that is about to be sent to batch->followers. */
void dedupe_calls(Batch *batch);

/* Gives each follower, or those of one leader, a copy of its leader's answer, before any of these
 * is delivered. */
void dedupe_answers(Batch *batch, const Call *leader);

/* Puts the followers back to where they were. */
void dedupe_undo(Batch *batch);
