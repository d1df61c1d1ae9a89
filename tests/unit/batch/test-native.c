/* Native batches: what is spliced in and out, with c_glib's opinion of every byte. A story's calls
 * are built of random values of every type; what the upstream is to get, and the clients, is
 * written by c_glib from the same values. */
#include "scenario.h"

#include "batch/join.h"
#include "batch/native.h"
#include "wire/exception.h"
#include "wire/header.h"

#include "../wire/oracle.h"
#include "../wire/random.h"
#include "../wire/stream.h"

enum { CALLS = 20, OTHER_ID = 9 };

/* One batch, on its way. */
typedef struct Native {
    BatcherParams params;
    MethodPolicy policy;
    MethodTable *methods;
    Counters counters;
    Batcher *batcher;
    Caller callers[CALLS];
    Buffer replies[CALLS]; /* as they came, last one of each */
    unsigned n_ended;
    Batch *batch;
    Buffer request; /* the batch method's arguments */
} Native;

static OracleProtocol oracle_of(Protocol protocol)
{
    return protocol == PROTOCOL_BINARY ? ORACLE_BINARY : ORACLE_COMPACT;
}

static void on_call_ended(void *data, Call *call)
{
    Native *native = data;
    Buffer *reply = &native->replies[call->seqid];
    buffer_append(reply, call->reply.head.data, call->reply.head.len);
    buffer_append(reply, call->reply.body.data, call->reply.body.len);
    native->n_ended++;
    call_leave_caller(call);
}

static void on_abandoned(void *data, Batch *batch)
{
    (void)data;
    (void)batch;
}

static const BatcherOps operations = {on_call_ended, on_abandoned};

static MethodPolicy policy_of(FieldPath requests, FieldPath responses)
{
    return (MethodPolicy){
        .name = (char *)"getUser",
        .batch = BATCH_MODE_NATIVE,
        .batch_method = (char *)"Users:getUsers",
        .batch_item = 1,
        .batch_requests = requests,
        .batch_responses = responses,
    };
}

static const FieldPath one = {{1}, 1}, one_one = {{1, 1}, 2}, zero = {{0}, 1},
                       zero_one = {{0, 1}, 2};

static void begin(Native *native, Protocol upstream, MethodPolicy policy)
{
    *native = (Native){.params = scenario_params(), .policy = policy};
    native->params.upstream.protocol = upstream;
    MethodPolicy *const policies[] = {&native->policy};
    native->methods = method_table_new(policies, 1, NULL);
    native->batcher =
        batcher_new(&native->params, native->methods, &operations, native, &native->counters);
    for (unsigned i = 0; i < CALLS; i++) {
        caller_init(&native->callers[i]);
        batcher_add_caller(native->batcher, &native->callers[i]);
    }
}

static void end(Native *native)
{
    if (native->batch != NULL) {
        batcher_fail_batch(native->batcher, native->batch, "over", 2);
        batcher_finish(native->batcher, native->batch, 2);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        batcher_depart_caller(native->batcher, &native->callers[i], 2);
        batcher_forget_caller(&native->callers[i]);
        buffer_clear(&native->replies[i]);
    }
    buffer_clear(&native->request);
    batcher_free(native->batcher);
    method_table_free(native->methods);
}

static void call(Native *native, unsigned i, Form form, MessageType type, const Value *arguments)
{
    Buffer body = {0}, bytes = {0};
    oracle_write_struct(oracle_of(form.protocol), arguments, &body);
    Message header = {.type = type, .seqid = (int32_t)i, .name = BYTES_LITERAL("getUser")};
    append_message(&bytes, form, header, buffer_bytes(&body));
    FrameReader reader;
    Message message;
    size_t taken;
    frame_reader_init(&reader, form, SCENARIO_MAX_MESSAGE, true);
    expect_eq(frame_reader_next(&reader, buffer_bytes(&bytes), &message, &taken), FRAME_MESSAGE);
    Call *made;
    expect_eq(call_new(&native->callers[i], form, native->params.upstream, &message,
                       SCENARIO_MAX_MESSAGE, 0, &made),
              CALL_OK);
    batcher_submit(native->batcher, made, 0);
    buffer_clear(&body);
    buffer_clear(&bytes);
}

