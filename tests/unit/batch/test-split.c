/* What is believed of an upstream's answer: all of it, or nothing. */
#include "scenario.h"

#include "wire/exception.h"
#include "wire/frame.h"
#include "wire/header.h"
#include "wire/writer.h"

#include "../wire/stream.h"

/* An answer that differs from the right one in what is not zero. */
typedef struct Deviation {
    const char *what;
    SplitStatus status;
    const char *why; /* words that the explanation has */

    /* of the answer */
    MessageType type;
    int32_t seqid_off;
    const char *name;
    int16_t result_id, list_id;
    ThriftType result_type, list_type, element;
    int count_off;
    bool more_fields; /* of later versions, everywhere */

    /* of the response at position 1 */
    MessageType inner_type;
    int32_t inner_seqid_off;
    const char *inner_name;
    bool misnamed; /* fails by itself: the position proves whose reply it is */
    int16_t message_id;
    ThriftType message_type;
    int inner_extra; /* bytes behind the message; negative: cut off */
    size_t inner_len;
    bool inner_garbage;
} Deviation;

static const Deviation deviations[] = {
    {.what = "nothing", .status = SPLIT_OK},
    {.what = "fields of later versions", .status = SPLIT_OK, .more_fields = true},
    {.what = "the answer's type", .why = "CALL instead of a reply", .type = MESSAGE_CALL},
    {.what = "the answer's type", .why = "ONEWAY instead of a reply", .type = MESSAGE_ONEWAY},
    {.what = "the answer's sequence id", .why = "sequence id", .seqid_off = 1},
    {.what = "the answer's name", .why = "'executeBatches'", .name = "executeBatches"},
    {.what = "the answer's name", .why = "''", .name = ""},
    {.what = "an id beside the result's", .why = "no result", .result_id = 1},
    {.what = "the result's type", .why = "no result", .result_type = THRIFT_STRING},
    {.what = "an id beside the list's", .why = "no list", .list_id = 2},
    {.what = "a set of responses", .why = "no list", .list_type = THRIFT_SET},
    {.what = "a list of numbers", .why = "", .element = THRIFT_I32},
    {.what = "a list of maps", .why = "", .element = THRIFT_MAP},
    {.what = "one too few", .why = "2 responses to 3 requests", .count_off = -1},
    {.what = "one too many", .why = "4 responses to 3 requests", .count_off = 1},
    {.what = "none", .why = "0 responses to 3 requests", .count_off = -3},
    {.what = "the type of a reply", .why = "CALL", .inner_type = MESSAGE_CALL},
    {.what = "the order", .why = "sequence id 2 where 1 was due", .inner_seqid_off = 1},
    {.what = "the order", .why = "sequence id 0 where 1 was due", .inner_seqid_off = -1},
    {.what = "the name of a reply", .inner_name = "other", .misnamed = true},
    {.what = "a reply with its service", .status = SPLIT_OK, .inner_name = "Users:echo"},
    {.what = "bytes behind a reply", .why = "does not parse", .inner_extra = 1},
    {.what = "a reply without its stop", .why = "does not parse", .inner_extra = -1},
    {.what = "a reply cut in its struct", .why = "does not parse", .inner_extra = -5},
    {.what = "a reply cut in its header", .why = "position 1", .inner_len = 5},
    {.what = "garbage for a reply", .why = "position 1 is no Thrift", .inner_garbage = true},
};

static const Deviation response_of_a_wrong_type = {.what = "a response that is a number",
                                                   .message_type = THRIFT_I32};

static void write_later_field(Writer *writer, const Deviation *deviation)
{
    if (!deviation->more_fields)
        return;
    writer_field(writer, THRIFT_LIST, 100);
    writer_list(writer, THRIFT_STRING, 2);
    writer_string(writer, BYTES_LITERAL("later"));
    writer_string(writer, BYTES_LITERAL(""));
    writer_field(writer, THRIFT_BOOL, 101);
    writer_bool(writer, true);
}

