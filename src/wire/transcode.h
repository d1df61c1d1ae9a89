/* Rewrites a struct from one protocol into another without its IDL: both carry their types.
 *
 * An empty compact map carries no types; it becomes a binary map of string to string. Compact bools
 * in containers are read as 1 true, anything else false (PHP writes 1 and 0, others 1 and 2).
 * Binary bools: 0 false, anything else true. Doubles are the same eight bytes, in the other order.
 * Iterative, THRIFT_MAX_DEPTH levels. */
#pragma once

#include "wire/thrift.h"

typedef enum TranscodeStatus {
    TRANSCODE_OK,
    TRANSCODE_E_INVALID, /* does not parse, or bytes behind the struct */
    TRANSCODE_E_LIMIT,   /* the result would be larger than `max_size` */
} TranscodeStatus;

/* Appends `body` in protocol `to` to `out`, at most `max_size` bytes. On an error `out` keeps its
 * length. */
TranscodeStatus transcode_struct(Protocol from, Protocol to, Bytes body, size_t max_size,
                                 Buffer *out) __attribute__((warn_unused_result));
