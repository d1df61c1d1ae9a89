#include "wire/cursor.h"

#include "wire/scan.h"
#include "wire/types.h"
#include "wire/varint.h"

enum { NO_PENDING_BOOL = -1 };

Cursor cursor_init(Protocol protocol, Bytes bytes)
{
    return (Cursor){
        .at = bytes.data,
        .end = bytes.len > 0 ? bytes.data + bytes.len : bytes.data,
        .protocol = protocol,
        .pending_bool = NO_PENDING_BOOL,
    };
}

static void fail(Cursor *cursor)
{
    cursor->failed = true;
    cursor->at = cursor->end;
}

static size_t bytes_left(const Cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* NULL when there are not as many, or the cursor has failed before. */
static const uint8_t *take(Cursor *cursor, size_t size)
{
    if (cursor->failed || size > bytes_left(cursor)) {
        fail(cursor);
        return NULL;
    }
    const uint8_t *taken = cursor->at;
    cursor->at += size;
    return taken;
}

static Bytes take_bytes(Cursor *cursor, size_t size)
{
    const uint8_t *taken = take(cursor, size);
    return taken ? (Bytes){taken, size} : (Bytes){NULL, 0};
}

static uint8_t take_u8(Cursor *cursor)
{
    const uint8_t *taken = take(cursor, 1);
    return taken ? *taken : 0;
}

static uint16_t take_be16(Cursor *cursor)
{
    const uint8_t *taken = take(cursor, sizeof(uint16_t));
    return taken ? load_be16(taken) : 0;
}

static uint32_t take_be32(Cursor *cursor)
{
    const uint8_t *taken = take(cursor, sizeof(uint32_t));
    return taken ? load_be32(taken) : 0;
}

static uint64_t take_be64(Cursor *cursor)
{
    const uint8_t *taken = take(cursor, sizeof(uint64_t));
    return taken ? load_be64(taken) : 0;
}

static uint64_t take_varint(Cursor *cursor)
{
    uint64_t value;
    int size = varint_read(cursor->at, cursor->end, &value);
    if (size <= 0) {
        fail(cursor);
        return 0;
    }
    cursor->at += size;
    return value;
}

static int64_t take_zigzag(Cursor *cursor)
{
    return zigzag_decode(take_varint(cursor));
}

int16_t cursor_enter_struct(Cursor *cursor)
{
    int16_t saved = cursor->last_field;
    cursor->last_field = 0;
    return saved;
}

void cursor_leave_struct(Cursor *cursor, int16_t saved)
{
    cursor->last_field = saved;
}

static uint8_t binary_field(Cursor *cursor, int16_t *ret_id)
{
    uint8_t type = take_u8(cursor);
    if (type != THRIFT_STOP)
        *ret_id = (int16_t)take_be16(cursor);
    return type;
}

static uint8_t compact_field(Cursor *cursor, int16_t *ret_id)
{
    uint8_t header = take_u8(cursor);
    if (header == THRIFT_STOP)
        return THRIFT_STOP;
    uint8_t type = type_from_compact[header & 0x0f];
    if (type == THRIFT_STOP)
        return TYPE_UNKNOWN;
    if (type == THRIFT_BOOL)
        cursor->pending_bool = (header & 0x0f) == COMPACT_TRUE;
    if (header >> 4 == 0)
        cursor->last_field = (int16_t)take_zigzag(cursor);
    else
        cursor->last_field = (int16_t)(cursor->last_field + (header >> 4));
    *ret_id = cursor->last_field;
    return type;
}

ThriftType cursor_field(Cursor *cursor, int16_t *ret_id)
{
    *ret_id = 0;
    cursor->pending_bool = NO_PENDING_BOOL;
    uint8_t type = cursor->protocol == PROTOCOL_BINARY ? binary_field(cursor, ret_id)
                                                       : compact_field(cursor, ret_id);
    if (type != THRIFT_STOP && !type_known(type))
        fail(cursor);
    return cursor->failed ? THRIFT_STOP : (ThriftType)type;
}

bool cursor_bool(Cursor *cursor)
{
    if (cursor->pending_bool != NO_PENDING_BOOL) {
        bool value = cursor->pending_bool;
        cursor->pending_bool = NO_PENDING_BOOL;
        return value;
    }
    uint8_t value = take_u8(cursor);
    return cursor->protocol == PROTOCOL_BINARY ? value != 0 : value == COMPACT_TRUE;
}

int8_t cursor_byte(Cursor *cursor)
{
    return (int8_t)take_u8(cursor);
}

int16_t cursor_i16(Cursor *cursor)
{
    if (cursor->protocol == PROTOCOL_COMPACT)
        return (int16_t)take_zigzag(cursor);
    return (int16_t)take_be16(cursor);
}

int32_t cursor_i32(Cursor *cursor)
{
    if (cursor->protocol == PROTOCOL_COMPACT)
        return (int32_t)take_zigzag(cursor);
    return (int32_t)take_be32(cursor);
}

int64_t cursor_i64(Cursor *cursor)
{
    if (cursor->protocol == PROTOCOL_COMPACT)
        return take_zigzag(cursor);
    return (int64_t)take_be64(cursor);
}

uint64_t cursor_double_bits(Cursor *cursor)
{
    uint64_t bits = take_be64(cursor);
    return cursor->protocol == PROTOCOL_BINARY ? bits : __builtin_bswap64(bits);
}

Bytes cursor_string(Cursor *cursor)
{
    uint64_t len = cursor->protocol == PROTOCOL_BINARY ? take_be32(cursor) : take_varint(cursor);
    return take_bytes(cursor, len);
}

Bytes cursor_uuid(Cursor *cursor)
{
    return take_bytes(cursor, type_fixed_size[cursor->protocol][THRIFT_UUID]);
}

/* The count when that many entries of `least` bytes each can still come, and 0 when not. */
static uint32_t check_count(Cursor *cursor, uint64_t count, unsigned least)
{
    if (count > INT32_MAX || count * least > bytes_left(cursor))
        fail(cursor);
    return cursor->failed ? 0 : (uint32_t)count;
}

static ThriftType check_type(Cursor *cursor, uint8_t type, uint64_t count)
{
    if (!type_fits_count(type, count))
        fail(cursor);
    return cursor->failed ? THRIFT_STOP : (ThriftType)type;
}

uint32_t cursor_list(Cursor *cursor, ThriftType *ret_element)
{
    uint8_t element = take_u8(cursor);
    uint64_t count;
    if (cursor->protocol == PROTOCOL_BINARY) {
        count = take_be32(cursor);
    } else {
        count = element >> 4 < COMPACT_LONG_COUNT ? (uint64_t)(element >> 4) : take_varint(cursor);
        element = type_from_compact[element & 0x0f];
    }
    *ret_element = check_type(cursor, element, count);
    return check_count(cursor, count, type_least_size[cursor->protocol][element]);
}

uint32_t cursor_map(Cursor *cursor, ThriftType *ret_key, ThriftType *ret_value)
{
    uint8_t key = THRIFT_STOP, value = THRIFT_STOP;
    uint64_t count;
    if (cursor->protocol == PROTOCOL_BINARY) {
        key = take_u8(cursor);
        value = take_u8(cursor);
        count = take_be32(cursor);
    } else if ((count = take_varint(cursor)) > 0) {
        uint8_t types = take_u8(cursor);
        key = type_from_compact[types >> 4];
        value = type_from_compact[types & 0x0f];
    }
    *ret_key = check_type(cursor, key, count);
    *ret_value = check_type(cursor, value, count);
    const uint8_t *least = type_least_size[cursor->protocol];
    return check_count(cursor, count, (unsigned)least[key] + least[value]);
}

Bytes cursor_skip(Cursor *cursor, ThriftType type, bool in_container)
{
    if (cursor->protocol == PROTOCOL_COMPACT && type == THRIFT_BOOL && !in_container) {
        cursor->pending_bool = NO_PENDING_BOOL;
        return (Bytes){cursor->at, 0};
    }
    size_t size;
    Bytes left = {cursor->at, bytes_left(cursor)};
    if (scan_value(cursor->protocol, type, left, THRIFT_MAX_DEPTH, &size) != SCAN_DONE) {
        fail(cursor);
        return (Bytes){NULL, 0};
    }
    return take_bytes(cursor, size);
}
