#include "batch/split.h"

#include <stdarg.h>
#include <stdio.h>

#include "wire/cursor.h"
#include "wire/exception.h"
#include "wire/header.h"
#include "wire/scan.h"
#include "wire/skip.h"

enum { NAME_SIZE = 48, EXCEPTION_TEXT_SIZE = 120 };

SplitStatus split_broken(char why[SPLIT_WHY_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, SPLIT_WHY_SIZE, format, arguments);
    va_end(arguments);
    return SPLIT_E_BROKEN;
}

static const char *message_type_name(MessageType type)
{
    static const char *const names[] = {
        [0] = "?",
        [MESSAGE_CALL] = "CALL",
        [MESSAGE_REPLY] = "REPLY",
        [MESSAGE_EXCEPTION] = "EXCEPTION",
        [MESSAGE_ONEWAY] = "ONEWAY",
    };
    return names[type];
}

static bool names_match(Bytes reply_name, Bytes sent_name)
{
    return bytes_equal(reply_name, sent_name) ||
           bytes_equal(reply_name, header_bare_name(sent_name));
}

/* Whether a message is a reply with that sequence id. */
static SplitStatus check_reply(const Message *reply, int32_t seqid, char *why)
{
    if (reply->type != MESSAGE_REPLY && reply->type != MESSAGE_EXCEPTION)
        return split_broken(why, "a message of type %s instead of a reply",
                            message_type_name(reply->type));
    if (reply->seqid != seqid)
        return split_broken(why, "sequence id %d where %d was due", reply->seqid, seqid);
    return SPLIT_OK;
}

SplitStatus split_check_header(const Message *reply, Bytes sent_name, int32_t seqid,
                               char why[SPLIT_WHY_SIZE])
{
    SplitStatus status = check_reply(reply, seqid, why);
    if (status != SPLIT_OK || names_match(reply->name, sent_name))
        return status;
    char name[NAME_SIZE], due[NAME_SIZE];
    bytes_printable(reply->name, name, sizeof name);
    bytes_printable(sent_name, due, sizeof due);
    return split_broken(why, "a reply of method '%s' where '%s' was due", name, due);
}

SplitStatus split_check_body(Protocol protocol, Bytes body, unsigned max_depth,
                             char why[SPLIT_WHY_SIZE])
{
    size_t taken;
    if (protocol == PROTOCOL_BINARY && skip_binary_struct_fills(body, max_depth))
        return SPLIT_OK;
    if (scan_struct(protocol, body, max_depth, &taken) != SCAN_DONE || taken != body.len)
        return split_broken(why, "a reply whose result does not parse");
    return SPLIT_OK;
}

static SplitStatus set_answer(Call *call, const BatcherParams *params, const Message *reply,
                              bool prefixed, char *why)
{
    SplitStatus status =
        split_check_body(params->upstream.protocol, reply->body, THRIFT_MAX_DEPTH, why);
    if (status != SPLIT_OK)
        return status;
    call->answer = (CallAnswer){
        .data = (uint8_t *)(uintptr_t)reply->whole.data,
        .len = reply->whole.len,
        .header_size = (size_t)(reply->body.data - reply->whole.data),
        .strict = reply->strict,
        .prefixed = prefixed,
        .type = reply->type,
    };
    return SPLIT_OK;
}

/* The next one that was sent. */
static Call *next_call(const Batch *batch, const Call *call)
{
    ListLink *link = list_next(&batch->calls, &call->batch_link);
    Call *next = link != NULL ? LIST_OWNER(link, Call, batch_link) : NULL;
    return next != NULL && next->state != CALL_STATE_WAITING ? next : NULL;
}

/* Whether no reply to the call may have come although a later one has. */
static bool may_be_oneway(const Call *call)
{
    return batch_kind(call->batch) == BATCH_KIND_THROUGH &&
           (call->oneway || !call->method->answers);
}

