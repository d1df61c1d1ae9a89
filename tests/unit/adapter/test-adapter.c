/* The adapter by its contract (thrift-batch-adapter.h), in both protocols. */

#include "conversation.h"

#include <criterion/criterion.h>
#include <string.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/thrift_application_exception.h>

typedef void Check(Conversation *conversation);

static void in_both_protocols(const BatchAdapterParams *params, Check *check)
{
    const GType types[] = {THRIFT_TYPE_BINARY_PROTOCOL, THRIFT_TYPE_COMPACT_PROTOCOL};

    for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
        Conversation conversation;

        conversation_init(&conversation, types[i], params);
        check(&conversation);
        conversation_clear(&conversation);
    }
}

/* --- what a test says ------------------------------------------------------------------------ */

static void expect_executed(const Conversation *conversation, const char *all)
{
    g_autoptr(GString) got = g_string_new(NULL);

    for (guint i = 0; i < conversation->executed->len; i++)
        g_string_append_printf(got, "%s%s", i > 0 ? ", " : "",
                               (char *)g_ptr_array_index(conversation->executed, i));
    cr_assert_str_eq(got->str, all);
}

static void expect_echo(GType protocol_type, const GByteArray *message, gint32 seqid,
                        const char *token)
{
    Reply reply;

    cr_assert(message != NULL);
    reply_read(&reply, protocol_type, message);
    cr_expect(reply.type == T_REPLY && reply.seqid == seqid);
    cr_expect_str_eq(reply.name, "echo");
    cr_expect_str_eq(reply.text, token);
    reply_clear(&reply);
}

static void expect_exception(GType protocol_type, const GByteArray *message, const char *name,
                             gint32 seqid, ThriftApplicationExceptionError code, const char *text)
{
    Reply reply;

    cr_assert(message != NULL);
    reply_read(&reply, protocol_type, message);
    cr_expect(reply.type == T_EXCEPTION && reply.seqid == seqid);
    cr_expect_str_eq(reply.name, name);
    cr_expect(reply.code == (gint32)code, "%s: %d, not %d", name, reply.code, (gint32)code);
    cr_expect(strstr(reply.text, text) != NULL, "%s: '%s', not '%s'", name, reply.text, text);
    reply_clear(&reply);
}

/* Sends the batch and returns its responses. */
static GPtrArray *execute(Conversation *conversation, GPtrArray *calls, gint32 timeout_ms)
{
    g_autoptr(GByteArray) batch = batch_new(conversation->protocol_type, 99, calls, timeout_ms);
    g_autoptr(GByteArray) answer = NULL;

    cr_assert(conversation_process(conversation, batch));
    answer = conversation_take(conversation);
    return responses_read(conversation->protocol_type, answer, 99);
}

static void expect_refused(Conversation *conversation, const GByteArray *batch,
                           ThriftApplicationExceptionError code, const char *text)
{
    bool goes_on = code == THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR;
    g_autoptr(GByteArray) answer = NULL;

    cr_assert(conversation_process(conversation, batch) == goes_on);
    answer = conversation_take(conversation);
    expect_exception(conversation->protocol_type, answer, "executeBatch", 99, code, text);
    expect_executed(conversation, "");
}

static GByteArray *bytes_new(const char *text)
{
    GByteArray *bytes = g_byte_array_new();

    return g_byte_array_append(bytes, (const guint8 *)text, (guint)strlen(text));
}

/* The first bytes of a message, which is released. */
static GByteArray *cut(GByteArray *message, guint off_the_end)
{
    return g_byte_array_set_size(message, message->len - off_the_end);
}

/* --- calls ----------------------------------------------------------------------------------- */

