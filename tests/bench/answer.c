/* Reading calls and writing replies by hand. Every reply is smaller than what it answers by no more
 * than a frame and a few fields, so a batch's room is reserved once. */

#include "answer.h"

#include <string.h>

enum {
    FRAME = 4,
    CALL = 0x80010001,
    REPLY = 0x80010002,
    EXCEPTION = 0x80010003,
    UNKNOWN_METHOD = 1,
    TYPE_I32 = 8,
    TYPE_STRING = 11,
    TYPE_STRUCT = 12,
    TYPE_LIST = 15,
    ROOM_BESIDE_CALL = 64,
};

typedef struct Call {
    Bytes name;
    uint32_t seqid;
    Bytes arguments; /* the argument struct */
} Call;

/* --- reading: each takes off the front and is false where that is not there ---------------------
 */

static bool take(Bytes *from, size_t len, Bytes *ret)
{
    if (from->len < len)
        return false;
    *ret = (Bytes){from->data, len};
    *from = (Bytes){from->data + len, from->len - len};
    return true;
}

static bool take_u32(Bytes *from, uint32_t *ret)
{
    Bytes bytes;

    if (!take(from, sizeof *ret, &bytes))
        return false;
    *ret = load_be32(bytes.data);
    return true;
}

static bool take_string(Bytes *from, Bytes *ret)
{
    uint32_t len;

    return take_u32(from, &len) && take(from, len, ret);
}

static bool take_field(Bytes *from, unsigned type, unsigned id)
{
    Bytes field;

    return take(from, 3, &field) && field.data[0] == type && load_be16(field.data + 1) == id;
}

static bool take_stop(Bytes *from)
{
    Bytes stop;

    return take(from, 1, &stop) && stop.data[0] == 0;
}

static bool call_parse(Bytes message, Call *ret)
{
    uint32_t version;

    if (!take_u32(&message, &version) || version != CALL || !take_string(&message, &ret->name) ||
        !take_u32(&message, &ret->seqid))
        return false;
    ret->arguments = message;
    return true;
}

/* A Request: its message, then timeoutMs and lane, where they are. */
static bool take_request(Bytes *from, Bytes *ret_message)
{
    uint32_t number;

    if (!take_field(from, TYPE_STRING, 1) || !take_string(from, ret_message))
        return false;
    while (from->len > 0 && from->data[0] == TYPE_I32)
        if (!take(from, 3, &(Bytes){0}) || !take_u32(from, &number))
            return false;
    return take_stop(from);
}

/* --- writing: into room that has been reserved --------------------------------------------------
 */

static void put_u32(Buffer *out, uint32_t value)
{
    store_be32(out->data + out->len, value);
    out->len += 4;
}

static void put_bytes(Buffer *out, Bytes bytes)
{
    memcpy(out->data + out->len, bytes.data, bytes.len);
    out->len += bytes.len;
}

static void put_field(Buffer *out, unsigned type, unsigned id)
{
    out->data[out->len] = (uint8_t)type;
    store_be16(out->data + out->len + 1, (uint16_t)id);
    out->len += 3;
}

static void put_stop(Buffer *out)
{
    out->data[out->len++] = 0;
}

static void put_header(Buffer *out, uint32_t type, const Call *call)
{
    put_u32(out, type);
    put_u32(out, (uint32_t)call->name.len);
    put_bytes(out, call->name);
    put_u32(out, call->seqid);
}

/* Where a length goes that end_length() fills in. */
static size_t begin_length(Buffer *out)
{
    out->len += FRAME;
    return out->len;
}

static void end_length(Buffer *out, size_t begin)
{
    store_be32(out->data + begin - FRAME, (uint32_t)(out->len - begin));
}

/* --- methods ------------------------------------------------------------------------------------
 */

static bool answer_echo(const Call *call, Buffer *out)
{
    Bytes rest = call->arguments, payload;

    if (!take_field(&rest, TYPE_STRING, 1) || !take_string(&rest, &payload) || !take_stop(&rest))
        return false;
    put_header(out, REPLY, call);
    put_field(out, TYPE_STRING, 0);
    put_u32(out, (uint32_t)payload.len);
    put_bytes(out, payload);
    put_stop(out);
    return true;
}

static bool answer_unknown(const Call *call, Buffer *out)
{
    put_header(out, EXCEPTION, call);
    put_field(out, TYPE_I32, 2);
    put_u32(out, UNKNOWN_METHOD);
    put_stop(out);
    return true;
}

static bool answer_call(Bytes message, Buffer *out)
{
    Call call;

    if (!call_parse(message, &call))
        return false;
    buffer_reserve(out, message.len + ROOM_BESIDE_CALL);
    return bytes_equal(call.name, BYTES_LITERAL("echo")) ? answer_echo(&call, out)
                                                         : answer_unknown(&call, out);
}

static bool answer_requests(Bytes *rest, uint32_t count, Buffer *out)
{
    for (uint32_t i = 0; i < count; i++) {
        Bytes message;
        size_t begin;

        if (!take_request(rest, &message))
            return false;
        buffer_reserve(out, ROOM_BESIDE_CALL);
        put_field(out, TYPE_STRING, 1);
        begin = begin_length(out);
        if (!answer_call(message, out))
            return false;
        end_length(out, begin);
        put_stop(out);
    }
    bool inner = take_stop(rest);
    return inner && take_stop(rest);
}

static bool answer_batch(const Call *call, Buffer *out, uint32_t *ret_calls)
{
    Bytes rest = call->arguments, type;
    uint32_t count;

    if (!take_field(&rest, TYPE_STRUCT, 1) || !take_field(&rest, TYPE_LIST, 1) ||
        !take(&rest, 1, &type) || type.data[0] != TYPE_STRUCT || !take_u32(&rest, &count))
        return false;
    buffer_reserve(out, ROOM_BESIDE_CALL);
    put_header(out, REPLY, call);
    put_field(out, TYPE_STRUCT, 0);
    put_field(out, TYPE_LIST, 1);
    out->data[out->len++] = TYPE_STRUCT;
    put_u32(out, count);
    if (!answer_requests(&rest, count, out))
        return false;
    buffer_reserve(out, 2);
    put_stop(out);
    put_stop(out);
    *ret_calls = count;
    return true;
}

Answer answer_message(Bytes message, Buffer *out)
{
    Answer answer = {.calls = 1};
    Call call = {0};
    size_t begin;

    buffer_reserve(out, FRAME);
    begin = begin_length(out);
    answer.is_batch =
        call_parse(message, &call) && bytes_equal(call.name, BYTES_LITERAL("executeBatch"));
    answer.valid =
        answer.is_batch ? answer_batch(&call, out, &answer.calls) : answer_call(message, out);
    end_length(out, begin);
    return answer;
}
