/* What the two protocols know about a type: how many bytes a value takes, its number in compact.
 * The tables have a row for every byte, so that a type from the wire needs no range check. */
#pragma once

#include "wire/thrift.h"

/* A number that stands for no type: what an unknown compact type is translated to. */
enum { TYPE_UNKNOWN = 1 };

/* The fewest bytes that a value takes in a container, by Protocol; 0 where there is no such type.
 */
extern const uint8_t type_least_size[2][256];

/* The bytes that every such value takes; 0 where they differ or there is no such type. */
extern const uint8_t type_fixed_size[2][256];

/* Compact's true and false are both THRIFT_BOOL; 0 is THRIFT_STOP. */
extern const uint8_t type_from_compact[16];

/* THRIFT_BOOL is COMPACT_TRUE. */
extern const uint8_t type_to_compact[THRIFT_UUID + 1];

/* As types of a field, where they are the value too, and as values in containers. */
enum { COMPACT_TRUE = 1, COMPACT_FALSE = 2 };

/* A compact list's short header has room for counts below this. */
enum { COMPACT_LONG_COUNT = 15 };

static inline bool type_known(uint8_t type)
{
    return type_least_size[PROTOCOL_BINARY][type] > 0;
}

/* Compact writes it as a varint. */
static inline bool type_is_integer(uint8_t type)
{
    return type == THRIFT_I16 || type == THRIFT_I32 || type == THRIFT_I64;
}

/* An empty container may carry THRIFT_STOP for its element type: some libraries write it. */
static inline bool type_fits_count(uint8_t type, uint64_t count)
{
    return type_known(type) || (count == 0 && type == THRIFT_STOP);
}