/* Takes the batch and keeps the arguments that the upstream gets. */
static void send(Native *native)
{
    native->batch = batcher_next_due(native->batcher, 1);
    cr_assert_not_null(native->batch);
    batcher_take(native->batcher, native->batch, 1);
    native->batch->seqid = 77;
    Buffer head = {0}, bytes = {0};
    struct iovec *iovecs = g_new(struct iovec, join_max_iovecs(native->batch));
    size_t n = join_batch(native->batch, &native->params, 1, &head, iovecs);
    for (size_t i = 0; i < n; i++)
        buffer_append(&bytes, iovecs[i].iov_base, iovecs[i].iov_len);
    FrameReader reader;
    Message message;
    size_t taken;
    frame_reader_init(&reader, native->params.upstream, SCENARIO_MAX_MESSAGE, true);
    expect_eq(frame_reader_next(&reader, buffer_bytes(&bytes), &message, &taken), FRAME_MESSAGE);
    expect_eq(taken, bytes.len);
    expect(bytes_equal(message.name, BYTES_LITERAL("Users:getUsers")));
    expect(message.type == MESSAGE_CALL && message.seqid == 77);
    native->request.len = 0;
    buffer_append(&native->request, message.body.data, message.body.len);
    g_free(iovecs);
    buffer_clear(&head);
    buffer_clear(&bytes);
}

static void expect_request(Native *native, const Value *arguments)
{
    Buffer expected = {0};
    oracle_write_struct(oracle_of(native->params.upstream.protocol), arguments, &expected);
    expect(bytes_equal(buffer_bytes(&expected), buffer_bytes(&native->request)));
    buffer_clear(&expected);
}

static SplitStatus receive_body(Native *native, MessageType type, Bytes body,
                                char why[SPLIT_WHY_SIZE])
{
    Buffer bytes = {0};
    Form form = {TRANSPORT_BUFFERED, native->params.upstream.protocol, true};
    Message header = {.type = type, .seqid = 77, .name = BYTES_LITERAL("getUsers")};
    append_message(&bytes, form, header, body);
    uint8_t *exact = g_memdup2(bytes.data, bytes.len);
    Message reply = header;
    reply.whole = (Bytes){exact, bytes.len};
    reply.body = (Bytes){exact + bytes.len - body.len, body.len};
    SplitStatus status = native_split(native->batch, &native->params, &reply, why);
    if (status == SPLIT_OK)
        batcher_answer_batch(native->batcher, native->batch, 1);
    if (status == SPLIT_OK)
        batcher_finish(native->batcher, g_steal_pointer(&native->batch), 1);
    memset(exact, 0xdd, bytes.len);
    g_free(exact);
    buffer_clear(&bytes);
    return status;
}

static SplitStatus receive(Native *native, const Value *result, char why[SPLIT_WHY_SIZE])
{
    Buffer body = {0};
    oracle_write_struct(oracle_of(native->params.upstream.protocol), result, &body);
    SplitStatus status = receive_body(native, MESSAGE_REPLY, buffer_bytes(&body), why);
    buffer_clear(&body);
    return status;
}

static void expect_reply(Native *native, unsigned i, Form form, const Value *result)
{
    Buffer body = {0}, expected = {0};
    oracle_write_struct(oracle_of(form.protocol), result, &body);
    Message header = {.type = MESSAGE_REPLY,
                      .seqid = (int32_t)i,
                      .name = BYTES_LITERAL("getUser"),
                      .strict = form.strict};
    append_message(&expected, form, header, buffer_bytes(&body));
    expect(bytes_equal(buffer_bytes(&expected), buffer_bytes(&native->replies[i])),
           "the reply to call %u", i);
    buffer_clear(&body);
    buffer_clear(&expected);
}