static void deviate(const Deviation *deviation, const FlightCall *call, Protocol protocol,
                    Buffer *message)
{
    size_t header = header_size(protocol, true, BYTES_LITERAL("echo"), call->seqid);
    MessageType type = deviation->inner_type != 0 ? deviation->inner_type : MESSAGE_REPLY;
    Buffer right = *message, out = {0};
    Message changed = {
        .type = type,
        .seqid = call->seqid + deviation->inner_seqid_off,
        .name = bytes_from_string(deviation->inner_name ? deviation->inner_name : "echo"),
    };
    append_message(&out, (Form){TRANSPORT_BUFFERED, protocol, true}, changed,
                   (Bytes){right.data + header, right.len - header});
    for (int i = 0; i < deviation->inner_extra; i++)
        buffer_append(&out, "x", 1);
    if (deviation->inner_extra < 0)
        out.len -= (size_t)-deviation->inner_extra;
    if (deviation->inner_len > 0)
        out.len = deviation->inner_len;
    if (deviation->inner_garbage)
        memset(out.data, 0xff, out.len);
    buffer_clear(&right);
    *message = out;
}

static void write_response(Writer *writer, const Deviation *deviation, const Flight *flight,
                           unsigned i)
{
    int16_t saved = writer_enter_struct(writer);
    bool differs = i == 1;
    if (differs && deviation->message_type == THRIFT_I32) {
        writer_field(writer, THRIFT_I32, 1);
        writer_i32(writer, 7);
    } else {
        const FlightCall *call = &flight->calls[i % flight->n_calls];
        Buffer message = {0};
        append_answer(flight->scenario, call, &message);
        if (differs)
            deviate(deviation, call, writer->protocol, &message);
        writer_field(writer, THRIFT_STRING, 1);
        writer_string(writer, buffer_bytes(&message));
        buffer_clear(&message);
    }
    write_later_field(writer, deviation);
    writer_leave_struct(writer, saved);
}

static void write_responses(Writer *writer, const Deviation *deviation, const Flight *flight)
{
    unsigned count = (unsigned)((int)flight->n_calls + deviation->count_off);
    if (deviation->element != 0) {
        writer_list(writer, deviation->element, count);
        for (unsigned i = 0; i < count; i++) {
            if (deviation->element == THRIFT_I32)
                writer_i32(writer, 0);
            else
                writer_map(writer, THRIFT_I32, THRIFT_I32, 0);
        }
        return;
    }
    writer_list(writer, THRIFT_STRUCT, count);
    for (unsigned i = 0; i < count; i++)
        write_response(writer, deviation, flight, i);
}

static void write_result(Writer *writer, const Deviation *deviation, const Flight *flight)
{
    int16_t outer = writer_enter_struct(writer);
    if (deviation->result_type == THRIFT_STRING) {
        writer_field(writer, THRIFT_STRING, 0);
        writer_string(writer, BYTES_LITERAL("no struct"));
        writer_leave_struct(writer, outer);
        return;
    }
    writer_field(writer, THRIFT_STRUCT, deviation->result_id);
    int16_t inner = writer_enter_struct(writer);
    writer_field(writer, deviation->list_type != 0 ? deviation->list_type : THRIFT_LIST,
                 deviation->list_id != 0 ? deviation->list_id : 1);
    write_responses(writer, deviation, flight);
    write_later_field(writer, deviation);
    writer_leave_struct(writer, inner);
    write_later_field(writer, deviation);
    writer_leave_struct(writer, outer);
}

static Buffer deviating_answer(const Deviation *deviation, const Flight *flight)
{
    Form form = {TRANSPORT_BUFFERED, flight->scenario->params.upstream.protocol, true};
    Buffer body = {0}, out = {0};
    Writer writer = writer_init(form.protocol, &body);
    write_result(&writer, deviation, flight);
    Message header = {
        .type = deviation->type != 0 ? deviation->type : MESSAGE_REPLY,
        .seqid = flight->batch->seqid + deviation->seqid_off,
        .name = bytes_from_string(deviation->name ? deviation->name : "executeBatch"),
    };
    append_message(&out, form, header, buffer_bytes(&body));
    buffer_clear(&body);
    return out;
}

