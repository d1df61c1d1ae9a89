/* The upstream's side of a scenario: batches as bytes, and answers as bytes. */
#include "scenario.h"

#include "batch/join.h"
#include "batch/native.h"
#include "wire/cursor.h"
#include "wire/exception.h"
#include "wire/frame.h"
#include "wire/header.h"
#include "wire/writer.h"

#include "../wire/stream.h"
#include "envelope-oracle.h"
#include "token.h"

/* Upstream: what comes */

/* The call that has come must be the one that was sent. */
static SentCall *check_sent(const Call *call, Protocol protocol, Bytes body, Bytes name)
{
    char *key = token_read(protocol, body, 1);
    SentCall *sent = sent_of(call);
    expect_str_eq(sent->key, key);
    expect(bytes_equal(name, bytes_from_string(sent->name)));
    g_free(key);
    return sent;
}

static void read_request(Flight *flight, unsigned i, const EnvelopeRequest *request)
{
    Protocol protocol = flight->scenario->params.upstream.protocol;
    Bytes bytes = buffer_bytes(&request->message);
    Message message;
    size_t size = 0;
    expect_eq(header_read(protocol, bytes, bytes.len, &message, &size), HEADER_OK);
    expect_eq(message.seqid, (int32_t)i);
    expect_eq(message.strict, protocol == PROTOCOL_BINARY);
    expect(request->has_timeout && request->timeout_ms > 0);
    expect(!request->has_lane || request->lane > 0);
    Bytes body = {bytes.data + size, bytes.len - size};
    flight->calls[i] = (FlightCall){
        .call = flight->calls[i].call,
        .sent = check_sent(flight->calls[i].call, protocol, body, message.name),
        .type = message.type,
        .seqid = message.seqid,
        .timeout_ms = request->timeout_ms,
        .lane = request->has_lane ? request->lane : 0,
    };
}

static void read_envelope(Flight *flight, Bytes bytes)
{
    const BatcherParams *params = &flight->scenario->params;
    if (params->upstream.transport == TRANSPORT_FRAMED) {
        expect_eq(load_be32(bytes.data), bytes.len - FRAME_HEADER_SIZE);
        bytes = (Bytes){bytes.data + FRAME_HEADER_SIZE, bytes.len - FRAME_HEADER_SIZE};
    }
    Envelope envelope;
    expect(envelope_read(params->upstream.protocol == PROTOCOL_COMPACT, bytes, &envelope));
    expect(bytes_equal(bytes_from_string(envelope.name), params->method));
    expect_eq(envelope.type, MESSAGE_CALL);
    expect_eq(envelope.seqid, flight->batch->seqid);
    expect_eq(envelope.n_requests, flight->n_calls);
    for (unsigned i = 0; i < envelope.n_requests; i++)
        read_request(flight, i, &envelope.requests[i]);
    envelope_clear(&envelope);
}

static int32_t plain_seqid(const Flight *flight, unsigned i)
{
    return (int32_t)(((uint32_t)flight->batch->seqid + i) & INT32_MAX);
}

static void read_plain(Flight *flight, Bytes bytes)
{
    const BatcherParams *params = &flight->scenario->params;
    FrameReader reader;
    frame_reader_init(&reader, params->upstream, SCENARIO_MAX_MESSAGE, true);
    for (unsigned i = 0; i < flight->n_calls; i++) {
        Message message;
        size_t taken = 0;
        expect_eq(frame_reader_next(&reader, bytes, &message, &taken), FRAME_MESSAGE);
        expect_eq(message.type, MESSAGE_CALL);
        expect_eq(message.seqid, plain_seqid(flight, i), "plain call %u has sequence id %d", i,
                  message.seqid);
        flight->calls[i] = (FlightCall){
            .call = flight->calls[i].call,
            .sent = check_sent(flight->calls[i].call, params->upstream.protocol, message.body,
                               message.name),
            .type = message.type,
            .seqid = message.seqid,
        };
        bytes = (Bytes){bytes.data + taken, bytes.len - taken};
    }
    expect_eq(bytes.len, 0);
}