/* Values: structs of borrowed fields */

typedef struct Fields {
    Value value;
    Value fields[3];
    int16_t ids[3];
} Fields;

static void add(Fields *fields, int16_t id, const Value *value)
{
    fields->fields[fields->value.count] = *value;
    fields->ids[fields->value.count++] = id;
    fields->value.type = THRIFT_STRUCT;
    fields->value.children = fields->fields;
    fields->value.ids = fields->ids;
}

static Value list_of(Value *items, uint32_t count)
{
    return (Value){
        .type = THRIFT_LIST, .element = items[0].type, .count = count, .children = items};
}

static Value number(ThriftType type, int64_t value)
{
    return (Value){.type = (uint8_t)type, .number = value};
}

/* CALLS random values of one type, in one struct that owns them; they differ from each other as far
 * as the type lets them. */
static Value random_values(Random *random, ThriftType type)
{
    Value all = {.type = THRIFT_STRUCT};
    all.children = g_new0(Value, CALLS);
    all.ids = g_new0(int16_t, CALLS);
    while (all.count < CALLS) {
        Value source = value_random_struct(random, 4);
        for (uint32_t i = 0; i < source.count && all.count < CALLS; i++) {
            if (source.children[i].type != type)
                continue;
            all.ids[all.count] = (int16_t)(all.count + 1);
            all.children[all.count++] = source.children[i];
            source.children[i] = (Value){.type = THRIFT_BOOL};
        }
        value_clear(&source);
    }
    return all;
}

static const ThriftType types[] = {THRIFT_BOOL, THRIFT_BYTE,   THRIFT_I16,    THRIFT_I32,
                                   THRIFT_I64,  THRIFT_DOUBLE, THRIFT_STRING, THRIFT_STRUCT,
                                   THRIFT_LIST, THRIFT_SET,    THRIFT_MAP};

static Form form_of(unsigned i)
{
    Form form = all_forms[i % FORMS];
    return form;
}

static void list_to_list(Protocol upstream, ThriftType type, uint64_t seed, bool wrapped)
{
    Random random = {seed};
    Native native;
    begin(&native, upstream, policy_of(wrapped ? one_one : one, wrapped ? zero_one : zero));
    Value items = random_values(&random, type), answers = random_values(&random, type);
    Value other = number(THRIFT_BOOL, 1);
    for (unsigned i = 0; i < CALLS; i++) {
        Fields arguments = {0};
        add(&arguments, 1, &items.children[i]);
        add(&arguments, OTHER_ID, &other);
        call(&native, i, form_of(i), MESSAGE_CALL, &arguments.value);
    }
    send(&native);
    Fields expected = {0}, request = {0}, response = {0}, result = {0};
    Value list = list_of(items.children, CALLS), answer = list_of(answers.children, CALLS);
    add(&request, 1, &list);
    add(&response, 1, &answer);
    add(&expected, OTHER_ID, &other);
    add(&expected, 1, wrapped ? &request.value : &list);
    expect_request(&native, &expected.value);
    add(&result, 0, wrapped ? &response.value : &answer);
    char why[SPLIT_WHY_SIZE] = "";
    expect_eq(receive(&native, &result.value, why), SPLIT_OK, "%s", why);
    for (unsigned i = 0; i < CALLS; i++) {
        Fields own = {0};
        add(&own, 0, &answers.children[i]);
        expect_reply(&native, i, form_of(i), &own.value);
    }
    value_clear(&items);
    value_clear(&answers);
    end(&native);
}

Test(native, lists_of_every_type_in_both_protocols, .timeout = 60)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
        for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++)
            for (uint64_t seed = 1; seed <= 5; seed++)
                list_to_list(protocol, types[i], seed, seed % 2 == 0);
}

