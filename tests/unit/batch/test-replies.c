/* Each client gets the upstream's answer, or an error, in its own form. The scenario checks form,
 * name, sequence id and token of every reply. */
#include <malloc.h>

#include "wire/frame.h"
#include "wire/header.h"
#include "wire/writer.h"

#include "../wire/stream.h"
#include "scenario.h"

/* A client of every form; their calls share batches. */
static void connect_all(Scenario *scenario, FakeClient *clients[FORMS])
{
    for (unsigned i = 0; i < FORMS; i++)
        clients[i] = scenario_client_of(scenario, all_forms[i]);
}

static char *call_all(FakeClient *clients[FORMS], const char *method, const char *prefix)
{
    GString *tokens = g_string_new("");
    for (unsigned i = 0; i < FORMS; i++) {
        char *token = g_strdup_printf("%s%u", prefix, i);
        client_calls(clients[i], method, token);
        g_string_append_printf(tokens, "%s%s", i > 0 ? " " : "", token);
        g_free(token);
    }
    return g_string_free(tokens, FALSE);
}

static void assert_all_got(FakeClient *clients[FORMS], const char *format)
{
    for (unsigned i = 0; i < FORMS; i++) {
        GString *expected = g_string_new(format);
        char number[2] = {(char)('0' + i), '\0'};
        g_string_replace(expected, "N", number, 0);
        assert_got(clients[i], expected->str);
        g_string_free(expected, TRUE);
    }
}

Test(replies, in_every_form_of_client_and_upstream)
{
    for (unsigned form = 0; form < FORMS; form++) {
        BatcherParams params = scenario_params();
        params.upstream = all_forms[form];
        params.upstream.strict = true;
        Scenario *scenario = scenario_new(params);
        FakeClient *clients[FORMS];
        connect_all(scenario, clients);
        static const char *const methods[] = {"echo", "Users:echo", "Users:fail", "largeOne"};
        static const char *const prefixes[] = {"a", "b", "c", "d"};
        for (unsigned i = 0; i < G_N_ELEMENTS(methods); i++) {
            char *tokens = call_all(clients, methods[i], prefixes[i]);
            flight_answers(assert_takes(scenario, tokens));
            g_free(tokens);
        }
        char *tokens = call_all(clients, "Users:echo", "e");
        flight_fails(assert_takes(scenario, tokens), "lost");
        g_free(tokens);
        assert_all_got(clients, "aN bN ?cN dN !eN");
        cr_assert_eq(scenario->counters.transcoded_calls,
                     5 * (params.upstream.protocol == PROTOCOL_BINARY ? 2 : 4));
        scenario_end(scenario);
    }
}

Test(replies, one_that_is_too_large_fails_its_own_call_only)
{
    for (unsigned form = 0; form < FORMS; form++) {
        BatcherParams params = scenario_params();
        params.upstream = all_forms[form];
        params.upstream.strict = true;
        params.max_message_size = 500;
        Scenario *scenario = scenario_new(params);
        FakeClient *clients[FORMS], *other = scenario_client(scenario);
        connect_all(scenario, clients);
        g_free(call_all(clients, "large", "a"));
        client_calls(other, "echo", "x1");
        flight_answers(scenario_take(scenario));
        assert_all_got(clients, "!aN");
        assert_got(other, "x1");
        cr_assert_not_null(strstr(clients[0]->error, "max_message_size"));
        cr_assert_eq(counters_n_calls(&scenario->counters, CALL_OUTCOME_ERROR), FORMS);
        scenario_end(scenario);
    }
}

/* The reply to echo(a1) as a binary message: a header of 16 bytes and a struct of 10. */
Test(replies, of_exactly_max_message_size_are_good)
{
    for (size_t over = 0; over < 2; over++) {
        BatcherParams params = scenario_params();
        params.max_message_size = 26 - over;
        Scenario *scenario = scenario_new(params);
        FakeClient *a = scenario_client(scenario);
        client_calls(a, "echo", "a1");
        flight_answers(assert_takes(scenario, "a1"));
        assert_got(a, over ? "!a1" : "a1");
        scenario_end(scenario);
    }
}

