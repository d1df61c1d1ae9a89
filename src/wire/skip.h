/* Skipping binary values whose bytes are all at hand: the usual case, several times as fast as the
 * resumable scanner. It knows only "here it ends"; where it gives up (cut short, invalid, too deep)
 * scan.h has the verdict. */
#pragma once

#include <stdint.h>

#include "wire/types.h"

/* A struct from one of its fields on, of any kind. */
const uint8_t *skip_binary_fields(const uint8_t *at, const uint8_t *end, unsigned levels);

/* The end of the struct that begins at `at`, of at most `levels` levels (at least 1); NULL when
 * there is none before `end`. Inline as far as the fields are strings or have a fixed size. */
static inline const uint8_t *skip_binary_struct(const uint8_t *at, const uint8_t *end,
                                                unsigned levels)
{
    enum { FIELD_HEADER_SIZE = 3, LENGTH_SIZE = 4 };
    while (at < end) {
        uint8_t type = at[0];
        if (type == THRIFT_STOP)
            return at + 1;
        size_t left = (size_t)(end - at), size = FIELD_HEADER_SIZE + LENGTH_SIZE;
        if (type == THRIFT_STRING) {
            if (left < size)
                return NULL;
            size += load_be32(at + FIELD_HEADER_SIZE);
        } else {
            size = type_fixed_size[PROTOCOL_BINARY][type];
            if (size == 0)
                return skip_binary_fields(at, end, levels);
            size += FIELD_HEADER_SIZE;
        }
        if (size > left)
            return NULL;
        at += size;
    }
    return NULL;
}

/* Whether `bytes` are one such struct and nothing behind it. */
static inline bool skip_binary_struct_fills(Bytes bytes, unsigned levels)
{
    const uint8_t *end = bytes.data + bytes.len;
    return bytes.len > 0 && skip_binary_struct(bytes.data, end, levels) == end;
}
