/* A cursor walks over a struct that is there completely, field by field, in either protocol. For
 * typed reading of known shapes: batch answers, exceptions, native batches. The hot scan for a
 * message's end is scan.h.
 *
 * A read behind the end or of something invalid fails the cursor: it returns zeros from then on and
 * `failed` stays set, so that callers check once, at the end. */
#pragma once

#include "wire/thrift.h"

typedef struct Cursor {
    const uint8_t *at, *end;
    Protocol protocol;
    bool failed;
    int16_t last_field;  /* compact: field ids are deltas */
    int8_t pending_bool; /* compact: a field's bool stands in its header; -1 none */
} Cursor;

Cursor cursor_init(Protocol protocol, Bytes bytes);

/* Enters a struct (last_field starts anew) and leaves it; `saved` is the caller's, for nesting. */
int16_t cursor_enter_struct(Cursor *cursor);
void cursor_leave_struct(Cursor *cursor, int16_t saved);

/* The next field's type and id; THRIFT_STOP at the struct's end and on failure. */
ThriftType cursor_field(Cursor *cursor, int16_t *ret_id);

bool cursor_bool(Cursor *cursor);
int8_t cursor_byte(Cursor *cursor);
int16_t cursor_i16(Cursor *cursor);
int32_t cursor_i32(Cursor *cursor);
int64_t cursor_i64(Cursor *cursor);
uint64_t cursor_double_bits(Cursor *cursor);
Bytes cursor_string(Cursor *cursor); /* and binary; borrowed */
Bytes cursor_uuid(Cursor *cursor);

/* A list or set's header. A count that cannot fit into the remaining bytes fails the cursor. */
uint32_t cursor_list(Cursor *cursor, ThriftType *ret_element);

/* A map's header. Both types are THRIFT_STOP for an empty compact map, which carries none. */
uint32_t cursor_map(Cursor *cursor, ThriftType *ret_key, ThriftType *ret_value);

/* Skips a value of `type` and returns its bytes as they stand. In compact a bool field's value
 * stands in the field's header, so its bytes are empty; `in_container` says that it does not. */
Bytes cursor_skip(Cursor *cursor, ThriftType type, bool in_container);
