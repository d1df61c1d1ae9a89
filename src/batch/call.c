#include "batch/call.h"

#include <glib.h>

#include "base/check.h"
#include "wire/exception.h"
#include "wire/header.h"
#include "wire/transcode.h"
#include "wire/varint.h"

enum {
    STRICT_VERSION_SIZE = 4,
    NAME_LENGTH_SIZE = 4,
    CALL_BLOCK_SIZE = 512,
    CALL_BLOCKS_KEPT = 1024,
};

void call_cache_init(BlockCache *cache)
{
    block_cache_init(cache, CALL_BLOCK_SIZE, CALL_BLOCKS_KEPT);
}

/* Sets what has a value from the beginning, and no more: clearing all of a call would cost as much
 * as the rest of this. */
static inline Call *call_alloc(Caller *caller, Form client, const Message *message,
                               size_t request_len)
{
    size_t size = sizeof(Call) + CALL_ROOM + request_len + CALL_SUFFIX_ROOM;
    BlockCache *cache = size <= CALL_BLOCK_SIZE ? caller->call_cache : NULL;
    Call *call = cache != NULL ? block_cache_take(cache) : g_malloc(size);
    call->cache = cache;
    call->caller = caller;
    call->batch = NULL;
    call->method = NULL;
    call->group = NULL;
    call->leader = NULL;
    call->state = CALL_STATE_NEW;
    call->form = (Form){client.transport, client.protocol, message->strict};
    call->type = message->type;
    call->oneway = message->type == MESSAGE_ONEWAY;
    call->through = call->unbatched = false;
    call->attempts = 0;
    call->seqid = message->seqid;
    call->size = message->whole.len;
    call->name_len = (uint32_t)message->name.len;
    call->request_len = request_len;
    call->reply = (CallReply){0};
    list_link_init(&call->batch_link);
    list_link_init(&call->deadline_link);
    list_append(&caller->calls, &call->caller_link);
    caller->n_calls++;
    return call;
}

static void write_binary_request(Call *call, Bytes name, Bytes body)
{
    uint8_t *to = call->bytes + CALL_ROOM;
    store_be32(to, (uint32_t)name.len);
    memcpy(to + 4, name.data, name.len);
    call->name_at = CALL_ROOM + 4;
    if (body.len > 0)
        memcpy(to + 4 + name.len + 4, body.data, body.len);
}

static void write_compact_request(Call *call, Bytes name, Bytes body)
{
    uint8_t *to = varint_write(call->bytes + CALL_ROOM, name.len);
    call->name_at = (uint32_t)(to - call->bytes);
    memcpy(to, name.data, name.len);
    if (body.len > 0)
        memcpy(to + name.len, body.data, body.len);
}

static Call *call_from(Caller *caller, Form client, Protocol upstream, const Message *message,
                       Bytes body)
{
    size_t name_len = message->name.len;
    size_t head = upstream == PROTOCOL_BINARY ? 4 + name_len + 4 : varint_size(name_len) + name_len;
    Call *call = call_alloc(caller, client, message, head + body.len);
    call->arguments_len = body.len;
    if (upstream == PROTOCOL_BINARY)
        write_binary_request(call, message->name, body);
    else
        write_compact_request(call, message->name, body);
    return call;
}

/* A strict binary message, for a binary upstream: a request as it stands, from the name's length.
 */
static Call *call_from_strict(Caller *caller, Form client, const Message *message)
{
    size_t request_len = message->whole.len - STRICT_VERSION_SIZE;
    Call *call = call_alloc(caller, client, message, request_len);
    memcpy(call->bytes + CALL_ROOM, message->whole.data + STRICT_VERSION_SIZE, request_len);
    call->name_at = CALL_ROOM + NAME_LENGTH_SIZE;
    call->arguments_len = message->body.len;
    return call;
}

CallStatus call_new(Caller *caller, Form client, Form upstream, const Message *message,
                    size_t max_size, nsec_t now, Call **ret)
{
    if (message->strict && client.protocol == upstream.protocol) {
        *ret = call_from_strict(caller, client, message);
        (*ret)->arrived = now;
        return CALL_OK;
    }
    Buffer transcoded = {0};
    Bytes body = message->body;
    if (client.protocol != upstream.protocol) {
        switch (transcode_struct(client.protocol, upstream.protocol, body, max_size, &transcoded)) {
        case TRANSCODE_OK:
            body = (Bytes){transcoded.data, transcoded.len};
            break;
        case TRANSCODE_E_INVALID:
            buffer_clear(&transcoded);
            return CALL_E_ARGUMENTS;
        case TRANSCODE_E_LIMIT:
            buffer_clear(&transcoded);
            return CALL_E_TOO_LARGE;
        }
    }
    *ret = call_from(caller, client, upstream.protocol, message, body);
    (*ret)->arrived = now;
    buffer_clear(&transcoded);
    return CALL_OK;
}

