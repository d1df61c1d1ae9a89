/* Fuzzes what splices calls into batches and answers apart. The input's bytes, in order:
 *
 *   shape (Shape), form (FormBit and the number of calls)
 *   for each call: ONEWAY_BIT | length, then its arguments in the client's protocol; length 0 means
 *   those of the call before
 *   the answer: a result struct, or with RAW_ANSWER a whole message
 *
 * Whatever they are, a batch must parse as it goes to the server, every call must end exactly once
 * and every reply must parse. */
#include "base/check.h"
#include "batch/batcher.h"
#include "batch/join.h"
#include "batch/native.h"
#include "batch/split.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/header.h"

#include "input.h"
#include "message.h"

enum Shape {
    UPSTREAM_COMPACT = 1 << 0,
    CLIENT_COMPACT = 1 << 1,
    ENVELOPE = 1 << 2,
    ITEM_IS_ARGUMENTS = 1 << 3,
    REQUESTS_INSIDE = 1 << 4,  /* 1.1, not 1 */
    RESPONSES_INSIDE = 1 << 5, /* 0.1, not 0 */
    RESULT_ELEMENTS = 1 << 6,
    OTHER_REQUESTS_ID = 1 << 7, /* 2, not 1: an argument may have it */
};

enum FormBit {
    CALLS_MASK = 7, /* one more are made */
    DEDUPE = 1 << 3,
    EXCEPTION = 1 << 4,
    UNFRAMED = 1 << 5,
    RAW_ANSWER = 1 << 6,
    ONE_CALLER = 1 << 7,
};

enum {
    MAX_CALLS = CALLS_MASK + 1,
    ONEWAY_BIT = 0x80,
    MAX_SIZE = 1 << 20,
    SEQID = 77,
};

typedef struct Fuzz {
    Bytes input; /* what is left of it */
    uint8_t shape, form;
    Form client;
    BatcherParams params;
    MethodPolicy policy;
    Counters counters;
    Batcher *batcher;
    Caller callers[MAX_CALLS];
    unsigned n_calls, n_ended[MAX_CALLS];
} Fuzz;

static bool parses(Protocol protocol, Bytes bytes)
{
    size_t taken;
    return scan_struct(protocol, bytes, THRIFT_MAX_DEPTH, &taken) == SCAN_DONE &&
           taken == bytes.len;
}

/* Calls */

static void check_reply(const Fuzz *fuzz, const Call *call)
{
    Buffer bytes = {0};
    buffer_append(&bytes, call->reply.head.data, call->reply.head.len);
    buffer_append(&bytes, call->reply.body.data, call->reply.body.len);
    FrameReader reader;
    Message reply;
    size_t taken = 0;
    frame_reader_init(&reader, fuzz->client, (size_t)2 * MAX_SIZE, true);
    check(frame_reader_next(&reader, (Bytes){bytes.data, bytes.len}, &reply, &taken) ==
          FRAME_MESSAGE);
    check(taken == bytes.len && reply.seqid == call->seqid);
    check(reply.type == MESSAGE_REPLY || reply.type == MESSAGE_EXCEPTION);
    buffer_clear(&bytes);
}

static void on_call_ended(void *data, Call *call)
{
    Fuzz *fuzz = data;
    check(fuzz->n_ended[call->seqid]++ == 0);
    if (!call->oneway)
        check_reply(fuzz, call);
    call_leave_caller(call);
}

static void on_abandoned(void *data, Batch *batch)
{
    (void)data;
    (void)batch;
    check(false);
}

static const BatcherOps operations = {on_call_ended, on_abandoned};

/* What is taken from arguments: one value, and other fields that only lack their stop byte. */
static void check_item(const Fuzz *fuzz, Bytes arguments)
{
    Buffer others = {0};
    uint8_t spare = 0;
    NativeItem item;
    Protocol protocol = fuzz->params.upstream.protocol;
    if (native_take_item(&fuzz->policy, protocol, arguments, &others, &spare, &item)) {
        size_t taken = 0;
        ScanStatus status = scan_value(protocol, item.type, item.value, THRIFT_MAX_DEPTH, &taken);
        check((status == SCAN_DONE && taken == item.value.len) ||
              (fuzz->policy.item_is_arguments && status == SCAN_E_DEPTH));
        buffer_append(&others, &(uint8_t){THRIFT_STOP}, 1);
        check(parses(protocol, (Bytes){others.data, others.len}));
    }
    buffer_clear(&others);
}

static void submit(Fuzz *fuzz, Bytes arguments, bool oneway)
{
    unsigned i = fuzz->n_calls;
    Caller *caller = &fuzz->callers[fuzz->form & ONE_CALLER ? 0 : i];
    Buffer bytes = {0};
    Message message = message_make(fuzz->client, oneway ? MESSAGE_ONEWAY : MESSAGE_CALL, (int32_t)i,
                                   "getUser", arguments, &bytes);
    Call *call;
    CallStatus status =
        call_new(caller, fuzz->client, fuzz->params.upstream, &message, MAX_SIZE, 0, &call);
    buffer_clear(&bytes);
    if (status != CALL_OK)
        return;
    fuzz->n_calls++;
    if (!(fuzz->shape & ENVELOPE))
        check_item(fuzz, call_arguments(call));
    batcher_submit(fuzz->batcher, call, 0);
}

