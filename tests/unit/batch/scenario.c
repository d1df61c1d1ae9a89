#include "scenario.h"

#include "wire/exception.h"
#include "wire/frame.h"
#include "wire/header.h"

#include "../wire/stream.h"
#include "token.h"

enum { FIRST_SEQID = 0x10000 };

static const nsec_t begin = 1000 * NSEC_PER_SEC;

bool scenario_is_strict(const Scenario *scenario)
{
    return scenario->params.ordering == ORDERING_STRICT;
}

/* Clients */

static void note_exception(FakeClient *client, const SentCall *sent, const Message *reply)
{
    Bytes text;
    expect(exception_read(client->form.protocol, reply->body, &text, &client->error_code));
    g_free(client->error);
    client->error = g_strndup((const char *)text.data, text.len);
    bool upstream = g_str_has_prefix(client->error, TOKEN_REFUSED);
    if (upstream)
        expect_str_eq(client->error + strlen(TOKEN_REFUSED), sent->key);
    g_string_append_printf(client->got, "%s%s", upstream ? "?" : "!", sent->token);
}

static void note_reply(FakeClient *client, SentCall *sent, const Message *reply)
{
    sent->n_replies++;
    if (client->got->len > 0)
        g_string_append_c(client->got, ' ');
    if (reply->type == MESSAGE_EXCEPTION) {
        note_exception(client, sent, reply);
        return;
    }
    expect_eq(reply->type, MESSAGE_REPLY);
    char *token = token_read(client->form.protocol, reply->body, 0);
    expect_str_eq(token, sent->key);
    g_string_append(client->got, sent->token);
    g_free(token);
}

/* What a Thrift library checks. */
static void read_reply(FakeClient *client, SentCall *sent, Bytes bytes)
{
    FrameReader reader;
    Message reply;
    size_t taken;
    frame_reader_init(&reader, (Form){0}, SCENARIO_MAX_MESSAGE, true);
    expect_eq(frame_reader_next(&reader, bytes, &reply, &taken), FRAME_MESSAGE);
    expect_eq(taken, bytes.len);
    expect(reader.form.transport == client->form.transport &&
           reader.form.protocol == client->form.protocol && reply.strict == client->form.strict);
    expect_eq(reply.seqid, sent->seqid);
    expect(bytes_equal(reply.name, header_bare_name(bytes_from_string(sent->name))));
    note_reply(client, sent, &reply);
}

SentCall *sent_of(const Call *call)
{
    FakeClient *client = LIST_OWNER(call->caller, FakeClient, caller);
    SentCall *sent = g_ptr_array_index(client->sent, (guint)(call->seqid - FIRST_SEQID));
    expect_eq(sent->seqid, call->seqid);
    return sent;
}

static void take_reply(FakeClient *client, Call *call)
{
    SentCall *sent = sent_of(call);
    Buffer bytes = {0};
    buffer_append(&bytes, call->reply.head.data, call->reply.head.len);
    buffer_append(&bytes, call->reply.body.data, call->reply.body.len);
    read_reply(client, sent, buffer_bytes(&bytes));
    buffer_clear(&bytes);
    call_leave_caller(call);
}

static void take_replies_in_order(FakeClient *client)
{
    ListLink *link;
    while ((link = list_first(&client->caller.calls)) != NULL) {
        Call *call = LIST_OWNER(link, Call, caller_link);
        if (call->state != CALL_STATE_ENDED)
            break;
        take_reply(client, call);
    }
}

static void on_call_ended(void *data, Call *call)
{
    Scenario *scenario = data;
    FakeClient *client = LIST_OWNER(call->caller, FakeClient, caller);
    SentCall *sent = sent_of(call);
    expect_eq(call->state, CALL_STATE_ENDED);
    expect_eq(sent->n_ended, 0, "%s ends again", sent->token);
    sent->n_ended++;
    if (call->oneway || client->caller.departed)
        call_leave_caller(call);
    else if (!scenario_is_strict(scenario))
        take_reply(client, call);
    else
        call_own_reply(call);
    if (scenario_is_strict(scenario) && !client->caller.departed)
        take_replies_in_order(client);
}

static void on_batch_abandoned(void *data, Batch *batch)
{
    Scenario *scenario = data;
    for (guint i = 0; i < scenario->flights->len; i++) {
        Flight *flight = g_ptr_array_index(scenario->flights, i);
        if (flight->batch != batch)
            continue;
        expect(!flight->abandoned, "a batch is abandoned twice");
        flight->abandoned = true;
        return;
    }
    for (guint i = 0; i < scenario->lines->len; i++) {
        Line *line = g_ptr_array_index(scenario->lines, i);
        if (line->batch != batch)
            continue;
        line->abandoned = true;
        return;
    }
    expect(false, "a batch is abandoned that is not in flight");
}

