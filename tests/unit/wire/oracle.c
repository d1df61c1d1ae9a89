#include "oracle.h"

#include <glib.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/thrift_application_exception.h>
#include <thrift/c_glib/transport/thrift_memory_buffer.h>

#include "base/check.h"

enum { MEMORY_SIZE = 16 << 20 };

typedef struct Oracle {
    GByteArray *bytes;
    ThriftMemoryBuffer *memory;
    ThriftProtocol *protocol;
} Oracle;

/* One a protocol, for good: c_glib's objects leak a few bytes each when they are finalized. */
static Oracle *oracle_open(OracleProtocol protocol)
{
    static Oracle oracles[2];
    Oracle *oracle = &oracles[protocol];
    if (!oracle->bytes) {
        oracle->bytes = g_byte_array_new();
        oracle->memory = g_object_new(THRIFT_TYPE_MEMORY_BUFFER, "buf", oracle->bytes, "buf_size",
                                      (guint)MEMORY_SIZE, NULL);
        GType type =
            protocol == ORACLE_BINARY ? THRIFT_TYPE_BINARY_PROTOCOL : THRIFT_TYPE_COMPACT_PROTOCOL;
        oracle->protocol = g_object_new(type, "transport", oracle->memory, NULL);
    }
    g_byte_array_set_size(oracle->bytes, 0);
    return oracle;
}

static void write_value(ThriftProtocol *to, const Value *value);

static void write_struct(ThriftProtocol *to, const Value *value)
{
    check(thrift_protocol_write_struct_begin(to, "", NULL) >= 0);
    for (uint32_t i = 0; i < value->count; i++) {
        ThriftType type = (ThriftType)value->children[i].type;
        check(thrift_protocol_write_field_begin(to, "", type, value->ids[i], NULL) >= 0);
        write_value(to, &value->children[i]);
        check(thrift_protocol_write_field_end(to, NULL) >= 0);
    }
    check(thrift_protocol_write_field_stop(to, NULL) >= 0);
    check(thrift_protocol_write_struct_end(to, NULL) >= 0);
}

static void write_children(ThriftProtocol *to, const Value *value)
{
    for (uint32_t i = 0; i < value->count; i++)
        write_value(to, &value->children[i]);
}

static void write_container(ThriftProtocol *to, const Value *value)
{
    ThriftType key = (ThriftType)value->key, element = (ThriftType)value->element;
    if (value->type == T_MAP) {
        check(thrift_protocol_write_map_begin(to, key, element, value->count / 2, NULL) >= 0);
        write_children(to, value);
        check(thrift_protocol_write_map_end(to, NULL) >= 0);
    } else if (value->type == T_SET) {
        check(thrift_protocol_write_set_begin(to, element, value->count, NULL) >= 0);
        write_children(to, value);
        check(thrift_protocol_write_set_end(to, NULL) >= 0);
    } else {
        check(thrift_protocol_write_list_begin(to, element, value->count, NULL) >= 0);
        write_children(to, value);
        check(thrift_protocol_write_list_end(to, NULL) >= 0);
    }
}

static gint32 write_double(ThriftProtocol *to, int64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return thrift_protocol_write_double(to, value, NULL);
}

static gint32 write_simple(ThriftProtocol *to, const Value *value)
{
    switch (value->type) {
    case T_BOOL:
        return thrift_protocol_write_bool(to, value->number != 0, NULL);
    case T_BYTE:
        return thrift_protocol_write_byte(to, (gint8)value->number, NULL);
    case T_I16:
        return thrift_protocol_write_i16(to, (gint16)value->number, NULL);
    case T_I32:
        return thrift_protocol_write_i32(to, (gint32)value->number, NULL);
    case T_I64:
        return thrift_protocol_write_i64(to, value->number, NULL);
    case T_DOUBLE:
        return write_double(to, value->number);
    case T_STRING:
        return thrift_protocol_write_binary(to, value->text.data, (guint32)value->text.len, NULL);
    default:
        return -1;
    }
}

static void write_value(ThriftProtocol *to, const Value *value)
{
    if (value->type == T_STRUCT)
        write_struct(to, value);
    else if (value->type == T_MAP || value->type == T_SET || value->type == T_LIST)
        write_container(to, value);
    else
        check(write_simple(to, value) >= 0);
}

void oracle_write_struct(OracleProtocol protocol, const Value *value, Buffer *out)
{
    Oracle *oracle = oracle_open(protocol);
    write_struct(oracle->protocol, value);
    buffer_append(out, oracle->bytes->data, oracle->bytes->len);
}

void oracle_write_header(OracleProtocol protocol, int type, const char *name, int32_t seqid,
                         Buffer *out)
{
    Oracle *oracle = oracle_open(protocol);
    check(thrift_protocol_write_message_begin(oracle->protocol, name, (ThriftMessageType)type,
                                              seqid, NULL) >= 0);
    buffer_append(out, oracle->bytes->data, oracle->bytes->len);
}

static bool read_exception(ThriftProtocol *from, OracleException *ret)
{
    static ThriftApplicationException *exception;
    if (!exception)
        exception = g_object_new(THRIFT_TYPE_APPLICATION_EXCEPTION, NULL);
    ThriftMessageType type;
    if (thrift_protocol_read_message_begin(from, &ret->name, &type, &ret->seqid, NULL) < 0 ||
        thrift_struct_read(THRIFT_STRUCT(exception), from, NULL) < 0)
        return false;
    ret->message_type = (int)type;
    ret->text = g_steal_pointer(&exception->message);
    ret->code = exception->type;
    return true;
}

bool oracle_read_exception(OracleProtocol protocol, Bytes message, OracleException *ret)
{
    *ret = (OracleException){0};
    Oracle *oracle = oracle_open(protocol);
    g_byte_array_append(oracle->bytes, message.data, (guint)message.len);
    return read_exception(oracle->protocol, ret) && oracle->bytes->len == 0;
}