/* Three calls in flight, of three clients. */
static Flight *set_out(Protocol protocol, const char *method)
{
    BatcherParams params = scenario_params();
    params.upstream.protocol = protocol;
    Scenario *scenario = scenario_new(params);
    static const char *const tokens[] = {"a1", "b1", "c1"};
    for (unsigned i = 0; i < 3; i++)
        client_calls(scenario_client(scenario), i == 1 ? method : "echo", tokens[i]);
    return assert_takes(scenario, "a1 b1 c1");
}

static void give_up(Flight *flight)
{
    Scenario *scenario = flight->scenario;
    flight_fails(flight, "broken");
    scenario_end(scenario);
}

/* The words go into logs and into clients' exceptions. */
static void assert_readable(const char *why)
{
    expect(strlen(why) > 0 && strlen(why) < SPLIT_WHY_SIZE);
    expect(g_utf8_validate(why, -1, NULL), "not UTF-8: '%s'", why);
    for (const char *at = why; *at != '\0'; at++)
        expect(!g_ascii_iscntrl(*at), "control character: '%s'", why);
}

static void assert_judged(const Deviation *deviation, Protocol protocol)
{
    Flight *flight = set_out(protocol, "Users:echo");
    Buffer answer = deviating_answer(deviation, flight);
    char why[SPLIT_WHY_SIZE] = "";
    SplitStatus expected = deviation->why ? SPLIT_E_BROKEN : deviation->status;
    SplitStatus status = flight_split(flight, buffer_bytes(&answer), why);
    expect_eq(status, expected, "%s, protocol %d: %d, %s", deviation->what, protocol, status, why);
    if (status != SPLIT_OK) {
        assert_readable(why);
        expect(strstr(why, deviation->why) != NULL, "%s: %s", deviation->what, why);
    }
    for (unsigned i = 0; status == SPLIT_OK && i < flight->n_calls; i++)
        expect_eq(flight->calls[i].call->answer.misnamed, i == 1 && deviation->misnamed, "%s, %u",
                  deviation->what, i);
    buffer_clear(&answer);
    give_up(flight);
}

Test(split, believes_no_answer_of_wrong_count_order_name_or_types)
{
    for (size_t i = 0; i < G_N_ELEMENTS(deviations); i++) {
        assert_judged(&deviations[i], PROTOCOL_BINARY);
        assert_judged(&deviations[i], PROTOCOL_COMPACT);
    }
}

/* A Response { 1: i32 } is none without a message: that would leave a CALL without its reply. */
Test(split, believes_no_response_whose_message_has_another_type)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        Flight *flight = set_out(protocol, "echo");
        Buffer answer = deviating_answer(&response_of_a_wrong_type, flight);
        char why[SPLIT_WHY_SIZE] = "";
        expect_eq(flight_split(flight, buffer_bytes(&answer), why), SPLIT_E_BROKEN);
        buffer_clear(&answer);
        give_up(flight);
    }
}

static size_t header_of(Protocol protocol, Bytes answer)
{
    Message message;
    size_t size = 0;
    expect_eq(header_read(protocol, answer, answer.len, &message, &size), HEADER_OK);
    return size;
}

Test(split, believes_no_answer_that_is_cut_or_goes_on)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        Flight *flight = set_out(protocol, "echo");
        Buffer answer = flight_right_answer(flight);
        char why[SPLIT_WHY_SIZE] = "";
        size_t header = header_of(protocol, buffer_bytes(&answer));
        for (size_t len = header; len < answer.len; len++) {
            expect_eq(flight_split(flight, (Bytes){answer.data, len}, why), SPLIT_E_BROKEN,
                      "cut at %zu of %zu", len, answer.len);
            assert_readable(why);
        }
        expect_eq(flight_split(flight, buffer_bytes(&answer), why), SPLIT_OK);
        buffer_append(&answer, "", 1);
        expect_eq(flight_split(flight, buffer_bytes(&answer), why), SPLIT_E_BROKEN);
        buffer_clear(&answer);
        give_up(flight);
    }
}