static const BatcherOps operations = {
    .call_ended = on_call_ended,
    .batch_abandoned = on_batch_abandoned,
};

FakeClient *scenario_client_of(Scenario *scenario, Form form)
{
    FakeClient *client = g_new0(FakeClient, 1);
    client->scenario = scenario;
    client->form = form;
    client->sent = g_ptr_array_new();
    client->got = g_string_new("");
    caller_init(&client->caller);
    batcher_add_caller(scenario->batcher, &client->caller);
    g_ptr_array_add(scenario->clients, client);
    return client;
}

FakeClient *scenario_client(Scenario *scenario)
{
    return scenario_client_of(scenario, (Form){TRANSPORT_FRAMED, PROTOCOL_BINARY, true});
}

static SentCall *sent_new(FakeClient *client, MessageType type, const char *name, const char *token,
                          const char *key)
{
    SentCall *sent = g_new0(SentCall, 1);
    *sent = (SentCall){
        .client = client,
        .name = g_strdup(name),
        .token = g_strdup(token),
        .key = g_strdup(key),
        .type = type,
        .seqid = FIRST_SEQID + (int32_t)client->sent->len,
        .number = client->sent->len + 1,
    };
    g_ptr_array_add(client->sent, sent);
    expect(g_hash_table_insert(client->scenario->tokens, sent->token, sent));
    client->scenario->n_sent++;
    return sent;
}

static void client_sends_key(FakeClient *client, MessageType type, const char *method,
                             const char *key, const char *token, size_t padding)
{
    Scenario *scenario = client->scenario;
    SentCall *sent = sent_new(client, type, method, token, key);
    Buffer body = {0}, bytes = {0};
    token_write(&body, client->form.protocol, 1, key, padding, 0);
    Message header = {.type = type, .seqid = sent->seqid, .name = bytes_from_string(method)};
    append_message(&bytes, client->form, header, buffer_bytes(&body));

    FrameReader reader;
    Message message;
    size_t taken;
    frame_reader_init(&reader, client->form, SCENARIO_MAX_MESSAGE, true);
    expect_eq(frame_reader_next(&reader, buffer_bytes(&bytes), &message, &taken), FRAME_MESSAGE);
    sent->size = message.whole.len;
    Call *call;
    expect_eq(call_new(&client->caller, client->form, scenario->params.upstream, &message,
                       SCENARIO_MAX_MESSAGE, scenario->now, &call),
              CALL_OK);
    buffer_clear(&bytes);
    buffer_clear(&body);
    batcher_submit(scenario->batcher, call, scenario->now);
}

void client_sends(FakeClient *client, MessageType type, const char *method, const char *token,
                  size_t padding)
{
    client_sends_key(client, type, method, token, token, padding);
}

void client_asks(FakeClient *client, const char *method, const char *key, const char *token)
{
    client_sends_key(client, MESSAGE_CALL, method, key, token, 0);
}

void client_calls(FakeClient *client, const char *method, const char *token)
{
    client_sends(client, MESSAGE_CALL, method, token, 0);
}

void client_sends_oneway(FakeClient *client, const char *method, const char *token)
{
    client_sends(client, MESSAGE_ONEWAY, method, token, 0);
}

void client_leaves(FakeClient *client)
{
    client->lost_calls = true;
    batcher_depart_caller(client->scenario->batcher, &client->caller, client->scenario->now);
    LIST_EACH_SAFE (&client->caller.calls, link) {
        Call *call = LIST_OWNER(link, Call, caller_link);
        if (call->state == CALL_STATE_ENDED)
            call_leave_caller(call);
    }
}

static void check_answered(const SentCall *sent)
{
    bool owed = sent->type == MESSAGE_CALL &&
                !name_begins(header_bare_name(bytes_from_string(sent->name)), "log");
    expect_eq(sent->n_ended, 1, "%s has not ended", sent->token);
    expect(sent->n_replies <= 1, "%s has %u replies", sent->token, sent->n_replies);
    if (owed)
        expect_eq(sent->n_replies, 1, "%s has no reply", sent->token);
}

