/* Join, then split, is the identity, for random calls in every form of client and upstream. c_glib
 * writes the calls' structs in both protocols, reads what join wrote and writes what split reads;
 * what each side must get is known to the byte. */
#include <glib.h>
#include <stdio.h>

#include "batch/batcher.h"
#include "batch/join.h"
#include "batch/split.h"
#include "wire/frame.h"
#include "wire/header.h"

#include "../base/expect.h"
#include "../wire/oracle.h"
#include "../wire/stream.h"
#include "../wire/value.h"
#include "envelope-oracle.h"

enum { MAX_SIZE = 16 << 20, MAX_CALLS = 40, ROUNDS = 25, LEVELS = 4 };

typedef struct Traveller {
    Call *call;
    Message header; /* as its client wrote it */
    Value arguments, result;
    MessageType answer_type;
    Buffer got;
} Traveller;

typedef struct Journey {
    Random random;
    Form client, upstream;
    bool plain;
    MethodTable *methods;
    Batcher *batcher;
    Counters counters;
    Caller caller;
    Traveller travellers[MAX_CALLS];
    unsigned n;
} Journey;

static void on_call_ended(void *data, Call *call)
{
    Journey *journey = data;
    for (unsigned i = 0; i < journey->n; i++) {
        Traveller *traveller = &journey->travellers[i];
        if (traveller->call != call)
            continue;
        buffer_append(&traveller->got, call->reply.head.data, call->reply.head.len);
        buffer_append(&traveller->got, call->reply.body.data, call->reply.body.len);
    }
    call_leave_caller(call);
}

static void on_batch_abandoned(void *data, Batch *batch)
{
    (void)data;
    (void)batch;
    expect(false);
}

static const BatcherOps operations = {on_call_ended, on_batch_abandoned};

static BatcherParams journey_params(const Journey *journey)
{
    return (BatcherParams){
        .upstream = journey->upstream,
        .method = BYTES_LITERAL("Batches:executeBatch"),
        .call_timeout = NSEC_PER_SEC,
        .max_calls = MAX_CALLS,
        .max_bytes = MAX_SIZE,
        .min_calls = journey->plain ? UINT32_MAX : 1,
        .max_message_size = MAX_SIZE,
    };
}

static void append_value(Buffer *out, Protocol protocol, const Value *value)
{
    oracle_write_struct(protocol == PROTOCOL_BINARY ? ORACLE_BINARY : ORACLE_COMPACT, value, out);
}

static Buffer message_of(Form form, Message header, const Value *value)
{
    Buffer body = {0}, out = {0};
    append_value(&body, form.protocol, value);
    append_message(&out, form, header, buffer_bytes(&body));
    buffer_clear(&body);
    return out;
}

static void read_message(Form form, bool scan, Bytes bytes, Message *ret, size_t *ret_taken)
{
    FrameReader reader;
    frame_reader_init(&reader, form, MAX_SIZE, scan);
    expect_eq(frame_reader_next(&reader, bytes, ret, ret_taken), FRAME_MESSAGE);
}

static void set_out(Journey *journey, Traveller *traveller)
{
    static const char *const names[] = {"a", "ping", "Users:getUser", "\xc3\xa4rger", "us:x", "_"};
    Random *random = &journey->random;
    *traveller = (Traveller){
        .header = {.type = MESSAGE_CALL,
                   .seqid = (int32_t)(random_bits(random) >> random_below(random, 64)),
                   .name = bytes_from_string(names[random_below(random, G_N_ELEMENTS(names))])},
        .arguments = value_random_struct(random, LEVELS),
        .result = value_random_struct(random, LEVELS),
        .answer_type = random_one_in(random, 4) ? MESSAGE_EXCEPTION : MESSAGE_REPLY,
    };
    Buffer sent = message_of(journey->client, traveller->header, &traveller->arguments);
    Message message;
    size_t taken;
    read_message((Form){0}, true, buffer_bytes(&sent), &message, &taken);
    Form detected = journey->client; /* by an earlier message, strict or not */
    detected.strict = random_one_in(random, 2);
    expect_eq(call_new(&journey->caller, detected, journey->upstream, &message, MAX_SIZE, 1,
                       &traveller->call),
              CALL_OK);
    buffer_clear(&sent);
    batcher_submit(journey->batcher, traveller->call, 1);
    if (journey->plain)
        method_learn_answers(traveller->call->method);
}

