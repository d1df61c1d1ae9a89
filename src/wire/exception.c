#include "wire/exception.h"

#include "wire/cursor.h"
#include "wire/header.h"
#include "wire/writer.h"

enum { FIELD_MESSAGE = 1, FIELD_TYPE = 2 };

static void append_struct(Buffer *out, Protocol protocol, ExceptionCode code, const char *text)
{
    Writer writer = writer_init(protocol, out);
    int16_t saved = writer_enter_struct(&writer);
    writer_field(&writer, THRIFT_STRING, FIELD_MESSAGE);
    writer_string(&writer, bytes_from_string(text));
    writer_field(&writer, THRIFT_I32, FIELD_TYPE);
    writer_i32(&writer, (int32_t)code);
    writer_leave_struct(&writer, saved);
}

void exception_append(Buffer *out, Form form, Bytes name, int32_t seqid, ExceptionCode code,
                      const char *text)
{
    size_t frame = form.transport == TRANSPORT_FRAMED ? FRAME_HEADER_SIZE : 0;
    size_t start = out->len;
    size_t header = header_size(form.protocol, form.strict, name, seqid);
    uint8_t *to = buffer_reserve(out, frame + header);
    header_write(to + frame, form.protocol, form.strict, MESSAGE_EXCEPTION, name, seqid);
    out->len += frame + header;
    append_struct(out, form.protocol, code, text);
    if (frame > 0)
        store_be32(out->data + start, (uint32_t)(out->len - start - frame));
}

bool exception_read(Protocol protocol, Bytes body, Bytes *ret_text, int32_t *ret_code)
{
    Cursor cursor = cursor_init(protocol, body);
    Bytes text = BYTES_LITERAL("");
    int32_t code = EXCEPTION_UNKNOWN;
    ThriftType type;
    int16_t id;
    while ((type = cursor_field(&cursor, &id)) != THRIFT_STOP) {
        if (id == FIELD_MESSAGE && type == THRIFT_STRING)
            text = cursor_string(&cursor);
        else if (id == FIELD_TYPE && type == THRIFT_I32)
            code = cursor_i32(&cursor);
        else
            cursor_skip(&cursor, type, false);
    }
    if (cursor.failed)
        return false;
    *ret_text = text;
    *ret_code = code;
    return true;
}

const char *exception_code_name(int32_t code)
{
    static const char *const names[] = {
        [EXCEPTION_UNKNOWN] = "UNKNOWN",
        [EXCEPTION_UNKNOWN_METHOD] = "UNKNOWN_METHOD",
        [EXCEPTION_INVALID_MESSAGE_TYPE] = "INVALID_MESSAGE_TYPE",
        [EXCEPTION_WRONG_METHOD_NAME] = "WRONG_METHOD_NAME",
        [EXCEPTION_BAD_SEQUENCE_ID] = "BAD_SEQUENCE_ID",
        [EXCEPTION_MISSING_RESULT] = "MISSING_RESULT",
        [EXCEPTION_INTERNAL_ERROR] = "INTERNAL_ERROR",
        [EXCEPTION_PROTOCOL_ERROR] = "PROTOCOL_ERROR",
    };
    bool named = code >= 0 && code < (int32_t)(sizeof names / sizeof names[0]);
    return named ? names[code] : names[EXCEPTION_UNKNOWN];
}
