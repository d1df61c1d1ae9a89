/* The upstream's side of a scenario, where calls are passed through: what the pool does with them,
 * and a server that reads, executes and answers them one after another. */
#include "scenario.h"

#include "batch/join.h"
#include "wire/frame.h"
#include "wire/header.h"

#include "../wire/stream.h"
#include "token.h"

static Line *line_new(Scenario *scenario)
{
    Line *line = g_new0(Line, 1);
    line->scenario = scenario;
    line->number = ++scenario->n_lines;
    line->server = g_ptr_array_new_with_free_func(g_free);
    carrier_init(&line->carrier);
    g_ptr_array_add(scenario->lines, line);
    return line;
}

Line *scenario_line(Scenario *scenario, unsigned number)
{
    for (guint i = 0; i < scenario->lines->len; i++) {
        Line *line = g_ptr_array_index(scenario->lines, i);
        if (line->number == number)
            return line;
    }
    return NULL;
}

static Line *idle_line(Scenario *scenario)
{
    Line *best = NULL;
    for (guint i = 0; i < scenario->lines->len; i++) {
        Line *line = g_ptr_array_index(scenario->lines, i);
        if (line->batch == NULL && (best == NULL || list_empty(&line->carrier.bound)))
            best = line;
    }
    if (best == NULL && scenario->lines->len < scenario->max_lines)
        best = line_new(scenario);
    return best;
}

/* Where the batch can go now, if anywhere. */
static Line *line_for(Scenario *scenario, const Batch *batch)
{
    Carrier *wanted = batcher_wanted_carrier(batch);
    if (wanted == NULL)
        return idle_line(scenario);
    Line *line = LIST_OWNER(wanted, Line, carrier);
    return line->batch == batch || line->batch == NULL ? line : NULL;
}

/* The rules that hold for every call that is passed through. */
static void check_call(Line *line, const FlightCall *call)
{
    Scenario *scenario = line->scenario;
    SentCall *sent = call->sent;
    FakeClient *client = sent->client;
    expect_eq(sent->n_ended, 0, "%s was over when it was sent", sent->token);
    check_sent_again(call);
    if (!scenario_is_strict(scenario))
        return;
    expect(call->call->attempts > 0 || sent->number > client->executed, "%s is late", sent->token);
    client->executed = MAX(client->executed, sent->number);
    expect(client->oneway_line == 0 || client->oneway_line == line->number ||
               scenario_line(scenario, client->oneway_line) == NULL,
           "%s does not follow its client's oneway call", sent->token);
    client->oneway_line = call->type == MESSAGE_ONEWAY ? line->number : 0;
    for (guint i = 0; i < scenario->flights->len; i++) {
        const Flight *flight = g_ptr_array_index(scenario->flights, i);
        for (unsigned k = 0; k < flight->n_all; k++)
            expect(flight->calls[k].sent->client != client, "%s overtakes %s", sent->token,
                   flight->text);
    }
    for (guint i = 0; i < scenario->lines->len; i++) {
        const Line *other = g_ptr_array_index(scenario->lines, i);
        for (guint k = 0; other != line && k < other->server->len; k++) {
            const FlightCall *earlier = g_ptr_array_index(other->server, k);
            expect(earlier->sent->client != client || earlier->sent->n_ended > 0, "%s overtakes %s",
                   sent->token, earlier->sent->token);
        }
    }
}

static void server_reads(Line *line, Call *first, Bytes bytes, GString *text)
{
    const BatcherParams *params = &line->scenario->params;
    FrameReader reader;
    frame_reader_init(&reader, params->upstream, SCENARIO_MAX_MESSAGE, true);
    for (ListLink *link = &first->batch_link; link != NULL;
         link = list_next(&line->batch->calls, link)) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        Message message;
        size_t taken = 0;
        expect_eq(frame_reader_next(&reader, bytes, &message, &taken), FRAME_MESSAGE);
        FlightCall *come = g_new0(FlightCall, 1);
        *come = (FlightCall){
            .sent = sent_of(call), .call = call, .type = message.type, .seqid = message.seqid};
        expect_eq(message.seqid, call->sent_seqid);
        expect(bytes_equal(message.name, bytes_from_string(come->sent->name)));
        char *key = token_read(params->upstream.protocol, message.body, 1);
        expect_str_eq(key, come->sent->key);
        g_free(key);
        check_call(line, come);
        g_string_append_printf(text, "%s%u:%s%s", text->len > 0 ? " " : "", line->number,
                               come->sent->token, message.type == MESSAGE_ONEWAY ? "!" : "");
        g_ptr_array_add(line->server, come);
        bytes = (Bytes){bytes.data + taken, bytes.len - taken};
    }
    expect_eq(bytes.len, 0);
}

static void write_calls(Line *line, Call *first, GString *text)
{
    Scenario *scenario = line->scenario;
    Buffer bytes = {0};
    struct iovec *iovecs = g_new(struct iovec, join_max_iovecs(line->batch));
    size_t n = join_singles(line->batch, first, &scenario->params, scenario->next_seqid, iovecs);
    scenario->next_seqid = (int32_t)(((uint32_t)scenario->next_seqid + n) & (uint32_t)INT32_MAX);
    for (size_t i = 0; i < n; i++)
        buffer_append(&bytes, iovecs[i].iov_base, iovecs[i].iov_len);
    server_reads(line, first, buffer_bytes(&bytes), text);
    g_free(iovecs);
    buffer_clear(&bytes);
}