static Buffer join(Batch *batch, const BatcherParams *params)
{
    Buffer head = {0}, out = {0};
    struct iovec iovecs[MAX_CALLS + 2];
    expect(join_max_iovecs(batch) <= G_N_ELEMENTS(iovecs));
    size_t n = join_batch(batch, params, 1, &head, iovecs);
    for (size_t i = 0; i < n; i++)
        buffer_append(&out, iovecs[i].iov_base, iovecs[i].iov_len);
    buffer_clear(&head);
    return out;
}

/* What the upstream must get for a call. */
static void assert_request(const Journey *journey, unsigned i, int32_t seqid, Bytes bytes)
{
    const Traveller *traveller = &journey->travellers[i];
    Message header = traveller->header;
    header.seqid = seqid;
    Form form = {TRANSPORT_BUFFERED, journey->upstream.protocol, true};
    Buffer expected = message_of(form, header, &traveller->arguments);
    expect(bytes_equal(bytes, buffer_bytes(&expected)), "call %u of %u", i, journey->n);
    buffer_clear(&expected);
}

/* As servers write it: some headers are non-strict, some multiplexed ones keep the service. */
static Buffer answer_of(Journey *journey, unsigned i, int32_t seqid, Transport transport)
{
    Traveller *traveller = &journey->travellers[i];
    Message header = {.type = traveller->answer_type, .seqid = seqid};
    header.name = random_one_in(&journey->random, 3) ? traveller->header.name
                                                     : header_bare_name(traveller->header.name);
    Form form = {transport, journey->upstream.protocol, !random_one_in(&journey->random, 3)};
    return message_of(form, header, &traveller->result);
}

static void assert_replies(Journey *journey)
{
    for (unsigned i = 0; i < journey->n; i++) {
        Traveller *traveller = &journey->travellers[i];
        Message header = traveller->header;
        header.type = traveller->answer_type;
        header.name = header_bare_name(header.name);
        Buffer expected = message_of(journey->client, header, &traveller->result);
        expect(bytes_equal(buffer_bytes(&traveller->got), buffer_bytes(&expected)),
               "reply %u of %u", i, journey->n);
        buffer_clear(&expected);
        buffer_clear(&traveller->got);
        value_clear(&traveller->arguments);
        value_clear(&traveller->result);
    }
}

static void assert_envelope(const Journey *journey, const Batch *batch, Bytes bytes)
{
    if (journey->upstream.transport == TRANSPORT_FRAMED) {
        expect_eq(load_be32(bytes.data), bytes.len - FRAME_HEADER_SIZE);
        bytes = (Bytes){bytes.data + FRAME_HEADER_SIZE, bytes.len - FRAME_HEADER_SIZE};
    }
    Envelope envelope;
    expect(envelope_read(journey->upstream.protocol == PROTOCOL_COMPACT, bytes, &envelope));
    expect_str_eq(envelope.name, "Batches:executeBatch");
    expect_eq(envelope.type, MESSAGE_CALL);
    expect_eq(envelope.seqid, batch->seqid);
    expect_eq(envelope.n_requests, journey->n);
    for (unsigned i = 0; i < journey->n; i++) {
        assert_request(journey, i, (int32_t)i, buffer_bytes(&envelope.requests[i].message));
        expect(envelope.requests[i].has_timeout);
        expect_eq(envelope.requests[i].timeout_ms, 1000);
        expect_eq(envelope.requests[i].has_lane, journey->n > 1);
    }
    envelope_clear(&envelope);
}

static void answer_envelope(Journey *journey, Batch *batch, const BatcherParams *params)
{
    Buffer messages[MAX_CALLS], answer = {0}, framed = {0};
    Bytes responses[MAX_CALLS];
    for (unsigned i = 0; i < journey->n; i++) {
        messages[i] = answer_of(journey, i, (int32_t)i, TRANSPORT_BUFFERED);
        responses[i] = buffer_bytes(&messages[i]);
    }
    envelope_write_answer(params->upstream.protocol == PROTOCOL_COMPACT, "executeBatch",
                          batch->seqid, responses, journey->n, &answer);
    uint8_t length[FRAME_HEADER_SIZE];
    store_be32(length, (uint32_t)answer.len);
    if (params->upstream.transport == TRANSPORT_FRAMED)
        buffer_append(&framed, length, sizeof length);
    buffer_append(&framed, answer.data, answer.len);
    Message reply;
    size_t taken;
    char why[SPLIT_WHY_SIZE];
    read_message(params->upstream, false, buffer_bytes(&framed), &reply, &taken);
    SplitStatus status = split_envelope(batch, params, &reply, why);
    expect_eq(status, SPLIT_OK, "%s", why);
    batcher_answer_batch(journey->batcher, batch, 1);
    for (unsigned i = 0; i < journey->n; i++)
        buffer_clear(&messages[i]);
    buffer_clear(&answer);
    buffer_clear(&framed);
}

