/* Fuzzes what servers answer: the daemon's pool, slots and batcher as they are, over sockets, with
 * a server that does what the input says. Sockets, because what an answer does to the connection,
 * to the calls behind it and to those on other connections is where mistakes would be; a run takes
 * well below a millisecond. The input's bytes: shape (Shape), then steps, each an operation with a
 * number in its upper four bits (Operation) and what that needs.
 *
 * Whatever comes, every call ends exactly once, and what is said about one never reaches another:
 * each call has a token that only its own answer has. The tokens are not looked at once the input
 * has written bytes of its own, which might have made the one answer into the other's. */
#include "base/check.h"
#include "batch/batcher.h"
#include "net/pool.h"
#include "wire/cursor.h"
#include "wire/writer.h"

#include "../unit/wire/stream.h"
#include "input.h"
#include "message.h"
#include "upstream-peer.h"

enum Shape {
    UPSTREAM_COMPACT = 1 << 0,
    UPSTREAM_BUFFERED = 1 << 1,
    RELAXED = 1 << 2,
    ALWAYS_BATCH = 1 << 3, /* min_calls = 1 */
    ONE_FAILURE = 1 << 4,  /* the server is out after the first */
    NOT_ASKED = 1 << 5,    /* the question whether it batches is left to the steps */
    SMALL_REPLIES = 1 << 6,
};

typedef enum Operation {
    SUBMIT,        /* caller; method and ONEWAY_BIT */
    ANSWER,        /* connection; twist */
    ANSWER_SECOND, /* connection; twist: the request behind the oldest one */
    SEND,          /* connection; how many bytes, 0: all */
    RAW,           /* connection; length; bytes to be sent */
    FLIP,          /* connection; offset, mask: of what is to be sent */
    CLOSE,         /* connection */
    DEPART,        /* caller */
    EXPIRE,        /* all calls that have come so far */
    ANSWER_ALL,    /* rightly, on all connections, until there is no request */
    OPERATIONS
} Operation;

enum { MAX_CALLS = 48, CALLERS = 6, MAX_STEPS = 200, ONEWAY_BIT = 0x80, TOKEN_SIZE = 16 };

/* Two have a batch method of their own. Only the fourth is oneway: one ONEWAY of a method that has
 * not answered yet makes it so for all. */
static const char *const methods[] = {"echo", "get",   "find", PEER_ONEWAY_METHOD,
                                      "same", "alone", "echo", "get"};

static bool is_oneway(const char *method)
{
    return method == methods[3];
}

static const Form client_forms[] = {
    {TRANSPORT_FRAMED, PROTOCOL_BINARY, true},
    {TRANSPORT_FRAMED, PROTOCOL_COMPACT, false},
    {TRANSPORT_BUFFERED, PROTOCOL_BINARY, false},
};

typedef struct FuzzCall {
    const char *method;
    char token[TOKEN_SIZE];
    bool oneway;
    unsigned n_ended;
} FuzzCall;

typedef struct Fuzz {
    Bytes input; /* what is left of it */
    uint32_t secret;
    bool honest;   /* no byte has been written by the input */
    bool peaceful; /* every request is answered rightly */
    Loop *loop;
    LoopTask stop, dispatch;
    BatcherParams params;
    nsec_t ahead; /* of the loop's time */
    MethodTable *methods;
    Counters counters;
    Batcher *batcher;
    Pool pool;
    Peer peer;
    Caller callers[CALLERS];
    List ended; /* Call.caller_link: replies that are not looked at yet */
    FuzzCall calls[MAX_CALLS];
    unsigned n_calls;
} Fuzz;

/* Replies */

static void check_token(const Fuzz *fuzz, const FuzzCall *call, Protocol protocol,
                        const Message *reply)
{
    if (reply->type == MESSAGE_EXCEPTION) {
        check(!fuzz->peaceful);
        return;
    }
    int16_t id;
    Cursor result = cursor_init(protocol, reply->body);
    check(cursor_field(&result, &id) == THRIFT_STRING && id == 0);
    check(bytes_equal(cursor_string(&result), bytes_from_string(call->token)));
}

static void check_reply(const Fuzz *fuzz, const Call *call)
{
    const FuzzCall *known = &fuzz->calls[call->seqid];
    Buffer bytes = {0};
    buffer_append(&bytes, call->reply.head.data, call->reply.head.len);
    buffer_append(&bytes, call->reply.body.data, call->reply.body.len);
    FrameReader reader;
    Message reply;
    size_t taken = 0;
    frame_reader_init(&reader, call->form, 1 << 24, true);
    check(frame_reader_next(&reader, buffer_bytes(&bytes), &reply, &taken) == FRAME_MESSAGE);
    check(taken == bytes.len && reply.seqid == call->seqid);
    check(reply.type == MESSAGE_REPLY || reply.type == MESSAGE_EXCEPTION);
    check(bytes_equal(reply.name, bytes_from_string(known->method)));
    if (fuzz->honest)
        check_token(fuzz, known, call->form.protocol, &reply);
    buffer_clear(&bytes);
}