SplitStatus split_single(Batch *batch, Call *due, const BatcherParams *params, const Message *reply,
                         Call **ret, char why[SPLIT_WHY_SIZE])
{
    Call *call = due;
    while (reply->seqid != call->sent_seqid && may_be_oneway(call) &&
           next_call(batch, call) != NULL)
        call = next_call(batch, call);
    SplitStatus status = split_check_header(reply, call_name(call), call->sent_seqid, why);
    if (status != SPLIT_OK)
        return status;
    *ret = call;
    bool framed = params->upstream.transport == TRANSPORT_FRAMED;
    return set_answer(call, params, reply, framed, why);
}

/* The position proves whose reply it is; a name that the server could not give back as it was
 * (bytes that are no UTF-8, say) is the one call's trouble, not the batch's. */
static SplitStatus split_message(Call *call, const BatcherParams *params, Bytes bytes,
                                 int32_t position, char *why)
{
    Message message = {.whole = bytes};
    size_t header_len;
    if (header_read(params->upstream.protocol, bytes, bytes.len, &message, &header_len) !=
        HEADER_OK)
        return split_broken(why, "the response at position %d is no Thrift message", position);
    message.body = (Bytes){bytes.data + header_len, bytes.len - header_len};
    SplitStatus status = check_reply(&message, position, why);
    if (status != SPLIT_OK)
        return status;
    bool prefixed = params->upstream.protocol == PROTOCOL_BINARY;
    status = set_answer(call, params, &message, prefixed, why);
    if (status != SPLIT_OK)
        return status;
    call->answer.misnamed = !bytes_equal(message.name, call_bare_name(call)) &&
                            !bytes_equal(message.name, call_name(call));
    return SPLIT_OK;
}

/* The usual Response in one go, binary and as it should be:
 *
 *   0b 0001 length | 80 01 00 type, length name, seqid, result | 00
 *
 * False: nothing is taken, and it is looked at step by step. */
static inline bool take_usual_response(Call *call, Cursor *cursor, int32_t position)
{
    enum { FIELD_SIZE = 7 /* type, id, length */ };
    const uint8_t *at = cursor->at;
    size_t left = (size_t)(cursor->end - at), header_size;
    if (left <= FIELD_SIZE || at[0] != THRIFT_STRING || load_be16(at + 1) != 1)
        return false;
    Bytes bytes = {at + FIELD_SIZE, load_be32(at + 3)};
    Message message;
    if (bytes.len >= left - FIELD_SIZE || bytes.data[bytes.len] != THRIFT_STOP ||
        !header_read_strict(bytes, &message, &header_size) || message.seqid != position ||
        (message.type != MESSAGE_REPLY && message.type != MESSAGE_EXCEPTION) ||
        !bytes_equal(message.name, call_bare_name(call)))
        return false;
    Bytes body = {bytes.data + header_size, bytes.len - header_size};
    if (!skip_binary_struct_fills(body, THRIFT_MAX_DEPTH))
        return false;
    call->answer = (CallAnswer){
        .data = (uint8_t *)(uintptr_t)bytes.data,
        .len = bytes.len,
        .header_size = header_size,
        .strict = true,
        .prefixed = true,
        .type = message.type,
    };
    cursor->at = bytes.data + bytes.len + 1;
    return true;
}

/* One Response { 1: optional binary message }. Fields of later versions are skipped. */
static Bytes read_response(Cursor *cursor)
{
    Bytes message = {0};
    int16_t id, saved = cursor_enter_struct(cursor);
    ThriftType type;
    while ((type = cursor_field(cursor, &id)) != THRIFT_STOP) {
        if (id != 1)
            cursor_skip(cursor, type, false);
        else if (type == THRIFT_STRING)
            message = cursor_string(cursor);
        else
            cursor->failed = true;
    }
    cursor_leave_struct(cursor, saved);
    return message;
}

static SplitStatus split_response(Call *call, const BatcherParams *params, Cursor *cursor,
                                  int32_t position, char *why)
{
    Bytes bytes = read_response(cursor);
    if (cursor->failed)
        return split_broken(why, "the response at position %d does not parse", position);
    if (bytes.len > 0)
        return split_message(call, params, bytes, position, why);
    call->answer = (CallAnswer){0};
    return SPLIT_OK;
}