static void client_free(FakeClient *client)
{
    bool stayed = !client->caller.departed;
    for (guint i = 0; i < client->sent->len && stayed; i++)
        check_answered(g_ptr_array_index(client->sent, i));
    if (stayed)
        client_leaves(client);
    expect_eq(client->caller.n_calls, 0);
    expect(client->caller.n_held == 0 && client->caller.n_waiting == 0 &&
           client->caller.n_sent == 0);
    batcher_forget_caller(&client->caller);
    for (guint i = 0; i < client->sent->len; i++) {
        SentCall *sent = g_ptr_array_index(client->sent, i);
        expect_eq(sent->n_ended, 1, "%s has not ended", sent->token);
        g_free(sent->name);
        g_free(sent->token);
        g_free(sent->key);
        g_free(sent);
    }
    g_ptr_array_unref(client->sent);
    g_string_free(client->got, TRUE);
    g_free(client->error);
    g_free(client);
}

/* Scenarios */

BatcherParams scenario_params(void)
{
    return (BatcherParams){
        .upstream = {TRANSPORT_FRAMED, PROTOCOL_BINARY, true},
        .method = BYTES_LITERAL("executeBatch"),
        .flush = FLUSH_ADAPTIVE,
        .ordering = ORDERING_STRICT,
        .window = 500 * NSEC_PER_USEC,
        .call_timeout = 5 * NSEC_PER_SEC,
        .max_calls = 64,
        .max_bytes = 1 << 20,
        .min_calls = 1,
        .retries = 1,
        .max_message_size = 16 << 20,
    };
}

Scenario *scenario_new_with_policies(BatcherParams params, MethodPolicy *const *policies,
                                     size_t n_policies)
{
    Scenario *scenario = g_new0(Scenario, 1);
    scenario->params = params;
    scenario->now = begin;
    scenario->methods = method_table_new(policies, n_policies, NULL);
    scenario->batcher =
        batcher_new(&params, scenario->methods, &operations, scenario, &scenario->counters);
    scenario->clients = g_ptr_array_new();
    scenario->flights = g_ptr_array_new();
    scenario->lines = g_ptr_array_new();
    scenario->max_lines = 64;
    scenario->tokens = g_hash_table_new(g_str_hash, g_str_equal);
    scenario->next_seqid = 1;
    scenario->large = 1000;
    return scenario;
}

Scenario *scenario_new(BatcherParams params)
{
    return scenario_new_with_policies(params, NULL, 0);
}

/* A lane stays set when a client's other calls expire while they wait, or travel in a batch that
 * comes back. */
static void note_expiring(Scenario *scenario)
{
    for (guint i = 0; i < scenario->clients->len; i++) {
        FakeClient *client = g_ptr_array_index(scenario->clients, i);
        LIST_EACH (&client->caller.calls, link) {
            const Call *call = LIST_OWNER(link, Call, caller_link);
            if (call->deadline <= scenario->now)
                client->lost_calls = true;
        }
    }
}

void scenario_pass(Scenario *scenario, nsec_t time)
{
    scenario->now += time;
    note_expiring(scenario);
    batcher_expire(scenario->batcher, scenario->now);
    expect(batcher_next_deadline(scenario->batcher) > scenario->now);
}

static void check_counters(const Scenario *scenario)
{
    const Counters *counters = &scenario->counters;
    uint64_t ended = 0;
    for (unsigned i = 0; i < CALL_OUTCOMES; i++)
        ended += counters_n_calls(counters, (CallOutcome)i);
    expect_eq(ended, scenario->n_sent);
    expect_eq(counters->call_nsec.count, scenario->n_sent);
    expect_eq(counters->pending_calls, 0);
    expect_eq(counters->pending_bytes, 0);
}

void scenario_end(Scenario *scenario)
{
    expect_eq(scenario->flights->len, 0, "a batch is in flight at the end");
    while (scenario->lines->len > 0) {
        Line *line = g_ptr_array_index(scenario->lines, 0);
        expect(line->batch == NULL, "calls are passed through at the end");
        line_fails(line, "");
    }
    expect(batcher_next_through(scenario->batcher, NULL) == NULL);
    for (guint i = 0; i < scenario->clients->len; i++)
        client_free(g_ptr_array_index(scenario->clients, i));
    check_counters(scenario);
    expect_eq(batcher_next_deadline(scenario->batcher), NSEC_NEVER);
    batcher_free(scenario->batcher);
    method_table_free(scenario->methods);
    g_hash_table_unref(scenario->tokens);
    g_ptr_array_unref(scenario->clients);
    g_ptr_array_unref(scenario->flights);
    g_ptr_array_unref(scenario->lines);
    g_free(scenario);
}