Test(replies, one_that_is_too_large_in_the_client_s_protocol_fails_its_own_call_only)
{
    BatcherParams params = scenario_params();
    params.upstream.protocol = PROTOCOL_COMPACT;
    params.max_message_size = 200;
    Scenario *scenario = scenario_new(params);
    FakeClient *binary = scenario_client(scenario);
    FakeClient *compact = scenario_client_of(scenario, all_forms[2]);
    scenario->large = 100;
    client_calls(compact, "wide", "a1");
    client_calls(binary, "wide", "b1");
    client_calls(binary, "echo", "b2");
    flight_answers(assert_takes(scenario, "a1 b1@1 b2@1"));
    assert_got(compact, "a1");
    assert_got(binary, "!b1 b2");
    cr_assert_not_null(strstr(binary->error, "max_message_size"), "%s", binary->error);
    scenario_end(scenario);
}

/* Where a message only needs another sequence id, nothing is copied. */
Test(replies, are_the_answer_s_own_bytes_where_the_forms_allow)
{
    for (unsigned form = 0; form < FORMS; form++) {
        Caller caller;
        caller_init(&caller);
        Form client = all_forms[form], upstream = {TRANSPORT_FRAMED, PROTOCOL_BINARY, true};
        Buffer sent = {0}, answer = {0};
        uint8_t stop = THRIFT_STOP;
        Bytes body = {&stop, 1};
        Message header = {.type = MESSAGE_CALL, .seqid = 77, .name = BYTES_LITERAL("S:echo")};
        append_message(&sent, client, header, body);
        FrameReader reader;
        Message message;
        size_t taken;
        Call *call;
        frame_reader_init(&reader, client, 1000, true);
        cr_assert_eq(frame_reader_next(&reader, buffer_bytes(&sent), &message, &taken),
                     FRAME_MESSAGE);
        cr_assert_eq(call_new(&caller, client, upstream, &message, 1000, 0, &call), CALL_OK);
        call->bare_at = strlen("S:"); /* as it is once it was submitted */

        header = (Message){.type = MESSAGE_REPLY, .seqid = 3, .name = BYTES_LITERAL("echo")};
        append_message(&answer, upstream, header, body);
        call->answer = (CallAnswer){
            .data = answer.data + FRAME_HEADER_SIZE,
            .len = answer.len - FRAME_HEADER_SIZE,
            .header_size = answer.len - FRAME_HEADER_SIZE - 1,
            .strict = true,
            .prefixed = true,
            .type = MESSAGE_REPLY,
        };
        cr_assert(call_set_answer(call, PROTOCOL_BINARY, 1000));
        bool in_place = client.protocol == PROTOCOL_BINARY && client.strict;
        size_t offset = client.transport == TRANSPORT_FRAMED ? 0 : FRAME_HEADER_SIZE;
        const CallReply *reply = &call->reply;
        cr_assert_eq(reply->head.len == 0, in_place, "form %u", form);
        cr_assert_eq(reply->body.data == answer.data + offset, in_place, "form %u", form);
        if (in_place)
            cr_assert_eq(load_be32(answer.data + FRAME_HEADER_SIZE + 12), 77);

        Buffer before = {0};
        buffer_append(&before, reply->body.data, reply->body.len);
        call_own_reply(call);
        memset(answer.data, 0xdd, answer.len);
        cr_assert(bytes_equal(reply->body, buffer_bytes(&before)));
        call_own_reply(call);
        cr_assert(bytes_equal(reply->body, buffer_bytes(&before)));
        call->state = CALL_STATE_ENDED;
        call_leave_caller(call);
        cr_assert_eq(caller.n_calls, 0);
        buffer_clear(&before);
        buffer_clear(&answer);
        buffer_clear(&sent);
    }
}