static void assert_plain(const Journey *journey, const Batch *batch, Bytes bytes)
{
    for (unsigned i = 0; i < journey->n; i++) {
        Message message;
        size_t taken = 0;
        read_message(journey->upstream, true, bytes, &message, &taken);
        assert_request(journey, i, batch->seqid + (int32_t)i, message.whole);
        bytes = (Bytes){bytes.data + taken, bytes.len - taken};
    }
    expect_eq(bytes.len, 0);
}

static void answer_plain(Journey *journey, Batch *batch, const BatcherParams *params)
{
    for (unsigned i = 0; i < journey->n; i++) {
        Traveller *traveller = &journey->travellers[i];
        int32_t seqid = batch->seqid + (int32_t)i;
        Buffer answer = answer_of(journey, i, seqid, params->upstream.transport);
        Message reply;
        size_t taken;
        char why[SPLIT_WHY_SIZE];
        read_message(params->upstream, false, buffer_bytes(&answer), &reply, &taken);
        Call *answered = NULL;
        SplitStatus status = split_single(batch, traveller->call, params, &reply, &answered, why);
        expect_eq(status, SPLIT_OK, "%s", why);
        expect_eq(answered, traveller->call);
        batcher_answer_call(journey->batcher, traveller->call, 1);
        buffer_clear(&answer);
    }
}

/* Compact writes counts of 15 and more in another way. */
static unsigned count_of(Journey *journey, unsigned round)
{
    static const unsigned counts[] = {1, 14, 15, 16, MAX_CALLS};
    if (round < G_N_ELEMENTS(counts))
        return counts[round];
    return 1 + random_below(&journey->random, random_one_in(&journey->random, 3) ? MAX_CALLS : 4);
}

static void travel(Journey *journey, unsigned round)
{
    BatcherParams params = journey_params(journey);
    journey->n = count_of(journey, round);
    for (unsigned i = 0; i < journey->n; i++)
        set_out(journey, &journey->travellers[i]);
    Batch *batch = batcher_next_due(journey->batcher, 1);
    cr_assert_not_null(batch);
    batcher_take(journey->batcher, batch, 1);
    expect(batch->n_calls == journey->n && batch->plain == journey->plain);
    batch->seqid = (int32_t)(random_bits(&journey->random) & (INT32_MAX >> 1));
    Buffer bytes = join(batch, &params);
    if (journey->plain) {
        assert_plain(journey, batch, buffer_bytes(&bytes));
        answer_plain(journey, batch, &params);
    } else {
        assert_envelope(journey, batch, buffer_bytes(&bytes));
        answer_envelope(journey, batch, &params);
    }
    batcher_finish(journey->batcher, batch, 1);
    buffer_clear(&bytes);
    assert_replies(journey);
}

static void travel_in(Form client, Form upstream, bool plain, uint64_t seed)
{
    Journey *journey = g_new0(Journey, 1);
    journey->random = (Random){seed};
    journey->client = client;
    journey->upstream = upstream;
    journey->plain = plain;
    journey->methods = method_table_new(NULL, 0, NULL);
    BatcherParams params = journey_params(journey);
    journey->batcher =
        batcher_new(&params, journey->methods, &operations, journey, &journey->counters);
    caller_init(&journey->caller);
    batcher_add_caller(journey->batcher, &journey->caller);
    for (unsigned round = 0; round < ROUNDS; round++)
        travel(journey, round);
    bool transcoded = client.protocol != upstream.protocol;
    const Counters *counters = &journey->counters;
    expect_eq(counters->transcoded_calls, transcoded ? counters->call_nsec.count : 0);
    batcher_free(journey->batcher);
    method_table_free(journey->methods);
    g_free(journey);
}

static void travel_in_every_form(bool plain)
{
    for (unsigned client = 0; client < FORMS; client++)
        for (unsigned upstream = 0; upstream < FORMS; upstream++) {
            if (all_forms[upstream].protocol == PROTOCOL_BINARY && !all_forms[upstream].strict)
                continue;
            travel_in(all_forms[client], all_forms[upstream], plain, client * 10 + upstream);
        }
}

Test(join, then_split_is_the_identity_in_every_form, .timeout = 60)
{
    travel_in_every_form(false);
}

Test(join, of_plain_calls_then_split_is_the_identity_in_every_form, .timeout = 60)
{
    travel_in_every_form(true);
}
