#include "batch/join.h"

#include "base/check.h"
#include "batch/native.h"
#include "wire/header.h"
#include "wire/types.h"
#include "wire/varint.h"

/* Struct fields as the protocols write them: type and id; compact has the delta in the upper half.
 */
enum {
    BINARY_FIELD_SIZE = 3,
    BINARY_I32_FIELD_SIZE = 7,
    COMPACT_TYPE_I32 = 5,
    COMPACT_TYPE_BINARY = 8,
    COMPACT_TYPE_LIST = 9,
    COMPACT_TYPE_STRUCT = 12,
    COMPACT_DELTA_1 = 1 << 4,
};

enum { ENVELOPE_MAX_SIZE = FRAME_HEADER_SIZE + HEADER_MAX_SIZE + 16 + 2 };

/* Where a call's message lies; grows as more is written around it. */
typedef struct Span {
    uint8_t *begin, *end;
} Span;

size_t join_max_iovecs(const Batch *batch)
{
    return (size_t)batch->n_calls + 2;
}

static uint8_t *write_binary_field(uint8_t *to, ThriftType type, uint16_t id)
{
    to[0] = (uint8_t)type;
    store_be16(to + 1, id);
    return to + BINARY_FIELD_SIZE;
}

static uint8_t *write_binary_i32_field(uint8_t *to, uint16_t id, uint32_t value)
{
    store_be32(write_binary_field(to, THRIFT_I32, id), value);
    return to + BINARY_I32_FIELD_SIZE;
}

/* Completes the message header in front of the name. */
static Span join_message(Call *call, Protocol protocol, int32_t seqid)
{
    MessageType type = call->oneway ? MESSAGE_ONEWAY : MESSAGE_CALL;
    uint8_t *request = call->bytes + CALL_ROOM;
    Span span = {request, request + call->request_len};
    if (protocol == PROTOCOL_BINARY) {
        store_be32(request + 4 + call->name_len, (uint32_t)seqid);
        span.begin -= 4;
        store_be32(span.begin, 0x80010000U | (uint32_t)type);
        return span;
    }
    uint8_t head[2 + VARINT32_MAX_SIZE] = {0x82, (uint8_t)(type << 5 | 1)};
    size_t head_len = (size_t)(varint_write(head + 2, (uint32_t)seqid) - head);
    span.begin -= head_len;
    memcpy(span.begin, head, head_len);
    return span;
}

/* Rounded up: a server that gives a call up has not done so before the call has ended here, so that
 * its word about the deadline is never taken for an answer of the method's. */
