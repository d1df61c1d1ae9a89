/* How a connection's form shows. A frame's length and a non-strict name's length are both four
 * bytes whose first has its top bit clear (sizes stay below 2^31), and the strict and the compact
 * header begin with one that has it set:
 *
 *   byte 0            byte 4
 *   80                           unframed binary, strict
 *   82                           unframed compact
 *   00..7f            80         framed binary, strict
 *                     82         framed compact
 *                     00         framed binary, non-strict: its name's length is below 2^24
 *                     20..7e, c2..ff
 *                                unframed binary, non-strict: its name begins (ASCII or UTF-8)
 *                     0f         framed THeader: would be detected here
 *
 * The transport and the protocol then hold for the connection. Strict and non-strict headers tell
 * themselves apart, so they may alternate.
 *
 * What a message turns out to be does not depend on how its bytes are cut: a header is judged from
 * the bytes of the header only, a frame's struct once the frame is complete, and an unframed struct
 * never sees more than `max_size` bytes. */
#include "wire/frame.h"

#include "wire/header.h"

enum {
    STRICT_ID = 0x80,
    COMPACT_ID = 0x82,
    TLS_HANDSHAKE = 0x16,
    TLS_MAJOR_VERSION = 0x03,
};

void frame_reader_init(FrameReader *reader, Form form, size_t max_size, bool scan_frames)
{
    reader->form = form;
    reader->scan_frames = scan_frames;
    reader->in_body = false;
    reader->max_size = max_size;
    reader->end = 0;
    reader->taken = 0;
}

size_t frame_reader_wanted(const FrameReader *reader)
{
    return reader->end;
}

static void detected(FrameReader *reader, Transport transport, Protocol protocol)
{
    reader->form.transport = transport;
    reader->form.protocol = protocol;
}

static bool is_text(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] < 0x20 || bytes[i] > 0x7e)
            return false;
    return true;
}

static bool may_begin_name(uint8_t byte)
{
    return (byte >= 0x20 && byte < 0x7f) || byte >= 0xc2;
}

/* `length` is that of a frame or of a non-strict name. Text and TLS make large numbers, and are
 * worth telling apart from a message that is too large. */
static FrameStatus judge_first_length(const FrameReader *reader, const uint8_t *bytes)
{
    uint32_t length = load_be32(bytes);
    if (length == 0)
        return FRAME_E_NOT_THRIFT;
    if (length <= reader->max_size)
        return FRAME_MORE;
    bool tls = bytes[0] == TLS_HANDSHAKE && bytes[1] == TLS_MAJOR_VERSION;
    return tls || is_text(bytes, FRAME_HEADER_SIZE) ? FRAME_E_NOT_THRIFT : FRAME_E_TOO_LARGE;
}

static FrameStatus detect_behind_length(FrameReader *reader, uint8_t byte)
{
    if (byte == STRICT_ID || byte == 0x00)
        detected(reader, TRANSPORT_FRAMED, PROTOCOL_BINARY);
    else if (byte == COMPACT_ID)
        detected(reader, TRANSPORT_FRAMED, PROTOCOL_COMPACT);
    else if (may_begin_name(byte))
        detected(reader, TRANSPORT_BUFFERED, PROTOCOL_BINARY);
    else
        return FRAME_E_NOT_THRIFT;
    return FRAME_MORE;
}

/* FRAME_MORE: no objection; once the bytes suffice, reader->form is set too. */
static FrameStatus detect(FrameReader *reader, Bytes window)
{
    uint8_t first = window.data[0];
    if (first == STRICT_ID || first == COMPACT_ID) {
        detected(reader, TRANSPORT_BUFFERED,
                 first == STRICT_ID ? PROTOCOL_BINARY : PROTOCOL_COMPACT);
        return FRAME_MORE;
    }
    if (first & 0x80)
        return FRAME_E_NOT_THRIFT;
    if (window.len < FRAME_HEADER_SIZE)
        return FRAME_MORE;
    FrameStatus status = judge_first_length(reader, window.data);
    if (status != FRAME_MORE || window.len == FRAME_HEADER_SIZE)
        return status;
    return detect_behind_length(reader, window.data[FRAME_HEADER_SIZE]);
}

/* Reads the header at the start of `message`; FRAME_MESSAGE when it is there. */
static FrameStatus read_header(const FrameReader *reader, Bytes message, size_t max_name,
                               Message *ret, size_t *ret_size)
{
    switch (header_read(reader->form.protocol, message, max_name, ret, ret_size)) {
    case HEADER_OK:
        return FRAME_MESSAGE;
    case HEADER_MORE:
        return FRAME_MORE;
    case HEADER_E_INVALID:
        break;
    }
    return FRAME_E_NOT_THRIFT;
}

/* Hands the message out; the reader stands before the next one. */
static FrameStatus finish(FrameReader *reader, Bytes whole, size_t header_len, Message *ret)
{
    ret->whole = whole;
    ret->body = (Bytes){whole.data + header_len, whole.len - header_len};
    reader->form.strict = ret->strict;
    reader->in_body = false;
    reader->end = 0;
    reader->taken = 0;
    return FRAME_MESSAGE;
}