static void submit_all(Fuzz *fuzz)
{
    unsigned n = (fuzz->form & CALLS_MASK) + 1U;
    Bytes latest = {0};
    for (unsigned i = 0; i < n; i++) {
        uint8_t byte = input_byte(&fuzz->input);
        Bytes arguments = input_take(&fuzz->input, byte & (ONEWAY_BIT - 1));
        if (arguments.len == 0)
            arguments = latest;
        latest = arguments;
        Bytes copy = bytes_copy(arguments);
        if (parses(fuzz->client.protocol, copy))
            submit(fuzz, copy, (byte & ONEWAY_BIT) != 0);
        bytes_copy_free(copy);
    }
}

/* Batches */

/* The list of items stands where the policy says. */
static void check_list(const Fuzz *fuzz, const Batch *batch, Bytes body)
{
    const FieldPath *path = &fuzz->policy.batch_requests;
    Cursor cursor = cursor_init(fuzz->params.upstream.protocol, body);
    for (uint8_t i = 0; i < path->len; i++) {
        if (i > 0)
            cursor_enter_struct(&cursor);
        int16_t id;
        ThriftType type;
        while ((type = cursor_field(&cursor, &id)) != THRIFT_STOP && id != path->ids[i])
            cursor_skip(&cursor, type, false);
        check(type == (i + 1 == path->len ? THRIFT_LIST : THRIFT_STRUCT));
    }
    ThriftType element;
    check(cursor_list(&cursor, &element) == batch_travelling(batch));
}

/* What goes to the server is one message. Its struct parses, unless items of a native batch are
 * nested so deeply that there is no level left for the list around them. */
static void check_joined(const Fuzz *fuzz, const Batch *batch, Bytes bytes)
{
    bool native = batch_kind(batch) == BATCH_KIND_NATIVE;
    if (fuzz->params.upstream.transport == TRANSPORT_FRAMED) {
        check(bytes.len > FRAME_HEADER_SIZE);
        check(load_be32(bytes.data) == bytes.len - FRAME_HEADER_SIZE);
        bytes = (Bytes){bytes.data + FRAME_HEADER_SIZE, bytes.len - FRAME_HEADER_SIZE};
    }
    Protocol protocol = fuzz->params.upstream.protocol;
    Message message;
    size_t header_len = 0, taken = 0;
    check(header_read(protocol, bytes, bytes.len, &message, &header_len) == HEADER_OK);
    check(message.type == MESSAGE_CALL && message.seqid == SEQID);
    Bytes body = {bytes.data + header_len, bytes.len - header_len};
    ScanStatus status = scan_struct(protocol, body, THRIFT_MAX_DEPTH, &taken);
    check((status == SCAN_DONE && taken == body.len) || (native && status == SCAN_E_DEPTH));
    if (native)
        check_list(fuzz, batch, body);
}

static void join(const Fuzz *fuzz, Batch *batch)
{
    Buffer head = {0}, flat = {0};
    size_t max = join_max_iovecs(batch);
    struct iovec *iovecs = g_new(struct iovec, max);
    batch->seqid = SEQID;
    size_t n = join_batch(batch, &fuzz->params, 1, &head, iovecs);
    check(n <= max);
    for (size_t i = 0; i < n; i++)
        buffer_append(&flat, iovecs[i].iov_base, iovecs[i].iov_len);
    Bytes copy = bytes_copy((Bytes){flat.data, flat.len});
    check_joined(fuzz, batch, copy);
    bytes_copy_free(copy);
    g_free(iovecs);
    buffer_clear(&head);
    buffer_clear(&flat);
}

/* The answer with a header that fits the batch, or as it stands in the input; `bytes` is filled
 * with what *ret borrows. */
static bool make_reply(const Fuzz *fuzz, bool native, Bytes *bytes, Message *ret)
{
    Protocol protocol = fuzz->params.upstream.protocol;
    Buffer buffer = {0};
    if (!(fuzz->form & RAW_ANSWER)) {
        MessageType type = fuzz->form & EXCEPTION ? MESSAGE_EXCEPTION : MESSAGE_REPLY;
        Bytes name = native ? BYTES_LITERAL("getUsers") : BYTES_LITERAL("executeBatch");
        uint8_t *to = buffer_reserve(&buffer, header_size(protocol, true, name, SEQID));
        buffer.len = (size_t)(header_write(to, protocol, true, type, name, SEQID) - to);
    }
    if (fuzz->input.len > 0)
        buffer_append(&buffer, fuzz->input.data, fuzz->input.len);
    *bytes = bytes_copy((Bytes){buffer.data, buffer.len});
    buffer_clear(&buffer);
    size_t header_len;
    *ret = (Message){.whole = *bytes};
    if (header_read(protocol, *bytes, bytes->len, ret, &header_len) != HEADER_OK)
        return false;
    ret->body = (Bytes){bytes->data + header_len, bytes->len - header_len};
    return true;
}

