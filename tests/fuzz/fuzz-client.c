/* Fuzzes what a client sends, and how any stream is cut into messages. The input's bytes, in order:
 *
 *   limits (index of the largest message), the number of cuts (its low four bits)
 *   the sizes of the first pieces
 *   the stream
 *
 * However it is cut, the same messages come out of it, none larger than allowed, and the stream
 * ends in the same way. Every call goes to an upstream of either protocol and back as its own
 * answer: what the client gets has equal values. Read as a server's answers, which are not scanned,
 * the stream's messages do not depend on the cuts either. */
#include "base/check.h"
#include "batch/call.h"
#include "wire/exception.h"
#include "wire/frame.h"
#include "wire/header.h"
#include "wire/scan.h"

#include "../unit/wire/stream.h"
#include "input.h"
#include "values.h"

enum {
    CUTS_MASK = 15,
    BY_BYTE_MAX = 512, /* longer streams are not read byte by byte */
    REPLY_MAX_SIZE = 1 << 24,
};

static const size_t max_sizes[] = {1 << 20, 64, 300, 4096};

/* The one message in those bytes, in the form of the call. */
static Message read_reply(const Call *call, const Buffer *bytes)
{
    FrameReader reader;
    Message reply;
    size_t taken = 0;
    frame_reader_init(&reader, call->form, REPLY_MAX_SIZE, true);
    check(frame_reader_next(&reader, buffer_bytes(bytes), &reply, &taken) == FRAME_MESSAGE);
    check(taken == bytes->len && reply.seqid == call->seqid);
    check(call->form.protocol == PROTOCOL_COMPACT || reply.strict == call->form.strict);
    return reply;
}

static Buffer reply_bytes(const Call *call)
{
    Buffer bytes = {0};
    buffer_append(&bytes, call->reply.head.data, call->reply.head.len);
    buffer_append(&bytes, call->reply.body.data, call->reply.body.len);
    return bytes;
}

static void end_call(Call *call)
{
    call->state = CALL_STATE_ENDED;
    call_leave_caller(call);
}

/* What cannot be sent upstream is answered with an error. */
static void refuse(Form client, const Message *message)
{
    Caller caller;
    caller_init(&caller);
    Call *call =
        call_new_refused(&caller, client, message, EXCEPTION_INVALID_MESSAGE_TYPE, "refused");
    Buffer bytes = reply_bytes(call);
    Message reply = read_reply(call, &bytes);
    Bytes text;
    int32_t code;
    check(reply.type == MESSAGE_EXCEPTION);
    check(bytes_equal(reply.name, header_bare_name(message->name)));
    check(exception_read(client.protocol, reply.body, &text, &code));
    check(code == EXCEPTION_INVALID_MESSAGE_TYPE);
    buffer_clear(&bytes);
    end_call(call);
}

/* The call's own arguments as its answer: a reply as a server writes it, behind its length. */
static Buffer make_answer(Call *call, Protocol upstream)
{
    enum { PREFIX_SIZE = 4, SEQID = 5 };
    Buffer answer = {0};
    Bytes name = call_bare_name(call), arguments = call_arguments(call);
    size_t head = header_size(upstream, true, name, SEQID);
    uint8_t *to = buffer_reserve(&answer, PREFIX_SIZE + head);
    store_be32(to, (uint32_t)(head + arguments.len));
    header_write(to + PREFIX_SIZE, upstream, true, MESSAGE_REPLY, name, SEQID);
    answer.len = PREFIX_SIZE + head;
    buffer_append(&answer, arguments.data, arguments.len);
    call->answer = (CallAnswer){
        .data = answer.data + PREFIX_SIZE,
        .len = answer.len - PREFIX_SIZE,
        .header_size = head,
        .strict = upstream == PROTOCOL_BINARY,
        .prefixed = true,
        .type = MESSAGE_REPLY,
    };
    return answer;
}

static void check_arguments(const Call *call, Protocol upstream, const Message *message)
{
    Bytes arguments = call_arguments(call);
    size_t taken;
    check(call->size == message->whole.len);
    check(scan_struct(upstream, arguments, THRIFT_MAX_DEPTH, &taken) == SCAN_DONE);
    check(taken == arguments.len);
    check(structs_equal(call->form.protocol, message->body, upstream, arguments));
}

static void check_round_trip(Call *call, Protocol upstream, const Message *message)
{
    Buffer answer = make_answer(call, upstream);
    Bytes name = header_bare_name(message->name);
    check(call_set_answer(call, upstream, REPLY_MAX_SIZE));
    Buffer bytes = reply_bytes(call);
    Message reply = read_reply(call, &bytes);
    check(reply.type == MESSAGE_REPLY && bytes_equal(reply.name, name));
    check(structs_equal(call->form.protocol, message->body, call->form.protocol, reply.body));
    buffer_clear(&bytes);
    buffer_clear(&answer);
}

