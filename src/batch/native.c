#include "batch/native.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "wire/cursor.h"
#include "wire/exception.h"
#include "wire/header.h"
#include "wire/scan.h"
#include "wire/types.h"
#include "wire/writer.h"

/* Splicing in: arguments to list */

/* Whether the element is no deeper in the batch than a call may be: servers have that limit too. */
static bool fits_depth(const MethodPolicy *policy, Protocol protocol, const NativeItem *item)
{
    size_t taken;
    unsigned around = 1U + policy->batch_requests.len; /* arguments, a struct with the list, list */
    if (item->type != THRIFT_STRUCT && item->type != THRIFT_LIST && item->type != THRIFT_SET &&
        item->type != THRIFT_MAP)
        return true;
    return scan_value(protocol, item->type, item->value, THRIFT_MAX_DEPTH - around, &taken) ==
           SCAN_DONE;
}

bool native_take_item(const MethodPolicy *policy, Protocol protocol, Bytes arguments,
                      Buffer *others, uint8_t *spare, NativeItem *ret)
{
    *ret = (NativeItem){.type = THRIFT_STOP};
    if (policy->item_is_arguments) {
        *ret = (NativeItem){.type = THRIFT_STRUCT, .value = arguments};
        return fits_depth(policy, protocol, ret);
    }
    Cursor cursor = cursor_init(protocol, arguments);
    Writer writer = writer_init(protocol, others);
    int16_t id;
    ThriftType type;
    while ((type = cursor_field(&cursor, &id)) != THRIFT_STOP) {
        if (id == policy->batch_item) {
            ret->type = type;
            if (type == THRIFT_BOOL && protocol == PROTOCOL_COMPACT) {
                *spare = cursor_bool(&cursor) ? COMPACT_TRUE : COMPACT_FALSE;
                ret->value = (Bytes){spare, 1};
            } else {
                ret->value = cursor_skip(&cursor, type, false);
            }
        } else if (id == policy->batch_requests.ids[0]) {
            return false;
        } else {
            writer_field(&writer, type, id);
            ret->last_id = id;
            if (type == THRIFT_BOOL) {
                writer_bool(&writer, cursor_bool(&cursor));
            } else {
                Bytes value = cursor_skip(&cursor, type, false);
                buffer_append(others, value.data, value.len);
            }
        }
    }
    return !cursor.failed && ret->type != THRIFT_STOP && fits_depth(policy, protocol, ret);
}

size_t native_join(Batch *batch, const BatcherParams *params, Buffer *head, struct iovec *iovecs)
{
    const Group *group = batch->group;
    const MethodPolicy *policy = group->method->policy;
    Protocol protocol = params->upstream.protocol;
    Bytes name = bytes_from_string(policy->batch_method);
    head->len = 0;
    uint8_t *header = buffer_reserve(head, FRAME_HEADER_SIZE + HEADER_MAX_SIZE + name.len);
    uint8_t *end =
        header_write(header + FRAME_HEADER_SIZE, protocol, true, MESSAGE_CALL, name, batch->seqid);
    head->len = (size_t)(end - header);
    Writer writer = writer_init(protocol, head);
    buffer_append(head, group->others.data, group->others.len);
    writer.last_field = group->others_last_id;
    uint32_t n_levels = policy->batch_requests.len;
    if (n_levels == 2) {
        writer_field(&writer, THRIFT_STRUCT, policy->batch_requests.ids[0]);
        writer_enter_struct(&writer);
    }
    writer_field(&writer, THRIFT_LIST, policy->batch_requests.ids[n_levels - 1]);
    writer_list(&writer, group->item_type, batch_travelling(batch));
    size_t items_at = head->len;
    memset(buffer_reserve(head, n_levels), THRIFT_STOP, n_levels);
    size_t n = 1, len = head->len - FRAME_HEADER_SIZE + n_levels;
    LIST_EACH (&batch->calls, link) {
        Bytes item = LIST_OWNER(link, Call, batch_link)->item;
        iovecs[n++] = (struct iovec){(void *)(uintptr_t)item.data, item.len};
        len += item.len;
    }
    iovecs[n++] = (struct iovec){head->data + items_at, n_levels};
    bool framed = params->upstream.transport == TRANSPORT_FRAMED;
    if (framed)
        store_be32(head->data, (uint32_t)len);
    size_t skipped = framed ? 0 : FRAME_HEADER_SIZE;
    iovecs[0] = (struct iovec){head->data + skipped, items_at - skipped};
    return n;
}