static void settle(Fuzz *fuzz, Batch *batch)
{
    bool native = batch_kind(batch) == BATCH_KIND_NATIVE;
    Message reply;
    Bytes bytes;
    char why[SPLIT_WHY_SIZE] = "";
    SplitStatus status = SPLIT_E_BROKEN;
    if (make_reply(fuzz, native, &bytes, &reply))
        status = native ? native_split(batch, &fuzz->params, &reply, why)
                        : split_envelope(batch, &fuzz->params, &reply, why);
    check(memchr(why, '\0', sizeof why) != NULL);
    if (status == SPLIT_E_UNKNOWN) {
        batcher_pass_through(fuzz->batcher, batch, 1, 1);
    } else {
        if (status == SPLIT_OK)
            batcher_answer_batch(fuzz->batcher, batch, 1);
        else
            batcher_fail_batch(fuzz->batcher, batch, why, 1);
        batcher_finish(fuzz->batcher, batch, 1);
    }
    bytes_copy_free(bytes);
}

/* The input's configuration */

static MethodPolicy policy_of(uint8_t shape, uint8_t form)
{
    int16_t requests_id = shape & OTHER_REQUESTS_ID ? 2 : 1;
    return (MethodPolicy){
        .name = (char *)"getUser",
        .batch = shape & ENVELOPE ? BATCH_MODE_ENVELOPE : BATCH_MODE_NATIVE,
        .dedupe = (form & DEDUPE) != 0,
        .batch_method = (char *)"Users:getUsers",
        .item_is_arguments = (shape & ITEM_IS_ARGUMENTS) != 0,
        .batch_item = shape & ITEM_IS_ARGUMENTS ? 0 : 1,
        .batch_requests = {{requests_id, 1}, shape & REQUESTS_INSIDE ? 2 : 1},
        .batch_responses = {{0, 1}, shape & RESPONSES_INSIDE ? 2 : 1},
        .batch_response_item = shape & RESULT_ELEMENTS ? RESPONSE_ITEM_RESULT : RESPONSE_ITEM_VALUE,
    };
}

static BatcherParams params_of(uint8_t shape, uint8_t form)
{
    bool compact = (shape & UPSTREAM_COMPACT) != 0;
    return (BatcherParams){
        .upstream = {form & UNFRAMED ? TRANSPORT_BUFFERED : TRANSPORT_FRAMED,
                     compact ? PROTOCOL_COMPACT : PROTOCOL_BINARY, !compact},
        .method = BYTES_LITERAL("executeBatch"),
        .flush = FLUSH_ADAPTIVE,
        .ordering = ORDERING_STRICT,
        .window = 500 * NSEC_PER_USEC,
        .call_timeout = 5 * NSEC_PER_SEC,
        .max_calls = 64,
        .max_bytes = MAX_SIZE,
        .min_calls = 1,
        .retries = 1,
        .max_message_size = MAX_SIZE,
    };
}

static void run(Fuzz *fuzz)
{
    submit_all(fuzz);
    Batch *batch;
    while ((batch = batcher_next_due(fuzz->batcher, 1)) != NULL) {
        batcher_take(fuzz->batcher, batch, 1);
        join(fuzz, batch);
        settle(fuzz, batch);
    }
    batcher_fail_waiting(fuzz->batcher, "over", 1); /* those that are to be passed through */
    for (unsigned i = 0; i < fuzz->n_calls; i++)
        check(fuzz->n_ended[i] == 1);
    check(fuzz->counters.pending_calls == 0 && fuzz->counters.pending_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Fuzz fuzz = {.input = {data, size}};
    fuzz.shape = input_byte(&fuzz.input);
    fuzz.form = input_byte(&fuzz.input);
    bool compact = (fuzz.shape & CLIENT_COMPACT) != 0;
    fuzz.client = (Form){TRANSPORT_FRAMED, compact ? PROTOCOL_COMPACT : PROTOCOL_BINARY, !compact};
    fuzz.params = params_of(fuzz.shape, fuzz.form);
    fuzz.policy = policy_of(fuzz.shape, fuzz.form);
    MethodPolicy *const policies[] = {&fuzz.policy};
    MethodTable *methods = method_table_new(policies, 1, NULL);
    fuzz.batcher = batcher_new(&fuzz.params, methods, &operations, &fuzz, &fuzz.counters);
    for (unsigned i = 0; i < MAX_CALLS; i++) {
        caller_init(&fuzz.callers[i]);
        batcher_add_caller(fuzz.batcher, &fuzz.callers[i]);
    }
    run(&fuzz);
    for (unsigned i = 0; i < MAX_CALLS; i++) {
        batcher_depart_caller(fuzz.batcher, &fuzz.callers[i], 2);
        batcher_forget_caller(&fuzz.callers[i]);
    }
    batcher_free(fuzz.batcher);
    method_table_free(methods);
    return 0;
}