/* What the reader lets through is transcoded, if only it has the room: a byte of compact becomes
 * at most so many of binary. */
static void send_upstream(Form client, Protocol protocol, const Message *message)
{
    enum { MAX_GROWTH = 16 };
    Form upstream = {TRANSPORT_FRAMED, protocol, true};
    Caller caller;
    Call *call;
    caller_init(&caller);
    CallStatus status = call_new(&caller, client, upstream, message, message->whole.len, 0, &call);
    if (status == CALL_OK) {
        check(client.protocol == protocol || call->arguments_len <= message->whole.len);
    } else {
        check(status == CALL_E_TOO_LARGE && caller.n_calls == 0);
        check(call_new(&caller, client, upstream, message, MAX_GROWTH * message->whole.len, 0,
                       &call) == CALL_OK);
    }
    call->bare_at = (uint32_t)(call->name_len - header_bare_name(call_name(call)).len);
    check_arguments(call, protocol, message);
    check_round_trip(call, protocol, message);
    end_call(call);
}

static void take_message(Form client, const Message *message)
{
    refuse(client, message);
    send_upstream(client, PROTOCOL_BINARY, message);
    send_upstream(client, PROTOCOL_COMPACT, message);
}

/* All at once, as the daemon does: with the short way for the usual message. */
static void read_usually(Bytes stream, size_t max_size, Buffer *transcript)
{
    FrameReader reader;
    frame_reader_init(&reader, (Form){0}, max_size, true);
    size_t at = 0;
    for (;;) {
        Message message;
        size_t taken = 0;
        Bytes window = {stream.data + at, stream.len - at};
        FrameStatus status = frame_reader_take(&reader, window, &message, &taken);
        if (status == FRAME_MESSAGE || status == FRAME_E_BODY)
            transcript_message(transcript, status, reader.form, &message);
        if (status == FRAME_E_BODY)
            refuse(reader.form, &message);
        if (status != FRAME_MESSAGE) {
            transcript_end(transcript, status, at);
            return;
        }
        check(message.whole.len <= max_size && message.whole.len <= taken);
        check(message.name.len + message.body.len <= message.whole.len);
        take_message(reader.form, &message);
        at += taken;
    }
}

static void check_cut(Bytes stream, size_t max_size, Pieces pieces, const Buffer *expected)
{
    Buffer transcript = {0};
    stream_read(stream, max_size, pieces, &transcript);
    check(bytes_equal(buffer_bytes(&transcript), buffer_bytes(expected)));
    buffer_clear(&transcript);
}

/* Every window is a copy on its own, so that a sanitizer sees a read beyond. */
static void read_answers(Form form, Bytes stream, size_t max_size, Bytes cuts, Buffer *transcript)
{
    FrameReader reader;
    FrameStatus status = FRAME_MORE;
    size_t at = 0, end = 0;
    frame_reader_init(&reader, form, max_size, false);
    while (status == FRAME_MORE && end < stream.len) {
        size_t piece = cuts.len > 0 ? input_byte(&cuts) : SIZE_MAX;
        end += MIN(piece, stream.len - end);
        do {
            Message message;
            size_t taken = 0;
            Bytes window = bytes_copy((Bytes){stream.data + at, end - at});
            status = frame_reader_take(&reader, window, &message, &taken);
            if (status == FRAME_MESSAGE)
                transcript_message(transcript, status, reader.form, &message);
            bytes_copy_free(window);
            at += taken;
        } while (status == FRAME_MESSAGE);
    }
    transcript_end(transcript, status, at);
}

static void check_answers(Form form, Bytes stream, size_t max_size, Bytes cuts)
{
    Buffer whole = {0}, cut = {0};
    read_answers(form, stream, max_size, (Bytes){0}, &whole);
    read_answers(form, stream, max_size, cuts, &cut);
    check(bytes_equal(buffer_bytes(&whole), buffer_bytes(&cut)));
    buffer_clear(&whole);
    buffer_clear(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Bytes input = {data, size};
    size_t max_size = max_sizes[input_byte(&input) % G_N_ELEMENTS(max_sizes)];
    Bytes cuts = input_take(&input, input_byte(&input) & CUTS_MASK);
    Bytes stream = bytes_copy(input);
    Buffer transcript = {0};
    read_usually(stream, max_size, &transcript);
    check_cut(stream, max_size, in_one_piece, &transcript);
    check_cut(stream, max_size, (Pieces){.first = SIZE_MAX, .later = SIZE_MAX, .chosen = cuts},
              &transcript);
    if (stream.len <= BY_BYTE_MAX)
        check_cut(stream, max_size, (Pieces){.first = 1, .later = 1}, &transcript);
    for (unsigned i = 0; i < FORMS; i++)
        check_answers(all_forms[i], stream, max_size, cuts);
    buffer_clear(&transcript);
    bytes_copy_free(stream);
    return 0;
}