/* The batch method's arguments: the list, and the others, which the fake clients pad with. */
static void read_native(Flight *flight, Bytes bytes)
{
    const BatcherParams *params = &flight->scenario->params;
    const MethodPolicy *policy = flight->batch->group->method->policy;
    FrameReader reader;
    Message message;
    size_t taken = 0;
    frame_reader_init(&reader, params->upstream, SCENARIO_MAX_MESSAGE, true);
    expect_eq(frame_reader_next(&reader, bytes, &message, &taken), FRAME_MESSAGE);
    expect_eq(taken, bytes.len);
    expect(bytes_equal(message.name, bytes_from_string(policy->batch_method)));
    expect(message.type == MESSAGE_CALL && message.seqid == flight->batch->seqid);
    Cursor cursor = cursor_init(params->upstream.protocol, message.body);
    int16_t id;
    ThriftType type, element;
    while ((type = cursor_field(&cursor, &id)) != THRIFT_STOP &&
           id != policy->batch_requests.ids[0])
        cursor_skip(&cursor, type, false);
    expect_eq(type, THRIFT_LIST);
    expect_eq(cursor_list(&cursor, &element), flight->n_calls);
    expect_eq(element, THRIFT_STRING);
    for (unsigned i = 0; i < flight->n_calls; i++) {
        Bytes key = cursor_string(&cursor);
        expect(bytes_equal(key, bytes_from_string(flight->calls[i].sent->key)));
        flight->calls[i].type = MESSAGE_CALL;
    }
    expect(!cursor.failed);
}

static void read_flight(Flight *flight)
{
    Scenario *scenario = flight->scenario;
    Buffer head = {0}, bytes = {0};
    struct iovec *iovecs = g_new(struct iovec, join_max_iovecs(flight->batch));
    size_t n = join_batch(flight->batch, &scenario->params, scenario->now, &head, iovecs);
    expect(n <= join_max_iovecs(flight->batch));
    for (size_t i = 0; i < n; i++)
        buffer_append(&bytes, iovecs[i].iov_base, iovecs[i].iov_len);
    if (flight->plain)
        read_plain(flight, buffer_bytes(&bytes));
    else if (batch_kind(flight->batch) == BATCH_KIND_NATIVE)
        read_native(flight, buffer_bytes(&bytes));
    else
        read_envelope(flight, buffer_bytes(&bytes));
    g_free(iovecs);
    buffer_clear(&head);
    buffer_clear(&bytes);
}

static void list_calls(Flight *flight)
{
    Batch *batch = flight->batch;
    flight->n_calls = batch_travelling(batch);
    flight->n_all = batch->n_calls;
    flight->calls = g_new0(FlightCall, flight->n_all);
    unsigned i = 0;
    LIST_EACH (&batch->calls, link)
        flight->calls[i++].call = LIST_OWNER(link, Call, batch_link);
    expect_eq(i, flight->n_calls);
    LIST_EACH (&batch->followers, link)
        flight->calls[i++].call = LIST_OWNER(link, Call, batch_link);
    expect_eq(i, flight->n_all);
    for (i = 0; i < flight->n_all; i++)
        flight->calls[i].sent = sent_of(flight->calls[i].call);
}

static void describe(Flight *flight)
{
    GString *text = g_string_new(flight->plain ? "plain" : "");
    for (unsigned i = 0; i < flight->n_calls; i++) {
        const FlightCall *call = &flight->calls[i];
        if (text->len > 0)
            g_string_append_c(text, ' ');
        g_string_append(text, call->sent->token);
        if (call->type == MESSAGE_ONEWAY)
            g_string_append_c(text, '!');
        if (call->lane > 0)
            g_string_append_printf(text, "@%d", call->lane);
    }
    flight->text = g_string_free(text, FALSE);
}

/* Upstream: the rules that hold for every batch */

static bool carries_client(const Flight *flight, const FakeClient *client)
{
    for (unsigned i = 0; i < flight->n_all; i++)
        if (flight->calls[i].sent->client == client)
            return true;
    return false;
}

static void check_pair(const Flight *flight, const FlightCall *one, const FlightCall *other)
{
    bool strict = scenario_is_strict(flight->scenario);
    bool same_client = one->sent->client == other->sent->client;
    if (same_client && strict)
        expect(one->sent->number < other->sent->number, "%s", flight->text);
    if (same_client && strict && batch_kind(flight->batch) == BATCH_KIND_NATIVE)
        return;
    if (same_client && strict && !flight->plain)
        expect(one->lane > 0 && one->lane == other->lane, "%s", flight->text);
    if (!same_client && one->lane > 0)
        expect(one->lane != other->lane, "%s", flight->text);
}