static Call *behind(const Batch *batch, const Call *call)
{
    ListLink *next = list_next(&batch->calls, &call->batch_link);
    return next != NULL ? LIST_OWNER(next, Call, batch_link) : NULL;
}

static Call *owed_from(const Batch *batch, Call *call)
{
    while (call != NULL && call->oneway && call->state == CALL_STATE_ENDED)
        call = behind(batch, call);
    return call != NULL && call->state != CALL_STATE_WAITING ? call : NULL;
}

static void finish(Line *line)
{
    Batch *batch = g_steal_pointer(&line->batch);
    line->due = NULL;
    line->abandoned = false;
    batcher_finish(line->scenario->batcher, batch, line->scenario->now);
}

static void send_on(Line *line, Batch *batch, GString *text)
{
    Scenario *scenario = line->scenario;
    bool is_new = line->batch == NULL;
    line->batch = batch;
    Call *first = batcher_send_through(scenario->batcher, batch, &line->carrier, scenario->now);
    if (first != NULL && is_new && scenario->breaks) {
        scenario->breaks = false;
        line->batch = NULL;
        batcher_requeue(scenario->batcher, batch, "the connection was lost", scenario->now);
        line_fails(line, "");
        return;
    }
    if (first != NULL) {
        write_calls(line, first, text);
        batcher_through_written(scenario->batcher, batch, scenario->now);
        if (line->due == NULL)
            line->due = first;
    }
    line->due = owed_from(batch, line->due);
    if (line->due == NULL)
        finish(line);
}

char *scenario_send_through(Scenario *scenario)
{
    GString *text = g_string_new("");
    Batch *next = batcher_next_through(scenario->batcher, NULL);
    while (next != NULL) {
        Batch *batch = next;
        next = batcher_next_through(scenario->batcher, batch);
        Line *line = line_for(scenario, batch);
        if (line != NULL)
            send_on(line, batch, text);
    }
    return g_string_free(text, FALSE);
}

void scenario_assert_passes(Scenario *scenario, const char *expected, int line)
{
    char *text = scenario_send_through(scenario);
    expect_str_eq(text, expected, "line %d: '%s' was sent instead of '%s'", line, text, expected);
    g_free(text);
}

/* What the slot does with a reply. */
static void deliver(Line *line, const Message *reply)
{
    Scenario *scenario = line->scenario;
    char why[SPLIT_WHY_SIZE] = "";
    Call *call = NULL;
    expect(line->due != NULL, "a reply too many");
    expect_eq(split_single(line->batch, line->due, &scenario->params, reply, &call, why), SPLIT_OK,
              "%s", why);
    for (Call *over = line->due; over != call;) {
        Call *next = behind(line->batch, over);
        if (over->state == CALL_STATE_SENT)
            batcher_pass_over_call(scenario->batcher, over, scenario->now);
        over = next;
    }
    Call *next = behind(line->batch, call);
    batcher_answer_call(scenario->batcher, call, scenario->now);
    line->due = owed_from(line->batch, next);
    batcher_drop_ended(line->batch, line->due);
    if (line->due == NULL && !list_linked(&line->batch->waiting_link))
        finish(line);
}

bool line_answers(Line *line)
{
    while (line->server->len > 0) {
        FlightCall *call = g_ptr_array_index(line->server, 0);
        Buffer answer = {0}, framed = {0};
        if (call->type == MESSAGE_CALL)
            append_answer(line->scenario, call, &answer);
        g_ptr_array_remove_index(line->server, 0);
        if (answer.len == 0)
            continue;
        Form form = line->scenario->params.upstream;
        uint8_t frame[FRAME_HEADER_SIZE];
        store_be32(frame, (uint32_t)answer.len);
        if (form.transport == TRANSPORT_FRAMED)
            buffer_append(&framed, frame, sizeof frame);
        buffer_append(&framed, answer.data, answer.len);
        FrameReader reader;
        Message reply;
        size_t taken = 0;
        frame_reader_init(&reader, form, SCENARIO_MAX_MESSAGE, false);
        expect_eq(frame_reader_next(&reader, buffer_bytes(&framed), &reply, &taken), FRAME_MESSAGE);
        deliver(line, &reply);
        memset(framed.data, 0xdd, framed.len);
        buffer_clear(&framed);
        buffer_clear(&answer);
        return true;
    }
    return false;
}

static void line_free(Line *line)
{
    g_ptr_array_unref(line->server);
    g_free(line);
}

void line_fails(Line *line, const char *text)
{
    Scenario *scenario = line->scenario;
    expect(g_ptr_array_remove(scenario->lines, line));
    carrier_clear(&line->carrier);
    if (line->batch != NULL) {
        batcher_fail_batch(scenario->batcher, line->batch, text, scenario->now);
        finish(line);
    }
    line_free(line);
}

void line_breaks(Line *line, const char *text)
{
    Scenario *scenario = line->scenario;
    expect(g_ptr_array_remove(scenario->lines, line));
    carrier_clear(&line->carrier);
    for (guint i = 0; i < line->server->len; i++)
        ((FlightCall *)g_ptr_array_index(line->server, i))->sent->broken = true;
    if (line->batch != NULL)
        batcher_repeat(scenario->batcher, line->batch, text, scenario->now);
    line_free(line);
}