/* Whatever bytes come, nothing outside of them is touched; a sanitizer watches. */
Test(split, bears_every_change_of_every_byte)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        Flight *flight = set_out(protocol, "echo");
        Buffer answer = flight_right_answer(flight);
        size_t header = header_of(protocol, buffer_bytes(&answer));
        unsigned believed = 0, refused = 0;
        for (size_t i = header; i < answer.len; i++)
            for (unsigned bit = 0; bit < 8; bit++) {
                char why[SPLIT_WHY_SIZE] = "";
                answer.data[i] ^= (uint8_t)(1u << bit);
                SplitStatus status = flight_split(flight, buffer_bytes(&answer), why);
                answer.data[i] ^= (uint8_t)(1u << bit);
                believed += status == SPLIT_OK;
                refused += status == SPLIT_E_REFUSED;
            }
        cr_assert_gt(believed, 0, "changes within a token cannot be seen");
        expect_eq(refused, 0);
        buffer_clear(&answer);
        give_up(flight);
    }
}

static Buffer exception_for(const Flight *flight, ExceptionCode code, const char *text)
{
    Form form = {TRANSPORT_BUFFERED, flight->scenario->params.upstream.protocol, true};
    Buffer out = {0};
    exception_append(&out, form, BYTES_LITERAL("executeBatch"), flight->batch->seqid, code, text);
    return out;
}

static void assert_refused(Protocol protocol, ExceptionCode code, const char *text,
                           const char *expected)
{
    Flight *flight = set_out(protocol, "echo");
    Buffer answer = exception_for(flight, code, text);
    char why[SPLIT_WHY_SIZE] = "";
    expect_eq(flight_split(flight, buffer_bytes(&answer), why),
              code == EXCEPTION_UNKNOWN_METHOD ? SPLIT_E_UNKNOWN : SPLIT_E_REFUSED);
    assert_readable(why);
    if (expected != NULL)
        expect_str_eq(why, expected);
    buffer_clear(&answer);
    give_up(flight);
}

Test(split, an_exception_instead_of_the_answer_is_a_refusal_with_its_words)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        assert_refused(protocol, EXCEPTION_UNKNOWN_METHOD, "Invalid method name: 'executeBatch'",
                       "UNKNOWN_METHOD: Invalid method name: 'executeBatch'");
        assert_refused(protocol, EXCEPTION_INTERNAL_ERROR, "", "INTERNAL_ERROR: ");
        char *text = g_strnfill(5000, 'x');
        assert_refused(protocol, EXCEPTION_PROTOCOL_ERROR, text, NULL);
        g_free(text);
    }
}

Test(split, a_refusal_s_words_are_cut_between_characters)
{
    for (size_t before = 100; before < 130; before++) {
        char *text = g_strnfill(before, 'x');
        char *long_text = g_strconcat(text, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac and more", NULL);
        assert_refused(PROTOCOL_BINARY, EXCEPTION_UNKNOWN, long_text, NULL);
        g_free(long_text);
        g_free(text);
    }
}

Test(split, a_refusal_s_words_are_one_line)
{
    assert_refused(PROTOCOL_BINARY, EXCEPTION_UNKNOWN, "two\nlines", NULL);
}

Test(split, a_refusal_s_words_are_utf_8_whatever_the_upstream_says)
{
    assert_refused(PROTOCOL_BINARY, EXCEPTION_UNKNOWN, "Latin-1: \xe4", NULL);
}

Test(split, the_words_about_a_wrong_name_are_readable)
{
    static const char *const names[] = {"\xff\xfe", "a\nb",
                                        "abcdefghijabcdefghijabcdefghijabcdefghi\xe2\x82\xac"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        Deviation deviation = {.what = "a name", .why = "", .name = names[i]};
        assert_judged(&deviation, PROTOCOL_BINARY);
    }
}

Test(split, an_exception_that_does_not_parse_is_broken)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        Flight *flight = set_out(protocol, "echo");
        Buffer answer = exception_for(flight, EXCEPTION_UNKNOWN_METHOD, "no such method");
        char why[SPLIT_WHY_SIZE] = "";
        size_t header = header_of(protocol, buffer_bytes(&answer));
        for (size_t len = header; len < answer.len; len++)
            expect_eq(flight_split(flight, (Bytes){answer.data, len}, why), SPLIT_E_BROKEN,
                      "cut at %zu of %zu", len, answer.len);
        assert_readable(why);
        buffer_clear(&answer);
        give_up(flight);
    }
}