/* Keys of every type; every third has no entry. */
static void list_to_map(Protocol upstream, ThriftType type, uint64_t seed)
{
    Random random = {seed};
    Native native;
    begin(&native, upstream, policy_of(one, zero));
    Value items = random_values(&random, type), answers = random_values(&random, THRIFT_STRUCT);
    for (unsigned i = 0; i < CALLS; i++) {
        Fields arguments = {0};
        add(&arguments, 1, &items.children[i]);
        call(&native, i, all_forms[0], MESSAGE_CALL, &arguments.value);
    }
    send(&native);
    Value pairs[2 * CALLS];
    Value map = {
        .type = THRIFT_MAP, .key = (uint8_t)type, .element = THRIFT_STRUCT, .children = pairs};
    for (unsigned i = CALLS; i-- > 0;) {
        if (i % 3 == 2)
            continue;
        pairs[map.count++] = items.children[i];
        pairs[map.count++] = answers.children[i];
    }
    Fields result = {0};
    add(&result, 0, &map);
    char why[SPLIT_WHY_SIZE] = "";
    expect_eq(receive(&native, &result.value, why), SPLIT_OK, "%s", why);
    expect_eq(native.n_ended, CALLS);
    bool wide = type != THRIFT_BOOL && type != THRIFT_BYTE;
    for (unsigned i = 0; i < CALLS && wide && seed == 1; i++) {
        Fields own = {0};
        add(&own, 0, &answers.children[i]);
        bool doubled = false; /* equal keys: any of their answers is right */
        for (unsigned k = 0; k < CALLS; k++) {
            Buffer a = {0}, b = {0};
            Fields x = {0}, y = {0};
            add(&x, 1, &items.children[i]);
            add(&y, 1, &items.children[k]);
            oracle_write_struct(ORACLE_BINARY, &x.value, &a);
            oracle_write_struct(ORACLE_BINARY, &y.value, &b);
            doubled = doubled || (k != i && bytes_equal(buffer_bytes(&a), buffer_bytes(&b)));
            buffer_clear(&a);
            buffer_clear(&b);
        }
        if (doubled)
            continue;
        if (i % 3 != 2) {
            expect_reply(&native, i, all_forms[0], &own.value);
            continue;
        }
        OracleException exception;
        Bytes reply = buffer_bytes(&native.replies[i]);
        expect(oracle_read_exception(ORACLE_BINARY, (Bytes){reply.data + 4, reply.len - 4},
                                     &exception));
        expect_eq(exception.code, EXCEPTION_MISSING_RESULT);
        expect_eq(exception.seqid, (int32_t)i);
        expect_str_eq(exception.name, "getUser");
        g_free(exception.name);
        g_free(exception.text);
    }
    value_clear(&items);
    value_clear(&answers);
    end(&native);
}

Test(native, maps_by_keys_of_every_type, .timeout = 60)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
        for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++)
            list_to_map(protocol, types[i], 1);
}

/* batch_item = arguments, batch_response_item = result: a field n+1 of each element is the result's
 * field n. */
Test(native, argument_structs_and_result_structs)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        Random random = {3};
        Native native;
        MethodPolicy policy = policy_of(one, zero);
        policy.batch_item = 0;
        policy.item_is_arguments = true;
        policy.batch_response_item = RESPONSE_ITEM_RESULT;
        begin(&native, protocol, policy);
        Value items = random_values(&random, THRIFT_STRUCT);
        for (unsigned i = 0; i < CALLS; i++)
            call(&native, i, form_of(i), MESSAGE_CALL, &items.children[i]);
        send(&native);
        Fields expected = {0}, result = {0}, elements[CALLS] = {0};
        Value list = list_of(items.children, CALLS), truth = number(THRIFT_BOOL, 1), answers[CALLS];
        add(&expected, 1, &list);
        expect_request(&native, &expected.value);
        for (unsigned i = 0; i < CALLS; i++) { /* values, exceptions, bools, and nothing at all */
            elements[i].value.type = THRIFT_STRUCT;
            if (i % 4 != 3)
                add(&elements[i], (int16_t)(1 + i % 4), i % 4 == 2 ? &truth : &items.children[i]);
            answers[i] = elements[i].value;
        }
        Value answer = list_of(answers, CALLS);
        add(&result, 0, &answer);
        char why[SPLIT_WHY_SIZE] = "";
        expect_eq(receive(&native, &result.value, why), SPLIT_OK, "%s", why);
        for (unsigned i = 0; i < CALLS; i++) {
            Fields own = {.value = {.type = THRIFT_STRUCT}};
            if (i % 4 != 3)
                add(&own, (int16_t)(i % 4), i % 4 == 2 ? &truth : &items.children[i]);
            expect_reply(&native, i, form_of(i), &own.value);
        }
        value_clear(&items);
        end(&native);
    }
}