/* As a client writes them: when the pool says so, for they borrow bytes until then. */
static void look_at_replies(void *data)
{
    Fuzz *fuzz = data;
    ListLink *link;
    while ((link = list_first(&fuzz->ended)) != NULL) {
        Call *call = LIST_OWNER(link, Call, caller_link);
        if (!call->oneway && !call->caller->departed)
            check_reply(fuzz, call);
        call_leave_caller(call);
    }
}

static void on_call_ended(void *data, Call *call)
{
    Fuzz *fuzz = data;
    FuzzCall *known = &fuzz->calls[call->seqid];
    check(known->n_ended++ == 0);
    if (fuzz->peaceful) /* else the server may have made any method look so */
        check(!call->oneway || is_oneway(known->method));
    list_remove(&call->caller_link);
    list_append(&fuzz->ended, &call->caller_link);
}

static void on_abandoned(void *data, Batch *batch)
{
    Fuzz *fuzz = data;
    pool_abandon(&fuzz->pool, batch);
}

static const BatcherOps operations = {on_call_ended, on_abandoned};

/* Turns */

static void stop(void *data)
{
    loop_stop(data);
}

/* Batches never wait for time to pass: a run is to be the same whenever it is repeated. Those that
 * are begun in a dispatch, by calls that were held, are due in the next. */
static void dispatch(void *data)
{
    Fuzz *fuzz = data;
    fuzz->ahead += fuzz->params.window;
    pool_dispatch(&fuzz->pool, loop_now(fuzz->loop) + fuzz->ahead);
    look_at_replies(fuzz);
}

static void turn(Fuzz *fuzz, unsigned n)
{
    for (; n > 0; n--) {
        fuzz->loop->stopping = false;
        loop_defer(fuzz->loop, &fuzz->stop);
        loop_run(fuzz->loop);
        look_at_replies(fuzz);
        peer_read(&fuzz->peer);
    }
}

/* Steps */

static Caller *caller_at(Fuzz *fuzz, unsigned number)
{
    return &fuzz->callers[number % CALLERS];
}

static PeerConnection *connection_at(Fuzz *fuzz, unsigned number)
{
    Peer *peer = &fuzz->peer;
    return peer->n_connections > 0 ? &peer->connections[number % peer->n_connections] : NULL;
}

/* Nothing that the input may have in it. Calls that may be deduped have one in common. */
static void make_token(const Fuzz *fuzz, FuzzCall *call, unsigned number)
{
    bool same = strcmp(call->method, "same") == 0;
    uint32_t token = fuzz->secret ^ ((same ? MAX_CALLS : number) + 1) * 0x9e3779b9u;
    g_snprintf(call->token, TOKEN_SIZE, "t%08x", token * 0x85ebca6bu);
}

static void submit(Fuzz *fuzz, Caller *caller, uint8_t choice)
{
    if (fuzz->n_calls == MAX_CALLS || caller->departed)
        return;
    unsigned number = fuzz->n_calls++;
    FuzzCall *known = &fuzz->calls[number];
    known->method = methods[choice % G_N_ELEMENTS(methods)];
    known->oneway = is_oneway(known->method) && (choice & ONEWAY_BIT) != 0;
    make_token(fuzz, known, number);
    Form form = client_forms[(size_t)(caller - fuzz->callers) % G_N_ELEMENTS(client_forms)];
    Buffer arguments = {0};
    Writer writer = writer_init(form.protocol, &arguments);
    int16_t saved = writer_enter_struct(&writer);
    writer_field(&writer, THRIFT_STRING, 1);
    writer_string(&writer, bytes_from_string(known->token));
    writer_leave_struct(&writer, saved);
    Buffer bytes = {0};
    Message message =
        message_make(form, known->oneway ? MESSAGE_ONEWAY : MESSAGE_CALL, (int32_t)number,
                     known->method, buffer_bytes(&arguments), &bytes);
    Call *call;
    nsec_t now = loop_now(fuzz->loop);
    check(call_new(caller, form, fuzz->params.upstream, &message, 1 << 20, now, &call) == CALL_OK);
    buffer_clear(&arguments);
    buffer_clear(&bytes);
    batcher_submit(fuzz->batcher, call, now);
    loop_defer(fuzz->loop, &fuzz->dispatch);
}

