/* Writes Thrift values in either protocol to a Buffer: the counterpart of cursor.h. */
#pragma once

#include "wire/thrift.h"

typedef struct Writer {
    Buffer *out; /* borrowed */
    Protocol protocol;
    int16_t last_field;    /* compact: field ids are written as deltas */
    int16_t pending_field; /* compact: the bool field whose header waits for its value */
    bool bool_pending;
} Writer;

Writer writer_init(Protocol protocol, Buffer *out);

int16_t writer_enter_struct(Writer *writer);
void writer_leave_struct(Writer *writer, int16_t saved); /* writes the stop byte */

void writer_field(Writer *writer, ThriftType type, int16_t id);

void writer_bool(Writer *writer, bool value);
void writer_byte(Writer *writer, int8_t value);
void writer_i16(Writer *writer, int16_t value);
void writer_i32(Writer *writer, int32_t value);
void writer_i64(Writer *writer, int64_t value);
void writer_double_bits(Writer *writer, uint64_t bits);
void writer_string(Writer *writer, Bytes value);
void writer_uuid(Writer *writer, Bytes value);
void writer_list(Writer *writer, ThriftType element, uint32_t count); /* and set */
void writer_map(Writer *writer, ThriftType key, ThriftType value, uint32_t count);