static void call_with(Native *native, unsigned i, int16_t id, const Value *value, int64_t other)
{
    Fields arguments = {0};
    Value number_other = number(THRIFT_I32, other);
    add(&arguments, id, value);
    add(&arguments, OTHER_ID, &number_other);
    call(native, i, all_forms[0], MESSAGE_CALL, &arguments.value);
}

static unsigned take_and_fail(Native *native)
{
    Batch *batch = batcher_next_due(native->batcher, 1);
    if (batch == NULL)
        return 0;
    batcher_take(native->batcher, batch, 1);
    unsigned n = batch->n_calls;
    batcher_fail_batch(native->batcher, batch, "over", 1);
    batcher_finish(native->batcher, batch, 1);
    return n;
}

Test(native, only_equal_other_arguments_and_items_of_one_type_share_a_batch)
{
    Native native;
    begin(&native, PROTOCOL_COMPACT, policy_of(one, zero));
    Value small = number(THRIFT_I32, 1), large = number(THRIFT_I64, 1);
    call_with(&native, 0, 1, &small, 5);
    call_with(&native, 1, 1, &small, 6);
    call_with(&native, 2, 1, &large, 5);
    call_with(&native, 3, 1, &large, 5);
    call_with(&native, 4, 1, &small, 5);
    expect_eq(take_and_fail(&native), 2);
    expect_eq(take_and_fail(&native), 1);
    expect_eq(take_and_fail(&native), 2);
    expect_eq(take_and_fail(&native), 0);
    end(&native);
}

/* The item is absent, another argument has the list's field id, a ONEWAY. */
Test(native, what_cannot_be_batched_is_passed_through)
{
    Native native;
    begin(&native, PROTOCOL_BINARY, policy_of((FieldPath){{OTHER_ID}, 1}, zero));
    Value item = number(THRIFT_I32, 1);
    Fields plain = {0};
    add(&plain, 1, &item);
    call_with(&native, 0, 2, &item, 5);
    call_with(&native, 1, 1, &item, 5);
    call(&native, 2, all_forms[0], MESSAGE_CALL, &plain.value);
    call(&native, 3, all_forms[0], MESSAGE_ONEWAY, &plain.value);
    expect_eq(take_and_fail(&native), 1);
    expect_eq(take_and_fail(&native), 0);
    unsigned n = 0;
    for (Batch *batch = batcher_next_through(native.batcher, NULL); batch != NULL;
         batch = batcher_next_through(native.batcher, batch))
        n++;
    expect_eq(n, 3);
    batcher_fail_waiting(native.batcher, "over", 1);
    end(&native);
}

static void send_two(Native *native, Protocol protocol, MethodPolicy policy)
{
    begin(native, protocol, policy);
    Value item = number(THRIFT_I32, 1);
    call_with(native, 0, 1, &item, 5);
    call_with(native, 1, 1, &item, 5);
    send(native);
}

static void expect_misshapen(MethodPolicy policy, const Value *success, const char *words)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        Native native;
        send_two(&native, protocol, policy);
        Fields result = {.value = {.type = THRIFT_STRUCT}};
        if (success != NULL)
            add(&result, 0, success);
        char why[SPLIT_WHY_SIZE] = "";
        expect_eq(receive(&native, &result.value, why), SPLIT_E_MISSHAPEN, "%s", words);
        expect(strstr(why, "'Users:getUsers' answered ") != NULL && strstr(why, words) != NULL,
               "'%s' where '%s' was due", why, words);
        end(&native);
    }
}

