/* A connection's bytes, in pieces, through a frame reader; and messages to send. What comes out is
 * written down as a transcript, so that two ways of cutting are compared by bytes_equal(). */
#pragma once

#include "wire/frame.h"
#include "wire/header.h"

#include "random.h"

/* "80 01 00 01" */
Buffer bytes_from_hex(const char *hex);

static inline Bytes buffer_bytes(const Buffer *buffer)
{
    return (Bytes){buffer->data, buffer->len};
}

/* Every form that a client may have, non-strict ones included. */
extern const Form all_forms[];
enum { FORMS = 6 };

/* How many bytes come at a time. */
typedef struct Pieces {
    size_t first, later;
    Random *random; /* sizes from 1 to `later`; NULL: all `later` */
    Bytes chosen;   /* sizes that come before all those; 0 stands for 256 */
} Pieces;

extern const Pieces in_one_piece;

/* Appends what comes out of the stream: each message, and how it ended. The scanned part of a
 * message is overwritten before its next bytes are shown, so reading it again would change the
 * transcript. */
void stream_read(Bytes stream, size_t max_size, Pieces pieces, Buffer *transcript);

/* What stream_read() writes for a message, and at the end: the last status, and the bytes of the
 * stream that went into messages. */
void transcript_message(Buffer *transcript, FrameStatus status, Form form, const Message *message);
void transcript_end(Buffer *transcript, FrameStatus status, size_t taken);

/* How a stream ends that comes in one piece, and how many of its bytes went into messages. */
FrameStatus stream_status(Bytes stream, size_t max_size);
size_t stream_taken(Bytes stream, size_t max_size);

/* Appends a call with a random name, sequence id and struct, and to `expected`, where not NULL,
 * what the transcript of it should be. */
void append_random_message(Buffer *stream, Random *random, Form form, Buffer *expected);

/* Appends a message with that struct. */
void append_message(Buffer *stream, Form form, Message header, Bytes body);