static void check_mixed(Conversation *conversation)
{
    GType type = conversation->protocol_type;
    g_autoptr(GPtrArray) calls = calls_new(), responses = NULL, none = calls_new();
    GByteArray *failing = echo_new(type, 1, "it");
    guint name_at = type == THRIFT_TYPE_BINARY_PROTOCOL ? 8 : 4;
    GByteArray *unknown = echo_new(type, 6, "x");

    memcpy(failing->data + name_at, "fail", 4);
    memcpy(unknown->data + name_at, "nope", 4);
    g_ptr_array_add(calls, echo_new(type, 0, "a"));
    g_ptr_array_add(calls, failing);
    g_ptr_array_add(calls, bytes_new("garbage in a batch"));
    g_ptr_array_add(calls, log_new(type, T_CALL, 3, "as a call"));
    g_ptr_array_add(calls, log_new(type, T_ONEWAY, 4, "as oneway"));
    g_ptr_array_add(calls, cut(echo_new(type, 5, "cut"), 2));
    g_ptr_array_add(calls, unknown);
    g_ptr_array_add(calls, batch_new(type, 7, none, NO_TIMEOUT));
    g_ptr_array_add(calls, cut(log_new(type, T_ONEWAY, 8, "cut"), 2));
    g_ptr_array_add(calls, log_new(type, T_REPLY, 9, "no call"));
    g_ptr_array_add(calls, g_byte_array_new());
    g_ptr_array_add(calls, echo_new(type, 11, "z"));

    responses = execute(conversation, calls, NO_TIMEOUT);
    cr_assert(responses->len == calls->len);
    expect_echo(type, responses->pdata[0], 0, "a");
    expect_exception(type, responses->pdata[1], "fail", 1,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR, "no it");
    expect_exception(type, responses->pdata[2], "", 2,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_PROTOCOL_ERROR, "");
    cr_expect(responses->pdata[3] == NULL, "a oneway method owes no reply, however it is called");
    cr_expect(responses->pdata[4] == NULL);
    expect_exception(type, responses->pdata[5], "echo", 5,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_PROTOCOL_ERROR, "too early");
    expect_exception(type, responses->pdata[6], "nope", 6,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_UNKNOWN_METHOD, "nope");
    expect_exception(type, responses->pdata[7], "executeBatch", 7,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_UNKNOWN_METHOD, "executeBatch");
    cr_expect(responses->pdata[8] == NULL, "nobody waits for what became of a ONEWAY");
    expect_exception(type, responses->pdata[9], "log", 9,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_INVALID_MESSAGE_TYPE, "call");
    expect_exception(type, responses->pdata[10], "", 10,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_PROTOCOL_ERROR, "too early");
    expect_echo(type, responses->pdata[11], 11, "z");
    expect_executed(conversation, "echo a, fail it, log as a call, log as oneway, echo z");
    cr_expect(conversation->batches == 1 && conversation->last_calls == calls->len);
}

Test(adapter, a_call_that_fails_leaves_its_neighbours_alone)
{
    in_both_protocols(NULL, check_mixed);
}

static void check_empty(Conversation *conversation)
{
    g_autoptr(GPtrArray) calls = calls_new();
    g_autoptr(GPtrArray) responses = execute(conversation, calls, NO_TIMEOUT);

    cr_expect(responses->len == 0);
    cr_expect(conversation->batches == 1 && conversation->last_calls == 0);
    expect_executed(conversation, "");
}

Test(adapter, an_empty_batch_executes_nothing)
{
    in_both_protocols(NULL, check_empty);
}

static void check_many(Conversation *conversation)
{
    enum {
        MANY = 5000,
    };
    GType type = conversation->protocol_type;
    g_autoptr(GPtrArray) calls = calls_new(), responses = NULL;

    for (gint32 i = 0; i < MANY; i++) {
        g_autofree char *token = g_strdup_printf("token %d", i);

        g_ptr_array_add(calls, echo_new(type, i, token));
    }
    responses = execute(conversation, calls, 60000);
    cr_assert(responses->len == MANY);
    for (gint32 i = 0; i < MANY; i++) {
        g_autofree char *token = g_strdup_printf("token %d", i);

        expect_echo(type, responses->pdata[i], i, token);
    }
}

Test(adapter, replies_stand_in_the_order_of_their_calls)
{
    in_both_protocols(NULL, check_many);
}

static void check_other_messages(Conversation *conversation)
{
    GType type = conversation->protocol_type;
    g_autoptr(GByteArray) echo = echo_new(type, 5, "alone"), reply = NULL, nothing = NULL;
    g_autoptr(GByteArray) log = log_new(type, T_ONEWAY, 6, "alone");

    cr_assert(conversation_process(conversation, echo));
    reply = conversation_take(conversation);
    expect_echo(type, reply, 5, "alone");
    cr_assert(conversation_process(conversation, log));
    nothing = conversation_take(conversation);
    cr_expect(nothing->len == 0);
    cr_expect(conversation->batches == 0);
    expect_executed(conversation, "echo alone, log alone");
}

Test(adapter, other_messages_go_to_the_inner_processor)
{
    in_both_protocols(NULL, check_other_messages);
}

static void check_no_call(Conversation *conversation)
{
    g_autoptr(GByteArray) reply = log_new(conversation->protocol_type, T_REPLY, 1, "x");
    g_autoptr(GByteArray) old = g_byte_array_new(), nothing = NULL;

    cr_expect(!conversation_process(conversation, reply));
    /* binary without version: length, name, type, sequence id */
    g_byte_array_append(old, (const guint8 *)"\0\0\0\4echo\1\0\0\0\0\0", 14);
    cr_expect(!conversation_process(conversation, old));
    nothing = conversation_take(conversation);
    cr_expect(nothing->len == 0);
    expect_executed(conversation, "");
}

Test(adapter, what_is_no_call_fails)
{
    in_both_protocols(NULL, check_no_call);
}

/* --- deadlines ------------------------------------------------------------------------------- */

