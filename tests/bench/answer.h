/* What bench-upstream answers: echo, alone or in executeBatch, in the strict binary protocol. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

typedef struct Answer {
    bool valid; /* false: not a message that is understood here */
    bool is_batch;
    uint32_t calls; /* of a batch its requests, else 1 */
} Answer;

/* Appends the framed reply to `message` (without its frame) to `out`. */
Answer answer_message(Bytes message, Buffer *out);