Call *call_new_refused(Caller *caller, Form client, const Message *message, ExceptionCode code,
                       const char *text)
{
    Call *call = call_from(caller, client, client.protocol, message, (Bytes){0});
    call->state = CALL_STATE_ENDED;
    call->oneway = false;
    call->bare_at = (uint32_t)(call->name_len - header_bare_name(call_name(call)).len);
    call_set_error(call, code, text);
    return call;
}

/* Writes the client's header over the request, which is no longer needed and always has the room.
 * The name goes with it: call_name() is not to be used any more. */
static void write_reply_head(Call *call, MessageType type, size_t body_len)
{
    Bytes name = call_bare_name(call);
    uint8_t *header = call->bytes + FRAME_HEADER_SIZE;
    uint8_t *end =
        header_write(header, call->form.protocol, call->form.strict, type, name, call->seqid);
    size_t header_len = (size_t)(end - header);
    if (call->form.transport == TRANSPORT_FRAMED) {
        store_be32(call->bytes, (uint32_t)(header_len + body_len));
        call->reply.head = (Bytes){call->bytes, FRAME_HEADER_SIZE + header_len};
    } else {
        call->reply.head = (Bytes){header, header_len};
    }
}

/* Whether the answer becomes the reply by patching its sequence id: the usual case, in which
 * nothing is copied. */
static bool answer_is_reply(const Call *call)
{
    size_t bare_len = call_bare_name(call).len;
    return call->form.protocol == PROTOCOL_BINARY && call->form.strict && call->answer.strict &&
           call->answer.header_size == HEADER_MAX_SIZE + bare_len &&
           (call->answer.prefixed || call->form.transport == TRANSPORT_BUFFERED);
}

bool call_set_answer(Call *call, Protocol upstream, size_t max_size)
{
    const CallAnswer *answer = &call->answer;
    Bytes body = {answer->data + answer->header_size, answer->len - answer->header_size};
    if (call->form.protocol != upstream) {
        if (transcode_struct(upstream, call->form.protocol, body, max_size, &call->reply.owned) !=
            TRANSCODE_OK)
            return false;
        body = (Bytes){call->reply.owned.data, call->reply.owned.len};
    } else if (answer_is_reply(call)) {
        store_be32(answer->data + answer->header_size - 4, (uint32_t)call->seqid);
        size_t frame = call->form.transport == TRANSPORT_FRAMED ? FRAME_HEADER_SIZE : 0;
        call->reply.body = (Bytes){answer->data - frame, answer->len + frame};
        return true;
    }
    write_reply_head(call, answer->type, body.len);
    call->reply.body = body;
    return true;
}

void call_set_error(Call *call, ExceptionCode code, const char *text)
{
    call->reply.owned.len = 0;
    exception_append(&call->reply.owned, call->form, call_bare_name(call), call->seqid, code, text);
    call->reply.head = (Bytes){0};
    call->reply.body = (Bytes){call->reply.owned.data, call->reply.owned.len};
}

void call_own_reply(Call *call)
{
    CallReply *reply = &call->reply;
    if (reply->owned.len > 0 || reply->body.len == 0)
        return;
    buffer_append(&reply->owned, reply->body.data, reply->body.len);
    reply->body = (Bytes){reply->owned.data, reply->owned.len};
}

static void call_free_unless_needed(Call *call)
{
    if (call->batch != NULL || call->caller != NULL)
        return;
    check(call->state == CALL_STATE_ENDED);
    check(!list_linked(&call->deadline_link));
    buffer_clear(&call->reply.owned);
    if (call->cache != NULL)
        block_cache_give(call->cache, call);
    else
        g_free(call);
}

void call_leave_batch(Call *call)
{
    list_remove(&call->batch_link);
    call->batch = NULL;
    call_free_unless_needed(call);
}

void call_leave_caller(Call *call)
{
    list_remove(&call->caller_link);
    call->caller->n_calls--;
    call->caller = NULL;
    call_free_unless_needed(call);
}
