#include "stream.h"

#include <glib.h>

#include "base/check.h"

#include "oracle.h"

enum { WINDOW_SPOILT = 0xaa };

typedef struct TranscriptEnd {
    uint64_t status, taken;
} TranscriptEnd;

const Form all_forms[FORMS] = {
    {TRANSPORT_FRAMED, PROTOCOL_BINARY, true},    {TRANSPORT_FRAMED, PROTOCOL_BINARY, false},
    {TRANSPORT_FRAMED, PROTOCOL_COMPACT, false},  {TRANSPORT_BUFFERED, PROTOCOL_BINARY, true},
    {TRANSPORT_BUFFERED, PROTOCOL_BINARY, false}, {TRANSPORT_BUFFERED, PROTOCOL_COMPACT, false},
};

const Pieces in_one_piece = {.first = SIZE_MAX, .later = SIZE_MAX};

Buffer bytes_from_hex(const char *hex)
{
    Buffer bytes = {0};
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        uint8_t byte = (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
        buffer_append(&bytes, &byte, 1);
        hex++;
    }
    return bytes;
}

void transcript_message(Buffer *transcript, FrameStatus status, Form form, const Message *message)
{
    int32_t numbers[] = {(int32_t)status,           (int32_t)form.transport, (int32_t)form.protocol,
                         (int32_t)message->type,    message->strict,         message->seqid,
                         (int32_t)message->name.len};
    buffer_append(transcript, numbers, sizeof numbers);
    buffer_append(transcript, message->name.data, message->name.len);
    if (status == FRAME_MESSAGE)
        buffer_append(transcript, message->body.data, message->body.len);
}

void transcript_end(Buffer *transcript, FrameStatus status, size_t taken)
{
    TranscriptEnd end = {status, taken};
    buffer_append(transcript, &end, sizeof end);
}

/* The bytes from `start` to `end` as the reader is shown them: on their own, so that a sanitizer
 * sees a read beyond, and without what it says to have taken. */
static FrameStatus read_window(FrameReader *reader, const uint8_t *start, size_t len, Message *ret,
                               size_t *ret_taken)
{
    uint8_t *window = g_memdup2(start, len);
    if (reader->in_body) {
        size_t header_len = 0;
        Message header;
        check(header_read(reader->form.protocol, (Bytes){start, len}, len, &header, &header_len) ==
              HEADER_OK);
        memset(window + header_len, WINDOW_SPOILT, reader->taken - header_len);
    }
    size_t taken = 0;
    FrameStatus status = frame_reader_next(reader, (Bytes){window, len}, ret, &taken);
    if (status == FRAME_MESSAGE || status == FRAME_E_BODY)
        ret->name.data = start + (ret->name.data - window);
    if (status == FRAME_MESSAGE) {
        check(ret->body.data + ret->body.len == window + taken);
        check(ret->whole.data + ret->whole.len == window + taken);
        check(taken - ret->whole.len ==
              (reader->form.transport == TRANSPORT_FRAMED ? FRAME_HEADER_SIZE : 0));
        ret->body.data = start + (ret->body.data - window);
        *ret_taken = taken;
    }
    g_free(window);
    return status;
}

/* Every message that [start, end) holds from *at on. */
static FrameStatus read_messages(FrameReader *reader, Bytes stream, size_t end, size_t *at,
                                 Buffer *transcript)
{
    for (;;) {
        Message message;
        size_t taken;
        FrameStatus status = read_window(reader, stream.data + *at, end - *at, &message, &taken);
        if (status == FRAME_MESSAGE || status == FRAME_E_BODY)
            transcript_message(transcript, status, reader->form, &message);
        if (status != FRAME_MESSAGE)
            return status;
        *at += taken;
    }
}

static size_t next_piece(Pieces *pieces)
{
    if (pieces->chosen.len > 0) {
        pieces->chosen.len--;
        uint8_t size = *pieces->chosen.data++;
        return size > 0 ? size : UINT8_MAX + 1;
    }
    size_t piece = pieces->first;
    pieces->first = pieces->later;
    if (!pieces->random)
        return piece;
    return 1 + random_below(pieces->random, (unsigned)piece);
}

void stream_read(Bytes stream, size_t max_size, Pieces pieces, Buffer *transcript)
{
    FrameReader reader;
    frame_reader_init(&reader, (Form){0}, max_size, true);
    FrameStatus status = FRAME_MORE;
    size_t at = 0, end = 0;
    while (status == FRAME_MORE && end < stream.len) {
        size_t piece = next_piece(&pieces);
        end += MIN(piece, stream.len - end);
        status = read_messages(&reader, stream, end, &at, transcript);
        size_t wanted = frame_reader_wanted(&reader);
        if (status == FRAME_MORE && wanted > 0)
            check(wanted > end - at && wanted <= max_size + FRAME_HEADER_SIZE);
    }
    transcript_end(transcript, status, at);
}

static TranscriptEnd read_to_end(Bytes stream, size_t max_size)
{
    Buffer transcript = {0};
    TranscriptEnd end;
    stream_read(stream, max_size, in_one_piece, &transcript);
    memcpy(&end, transcript.data + transcript.len - sizeof end, sizeof end);
    buffer_clear(&transcript);
    return end;
}

FrameStatus stream_status(Bytes stream, size_t max_size)
{
    return (FrameStatus)read_to_end(stream, max_size).status;
}

size_t stream_taken(Bytes stream, size_t max_size)
{
    return read_to_end(stream, max_size).taken;
}

void append_message(Buffer *stream, Form form, Message header, Bytes body)
{
    size_t header_len = header_size(form.protocol, form.strict, header.name, header.seqid);
    size_t frame = form.transport == TRANSPORT_FRAMED ? FRAME_HEADER_SIZE : 0;
    uint8_t *to = buffer_reserve(stream, frame + header_len);
    if (frame > 0)
        store_be32(to, (uint32_t)(header_len + body.len));
    uint8_t *behind = header_write(to + frame, form.protocol, form.strict, header.type, header.name,
                                   header.seqid);
    check(behind == to + frame + header_len);
    stream->len += frame + header_len;
    buffer_append(stream, body.data, body.len);
}

void append_random_message(Buffer *stream, Random *random, Form form, Buffer *expected)
{
    static const char *const names[] = {"a", "ping", "Users:getUser", "\xc3\xa4rger", "_x"};
    Message message = {
        .type = (MessageType)(MESSAGE_CALL + random_below(random, 4)),
        .strict = form.strict,
        .seqid = (int32_t)(random_bits(random) >> random_below(random, 64)),
        .name = bytes_from_string(names[random_below(random, G_N_ELEMENTS(names))]),
    };
    Buffer body = {0};
    Value value = value_random_struct(random, 4);
    oracle_write_struct(form.protocol == PROTOCOL_BINARY ? ORACLE_BINARY : ORACLE_COMPACT, &value,
                        &body);
    message.body = buffer_bytes(&body);
    append_message(stream, form, message, message.body);
    if (expected)
        transcript_message(expected, FRAME_MESSAGE, form, &message);
    value_clear(&value);
    buffer_clear(&body);
}