static uint32_t timeout_ms(const Call *call, nsec_t now)
{
    nsec_t ms = (nsec_until(now, call->answer_by) + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
    return ms == 0 ? 1 : (uint32_t)nsec_min(ms, INT32_MAX);
}

static void wrap_binary_item(Span *span, uint32_t timeout, uint32_t lane)
{
    uint32_t message_len = (uint32_t)(span->end - span->begin);
    span->begin -= BINARY_FIELD_SIZE + 4;
    store_be32(write_binary_field(span->begin, THRIFT_STRING, 1), message_len);
    span->end = write_binary_i32_field(span->end, 2, timeout);
    if (lane > 0)
        span->end = write_binary_i32_field(span->end, 3, lane);
    *span->end++ = THRIFT_STOP;
}

static uint8_t *write_compact_i32_field(uint8_t *to, uint32_t value)
{
    *to++ = COMPACT_DELTA_1 | COMPACT_TYPE_I32;
    return varint_write(to, zigzag_encode((int32_t)value));
}

static void wrap_compact_item(Span *span, uint32_t timeout, uint32_t lane)
{
    size_t message_len = (size_t)(span->end - span->begin);
    span->begin -= 1 + varint_size(message_len);
    span->begin[0] = COMPACT_DELTA_1 | COMPACT_TYPE_BINARY;
    varint_write(span->begin + 1, message_len);
    span->end = write_compact_i32_field(span->end, timeout);
    if (lane > 0)
        span->end = write_compact_i32_field(span->end, lane);
    *span->end++ = THRIFT_STOP;
}

static Span join_item(Call *call, Protocol protocol, int32_t position, nsec_t now)
{
    Span span = join_message(call, protocol, position);
    uint32_t lane = call->caller->lane;
    if (protocol == PROTOCOL_BINARY)
        wrap_binary_item(&span, timeout_ms(call, now), lane);
    else
        wrap_compact_item(&span, timeout_ms(call, now), lane);
    check(span.begin >= call->bytes &&
          span.end <= call->bytes + CALL_ROOM + call->request_len + CALL_SUFFIX_ROOM);
    return span;
}

static uint8_t *write_envelope(uint8_t *to, uint32_t count, int32_t seqid,
                               const BatcherParams *params)
{
    Protocol protocol = params->upstream.protocol;
    to = header_write(to, protocol, true, MESSAGE_CALL, params->method, seqid);
    if (protocol == PROTOCOL_BINARY) {
        to = write_binary_field(to, THRIFT_STRUCT, 1);
        to = write_binary_field(to, THRIFT_LIST, 1);
        *to++ = THRIFT_STRUCT;
        store_be32(to, count);
        return to + 4;
    }
    *to++ = COMPACT_DELTA_1 | COMPACT_TYPE_STRUCT;
    *to++ = COMPACT_DELTA_1 | COMPACT_TYPE_LIST;
    if (count < COMPACT_LONG_COUNT) {
        *to++ = (uint8_t)(count << 4 | COMPACT_TYPE_STRUCT);
        return to;
    }
    *to++ = COMPACT_LONG_COUNT << 4 | COMPACT_TYPE_STRUCT;
    return varint_write(to, count);
}

/* What stands around the items: the batch call up to its list, and the stops behind it. */
typedef struct Envelope {
    uint8_t *frame, *message, *items;
} Envelope;

enum { ENVELOPE_STOPS = 2 /* of BatchRequest and of the arguments */ };

static Envelope begin_envelope(uint32_t count, int32_t seqid, const BatcherParams *params,
                               Buffer *head)
{
    head->len = 0;
    uint8_t *frame = buffer_reserve(head, ENVELOPE_MAX_SIZE + params->method.len);
    uint8_t *message = frame + FRAME_HEADER_SIZE;
    uint8_t *items = write_envelope(message, count, seqid, params);
    memset(items, THRIFT_STOP, ENVELOPE_STOPS);
    return (Envelope){frame, message, items};
}

/* Completes it for items of `len` bytes and returns where it begins. */
static uint8_t *end_envelope(const Envelope *envelope, size_t len, const BatcherParams *params)
{
    if (params->upstream.transport != TRANSPORT_FRAMED)
        return envelope->message;
    size_t head_len = (size_t)(envelope->items - envelope->message);
    store_be32(envelope->frame, (uint32_t)(head_len + len + ENVELOPE_STOPS));
    return envelope->frame;
}

static size_t join_envelope(Batch *batch, const BatcherParams *params, nsec_t now, Buffer *head,
                            struct iovec *iovecs)
{
    Envelope envelope = begin_envelope(batch_travelling(batch), batch->seqid, params, head);
    size_t n = 1, len = 0;
    int32_t position = 0;
    LIST_EACH (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        Span span = join_item(call, params->upstream.protocol, position++, now);
        iovecs[n] = (struct iovec){span.begin, (size_t)(span.end - span.begin)};
        len += iovecs[n++].iov_len;
    }
    iovecs[n++] = (struct iovec){envelope.items, ENVELOPE_STOPS};
    uint8_t *begin = end_envelope(&envelope, len, params);
    iovecs[0] = (struct iovec){begin, (size_t)(envelope.items - begin)};
    return n;
}

void join_question(const BatcherParams *params, int32_t seqid, Buffer *out)
{
    Envelope envelope = begin_envelope(0, seqid, params, out);
    uint8_t *begin = end_envelope(&envelope, 0, params), *end = envelope.items + ENVELOPE_STOPS;
    out->len = (size_t)(end - envelope.frame);
    buffer_drop(out, (size_t)(begin - envelope.frame));
}

size_t join_singles(Batch *batch, Call *first, const BatcherParams *params, int32_t seqid,
                    struct iovec *iovecs)
{
    size_t n = 0;
    for (ListLink *link = &first->batch_link; link != NULL; link = list_next(&batch->calls, link)) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        call->sent_seqid = seqid;
        seqid = (int32_t)(((uint32_t)seqid + 1) & INT32_MAX);
        Span span = join_message(call, params->upstream.protocol, call->sent_seqid);
        if (params->upstream.transport == TRANSPORT_FRAMED) {
            span.begin -= FRAME_HEADER_SIZE;
            store_be32(span.begin, (uint32_t)(span.end - span.begin - FRAME_HEADER_SIZE));
        }
        iovecs[n++] = (struct iovec){span.begin, (size_t)(span.end - span.begin)};
    }
    return n;
}

size_t join_batch(Batch *batch, const BatcherParams *params, nsec_t now, Buffer *head,
                  struct iovec *iovecs)
{
    if (batch->plain)
        return join_singles(batch, batch_first(batch), params, batch->seqid, iovecs);
    if (batch_kind(batch) == BATCH_KIND_NATIVE)
        return native_join(batch, params, head, iovecs);
    return join_envelope(batch, params, now, head, iovecs);
}