static void check_call(const Flight *flight, unsigned i)
{
    const FlightCall *call = &flight->calls[i];
    FakeClient *client = call->sent->client;
    bool alone = true;
    for (unsigned k = 0; k < flight->n_calls; k++) {
        if (k > i)
            check_pair(flight, call, &flight->calls[k]);
        if (k != i && flight->calls[k].sent->client == client)
            alone = false;
    }
    expect_eq(call->sent->n_ended, 0, "%s was over when it was sent", call->sent->token);
    check_sent_again(call);
    if (!scenario_is_strict(flight->scenario)) {
        expect_eq(call->lane, 0);
        return;
    }
    bool again = call->call->attempts > 0;
    expect(again || call->sent->number > client->executed, "%s is late", call->sent->token);
    expect(client->oneway_line == 0 || scenario_line(flight->scenario, client->oneway_line) == NULL,
           "%s does not follow its client's oneway call", call->sent->token);
    if (alone && !again && !client->lost_calls && flight->n_all == flight->n_calls)
        expect_eq(call->lane, 0, "%s", flight->text);
}

static void check_flight(const Flight *flight)
{
    const Scenario *scenario = flight->scenario;
    size_t size = 0;
    for (unsigned i = 0; i < flight->n_calls; i++) {
        check_call(flight, i);
        size += flight->calls[i].sent->size;
        expect_eq(flight->calls[i].call->group, flight->batch->group);
    }
    expect(flight->n_all <= scenario->params.max_calls);
    expect(flight->n_calls == 1 || size <= scenario->params.max_bytes);
    for (guint k = 0; k < scenario->flights->len && scenario_is_strict(scenario); k++) {
        const Flight *other = g_ptr_array_index(scenario->flights, k);
        for (unsigned i = 0; i < other->n_all; i++)
            expect(!carries_client(flight, other->calls[i].sent->client),
                   "%s overtakes or overlaps %s", flight->text, other->text);
    }
    for (guint k = 0; k < scenario->lines->len && scenario_is_strict(scenario); k++) {
        const Line *line = g_ptr_array_index(scenario->lines, k);
        for (guint i = 0; i < line->server->len; i++) {
            const FlightCall *call = g_ptr_array_index(line->server, i);
            expect(!carries_client(flight, call->sent->client) || call->sent->n_ended > 0,
                   "%s overtakes or overlaps %s", flight->text, call->sent->token);
        }
    }
}

Flight *scenario_take(Scenario *scenario)
{
    if (batcher_reading_on(scenario->batcher, scenario->now) != NULL)
        scenario_pass(scenario, 1);
    Batch *batch = batcher_next_due(scenario->batcher, scenario->now);
    if (batch == NULL)
        return NULL;
    batcher_take(scenario->batcher, batch, scenario->now);
    Flight *flight = g_new0(Flight, 1);
    flight->scenario = scenario;
    flight->batch = batch;
    flight->plain = batch->plain;
    list_calls(flight);
    batch->seqid = scenario->next_seqid;
    carrier_init(&flight->carrier);
    batch->carrier = &flight->carrier;
    uint32_t n_messages = flight->plain ? flight->n_calls : 1;
    scenario->next_seqid =
        (int32_t)(((uint32_t)scenario->next_seqid + n_messages) & (uint32_t)INT32_MAX);
    read_flight(flight);
    describe(flight);
    check_flight(flight);
    g_ptr_array_add(scenario->flights, flight);
    return flight;
}

Flight *scenario_assert_takes(Scenario *scenario, const char *expected, int line)
{
    Flight *flight = scenario_take(scenario);
    expect(flight != NULL, "line %d: no batch is due", line);
    expect_str_eq(flight->text, expected, "line %d: '%s' was sent instead of '%s'", line,
                  flight->text, expected);
    return flight;
}

/* Upstream: what it answers */

void append_answer(const Scenario *scenario, const FlightCall *call, Buffer *out)
{
    Form form = {TRANSPORT_BUFFERED, scenario->params.upstream.protocol, true};
    Bytes name = header_bare_name(bytes_from_string(call->sent->name));
    if (name_begins(name, "log"))
        return;
    if (name_begins(name, "fail")) {
        char *text = g_strconcat(TOKEN_REFUSED, call->sent->key, NULL);
        exception_append(out, form, name, call->seqid, EXCEPTION_UNKNOWN, text);
        g_free(text);
        return;
    }
    Buffer body = {0};
    size_t padding = name_begins(name, "large") ? scenario->large : 0;
    size_t width = name_begins(name, "wide") ? scenario->large : 0;
    token_write(&body, form.protocol, 0, call->sent->key, padding, width);
    Message header = {.type = MESSAGE_REPLY, .seqid = call->seqid, .name = name};
    append_message(out, form, header, buffer_bytes(&body));
    buffer_clear(&body);
}