Test(native, wrong_shapes_are_said_in_words)
{
    MethodPolicy plain = policy_of(one, zero), wrapped = policy_of(one, zero_one), results = plain;
    results.batch_response_item = RESPONSE_ITEM_RESULT;
    Value numbers[3] = {number(THRIFT_I32, 1), number(THRIFT_I32, 2), number(THRIFT_I32, 3)};
    Value long_list = list_of(numbers, 3), list = list_of(numbers, 2), set = list;
    set.type = THRIFT_SET;
    Value texts[2] = {{.type = THRIFT_STRING}, numbers[0]};
    Value map = {.type = THRIFT_MAP,
                 .key = THRIFT_STRING,
                 .element = THRIFT_I32,
                 .count = 2,
                 .children = texts};
    Fields empty = {.value = {.type = THRIFT_STRUCT}};
    expect_misshapen(plain, NULL, "nothing");
    expect_misshapen(plain, &numbers[0], "i32 where a list or map was due");
    expect_misshapen(plain, &set, "set where a list or map was due");
    expect_misshapen(plain, &long_list, "a list of 3 elements to a list of 2");
    expect_misshapen(plain, &map, "keys of type string where i32 was due");
    expect_misshapen(results, &list, "elements of type i32 where structs were due");
    expect_misshapen(wrapped, &list, "list where a struct with the list was due");
    expect_misshapen(wrapped, &empty.value, "nothing where a list or map was due");
}

Test(native, what_the_batch_method_throws_reaches_every_caller)
{
    Native native;
    send_two(&native, PROTOCOL_COMPACT, policy_of(one, zero));
    Fields result = {0}, exception = {0};
    Value code = number(THRIFT_I32, 9);
    add(&exception, 1, &code);
    add(&result, 2, &exception.value);
    char why[SPLIT_WHY_SIZE] = "";
    expect_eq(receive(&native, &result.value, why), SPLIT_OK);
    expect_reply(&native, 0, all_forms[0], &result.value);
    expect_reply(&native, 1, all_forms[0], &result.value);
    end(&native);
}

static SplitStatus receive_exception(Native *native, ExceptionCode code)
{
    Buffer message = {0};
    Form form = {TRANSPORT_BUFFERED, native->params.upstream.protocol, true};
    exception_append(&message, form, BYTES_LITERAL("getUsers"), 77, code, "words");
    Message reply = {0};
    size_t size = 0;
    Bytes bytes = buffer_bytes(&message);
    expect_eq(header_read(form.protocol, bytes, bytes.len, &reply, &size), HEADER_OK);
    char why[SPLIT_WHY_SIZE] = "";
    SplitStatus status =
        receive_body(native, MESSAGE_EXCEPTION, (Bytes){bytes.data + size, bytes.len - size}, why);
    buffer_clear(&message);
    return status;
}

Test(native, an_unknown_batch_method_is_told_from_other_exceptions)
{
    for (Protocol protocol = PROTOCOL_BINARY; protocol <= PROTOCOL_COMPACT; protocol++) {
        Native native;
        send_two(&native, protocol, policy_of(one, zero));
        expect_eq(receive_exception(&native, EXCEPTION_UNKNOWN_METHOD), SPLIT_E_UNKNOWN);
        expect_eq(native.n_ended, 0);
        expect_eq(receive_exception(&native, EXCEPTION_INTERNAL_ERROR), SPLIT_OK);
        for (unsigned i = 0; i < 2; i++) {
            OracleException exception;
            Bytes reply = buffer_bytes(&native.replies[i]);
            expect(oracle_read_exception(ORACLE_BINARY, (Bytes){reply.data + 4, reply.len - 4},
                                         &exception));
            expect_eq(exception.code, EXCEPTION_INTERNAL_ERROR);
            expect_str_eq(exception.text, "words");
            g_free(exception.name);
            g_free(exception.text);
        }
        end(&native);
    }
}