/* A call that never travels keeps its place among the client's others. */
Test(replies, a_refused_call_has_its_error_in_every_form)
{
    for (unsigned form = 0; form < FORMS; form++) {
        Caller caller;
        caller_init(&caller);
        Message header = {.type = MESSAGE_REPLY,
                          .strict = all_forms[form].strict,
                          .seqid = -5,
                          .name = BYTES_LITERAL("S:echo")};
        Call *call = call_new_refused(&caller, all_forms[form], &header,
                                      EXCEPTION_INVALID_MESSAGE_TYPE, "no");
        cr_assert(call->state == CALL_STATE_ENDED && !call->oneway);
        cr_assert(caller.n_calls == 1 && list_first(&caller.calls) == &call->caller_link);
        FrameReader reader;
        Message reply;
        size_t taken;
        frame_reader_init(&reader, (Form){0}, 1000, true);
        cr_assert_eq(frame_reader_next(&reader, call->reply.body, &reply, &taken), FRAME_MESSAGE);
        cr_assert(reader.form.transport == all_forms[form].transport &&
                  reader.form.protocol == all_forms[form].protocol &&
                  reply.strict == all_forms[form].strict);
        cr_assert(reply.type == MESSAGE_EXCEPTION && reply.seqid == -5);
        cr_assert(bytes_equal(reply.name, BYTES_LITERAL("echo")));
        call_leave_caller(call);
    }
}

/* Compact arguments that take 40 times as many bytes in binary. */
static Buffer expanding_call(void)
{
    Buffer body = {0}, out = {0};
    Writer writer = writer_init(PROTOCOL_COMPACT, &body);
    int16_t saved = writer_enter_struct(&writer);
    writer_field(&writer, THRIFT_LIST, 1);
    writer_list(&writer, THRIFT_I64, 10000);
    for (unsigned i = 0; i < 10000; i++)
        writer_i64(&writer, 0);
    writer_leave_struct(&writer, saved);
    Message header = {.type = MESSAGE_CALL, .seqid = 1, .name = BYTES_LITERAL("echo")};
    append_message(&out, (Form){TRANSPORT_BUFFERED, PROTOCOL_COMPACT, false}, header,
                   buffer_bytes(&body));
    buffer_clear(&body);
    return out;
}

static CallStatus try_call(Bytes bytes, Bytes (*change)(Bytes body), size_t max_size)
{
    Caller caller;
    caller_init(&caller);
    Form client = {TRANSPORT_BUFFERED, PROTOCOL_COMPACT, false};
    Form upstream = {TRANSPORT_FRAMED, PROTOCOL_BINARY, true};
    FrameReader reader;
    Message message;
    size_t taken;
    frame_reader_init(&reader, client, 1 << 20, true);
    cr_assert_eq(frame_reader_next(&reader, bytes, &message, &taken), FRAME_MESSAGE);
    if (change != NULL)
        message.body = change(message.body);
    Call *call;
    CallStatus status = call_new(&caller, client, upstream, &message, max_size, 0, &call);
    cr_assert_eq(caller.n_calls, status == CALL_OK);
    if (status == CALL_OK) {
        call->state = CALL_STATE_ENDED;
        call_leave_caller(call);
    }
    return status;
}

static Bytes cut_short(Bytes body)
{
    return (Bytes){body.data, body.len - 1};
}

Test(calls, that_cannot_be_transcoded_say_why)
{
    Buffer bytes = expanding_call();
    cr_assert_eq(try_call(buffer_bytes(&bytes), NULL, 1 << 20), CALL_OK);
    cr_assert_eq(try_call(buffer_bytes(&bytes), NULL, 79999), CALL_E_TOO_LARGE);
    cr_assert_eq(try_call(buffer_bytes(&bytes), cut_short, 1 << 20), CALL_E_ARGUMENTS);
    buffer_clear(&bytes);
}

/* Memory in use, as far as the C library tells (not under a sanitizer, which finds leaks itself).
 */
Test(calls, that_cannot_be_transcoded_leave_no_memory_behind)
{
    Buffer bytes = expanding_call();
    size_t before = mallinfo2().uordblks;
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(try_call(buffer_bytes(&bytes), NULL, 79999), CALL_E_TOO_LARGE);
    size_t after = mallinfo2().uordblks;
    cr_assert_lt(after, before + 100000, "%zu bytes are left behind", after - before);
    buffer_clear(&bytes);
}
