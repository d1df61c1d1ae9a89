#include "fb303-talk.h"

#include <criterion/criterion.h>
#include <glib.h>
#include <sys/socket.h>

#include "wire/exception.h"
#include "wire/header.h"
#include "wire/varint.h"

const Form fb303_forms[FB303_FORMS] = {
    {TRANSPORT_FRAMED, PROTOCOL_BINARY, true},    {TRANSPORT_FRAMED, PROTOCOL_BINARY, false},
    {TRANSPORT_FRAMED, PROTOCOL_COMPACT, false},  {TRANSPORT_BUFFERED, PROTOCOL_BINARY, true},
    {TRANSPORT_BUFFERED, PROTOCOL_BINARY, false}, {TRANSPORT_BUFFERED, PROTOCOL_COMPACT, false},
};

static void append_string_field(Buffer *to, Protocol protocol, uint8_t id, const char *text)
{
    size_t len = strlen(text);
    cr_assert_lt(len, 128); /* a varint of one byte */
    const uint8_t binary[] = {THRIFT_STRING, 0, id, 0, 0, 0, (uint8_t)len};
    const uint8_t compact[] = {0x18, (uint8_t)len}; /* the id is one more than that before */
    if (protocol == PROTOCOL_BINARY)
        buffer_append(to, binary, sizeof binary);
    else
        buffer_append(to, compact, sizeof compact);
    buffer_append(to, text, len);
}

void fb303_append_call(Buffer *to, Form form, MessageType type, const char *method, int32_t seqid,
                       const char *const *arguments)
{
    Buffer body = {0};
    for (uint8_t i = 0; arguments[i] != NULL; i++)
        append_string_field(&body, form.protocol, (uint8_t)(i + 1), arguments[i]);
    buffer_append(&body, "", 1);
    Bytes name = bytes_from_string(method);
    size_t header_len = header_size(form.protocol, form.strict, name, seqid);
    if (form.transport == TRANSPORT_FRAMED) {
        uint8_t length[FRAME_HEADER_SIZE];
        store_be32(length, (uint32_t)(header_len + body.len));
        buffer_append(to, length, sizeof length);
    }
    header_write(buffer_reserve(to, header_len), form.protocol, form.strict, type, name, seqid);
    to->len += header_len;
    buffer_append(to, body.data, body.len);
    buffer_clear(&body);
}

static void fill(Fb303Reply *ret, const Message *message)
{
    *ret = (Fb303Reply){.type = message->type, .seqid = message->seqid, .strict = message->strict};
    bytes_printable(message->name, ret->name, sizeof ret->name);
    buffer_append(&ret->body, message->body.data, message->body.len);
}

size_t fb303_reply_of(Bytes bytes, Form form, Fb303Reply *ret)
{
    FrameReader reader;
    Message message;
    size_t taken;
    frame_reader_init(&reader, form, 1 << 24, true);
    cr_assert_eq(frame_reader_next(&reader, bytes, &message, &taken), FRAME_MESSAGE);
    fill(ret, &message);
    return taken;
}

bool fb303_receive(int fd, Form form, Fb303Reply *ret)
{
    FrameReader reader;
    Message message;
    size_t taken;
    Buffer got = {0};
    bool whole = false;
    frame_reader_init(&reader, form, 1 << 24, true);
    while (!whole && recv(fd, buffer_reserve(&got, 1), 1, 0) == 1) {
        got.len++;
        whole = frame_reader_next(&reader, (Bytes){got.data, got.len}, &message, &taken) ==
                FRAME_MESSAGE;
    }
    if (whole)
        fill(ret, &message);
    buffer_clear(&got);
    return whole;
}

char *fb303_string_result(const Fb303Reply *reply, Protocol protocol)
{
    const uint8_t *body = reply->body.data;
    cr_assert_eq(reply->type, MESSAGE_REPLY);
    if (protocol == PROTOCOL_BINARY)
        return g_strndup((const char *)body + 7, load_be32(body + 3));
    cr_assert_eq(body[1], 0, "field 0 in the long form");
    cr_assert_lt(body[2], 128);
    return g_strndup((const char *)body + 3, body[2]);
}

char *fb303_exception_text(const Fb303Reply *reply, Protocol protocol, ExceptionCode code)
{
    Bytes text;
    int32_t got;
    cr_assert_eq(reply->type, MESSAGE_EXCEPTION);
    cr_assert(exception_read(protocol, (Bytes){reply->body.data, reply->body.len}, &text, &got));
    cr_assert_eq(got, (int32_t)code, "code %d", got);
    return g_strndup((const char *)text.data, text.len);
}