static SplitStatus split_responses(Batch *batch, const BatcherParams *params, Cursor *cursor,
                                   char *why)
{
    ThriftType element;
    uint32_t count = cursor_list(cursor, &element);
    if (cursor->failed)
        return split_broken(why, "the list of responses does not parse");
    if (count != batch_travelling(batch))
        return split_broken(why, "%u responses to %u requests", count, batch_travelling(batch));
    if (element != THRIFT_STRUCT)
        return split_broken(why, "the responses are no structs");
    bool binary = params->upstream.protocol == PROTOCOL_BINARY;
    int32_t position = 0;
    LIST_EACH (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        SplitStatus status = SPLIT_OK;
        if (!binary || !take_usual_response(call, cursor, position))
            status = split_response(call, params, cursor, position, why);
        if (status != SPLIT_OK)
            return status;
        position++;
    }
    return SPLIT_OK;
}

/* The one field that leads on, in a struct that may have others: `id` of `type`. False when it is
 * not there. */
static bool find_field(Cursor *cursor, ThriftType wanted, int16_t wanted_id)
{
    int16_t id;
    ThriftType type;
    while ((type = cursor_field(cursor, &id)) != THRIFT_STOP) {
        if (id == wanted_id && type == wanted)
            return true;
        cursor_skip(cursor, type, false);
    }
    return false;
}

static void skip_rest(Cursor *cursor, int16_t saved)
{
    int16_t id;
    ThriftType type;
    while ((type = cursor_field(cursor, &id)) != THRIFT_STOP)
        cursor_skip(cursor, type, false);
    cursor_leave_struct(cursor, saved);
}

/* The result struct { 0: BatchResponse { 1: list<Response> } }. */
static SplitStatus split_result(Batch *batch, const BatcherParams *params, Bytes body, char *why)
{
    Cursor cursor = cursor_init(params->upstream.protocol, body);
    int16_t outer = cursor_enter_struct(&cursor);
    if (!find_field(&cursor, THRIFT_STRUCT, 0))
        return split_broken(why, "no result in the answer");
    int16_t inner = cursor_enter_struct(&cursor);
    if (!find_field(&cursor, THRIFT_LIST, 1))
        return split_broken(why, "no list of responses in the answer");
    SplitStatus status = split_responses(batch, params, &cursor, why);
    if (status != SPLIT_OK)
        return status;
    skip_rest(&cursor, inner);
    skip_rest(&cursor, outer);
    if (cursor.failed || cursor.at != cursor.end)
        return split_broken(why, "the answer does not parse behind its responses");
    return SPLIT_OK;
}

SplitStatus split_refusal(Protocol protocol, const Message *reply, char why[SPLIT_WHY_SIZE])
{
    Bytes text;
    int32_t code;
    if (split_check_body(protocol, reply->body, THRIFT_MAX_DEPTH, why) != SPLIT_OK ||
        !exception_read(protocol, reply->body, &text, &code))
        return split_broken(why, "an exception that does not parse");
    char printable[EXCEPTION_TEXT_SIZE];
    bytes_printable(text, printable, sizeof printable);
    snprintf(why, SPLIT_WHY_SIZE, "%s: %s", exception_code_name(code), printable);
    return code == EXCEPTION_UNKNOWN_METHOD ? SPLIT_E_UNKNOWN : SPLIT_E_REFUSED;
}

SplitStatus split_envelope(Batch *batch, const BatcherParams *params, const Message *reply,
                           char why[SPLIT_WHY_SIZE])
{
    SplitStatus status = split_check_header(reply, params->method, batch->seqid, why);
    if (status != SPLIT_OK)
        return status;
    if (reply->type == MESSAGE_EXCEPTION)
        return split_refusal(params->upstream.protocol, reply, why);
    return split_result(batch, params, reply->body, why);
}

SplitStatus split_question(const BatcherParams *params, const Message *reply,
                           char why[SPLIT_WHY_SIZE])
{
    if (reply->type == MESSAGE_EXCEPTION)
        return split_refusal(params->upstream.protocol, reply, why);
    if (reply->type != MESSAGE_REPLY ||
        !bytes_equal(header_bare_name(reply->name), header_bare_name(params->method)))
        return split_broken(why, "an answer to another question");
    return split_check_body(params->upstream.protocol, reply->body, THRIFT_MAX_DEPTH, why);
}