static GPtrArray *late_calls(GType type)
{
    GPtrArray *calls = calls_new();

    g_ptr_array_add(calls, echo_new(type, 0, "late"));
    g_ptr_array_add(calls, log_new(type, T_ONEWAY, 1, "late"));
    return calls;
}

static void check_late(Conversation *conversation)
{
    GType type = conversation->protocol_type;
    g_autoptr(GPtrArray) calls = late_calls(type);
    g_autoptr(GPtrArray) responses = execute(conversation, calls, 0);

    expect_exception(type, responses->pdata[0], "echo", 0,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR, "deadline passed");
    cr_expect(responses->pdata[1] == NULL);
    expect_executed(conversation, "log late");
}

Test(adapter, a_late_call_is_not_executed)
{
    in_both_protocols(NULL, check_late);
}

static void check_late_ignored(Conversation *conversation)
{
    GType type = conversation->protocol_type;
    g_autoptr(GPtrArray) calls = late_calls(type);
    g_autoptr(GPtrArray) responses = execute(conversation, calls, 0);

    expect_echo(type, responses->pdata[0], 0, "late");
    expect_executed(conversation, "echo late, log late");
}

Test(adapter, deadlines_can_be_ignored)
{
    const BatchAdapterParams params = {.ignore_deadlines = TRUE};

    in_both_protocols(&params, check_late_ignored);
}

/* --- limits ---------------------------------------------------------------------------------- */

static void check_too_large(Conversation *conversation)
{
    GType type = conversation->protocol_type;
    g_autoptr(GPtrArray) calls = calls_new();
    g_autoptr(GByteArray) batch = NULL, echo = echo_new(type, 4, "after"), reply = NULL;

    for (gint32 i = 0; i < 4; i++)
        g_ptr_array_add(calls, echo_new(type, i, "a token that is neither short nor long"));
    batch = batch_new(type, 99, calls, NO_TIMEOUT);
    expect_refused(conversation, batch, THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR,
                   "this server takes");
    cr_expect(conversation->batches == 0);
    cr_assert(conversation_process(conversation, echo), "the connection goes on");
    reply = conversation_take(conversation);
    expect_echo(type, reply, 4, "after");
}

Test(adapter, a_batch_above_a_limit_is_refused_whole)
{
    const BatchAdapterParams few_calls = {.max_calls = 3};
    const BatchAdapterParams few_bytes = {.max_bytes = 180};

    in_both_protocols(&few_calls, check_too_large);
    in_both_protocols(&few_bytes, check_too_large);
}

static void check_reply_too_large(Conversation *conversation)
{
    GType type = conversation->protocol_type;
    g_autofree char *large = g_strnfill(1000, 'x');
    g_autoptr(GPtrArray) calls = calls_new(), responses = NULL;

    g_ptr_array_add(calls, echo_new(type, 0, "small"));
    g_ptr_array_add(calls, echo_new(type, 1, large));
    g_ptr_array_add(calls, echo_new(type, 2, "small again"));
    responses = execute(conversation, calls, NO_TIMEOUT);
    expect_echo(type, responses->pdata[0], 0, "small");
    expect_exception(type, responses->pdata[1], "echo", 1,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR, "too large");
    expect_echo(type, responses->pdata[2], 2, "small again");
}

Test(adapter, a_reply_that_does_not_fit_becomes_an_exception)
{
    const BatchAdapterParams params = {.max_reply_bytes = 500};

    in_both_protocols(&params, check_reply_too_large);
}

/* Calls whose argument is a list in a list in a list. */
static GByteArray *nested_new(GType type, guint levels)
{
    bool binary = type == THRIFT_TYPE_BINARY_PROTOCOL;
    GByteArray *message = cut(echo_new(type, 0, ""), binary ? 8 : 3); /* without its field */

    if (binary)
        g_byte_array_append(message, (const guint8 *)"\x0f\0\x09", 3);
    else
        g_byte_array_append(message, (const guint8 *)"\x99", 1);
    for (guint i = 0; i < levels; i++) {
        if (binary)
            g_byte_array_append(message, (const guint8 *)"\x0f\0\0\0\1", 5);
        else
            g_byte_array_append(message, (const guint8 *)"\x19", 1);
    }
    if (binary)
        g_byte_array_append(message, (const guint8 *)"\3\0\0\0\0\0", 6);
    else
        g_byte_array_append(message, (const guint8 *)"\x03\0", 2);
    return message;
}

static void check_nesting(Conversation *conversation)
{
    GType type = conversation->protocol_type;
    g_autoptr(GPtrArray) calls = calls_new(), responses = NULL;

    g_ptr_array_add(calls, nested_new(type, 20));
    g_ptr_array_add(calls, nested_new(type, 100000));
    g_ptr_array_add(calls, echo_new(type, 2, "after"));
    responses = execute(conversation, calls, NO_TIMEOUT);
    expect_echo(type, responses->pdata[0], 0, "");
    expect_exception(type, responses->pdata[1], "echo", 0,
                     THRIFT_APPLICATION_EXCEPTION_ERROR_PROTOCOL_ERROR, "64 levels");
    expect_echo(type, responses->pdata[2], 2, "after");
}