/* Whether there was anything to be answered or sent. */
static bool answer_some(Fuzz *fuzz)
{
    bool some = false;
    for (unsigned i = 0; i < fuzz->peer.n_connections; i++) {
        PeerConnection *connection = &fuzz->peer.connections[i];
        while (connection->n_requests > 0)
            peer_answer(&fuzz->peer, connection, 0, PEER_TWIST_NONE);
        some = some || connection->out.len > 0;
        peer_send(connection, SIZE_MAX);
    }
    turn(fuzz, 4);
    return some;
}

static void answer_all(Fuzz *fuzz)
{
    while (answer_some(fuzz))
        ;
}

static void expire(Fuzz *fuzz)
{
    batcher_expire(fuzz->batcher, loop_now(fuzz->loop) + fuzz->params.call_timeout);
    loop_defer(fuzz->loop, &fuzz->dispatch);
    fuzz->peaceful = false;
}

static void answer(Fuzz *fuzz, PeerConnection *connection, unsigned index)
{
    PeerTwist twist = (PeerTwist)(input_byte(&fuzz->input) % PEER_TWISTS);
    if (twist != PEER_TWIST_NONE || index > 0)
        fuzz->peaceful = false;
    if (connection != NULL)
        peer_answer(&fuzz->peer, connection, index, twist);
}

static void send_some(Fuzz *fuzz, PeerConnection *connection)
{
    uint8_t max = input_byte(&fuzz->input);
    if (connection != NULL)
        peer_send(connection, max > 0 ? max : SIZE_MAX);
}

static void write_raw(Fuzz *fuzz, PeerConnection *connection)
{
    Bytes bytes = input_take(&fuzz->input, input_byte(&fuzz->input));
    fuzz->honest = fuzz->peaceful = false;
    if (connection != NULL && bytes.len > 0)
        buffer_append(&connection->out, bytes.data, bytes.len);
}

static void flip(Fuzz *fuzz, PeerConnection *connection)
{
    uint8_t offset = input_byte(&fuzz->input), mask = input_byte(&fuzz->input);
    fuzz->honest = fuzz->peaceful = false;
    if (connection != NULL && offset < connection->out.len)
        connection->out.data[offset] ^= mask;
}

static void depart(Fuzz *fuzz, Caller *caller)
{
    if (!caller->departed)
        batcher_depart_caller(fuzz->batcher, caller, loop_now(fuzz->loop));
    loop_defer(fuzz->loop, &fuzz->dispatch);
}

static void step(Fuzz *fuzz)
{
    uint8_t byte = input_byte(&fuzz->input);
    unsigned number = byte >> 4;
    PeerConnection *connection = connection_at(fuzz, number);
    switch ((Operation)((byte & 15) % OPERATIONS)) {
    case SUBMIT:
        submit(fuzz, caller_at(fuzz, number), input_byte(&fuzz->input));
        return; /* several may come in one turn */
    case ANSWER:
        answer(fuzz, connection, 0);
        return;
    case ANSWER_SECOND:
        answer(fuzz, connection, 1);
        return;
    case RAW:
        write_raw(fuzz, connection);
        return;
    case FLIP:
        flip(fuzz, connection);
        return;
    case SEND:
        send_some(fuzz, connection);
        break;
    case CLOSE:
        fuzz->peaceful = false;
        if (connection != NULL)
            peer_close(&fuzz->peer, connection);
        break;
    case DEPART:
        depart(fuzz, caller_at(fuzz, number));
        break;
    case EXPIRE:
        expire(fuzz);
        break;
    case ANSWER_ALL:
        answer_all(fuzz);
        break;
    case OPERATIONS:
        break;
    }
    turn(fuzz, 2);
}

/* Beginning and end */

static MethodPolicy native_policy(const char *name, const char *batch_method)
{
    return (MethodPolicy){
        .name = (char *)(uintptr_t)name,
        .batch = BATCH_MODE_NATIVE,
        .batch_method = (char *)(uintptr_t)batch_method,
        .batch_item = 1,
        .batch_requests = {{1}, 1},
        .batch_responses = {{0}, 1},
    };
}

static BatcherParams batcher_params_of(uint8_t shape)
{
    return (BatcherParams){
        .upstream = {shape & UPSTREAM_BUFFERED ? TRANSPORT_BUFFERED : TRANSPORT_FRAMED,
                     shape & UPSTREAM_COMPACT ? PROTOCOL_COMPACT : PROTOCOL_BINARY, true},
        .method = BYTES_LITERAL(PEER_BATCH_METHOD),
        .flush = FLUSH_WINDOW,
        .ordering = shape & RELAXED ? ORDERING_RELAXED : ORDERING_STRICT,
        .window = NSEC_PER_SEC,
        .call_timeout = 3600 * NSEC_PER_SEC,
        .max_calls = 8,
        .max_bytes = 1 << 20,
        .min_calls = shape & ALWAYS_BATCH ? 1 : 2,
        .retries = 1,
        .max_message_size = shape & SMALL_REPLIES ? 64 : 1 << 20,
    };
}