/* The verdict on the struct in a complete frame. */
static FrameStatus scan_frame(const FrameReader *reader, Bytes body)
{
    size_t taken;
    switch (scan_struct(reader->form.protocol, body, THRIFT_MAX_DEPTH, &taken)) {
    case SCAN_DONE:
        return taken == body.len ? FRAME_MESSAGE : FRAME_E_NOT_THRIFT;
    case SCAN_MORE:
    case SCAN_E_INVALID:
    case SCAN_E_LIMIT:
        return FRAME_E_BODY;
    case SCAN_E_DEPTH:
        break;
    }
    return FRAME_E_NESTING;
}

static FrameStatus read_length(FrameReader *reader, Bytes window)
{
    if (window.len < FRAME_HEADER_SIZE)
        return FRAME_MORE;
    uint32_t length = load_be32(window.data);
    if (length == 0 || length > INT32_MAX)
        return FRAME_E_NOT_THRIFT;
    if (length > reader->max_size)
        return FRAME_E_TOO_LARGE;
    reader->end = FRAME_HEADER_SIZE + (size_t)length;
    return FRAME_MESSAGE;
}

static FrameStatus next_framed(FrameReader *reader, Bytes window, Message *ret, size_t *ret_taken)
{
    if (reader->end == 0) {
        FrameStatus status = read_length(reader, window);
        if (status != FRAME_MESSAGE)
            return status;
    }
    size_t end = reader->end;
    bool complete = window.len >= end;
    Bytes whole = {window.data + FRAME_HEADER_SIZE,
                   (complete ? end : window.len) - FRAME_HEADER_SIZE};
    size_t header_len;
    FrameStatus status = read_header(reader, whole, end - FRAME_HEADER_SIZE, ret, &header_len);
    if (!complete)
        return status == FRAME_E_NOT_THRIFT ? status : FRAME_MORE;
    if (status != FRAME_MESSAGE)
        return FRAME_E_NOT_THRIFT;
    if (reader->scan_frames)
        status = scan_frame(reader, (Bytes){whole.data + header_len, whole.len - header_len});
    if (status != FRAME_MESSAGE)
        return status;
    *ret_taken = end;
    return finish(reader, whole, header_len, ret);
}

/* Scans on behind what is taken; FRAME_MESSAGE at the struct's end, which `taken` then is. */
static FrameStatus scan_on(FrameReader *reader, Bytes window)
{
    size_t taken;
    ScanStatus status =
        scanner_feed(&reader->scanner, window.data + reader->taken, window.len - reader->taken,
                     reader->max_size - reader->taken, &taken);
    reader->taken += taken;
    switch (status) {
    case SCAN_DONE:
        return FRAME_MESSAGE;
    case SCAN_MORE:
        return window.len == reader->max_size ? FRAME_E_TOO_LARGE : FRAME_MORE;
    case SCAN_E_INVALID:
        return FRAME_E_BODY;
    case SCAN_E_LIMIT:
        return FRAME_E_TOO_LARGE;
    case SCAN_E_DEPTH:
        break;
    }
    return FRAME_E_NESTING;
}

static FrameStatus next_buffered(FrameReader *reader, Bytes window, Message *ret, size_t *ret_taken)
{
    if (window.len > reader->max_size)
        window.len = reader->max_size;
    size_t header_len;
    FrameStatus status = read_header(reader, window, reader->max_size, ret, &header_len);
    if (status == FRAME_MORE && window.len == reader->max_size)
        return FRAME_E_TOO_LARGE;
    if (status != FRAME_MESSAGE)
        return status;
    if (!reader->in_body) {
        scanner_init(&reader->scanner, reader->form.protocol);
        if (!reader->scan_frames)
            reader->scanner.max_depth = SCAN_MAX_DEPTH;
        reader->in_body = true;
        reader->taken = header_len;
    }
    status = scan_on(reader, window);
    if (status != FRAME_MESSAGE)
        return status;
    *ret_taken = reader->taken;
    return finish(reader, (Bytes){window.data, reader->taken}, header_len, ret);
}

FrameStatus frame_reader_next(FrameReader *reader, Bytes window, Message *ret, size_t *ret_taken)
{
    if (window.len == 0)
        return FRAME_MORE;
    if (reader->form.transport == TRANSPORT_UNKNOWN) {
        FrameStatus status = detect(reader, window);
        if (reader->form.transport == TRANSPORT_UNKNOWN)
            return status;
    }
    switch (reader->form.transport) {
    case TRANSPORT_FRAMED:
        return next_framed(reader, window, ret, ret_taken);
    case TRANSPORT_BUFFERED:
        return next_buffered(reader, window, ret, ret_taken);
    case TRANSPORT_UNKNOWN:
        break;
    }
    return FRAME_MORE;
}