/* Splicing out: list or map to results */

/* An answer of the upstream's to one call, spliced from the batch's. */
typedef struct Splice {
    const Batch *batch;
    Protocol protocol;
    Buffer *out; /* Batch.answers */
    char *why;
} Splice;

static SplitStatus misshapen(const Splice *splice, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static SplitStatus misshapen(const Splice *splice, const char *format, ...)
{
    const MethodPolicy *policy = splice->batch->group->method->policy;
    int len = snprintf(splice->why, SPLIT_WHY_SIZE, "batch method '%.40s' answered ",
                       policy->batch_method);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(splice->why + len, SPLIT_WHY_SIZE - (size_t)len, format, arguments);
    va_end(arguments);
    return SPLIT_E_MISSHAPEN;
}

static const char *type_name(ThriftType type)
{
    static const char *const names[] = {
        [THRIFT_STOP] = "nothing",  [THRIFT_BOOL] = "bool",     [THRIFT_BYTE] = "byte",
        [THRIFT_DOUBLE] = "double", [THRIFT_I16] = "i16",       [THRIFT_I32] = "i32",
        [THRIFT_I64] = "i64",       [THRIFT_STRING] = "string", [THRIFT_STRUCT] = "struct",
        [THRIFT_MAP] = "map",       [THRIFT_SET] = "set",       [THRIFT_LIST] = "list",
        [THRIFT_UUID] = "uuid",
    };
    return names[type];
}

/* The message of a call's answer is written behind its length, as a framed client gets it. Offsets
 * stand in for pointers until the buffer grows no more. */
static size_t begin_answer(const Splice *splice, Call *call, MessageType type)
{
    Bytes name = call_bare_name(call);
    size_t at = splice->out->len + FRAME_HEADER_SIZE;
    uint8_t *message = buffer_reserve(splice->out, FRAME_HEADER_SIZE + HEADER_MAX_SIZE + name.len) +
                       FRAME_HEADER_SIZE;
    uint8_t *end = header_write(message, splice->protocol, true, type, name, 0);
    splice->out->len = at + (size_t)(end - message);
    call->answer = (CallAnswer){
        .header_size = (size_t)(end - message),
        .strict = splice->protocol == PROTOCOL_BINARY,
        .prefixed = true,
        .type = type,
    };
    return at;
}

static void end_answer(const Splice *splice, Call *call, size_t at)
{
    call->answer.len = splice->out->len - at;
    store_be32(splice->out->data + at - FRAME_HEADER_SIZE, (uint32_t)call->answer.len);
}

/* A result struct with one field, `id`, that has the value of a container's element. */
static void write_field_of_element(Writer *writer, ThriftType type, int16_t id, Bytes value)
{
    writer_field(writer, type, id);
    if (type == THRIFT_BOOL && writer->protocol == PROTOCOL_COMPACT)
        writer_bool(writer, value.data[0] == COMPACT_TRUE);
    else
        buffer_append(writer->out, value.data, value.len);
}

static void answer_value(const Splice *splice, Call *call, ThriftType type, Bytes value)
{
    size_t at = begin_answer(splice, call, MESSAGE_REPLY);
    Writer writer = writer_init(splice->protocol, splice->out);
    int16_t saved = writer_enter_struct(&writer);
    write_field_of_element(&writer, type, 0, value);
    writer_leave_struct(&writer, saved);
    end_answer(splice, call, at);
}

/* A struct with the value as field 1 and exception n as field n+1 becomes the result struct. */
static void answer_result(const Splice *splice, Call *call, Bytes element)
{
    size_t at = begin_answer(splice, call, MESSAGE_REPLY);
    Cursor cursor = cursor_init(splice->protocol, element);
    Writer writer = writer_init(splice->protocol, splice->out);
    int16_t saved = writer_enter_struct(&writer), id;
    ThriftType type;
    while ((type = cursor_field(&cursor, &id)) != THRIFT_STOP) {
        writer_field(&writer, type, (int16_t)(id - 1));
        if (type == THRIFT_BOOL) {
            writer_bool(&writer, cursor_bool(&cursor));
        } else {
            Bytes value = cursor_skip(&cursor, type, false);
            buffer_append(splice->out, value.data, value.len);
        }
    }
    writer_leave_struct(&writer, saved);
    end_answer(splice, call, at);
}

/* What the batch method said as a whole, a declared exception for instance, said to one caller. */
static void answer_same(const Splice *splice, Call *call, MessageType type, Bytes body)
{
    size_t at = begin_answer(splice, call, type);
    buffer_append(splice->out, body.data, body.len);
    end_answer(splice, call, at);
}

static void answer_missing(const Splice *splice, Call *call)
{
    size_t at = begin_answer(splice, call, MESSAGE_EXCEPTION);
    splice->out->len = at; /* it brings the same header */
    Form form = {TRANSPORT_BUFFERED, splice->protocol, true};
    exception_append(splice->out, form, call_bare_name(call), 0, EXCEPTION_MISSING_RESULT,
                     "thrift-batchd: the batch method's answer has no entry for this call's key");
    end_answer(splice, call, at);
}

static void answer_element(const Splice *splice, Call *call, ThriftType type, Bytes value)
{
    if (splice->batch->group->method->policy->batch_response_item == RESPONSE_ITEM_RESULT)
        answer_result(splice, call, value);
    else
        answer_value(splice, call, type, value);
}

static SplitStatus check_element(const Splice *splice, ThriftType type)
{
    if (splice->batch->group->method->policy->batch_response_item == RESPONSE_ITEM_RESULT &&
        type != THRIFT_STRUCT)
        return misshapen(splice,
                         "elements of type %s where structs were due "
                         "(batch_response_item = result)",
                         type_name(type));
    return SPLIT_OK;
}

static SplitStatus split_list(const Splice *splice, Cursor *cursor)
{
    ThriftType type;
    uint32_t count = cursor_list(cursor, &type), due = batch_travelling(splice->batch);
    if (cursor->failed)
        return misshapen(splice, "a list that does not parse");
    if (count != due)
        return misshapen(splice, "a list of %u elements to a list of %u", count, due);
    SplitStatus status = check_element(splice, type);
    if (status != SPLIT_OK)
        return status;
    LIST_EACH (&splice->batch->calls, link)
        answer_element(splice, LIST_OWNER(link, Call, batch_link), type,
                       cursor_skip(cursor, type, true));
    return cursor->failed ? misshapen(splice, "a list that does not parse") : SPLIT_OK;
}

static guint bytes_hash(gconstpointer key)
{
    const Bytes *bytes = key;
    guint hash = 5381;
    for (size_t i = 0; i < bytes->len; i++)
        hash = hash * 33 + bytes->data[i];
    return hash;
}

static gboolean bytes_same(gconstpointer a, gconstpointer b)
{
    return bytes_equal(*(const Bytes *)a, *(const Bytes *)b);
}

/* Key and value as they stand in the map. */
typedef struct Entry {
    Bytes key, value;
} Entry;

static SplitStatus split_map(const Splice *splice, Cursor *cursor)
{
    ThriftType key_type, value_type;
    uint32_t count = cursor_map(cursor, &key_type, &value_type);
    ThriftType due = (ThriftType)splice->batch->group->item_type;
    if (count > 0 && key_type != due)
        return misshapen(splice, "a map with keys of type %s where %s was due", type_name(key_type),
                         type_name(due));
    SplitStatus status = count > 0 ? check_element(splice, value_type) : SPLIT_OK;
    if (status != SPLIT_OK)
        return status;
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    for (uint32_t i = 0; i < count && !cursor->failed; i++) {
        Entry entry = {.key = cursor_skip(cursor, key_type, true)};
        entry.value = cursor_skip(cursor, value_type, true);
        g_array_append_val(entries, entry);
    }
    if (cursor->failed)
        return misshapen(splice, "a map that does not parse");
    g_autoptr(GHashTable) by_key = g_hash_table_new(bytes_hash, bytes_same);
    for (guint i = 0; i < entries->len; i++)
        g_hash_table_add(by_key, &g_array_index(entries, Entry, i));
    LIST_EACH (&splice->batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        const Entry *entry = g_hash_table_lookup(by_key, &call->item);
        if (entry != NULL)
            answer_element(splice, call, value_type, entry->value);
        else
            answer_missing(splice, call);
    }
    return SPLIT_OK;
}

static SplitStatus split_container(const Splice *splice, Cursor *cursor, ThriftType type)
{
    if (type == THRIFT_LIST)
        return split_list(splice, cursor);
    if (type == THRIFT_MAP)
        return split_map(splice, cursor);
    return misshapen(splice, "%s where a list or map was due", type_name(type));
}

/* The field of a struct with that id; THRIFT_STOP when it is not there. */
static ThriftType find_field(Cursor *cursor, int16_t wanted)
{
    int16_t id;
    ThriftType type;
    while ((type = cursor_field(cursor, &id)) != THRIFT_STOP && id != wanted)
        cursor_skip(cursor, type, false);
    return type;
}

static SplitStatus split_success(const Splice *splice, Cursor *cursor, ThriftType type)
{
    const FieldPath *path = &splice->batch->group->method->policy->batch_responses;
    if (path->len == 1)
        return split_container(splice, cursor, type);
    if (type != THRIFT_STRUCT)
        return misshapen(splice, "%s where a struct with the list was due", type_name(type));
    int16_t saved = cursor_enter_struct(cursor);
    SplitStatus status = split_container(splice, cursor, find_field(cursor, path->ids[1]));
    cursor_leave_struct(cursor, saved);
    return status;
}

/* What the batch method said as a whole is said to every caller. One that is too large for clients
 * is not copied: it fails each call by its size. */
static void answer_all(const Splice *splice, const BatcherParams *params, const Message *reply)
{
    bool too_large = reply->body.len > params->max_message_size;
    LIST_EACH (&splice->batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (too_large)
            call->answer = (CallAnswer){.len = reply->body.len, .type = reply->type};
        else
            answer_same(splice, call, reply->type, reply->body);
    }
}

/* Offsets to pointers: the answers stand in the buffer in the order of the calls. */
static void point_to_answers(const Splice *splice)
{
    if (splice->out->len == 0)
        return;
    uint8_t *at = splice->out->data;
    LIST_EACH (&splice->batch->calls, link) {
        CallAnswer *answer = &LIST_OWNER(link, Call, batch_link)->answer;
        answer->data = at + FRAME_HEADER_SIZE;
        at += FRAME_HEADER_SIZE + answer->len;
    }
}

static SplitStatus split_refused(const Splice *splice, const BatcherParams *params,
                                 const Message *reply)
{
    SplitStatus status = split_refusal(splice->protocol, reply, splice->why);
    if (status != SPLIT_E_REFUSED)
        return status;
    answer_all(splice, params, reply);
    return SPLIT_OK;
}

static SplitStatus split_result(const Splice *splice, const BatcherParams *params,
                                const Message *reply)
{
    const MethodPolicy *policy = splice->batch->group->method->policy;
    Cursor cursor = cursor_init(splice->protocol, reply->body);
    int16_t id;
    ThriftType type = cursor_field(&cursor, &id);
    if (type == THRIFT_STOP)
        return misshapen(splice, "nothing");
    if (id == policy->batch_responses.ids[0])
        return split_success(splice, &cursor, type);
    answer_all(splice, params, reply); /* a declared exception */
    return SPLIT_OK;
}

SplitStatus native_split(Batch *batch, const BatcherParams *params, const Message *reply,
                         char why[SPLIT_WHY_SIZE])
{
    Bytes method = bytes_from_string(batch->group->method->policy->batch_method);
    Splice splice = {batch, params->upstream.protocol, &batch->answers, why};
    batch->answers.len = 0;
    SplitStatus status = split_check_header(reply, method, batch->seqid, why);
    if (status == SPLIT_OK)
        status = split_check_body(splice.protocol, reply->body, SCAN_MAX_DEPTH, why);
    if (status != SPLIT_OK)
        return status;
    status = reply->type == MESSAGE_EXCEPTION ? split_refused(&splice, params, reply)
                                              : split_result(&splice, params, reply);
    if (status == SPLIT_OK)
        point_to_answers(&splice);
    return status;
}
