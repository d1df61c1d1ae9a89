/* Cuts a connection's bytes into Thrift messages, and detects what form they have.
 *
 * Detection needs five bytes at most (docs in frame.c). The reader is fed a window: all bytes from
 * the first one of the message that is not cut yet, its frame header included. It remembers how far
 * it has scanned, so each byte is scanned once although the window grows.
 *
 * A plain struct without pointers into itself: one shared reader serves a loop's connections, and
 * only a connection whose message is cut short keeps a copy of it. */
#pragma once

#include "wire/header.h"
#include "wire/scan.h"
#include "wire/skip.h"
#include "wire/thrift.h"

typedef enum FrameStatus {
    FRAME_MESSAGE,
    FRAME_MORE,
    FRAME_E_NOT_THRIFT, /* no form fits, zero-length frame, bad header, bytes behind the message */
    FRAME_E_TOO_LARGE,  /* over `max_size`, or claims to become so */
    FRAME_E_NESTING,    /* over THRIFT_MAX_DEPTH levels */
    FRAME_E_BODY,       /* the header is good, its struct does not parse */
} FrameStatus;

typedef struct FrameReader {
    Form form;
    bool scan_frames;
    bool in_body; /* unframed: the header is complete, `scanner` is in the struct */
    size_t max_size;
    size_t end;   /* framed: the frame's end in the window; 0 until its length was read */
    size_t taken; /* unframed: bytes of the window that need no second look */
    Scanner scanner;
} FrameReader;

/* `form`: what the connection has turned out to speak; transport TRANSPORT_UNKNOWN to detect it.
 * `max_size`: the largest message, without frame header. `scan_frames`: whether the struct in a
 * frame is scanned too (clients) or only measured by its frame (servers; Message.body then is all
 * that follows the header, and unframed it may have SCAN_MAX_DEPTH levels). */
void frame_reader_init(FrameReader *reader, Form form, size_t max_size, bool scan_frames);

/* Looks for the message at the start of `window`.
 * FRAME_MESSAGE: *ret is the message, borrowed from `window`, and *ret_taken its size with frame
 * header; the reader stands before the next message. reader->form says what was detected; `strict`
 * in it is that of the last message.
 * FRAME_MORE: call again with the same bytes and more behind them. *ret_taken is untouched; see
 * frame_reader_wanted().
 * FRAME_E_BODY: type, strict, seqid and name of *ret are valid. After an error the reader must not
 * be used again. */
FrameStatus frame_reader_next(FrameReader *reader, Bytes window, Message *ret, size_t *ret_taken)
    __attribute__((warn_unused_result));

/* How large the window must become, as far as is known: the whole frame once its length was read,
 * otherwise 0. At most max_size + FRAME_HEADER_SIZE. Only a hint for reading: memory is not to be
 * allocated from it before the bytes have come. */
size_t frame_reader_wanted(const FrameReader *reader);

/* The usual message, framed, binary, strict and complete, at the start of `window`, at little cost
 * and without a reader: *ret is set as by frame_reader_next(). False: that has to look at it. */
static inline bool frame_take_usual(Form form, Bytes window, size_t max_size, bool scan_frames,
                                    Message *ret)
{
    if (form.transport != TRANSPORT_FRAMED || form.protocol != PROTOCOL_BINARY ||
        window.len < FRAME_HEADER_SIZE)
        return false;
    size_t size = load_be32(window.data), header_len;
    Bytes whole = {window.data + FRAME_HEADER_SIZE, size};
    if (size > window.len - FRAME_HEADER_SIZE || size > max_size ||
        !header_read_strict(whole, ret, &header_len))
        return false;
    ret->whole = whole;
    ret->body = (Bytes){whole.data + header_len, size - header_len};
    return !scan_frames || skip_binary_struct_fills(ret->body, THRIFT_MAX_DEPTH);
}

/* As frame_reader_next(), with the short way for the usual message. */
static inline FrameStatus frame_reader_take(FrameReader *reader, Bytes window, Message *ret,
                                            size_t *ret_taken)
{
    if (!frame_take_usual(reader->form, window, reader->max_size, reader->scan_frames, ret))
        return frame_reader_next(reader, window, ret, ret_taken);
    *ret_taken = FRAME_HEADER_SIZE + ret->whole.len;
    reader->form.strict = true;
    reader->end = 0;
    return FRAME_MESSAGE;
}