static void append_responses(const Flight *flight, Writer *writer)
{
    for (unsigned i = 0; i < flight->n_calls; i++) {
        Buffer message = {0};
        append_answer(flight->scenario, &flight->calls[i], &message);
        int16_t saved = writer_enter_struct(writer);
        if (message.len > 0) {
            writer_field(writer, THRIFT_STRING, 1);
            writer_string(writer, buffer_bytes(&message));
        }
        writer_leave_struct(writer, saved);
        buffer_clear(&message);
    }
}

static Buffer native_answer(const Flight *flight)
{
    const MethodPolicy *policy = flight->batch->group->method->policy;
    Form form = {TRANSPORT_BUFFERED, flight->scenario->params.upstream.protocol, true};
    Message header = {
        .type = MESSAGE_REPLY,
        .seqid = flight->batch->seqid,
        .name = header_bare_name(bytes_from_string(policy->batch_method)),
    };
    Buffer out = {0};
    append_message(&out, form, header, (Bytes){0});
    bool map = strstr(policy->batch_method, "Map") != NULL;
    Writer writer = writer_init(form.protocol, &out);
    int16_t outer = writer_enter_struct(&writer);
    writer_field(&writer, map ? THRIFT_MAP : THRIFT_LIST, 0);
    if (map)
        writer_map(&writer, THRIFT_STRING, THRIFT_STRING, flight->n_calls);
    else
        writer_list(&writer, THRIFT_STRING, flight->n_calls);
    for (unsigned i = 0; i < flight->n_calls; i++) {
        Bytes key = bytes_from_string(flight->calls[i].sent->key);
        if (map)
            writer_string(&writer, key);
        writer_string(&writer, key);
    }
    writer_leave_struct(&writer, outer);
    return out;
}

Buffer flight_right_answer(const Flight *flight)
{
    if (batch_kind(flight->batch) == BATCH_KIND_NATIVE)
        return native_answer(flight);
    const BatcherParams *params = &flight->scenario->params;
    Form form = {TRANSPORT_BUFFERED, params->upstream.protocol, true};
    Message header = {
        .type = MESSAGE_REPLY,
        .seqid = flight->batch->seqid,
        .name = header_bare_name(params->method),
    };
    Buffer out = {0};
    append_message(&out, form, header, (Bytes){0});
    Writer writer = writer_init(form.protocol, &out);
    int16_t outer = writer_enter_struct(&writer);
    writer_field(&writer, THRIFT_STRUCT, 0);
    int16_t inner = writer_enter_struct(&writer);
    writer_field(&writer, THRIFT_LIST, 1);
    writer_list(&writer, THRIFT_STRUCT, flight->n_calls);
    append_responses(flight, &writer);
    writer_leave_struct(&writer, inner);
    writer_leave_struct(&writer, outer);
    return out;
}

/* The bytes as a socket brings them: of just their size, so that a sanitizer sees a step beyond. */
typedef struct Arrival {
    uint8_t *bytes;
    size_t len;
    Message message;
} Arrival;

static Arrival arrive(const Scenario *scenario, Bytes message)
{
    Form form = scenario->params.upstream;
    size_t frame = form.transport == TRANSPORT_FRAMED ? FRAME_HEADER_SIZE : 0;
    Arrival arrival = {.len = frame + message.len};
    arrival.bytes = g_malloc(arrival.len);
    if (frame > 0)
        store_be32(arrival.bytes, (uint32_t)message.len);
    memcpy(arrival.bytes + frame, message.data, message.len);
    FrameReader reader;
    size_t taken = 0;
    frame_reader_init(&reader, form, SCENARIO_MAX_MESSAGE, false);
    expect_eq(
        frame_reader_next(&reader, (Bytes){arrival.bytes, arrival.len}, &arrival.message, &taken),
        FRAME_MESSAGE);
    expect_eq(taken, arrival.len);
    return arrival;
}

/* Replies may be borrowed from the answer only until now. */
static void arrival_clear(Arrival *arrival)
{
    memset(arrival->bytes, 0xdd, arrival->len);
    g_free(arrival->bytes);
}