Test(split, an_exception_with_bytes_behind_it_is_broken)
{
    Flight *flight = set_out(PROTOCOL_BINARY, "echo");
    Buffer answer = exception_for(flight, EXCEPTION_UNKNOWN_METHOD, "no such method");
    buffer_append(&answer, "x", 1);
    char why[SPLIT_WHY_SIZE] = "";
    expect_eq(flight_split(flight, buffer_bytes(&answer), why), SPLIT_E_BROKEN);
    buffer_clear(&answer);
    give_up(flight);
}

/* A multiplexed server takes off what stands before the first colon and answers with the rest, as
 * it is. One client's odd name must not spoil the others' batch. */
Test(split, believes_an_answer_to_a_name_with_two_colons)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        Flight *flight = set_out(protocol, "Users:odd:echo");
        Buffer answer = flight_right_answer(flight);
        char why[SPLIT_WHY_SIZE] = "";
        SplitStatus status = flight_split(flight, buffer_bytes(&answer), why);
        expect_eq(status, SPLIT_OK, "%s", why);
        buffer_clear(&answer);
        give_up(flight);
    }
}

static SplitStatus judge_plain(Flight *flight, Message header, int extra, char *why)
{
    const Scenario *scenario = flight->scenario;
    const FlightCall *call = &flight->calls[0];
    Buffer right = {0}, bytes = {0};
    append_answer(scenario, call, &right);
    Protocol protocol = scenario->params.upstream.protocol;
    size_t header_len = header_of(protocol, buffer_bytes(&right));
    size_t body_len = (size_t)((int)(right.len - header_len) + MIN(extra, 0));
    append_message(&bytes, (Form){TRANSPORT_BUFFERED, protocol, true}, header,
                   (Bytes){right.data + header_len, body_len});
    if (extra > 0)
        buffer_append(&bytes, "x", 1);
    uint8_t *exact = g_memdup2(bytes.data, bytes.len);
    size_t size = header_of(protocol, buffer_bytes(&bytes));
    Message reply = header;
    reply.whole = (Bytes){exact, bytes.len};
    reply.body = (Bytes){exact + size, bytes.len - size};
    Call *answered;
    SplitStatus status =
        split_single(call->call->batch, call->call, &scenario->params, &reply, &answered, why);
    g_free(exact);
    buffer_clear(&right);
    buffer_clear(&bytes);
    return status;
}

Test(split, believes_no_wrong_answer_to_a_plain_call)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        BatcherParams params = scenario_params();
        params.min_calls = 2;
        params.upstream.protocol = protocol;
        Scenario *scenario = scenario_new(params);
        FakeClient *a = scenario_client(scenario);
        client_calls(a, "echo", "a1");
        flight_answers(assert_takes(scenario, "a1"));
        client_calls(a, "echo", "a2");
        Flight *flight = assert_takes(scenario, "plain a2");
        int32_t seqid = flight->calls[0].seqid;
        char why[SPLIT_WHY_SIZE] = "";
        Message right = {.type = MESSAGE_REPLY, .seqid = seqid, .name = BYTES_LITERAL("echo")};
        Message type = right, order = right, name = right;
        type.type = MESSAGE_CALL;
        order.seqid++;
        name.name = BYTES_LITERAL("ech");
        expect_eq(judge_plain(flight, right, 0, why), SPLIT_OK);
        expect_eq(judge_plain(flight, type, 0, why), SPLIT_E_BROKEN);
        expect_eq(judge_plain(flight, order, 0, why), SPLIT_E_BROKEN);
        expect_eq(judge_plain(flight, name, 0, why), SPLIT_E_BROKEN);
        expect_eq(judge_plain(flight, right, 1, why), SPLIT_E_BROKEN);
        expect_eq(judge_plain(flight, right, -1, why), SPLIT_E_BROKEN);
        flight_answers(flight);
        assert_got(a, "a1 a2");
        scenario_end(scenario);
    }
}