Test(adapter, endless_nesting_does_not_exhaust_the_stack)
{
    in_both_protocols(NULL, check_nesting);
}

/* --- batches that are none ------------------------------------------------------------------- */

static void check_cut_batch(Conversation *conversation)
{
    GType type = conversation->protocol_type;
    g_autoptr(GPtrArray) calls = calls_new();
    g_autoptr(GByteArray) batch = NULL;

    g_ptr_array_add(calls, echo_new(type, 0, "a"));
    g_ptr_array_add(calls, echo_new(type, 1, "b"));
    batch = cut(batch_new(type, 99, calls, NO_TIMEOUT), 6);
    expect_refused(conversation, batch, THRIFT_APPLICATION_EXCEPTION_ERROR_PROTOCOL_ERROR, "");
}

Test(adapter, a_cut_batch_executes_nothing)
{
    in_both_protocols(NULL, check_cut_batch);
}

/* After a batch's header: struct { 1: struct { 1: list of structs ..., in the binary protocol. */
static void check_broken(const char *body, gsize len, const char *text)
{
    Conversation conversation;
    g_autoptr(GPtrArray) none = calls_new();
    g_autoptr(GByteArray) batch = batch_new(THRIFT_TYPE_BINARY_PROTOCOL, 99, none, NO_TIMEOUT);

    g_byte_array_set_size(batch, strlen("vvvvllllexecuteBatchssss"));
    g_byte_array_append(batch, (const guint8 *)body, (guint)len);
    conversation_init(&conversation, THRIFT_TYPE_BINARY_PROTOCOL, NULL);
    expect_refused(&conversation, batch, THRIFT_APPLICATION_EXCEPTION_ERROR_PROTOCOL_ERROR, text);
    conversation_clear(&conversation);
}

#define BROKEN(body, text) check_broken(body, sizeof(body) - 1, text)

Test(adapter, a_broken_batch_executes_nothing)
{
    BROKEN("\0", "no list");
    BROKEN("\x0c\0\1\0\0", "no list");
    BROKEN("\x0c\0\1\x08\0\1\0\0\0\1\0\0", "no list");
    BROKEN("\x0c\0\1\x0f\0\1\x08\0\0\0\1\0\0\0\1\0\0", "no structs");
    BROKEN("\x0c\0\1\x0f\0\1\x0c\0\0\0\1\0\0\0", "no message");
    BROKEN("\x0c\0\1\x0f\0\1\x0c\0\0\0\1\x08\0\1\0\0\0\1\0\0\0", "no message");
    BROKEN("\x0c\0\1\x0f\0\1\x0c\x7f\xff\xff\xff\0\0\0", "");
    BROKEN("\x0c\0\1\x0f\0\1\x0c\xff\xff\xff\xff\0\0\0", "");
    BROKEN("\x0c\0\1\x0f\0\1\x0c\0\0\0\1\x0b\0\1\x7f\xff\xff\xff", "");
    BROKEN("\x0c\0\1\x0f\0\1\x0c\0\0\0\1\x0b\0\1\xff\xff\xff\xff", "");
    BROKEN("\x63\0\1", "");
    BROKEN("", "");
}

Test(adapter, fields_of_later_versions_are_read_over)
{
    static const char body[] = "\x0d\0\2\x0b\x0f\0\0\0\1\0\0\0\1k\3\0\0\0\0" /* map, at the top */
                               "\x0c\0\1"
                               "\x0e\0\7\x0c\0\0\0\1\0" /* set of empty structs, beside the list */
                               "\x0f\0\1\x0c\0\0\0\0"
                               "\0\0";
    Conversation conversation;
    g_autoptr(GPtrArray) none = calls_new(), responses = NULL;
    g_autoptr(GByteArray) batch = batch_new(THRIFT_TYPE_BINARY_PROTOCOL, 99, none, NO_TIMEOUT);
    g_autoptr(GByteArray) answer = NULL;

    g_byte_array_set_size(batch, strlen("vvvvllllexecuteBatchssss"));
    g_byte_array_append(batch, (const guint8 *)body, sizeof(body) - 1);
    conversation_init(&conversation, THRIFT_TYPE_BINARY_PROTOCOL, NULL);
    cr_assert(conversation_process(&conversation, batch));
    answer = conversation_take(&conversation);
    responses = responses_read(THRIFT_TYPE_BINARY_PROTOCOL, answer, 99);
    cr_expect(responses->len == 0);
    conversation_clear(&conversation);
}
