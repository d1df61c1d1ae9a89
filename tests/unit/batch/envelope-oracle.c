#include "envelope-oracle.h"

#include <glib.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/transport/thrift_memory_buffer.h>
#include <thrift_batch_batch_types.h>

#include "base/check.h"

enum { MEMORY_SIZE = 64 << 20 };

typedef struct Oracle {
    GByteArray *bytes;
    ThriftProtocol *protocol;
} Oracle;

/* One a protocol, for good: c_glib's objects leak a few bytes each when they are finalized. */
static Oracle *oracle_open(bool compact)
{
    static Oracle oracles[2];
    Oracle *oracle = &oracles[compact];
    if (oracle->bytes == NULL) {
        oracle->bytes = g_byte_array_new();
        GObject *memory = g_object_new(THRIFT_TYPE_MEMORY_BUFFER, "buf", oracle->bytes, "buf_size",
                                       (guint)MEMORY_SIZE, NULL);
        GType type = compact ? THRIFT_TYPE_COMPACT_PROTOCOL : THRIFT_TYPE_BINARY_PROTOCOL;
        oracle->protocol = g_object_new(type, "transport", memory, NULL);
    }
    g_byte_array_set_size(oracle->bytes, 0);
    return oracle;
}

static void take_request(const ThriftBatchRequest *from, EnvelopeRequest *to)
{
    *to = (EnvelopeRequest){
        .has_timeout = from->__isset_timeoutMs,
        .has_lane = from->__isset_lane,
        .timeout_ms = from->timeoutMs,
        .lane = from->lane,
    };
    buffer_append(&to->message, from->message->data, from->message->len);
}

static bool read_arguments(ThriftProtocol *from, Envelope *ret)
{
    ThriftBatchBatchServiceExecuteBatchArgs *arguments =
        g_object_new(THRIFT_BATCH_TYPE_BATCH_SERVICE_EXECUTE_BATCH_ARGS, NULL);
    bool good =
        thrift_struct_read(THRIFT_STRUCT(arguments), from, NULL) >= 0 && arguments->__isset_batch;
    if (good) {
        GPtrArray *requests = arguments->batch->requests;
        ret->n_requests = requests->len;
        ret->requests = g_new0(EnvelopeRequest, requests->len);
        for (guint i = 0; i < requests->len; i++)
            take_request(g_ptr_array_index(requests, i), &ret->requests[i]);
    }
    g_object_unref(arguments);
    return good;
}

bool envelope_read(bool compact, Bytes message, Envelope *ret)
{
    *ret = (Envelope){0};
    Oracle *oracle = oracle_open(compact);
    g_byte_array_append(oracle->bytes, message.data, (guint)message.len);
    ThriftMessageType type;
    if (thrift_protocol_read_message_begin(oracle->protocol, &ret->name, &type, &ret->seqid, NULL) <
        0)
        return false;
    ret->type = (int)type;
    return read_arguments(oracle->protocol, ret) && oracle->bytes->len == 0;
}

void envelope_clear(Envelope *envelope)
{
    for (unsigned i = 0; i < envelope->n_requests; i++)
        buffer_clear(&envelope->requests[i].message);
    g_free(envelope->requests);
    g_free(envelope->name);
    *envelope = (Envelope){0};
}

static ThriftBatchResponse *new_response(Bytes message)
{
    ThriftBatchResponse *response = g_object_new(THRIFT_BATCH_TYPE_RESPONSE, NULL);
    if (message.len > 0) {
        GByteArray *bytes = g_byte_array_new();
        g_byte_array_append(bytes, message.data, (guint)message.len);
        g_object_set(response, "message", bytes, NULL);
        g_byte_array_unref(bytes);
    }
    return response;
}

void envelope_write_answer(bool compact, const char *name, int32_t seqid, const Bytes *responses,
                           unsigned n_responses, Buffer *out)
{
    Oracle *oracle = oracle_open(compact);
    ThriftBatchBatchServiceExecuteBatchResult *result =
        g_object_new(THRIFT_BATCH_TYPE_BATCH_SERVICE_EXECUTE_BATCH_RESULT, NULL);
    ThriftBatchBatchResponse *answer = g_object_new(THRIFT_BATCH_TYPE_BATCH_RESPONSE, NULL);
    for (unsigned i = 0; i < n_responses; i++)
        g_ptr_array_add(answer->responses, new_response(responses[i]));
    g_object_set(result, "success", answer, NULL);
    check(thrift_protocol_write_message_begin(oracle->protocol, name, T_REPLY, seqid, NULL) >= 0);
    check(thrift_struct_write(THRIFT_STRUCT(result), oracle->protocol, NULL) >= 0);
    buffer_append(out, oracle->bytes->data, oracle->bytes->len);
    g_object_unref(answer);
    g_object_unref(result);
}
