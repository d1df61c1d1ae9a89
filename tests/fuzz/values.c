#include "values.h"

#include "wire/cursor.h"

static bool values_equal(Cursor *a, Cursor *b, ThriftType type);

static bool fields_equal(Cursor *a, Cursor *b)
{
    int16_t saved_a = cursor_enter_struct(a), saved_b = cursor_enter_struct(b);
    for (;;) {
        int16_t id_a = 0, id_b = 0;
        ThriftType type = cursor_field(a, &id_a);
        if (cursor_field(b, &id_b) != type)
            return false;
        if (type == THRIFT_STOP)
            break;
        if (id_a != id_b || !values_equal(a, b, type))
            return false;
    }
    cursor_leave_struct(a, saved_a);
    cursor_leave_struct(b, saved_b);
    return true;
}

static bool lists_equal(Cursor *a, Cursor *b)
{
    ThriftType type_a, type_b;
    uint32_t count = cursor_list(a, &type_a);
    if (cursor_list(b, &type_b) != count || (count > 0 && type_a != type_b))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!values_equal(a, b, type_a))
            return false;
    return true;
}

static bool maps_equal(Cursor *a, Cursor *b)
{
    ThriftType key_a, key_b, value_a, value_b;
    uint32_t count = cursor_map(a, &key_a, &value_a);
    if (cursor_map(b, &key_b, &value_b) != count ||
        (count > 0 && (key_a != key_b || value_a != value_b)))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!values_equal(a, b, key_a) || !values_equal(a, b, value_a))
            return false;
    return true;
}

static bool values_equal(Cursor *a, Cursor *b, ThriftType type)
{
    if (a->failed || b->failed)
        return false;
    switch (type) {
    case THRIFT_BOOL:
        return cursor_bool(a) == cursor_bool(b);
    case THRIFT_BYTE:
        return cursor_byte(a) == cursor_byte(b);
    case THRIFT_DOUBLE:
        return cursor_double_bits(a) == cursor_double_bits(b);
    case THRIFT_I16:
        return cursor_i16(a) == cursor_i16(b);
    case THRIFT_I32:
        return cursor_i32(a) == cursor_i32(b);
    case THRIFT_I64:
        return cursor_i64(a) == cursor_i64(b);
    case THRIFT_STRING:
        return bytes_equal(cursor_string(a), cursor_string(b));
    case THRIFT_UUID:
        return bytes_equal(cursor_uuid(a), cursor_uuid(b));
    case THRIFT_STRUCT:
        return fields_equal(a, b);
    case THRIFT_LIST:
    case THRIFT_SET:
        return lists_equal(a, b);
    case THRIFT_MAP:
        return maps_equal(a, b);
    case THRIFT_STOP:
        break;
    }
    return false;
}

bool structs_equal(Protocol protocol_a, Bytes a, Protocol protocol_b, Bytes b)
{
    Cursor x = cursor_init(protocol_a, a), y = cursor_init(protocol_b, b);
    return fields_equal(&x, &y) && !x.failed && !y.failed && x.at == x.end && y.at == y.end;
}