static PoolParams pool_params_of(uint8_t shape)
{
    return (PoolParams){
        .connections = 2,
        .passthrough_connections = 2,
        .asks = true,
        .batch_retry_interval = 3600 * NSEC_PER_SEC,
        .connect_timeout = 3600 * NSEC_PER_SEC,
        .max_failures = shape & ONE_FAILURE ? 1 : 100,
        .max_answer_size = 1 << 16,
    };
}

static void on_server_up(void *data)
{
    (void)data; /* there is no other worker */
}

static ServerList *server_list_of(Address address)
{
    ServerList *servers = server_list_new();
    GArray *addresses = g_array_new(FALSE, FALSE, sizeof(Address));
    g_array_append_val(addresses, address);
    server_list_add(servers, "server", addresses, NULL);
    servers->complete = true;
    g_array_unref(addresses);
    return servers;
}

static void begin(Fuzz *fuzz, uint8_t shape)
{
    fuzz->loop = loop_new(NULL);
    check(fuzz->loop != NULL);
    loop_task_init(&fuzz->stop, stop, fuzz->loop);
    loop_task_init(&fuzz->dispatch, dispatch, fuzz);
    list_init(&fuzz->ended);
    fuzz->params = batcher_params_of(shape);
    fuzz->batcher = batcher_new(&fuzz->params, fuzz->methods, &operations, fuzz, &fuzz->counters);
    for (unsigned i = 0; i < CALLERS; i++) {
        caller_init(&fuzz->callers[i]);
        batcher_add_caller(fuzz->batcher, &fuzz->callers[i]);
    }
    PoolParams pool_params = pool_params_of(shape);
    pool_init(&fuzz->pool, &pool_params, fuzz->loop, fuzz->batcher, &fuzz->dispatch,
              look_at_replies, on_server_up, fuzz);
    peer_init(&fuzz->peer, fuzz->params.upstream);
    ServerList *servers = server_list_of(peer_address());
    pool_start(&fuzz->pool, servers);
    server_list_unref(servers);
    turn(fuzz, 2);
    if (!(shape & NOT_ASKED))
        answer_all(fuzz);
}

static void check_answered(const Fuzz *fuzz)
{
    for (unsigned i = 0; i < fuzz->n_calls; i++)
        check(fuzz->calls[i].n_ended == 1 || is_oneway(fuzz->calls[i].method));
}

static void end(Fuzz *fuzz)
{
    turn(fuzz, 2);
    if (fuzz->peaceful) {
        answer_all(fuzz);
        check_answered(fuzz);
    }
    fuzz->peaceful = false;
    for (unsigned i = 0; i < CALLERS; i++)
        depart(fuzz, &fuzz->callers[i]);
    pool_close(&fuzz->pool, "over");
    batcher_fail_waiting(fuzz->batcher, "over", loop_now(fuzz->loop));
    look_at_replies(fuzz);
    for (unsigned i = 0; i < fuzz->n_calls; i++)
        check(fuzz->calls[i].n_ended == 1);
    check(fuzz->counters.pending_calls == 0 && fuzz->counters.pending_bytes == 0);
    LIST_EACH (&fuzz->pool.servers, link)
        check(LIST_OWNER(link, Server, pool_link)->n_inflight == 0);
    pool_clear(&fuzz->pool);
    peer_clear(&fuzz->peer);
    for (unsigned i = 0; i < CALLERS; i++) {
        check(fuzz->callers[i].n_calls == 0);
        batcher_forget_caller(&fuzz->callers[i]);
    }
    batcher_free(fuzz->batcher);
    loop_free(fuzz->loop);
}

static uint32_t hash(Bytes bytes)
{
    uint32_t hash = 5381;
    for (size_t i = 0; i < bytes.len; i++)
        hash = hash * 33 + bytes.data[i];
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static MethodPolicy same = {.name = (char *)"same", .dedupe = true},
                        alone = {.name = (char *)"alone", .batch = BATCH_MODE_OFF};
    MethodPolicy get = native_policy("get", PEER_LIST_METHOD),
                 find = native_policy("find", PEER_MAP_METHOD);
    MethodPolicy *const policies[] = {&get, &find, &same, &alone};
    Fuzz fuzz = {.input = {data, size}, .secret = hash((Bytes){data, size})};
    fuzz.honest = fuzz.peaceful = true;
    fuzz.methods = method_table_new(policies, G_N_ELEMENTS(policies), NULL);
    begin(&fuzz, input_byte(&fuzz.input));
    for (unsigned i = 0; i < MAX_STEPS && fuzz.input.len > 0; i++)
        step(&fuzz);
    end(&fuzz);
    method_table_free(fuzz.methods);
    return 0;
}
