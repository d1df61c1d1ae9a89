#include "wire/writer.h"

#include "wire/types.h"
#include "wire/varint.h"

Writer writer_init(Protocol protocol, Buffer *out)
{
    return (Writer){.out = out, .protocol = protocol};
}

static void put_u8(Writer *writer, uint8_t value)
{
    *buffer_reserve(writer->out, 1) = value;
    writer->out->len++;
}

static void put_be16(Writer *writer, uint16_t value)
{
    store_be16(buffer_reserve(writer->out, sizeof value), value);
    writer->out->len += sizeof value;
}

static void put_be32(Writer *writer, uint32_t value)
{
    store_be32(buffer_reserve(writer->out, sizeof value), value);
    writer->out->len += sizeof value;
}

static void put_be64(Writer *writer, uint64_t value)
{
    store_be64(buffer_reserve(writer->out, sizeof value), value);
    writer->out->len += sizeof value;
}

static void put_varint(Writer *writer, uint64_t value)
{
    uint8_t *to = buffer_reserve(writer->out, VARINT_MAX_SIZE);
    writer->out->len += (size_t)(varint_write(to, value) - to);
}

static void put_zigzag(Writer *writer, int64_t value)
{
    put_varint(writer, zigzag_encode(value));
}

int16_t writer_enter_struct(Writer *writer)
{
    int16_t saved = writer->last_field;
    writer->last_field = 0;
    return saved;
}

void writer_leave_struct(Writer *writer, int16_t saved)
{
    put_u8(writer, THRIFT_STOP);
    writer->last_field = saved;
}

static void put_compact_field(Writer *writer, uint8_t type, int16_t id)
{
    int delta = id - writer->last_field;
    if (delta >= 1 && delta <= 15) {
        put_u8(writer, (uint8_t)(delta << 4 | type));
    } else {
        put_u8(writer, type);
        put_zigzag(writer, id);
    }
    writer->last_field = id;
}

void writer_field(Writer *writer, ThriftType type, int16_t id)
{
    if (writer->protocol == PROTOCOL_BINARY) {
        put_u8(writer, (uint8_t)type);
        put_be16(writer, (uint16_t)id);
    } else if (type == THRIFT_BOOL) {
        writer->pending_field = id;
        writer->bool_pending = true;
    } else {
        put_compact_field(writer, type_to_compact[type], id);
    }
}

void writer_bool(Writer *writer, bool value)
{
    if (writer->protocol == PROTOCOL_BINARY) {
        put_u8(writer, value);
        return;
    }
    uint8_t compact = value ? COMPACT_TRUE : COMPACT_FALSE;
    if (writer->bool_pending)
        put_compact_field(writer, compact, writer->pending_field);
    else
        put_u8(writer, compact);
    writer->bool_pending = false;
}

void writer_byte(Writer *writer, int8_t value)
{
    put_u8(writer, (uint8_t)value);
}

void writer_i16(Writer *writer, int16_t value)
{
    if (writer->protocol == PROTOCOL_COMPACT)
        put_zigzag(writer, value);
    else
        put_be16(writer, (uint16_t)value);
}

void writer_i32(Writer *writer, int32_t value)
{
    if (writer->protocol == PROTOCOL_COMPACT)
        put_zigzag(writer, value);
    else
        put_be32(writer, (uint32_t)value);
}

void writer_i64(Writer *writer, int64_t value)
{
    if (writer->protocol == PROTOCOL_COMPACT)
        put_zigzag(writer, value);
    else
        put_be64(writer, (uint64_t)value);
}

void writer_double_bits(Writer *writer, uint64_t bits)
{
    put_be64(writer, writer->protocol == PROTOCOL_COMPACT ? __builtin_bswap64(bits) : bits);
}

void writer_string(Writer *writer, Bytes value)
{
    if (writer->protocol == PROTOCOL_COMPACT)
        put_varint(writer, value.len);
    else
        put_be32(writer, (uint32_t)value.len);
    buffer_append(writer->out, value.data, value.len);
}

void writer_uuid(Writer *writer, Bytes value)
{
    buffer_append(writer->out, value.data, value.len);
}

void writer_list(Writer *writer, ThriftType element, uint32_t count)
{
    if (writer->protocol == PROTOCOL_BINARY) {
        put_u8(writer, (uint8_t)element);
        put_be32(writer, count);
    } else if (count < COMPACT_LONG_COUNT) {
        put_u8(writer, (uint8_t)(count << 4 | type_to_compact[element]));
    } else {
        put_u8(writer, (uint8_t)(COMPACT_LONG_COUNT << 4 | type_to_compact[element]));
        put_varint(writer, count);
    }
}

void writer_map(Writer *writer, ThriftType key, ThriftType value, uint32_t count)
{
    if (writer->protocol == PROTOCOL_BINARY) {
        put_u8(writer, (uint8_t)key);
        put_u8(writer, (uint8_t)value);
        put_be32(writer, count);
        return;
    }
    put_varint(writer, count);
    if (count > 0)
        put_u8(writer, (uint8_t)(type_to_compact[key] << 4 | type_to_compact[value]));
}
