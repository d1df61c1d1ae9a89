/* The rules by which calls are batched (DESIGN: batching), and how the upstream is spoken to. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/nsec.h"
#include "wire/thrift.h"

typedef enum Flush {
    FLUSH_ADAPTIVE,
    FLUSH_WINDOW,
} Flush;

typedef enum Ordering {
    ORDERING_STRICT,
    ORDERING_RELAXED,
} Ordering;

typedef struct BatcherParams {
    Form upstream;
    Bytes method; /* the batch method's name on the wire; borrowed, outlives the batcher */
    Flush flush;
    Ordering ordering;
    nsec_t window;
    nsec_t call_timeout;
    uint32_t max_calls;      /* of one batch */
    size_t max_bytes;        /* of one batch, counting messages as they came */
    uint32_t min_calls;      /* fewer travel plain */
    uint32_t retries;        /* how often a call is sent again */
    size_t max_message_size; /* of one reply */
} BatcherParams;