/* Bytes cut off or changed: believed or not, but never read beyond. */
Test(native, damaged_answers_are_read_safely)
{
    Random random = {11};
    for (unsigned round = 0; round < 2000; round++) {
        Native native;
        send_two(&native, round % 2 == 0 ? PROTOCOL_BINARY : PROTOCOL_COMPACT,
                 policy_of(one, zero));
        Value numbers[2] = {number(THRIFT_I32, 1), number(THRIFT_I32, 2)};
        Value list = list_of(numbers, 2);
        Fields result = {0};
        add(&result, 0, &list);
        Buffer body = {0};
        oracle_write_struct(oracle_of(native.params.upstream.protocol), &result.value, &body);
        if (random_one_in(&random, 2))
            body.len = random_below(&random, (unsigned)body.len);
        else
            body.data[random_below(&random, (unsigned)body.len)] = (uint8_t)random_bits(&random);
        char why[SPLIT_WHY_SIZE] = "";
        (void)(receive_body(&native, MESSAGE_REPLY, buffer_bytes(&body), why) == SPLIT_OK);
        buffer_clear(&body);
        end(&native);
    }
}

/* A list of lists of ... `levels` of them. */
static Value nested_lists(unsigned levels)
{
    Value value = {.type = THRIFT_LIST, .element = THRIFT_BYTE};
    while (--levels > 0) {
        Value *inner = g_new(Value, 1);
        *inner = value;
        value = (Value){.type = THRIFT_LIST, .element = THRIFT_LIST, .count = 1, .children = inner};
    }
    return value;
}

/* A call of 64 levels is deeper inside a batch: no server has to take that. */
Test(native, an_item_that_would_be_too_deep_in_the_batch_is_passed_through)
{
    for (unsigned path = 1; path <= 2; path++) {
        Native native;
        begin(&native, PROTOCOL_BINARY, policy_of(path == 1 ? one : one_one, zero));
        for (unsigned i = 0; i < 2; i++) {
            Value item = nested_lists(THRIFT_MAX_DEPTH - 1 - path + i);
            Fields arguments = {0};
            add(&arguments, 1, &item);
            call(&native, i, all_forms[0], MESSAGE_CALL, &arguments.value);
            value_clear(&item);
        }
        expect_eq(take_and_fail(&native), 1);
        expect(batcher_next_through(native.batcher, NULL) != NULL);
        batcher_fail_waiting(native.batcher, "over", 1);
        end(&native);
    }
}

/* The limit of levels is of calls, not of what stands around the answers in a batch's. */
Test(native, answers_of_64_levels_of_their_own_are_taken)
{
    for (unsigned results = 0; results < 2; results++) {
        Native native;
        MethodPolicy policy = policy_of(one, zero_one);
        policy.batch_response_item = results ? RESPONSE_ITEM_RESULT : RESPONSE_ITEM_VALUE;
        begin(&native, PROTOCOL_BINARY, policy);
        Value item = number(THRIFT_I32, 1), value = nested_lists(THRIFT_MAX_DEPTH - 1);
        Fields arguments = {0}, element = {0}, response = {0}, result = {0}, own = {0};
        add(&arguments, 1, &item);
        call(&native, 0, all_forms[0], MESSAGE_CALL, &arguments.value);
        send(&native);
        add(&element, 1, &value);
        Value list = list_of(results ? &element.value : &value, 1);
        add(&response, 1, &list);
        add(&result, 0, &response.value);
        char why[SPLIT_WHY_SIZE] = "";
        expect_eq(receive(&native, &result.value, why), SPLIT_OK, "%s", why);
        add(&own, 0, &value);
        expect_reply(&native, 0, all_forms[0], &own.value);
        value_clear(&value);
        end(&native);
    }
}
