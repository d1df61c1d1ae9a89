/* Random Thrift values of random nesting, as trees. Types are the numbers of the binary protocol;
 * they stand as plain bytes because c_glib, which writes these trees in oracle.c, declares a
 * ThriftType of its own. */
#pragma once

#include "base/bytes.h"

#include "random.h"

typedef struct Value {
    uint8_t type;
    int64_t number;       /* bool, byte, i16, i32, i64; the bits of a double */
    Buffer text;          /* string */
    uint8_t key, element; /* containers; a list or set has no key */
    uint32_t count;       /* children: fields, elements, or keys and values in turn */
    struct Value *children;
    int16_t *ids; /* a struct's fields */
} Value;

/* A struct with at most `levels` levels in it, itself included. */
Value value_random_struct(Random *random, unsigned levels);
void value_clear(Value *value);

/* How many structs and containers stand in one another, `value` included. */
unsigned value_levels(const Value *value);