static void executed(Flight *flight)
{
    for (unsigned i = 0; i < flight->n_all; i++) {
        const SentCall *sent = flight->calls[i].sent;
        sent->client->executed = MAX(sent->client->executed, sent->number);
    }
}

static void flight_free(Flight *flight)
{
    carrier_clear(&flight->carrier);
    expect(g_ptr_array_remove_fast(flight->scenario->flights, flight));
    g_free(flight->calls);
    g_free(flight->text);
    g_free(flight);
}

static void finish(Flight *flight)
{
    Scenario *scenario = flight->scenario;
    Batch *batch = flight->batch;
    executed(flight);
    flight_free(flight);
    batcher_finish(scenario->batcher, batch, scenario->now);
}

static SplitStatus split(Flight *flight, const Message *message, char why[SPLIT_WHY_SIZE])
{
    const BatcherParams *params = &flight->scenario->params;
    if (batch_kind(flight->batch) == BATCH_KIND_NATIVE)
        return native_split(flight->batch, params, message, why);
    return split_envelope(flight->batch, params, message, why);
}

SplitStatus flight_split(Flight *flight, Bytes message, char why[SPLIT_WHY_SIZE])
{
    Arrival arrival = arrive(flight->scenario, message);
    SplitStatus status = split(flight, &arrival.message, why);
    arrival_clear(&arrival);
    return status;
}

static void answer_envelope(Flight *flight)
{
    Scenario *scenario = flight->scenario;
    char why[SPLIT_WHY_SIZE];
    Buffer answer = flight_right_answer(flight);
    Arrival arrival = arrive(scenario, buffer_bytes(&answer));
    expect_eq(split(flight, &arrival.message, why), SPLIT_OK, "%s", why);
    batcher_answer_batch(scenario->batcher, flight->batch, scenario->now);
    arrival_clear(&arrival);
    buffer_clear(&answer);
    finish(flight);
}

void flight_answers_next(Flight *flight)
{
    Scenario *scenario = flight->scenario;
    FlightCall *call = &flight->calls[flight->n_answered];
    char why[SPLIT_WHY_SIZE];
    Buffer answer = {0};
    append_answer(scenario, call, &answer);
    Arrival arrival = arrive(scenario, buffer_bytes(&answer));
    Call *answered = NULL;
    expect_eq(call->call->sent_seqid, plain_seqid(flight, flight->n_answered));
    expect_eq(split_single(flight->batch, call->call, &scenario->params, &arrival.message,
                           &answered, why),
              SPLIT_OK);
    expect_eq(answered, call->call);
    batcher_answer_call(scenario->batcher, call->call, scenario->now);
    arrival_clear(&arrival);
    buffer_clear(&answer);
    if (++flight->n_answered == flight->n_calls)
        finish(flight);
}

void flight_answers(Flight *flight)
{
    if (!flight->plain) {
        answer_envelope(flight);
        return;
    }
    for (unsigned left = flight->n_calls - flight->n_answered; left > 0; left--)
        flight_answers_next(flight);
}

void flight_fails(Flight *flight, const char *text)
{
    Scenario *scenario = flight->scenario;
    batcher_fail_batch(scenario->batcher, flight->batch, text, scenario->now);
    finish(flight);
}

void flight_returns(Flight *flight, const char *text)
{
    Scenario *scenario = flight->scenario;
    Batch *batch = flight->batch;
    flight_free(flight);
    batcher_requeue(scenario->batcher, batch, text, scenario->now);
}

void flight_breaks(Flight *flight, const char *text)
{
    Scenario *scenario = flight->scenario;
    Batch *batch = flight->batch;
    executed(flight);
    for (unsigned i = 0; i < flight->n_all; i++)
        flight->calls[i].sent->broken = true;
    flight_free(flight);
    batcher_repeat(scenario->batcher, batch, text, scenario->now);
}

void check_sent_again(const FlightCall *call)
{
    const MethodPolicy *policy = call->call->method->policy;
    expect(!call->sent->broken || policy->idempotent, "%s is sent twice", call->sent->token);
}

void flight_is_unknown(Flight *flight)
{
    Scenario *scenario = flight->scenario;
    Batch *batch = flight->batch;
    flight_free(flight);
    batcher_pass_through(scenario->batcher, batch, scenario->now + SCENARIO_RETRY, scenario->now);
}
