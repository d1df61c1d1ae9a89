/* The processor in front, and the run of one batch.
 *
 *     connection --> process --+-- executeBatch --> envelope_read --> run_call, once a call --+
 *                              |                                         |                    |
 *                              |                          memory transport, inner processor   |
 *                              |                                                              |
 *                              |                    connection <-- envelope_write <-----------+
 *                              +-- all other names --> inner processor, on the connection itself
 *
 * The message header can be read only once, so the adapter enters the inner processor behind it, by
 * the dispatch_call() that every generated processor has and overrides. ThriftProtocolDecorator and
 * ThriftStoredMessageProtocol, which replay a header, are no use: they end in crashes and double
 * frees.
 *
 * One memory transport serves the whole batch. The protocols over it are replaced when a call has
 * failed: a compact protocol that stopped in the middle of a struct would read the next call's
 * field numbers wrong. */

#include "thrift-batch-adapter.h"

#include "envelope.h"
#include "memory-transport.h"
#include <string.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/thrift_application_exception.h>

enum {
    DEFAULT_MAX_CALLS = 10000,
    DEFAULT_MAX_BYTES = 64 << 20,
    DEFAULT_MAX_REPLY_BYTES = 256 << 20,
    MOST_REPLY_BYTES = 1 << 30,
    /* Messages up to this size cannot nest deep enough to exhaust a stack: not scanned first. */
    HARMLESS_BYTES = 4096,
};

typedef struct BatchAdapter {
    ThriftProcessor parent;
    ThriftDispatchProcessor *inner;
    BatchAdapterParams params;
} BatchAdapter;

typedef struct BatchAdapterClass {
    ThriftProcessorClass parent_class;
} BatchAdapterClass;

G_DEFINE_TYPE(BatchAdapter, batch_adapter, THRIFT_TYPE_PROCESSOR)

typedef struct MessageHeader {
    char *name;
    ThriftMessageType type;
    gint32 seqid;
} MessageHeader;

/* One batch being executed. */
typedef struct BatchRun {
    const BatchAdapter *adapter;
    GType protocol_type;
    gint64 begin_us;
    MemoryTransport *memory;
    ThriftProtocol *in, *out; /* both over `memory` */
    gsize *ends;              /* where each reply ends in the memory's output */
} BatchRun;

static gboolean message_header_read(ThriftProtocol *in, MessageHeader *ret_header, GError **error)
{
    MessageHeader header = {0};

    if (thrift_protocol_read_message_begin(in, &header.name, &header.type, &header.seqid, error) <
        0)
        return FALSE;
    /* The old binary protocol without version: c_glib reports success and has set nothing. */
    if (header.name == NULL) {
        g_set_error(error, THRIFT_PROTOCOL_ERROR, THRIFT_PROTOCOL_ERROR_BAD_VERSION,
                    "a message header without protocol version");
        return FALSE;
    }
    *ret_header = header;
    return TRUE;
}

/* Takes the header's name: the inner processor frees it. */
static gboolean dispatch(const BatchAdapter *adapter, ThriftProtocol *in, ThriftProtocol *out,
                         MessageHeader *header, GError **error)
{
    return THRIFT_DISPATCH_PROCESSOR_GET_CLASS(adapter->inner)
        ->dispatch_call(adapter->inner, in, out, g_steal_pointer(&header->name), header->seqid,
                        error);
}

/* By hand: a ThriftApplicationException leaks when it is freed. */
static gboolean exception_write(ThriftProtocol *out, const char *name, gint32 seqid,
                                ThriftApplicationExceptionError code, const char *text,
                                GError **error)
{
    return thrift_protocol_write_message_begin(out, name, T_EXCEPTION, seqid, error) >= 0 &&
           thrift_protocol_write_struct_begin(out, "TApplicationException", error) >= 0 &&
           thrift_protocol_write_field_begin(out, "message", T_STRING, 1, error) >= 0 &&
           thrift_protocol_write_string(out, text, error) >= 0 &&
           thrift_protocol_write_field_end(out, error) >= 0 &&
           thrift_protocol_write_field_begin(out, "type", T_I32, 2, error) >= 0 &&
           thrift_protocol_write_i32(out, (gint32)code, error) >= 0 &&
           thrift_protocol_write_field_end(out, error) >= 0 &&
           thrift_protocol_write_field_stop(out, error) >= 0 &&
           thrift_protocol_write_struct_end(out, error) >= 0 &&
           thrift_protocol_write_message_end(out, error) >= 0;
}

static gboolean flush(ThriftProtocol *out, GError **error)
{
    return thrift_transport_write_end(out->transport, error) &&
           thrift_transport_flush(out->transport, error);
}

/* --- one batch ------------------------------------------------------------------------------- */

/* A compact protocol that has stopped inside a struct forgets to free what it keeps of the outer
 * ones. */
static void drop_protocol(ThriftProtocol **protocol)
{
    if (*protocol != NULL && THRIFT_IS_COMPACT_PROTOCOL(*protocol))
        g_queue_clear(&THRIFT_COMPACT_PROTOCOL(*protocol)->_last_field);
    g_clear_object(protocol);
}

static void run_renew_protocols(BatchRun *run)
{
    drop_protocol(&run->in);
    drop_protocol(&run->out);
    run->in = g_object_new(run->protocol_type, "transport", run->memory, NULL);
    run->out = g_object_new(run->protocol_type, "transport", run->memory, NULL);
}

static void run_init(BatchRun *run, const BatchAdapter *adapter, GType protocol_type, guint n_calls)
{
    *run = (BatchRun){
        .adapter = adapter,
        .protocol_type = protocol_type,
        .begin_us = g_get_monotonic_time(),
        .memory = memory_transport_new(adapter->params.max_reply_bytes),
        .ends = g_new(gsize, n_calls),
    };
    run_renew_protocols(run);
}

static void run_clear(BatchRun *run)
{
    drop_protocol(&run->in);
    drop_protocol(&run->out);
    g_clear_object(&run->memory);
    g_clear_pointer(&run->ends, g_free);
}

/* Makes an exception of whatever the call may have written so far. */
static void run_fail_call(BatchRun *run, gsize reply_begin, const char *name, gint32 seqid,
                          ThriftApplicationExceptionError code, const char *text)
{
    gsize max_output = run->adapter->params.max_reply_bytes;

    memory_transport_truncate_output(run->memory, reply_begin);
    run_renew_protocols(run);
    /* The exception itself always fits: it is not larger than the header of the call and a text. */
    memory_transport_set_max_output(run->memory, G_MAXINT32);
    if (!exception_write(run->out, name, seqid, code, text, NULL))
        memory_transport_truncate_output(run->memory, reply_begin);
    memory_transport_set_max_output(run->memory, max_output);
}

static ThriftApplicationExceptionError code_of(const GError *error)
{
    if (error->domain == THRIFT_PROTOCOL_ERROR ||
        g_error_matches(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_RECEIVE))
        return THRIFT_APPLICATION_EXCEPTION_ERROR_PROTOCOL_ERROR;
    return THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR;
}

/* Reads the arguments once over and comes back, to refuse what would exhaust the stack. */
static gboolean run_check_nesting(BatchRun *run, const EnvelopeCall *call, GError **error)
{
    gsize position = memory_transport_tell(run->memory);

    if (call->len <= HARMLESS_BYTES)
        return TRUE;
    if (!envelope_skip(run->in, T_STRUCT, 1, error))
        return FALSE;
    memory_transport_seek(run->memory, position);
    return TRUE;
}

static gboolean run_is_late(const BatchRun *run, const EnvelopeCall *call)
{
    if (run->adapter->params.ignore_deadlines || !call->has_timeout)
        return FALSE;
    return g_get_monotonic_time() - run->begin_us >= (gint64)call->timeout_ms * 1000;
}

/* Leaves exactly one reply, or none where none is owed, in the memory's output. */
static void run_call(BatchRun *run, const EnvelopeCall *call, gint32 position)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL;
    MessageHeader header = {0};
    gsize reply_begin;

    memory_transport_output(run->memory, &reply_begin);
    memory_transport_set_input(run->memory, call->message, call->len);
    if (!message_header_read(run->in, &header, &error)) {
        run_fail_call(run, reply_begin, "", position,
                      THRIFT_APPLICATION_EXCEPTION_ERROR_PROTOCOL_ERROR, error->message);
        return;
    }
    name = g_strdup(header.name);
    if (header.type != T_CALL && header.type != T_ONEWAY) {
        run_fail_call(run, reply_begin, name, header.seqid,
                      THRIFT_APPLICATION_EXCEPTION_ERROR_INVALID_MESSAGE_TYPE,
                      "a request of a batch must be a call");
    } else if (header.type == T_CALL && run_is_late(run, call)) {
        run_fail_call(run, reply_begin, name, header.seqid,
                      THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR, "deadline passed");
    } else if (!run_check_nesting(run, call, &error) ||
               !dispatch(run->adapter, run->in, run->out, &header, &error)) {
        run_fail_call(run, reply_begin, name, header.seqid,
                      error != NULL ? code_of(error)
                                    : THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR,
                      error != NULL ? error->message : "the call could not be processed");
        if (header.type == T_ONEWAY)
            memory_transport_truncate_output(run->memory, reply_begin);
    }
    g_free(header.name);
}

static gboolean execute_calls(const BatchAdapter *adapter, GArray *calls, ThriftProtocol *out,
                              gint32 seqid, GError **error)
{
    BatchRun run;
    const guint8 *output;
    gsize len;
    gboolean ok;

    if (adapter->params.batch_begins != NULL)
        adapter->params.batch_begins(calls->len, adapter->params.user_data);
    run_init(&run, adapter, G_OBJECT_TYPE(out), calls->len);
    for (guint i = 0; i < calls->len; i++) {
        run_call(&run, &g_array_index(calls, EnvelopeCall, i), (gint32)i);
        memory_transport_output(run.memory, &run.ends[i]);
    }
    output = memory_transport_output(run.memory, &len);
    ok = envelope_write(out, seqid, output, run.ends, calls->len, error) && flush(out, error);
    run_clear(&run);
    return ok;
}

static gboolean execute_batch(const BatchAdapter *adapter, ThriftProtocol *in, ThriftProtocol *out,
                              gint32 seqid, GError **error)
{
    const EnvelopeLimits limits = {adapter->params.max_calls, adapter->params.max_bytes};
    g_autoptr(GArray) calls = NULL;
    g_autoptr(GError) refusal = NULL;

    switch (envelope_read(in, &limits, &calls, &refusal)) {
    case ENVELOPE_OK:
        return thrift_transport_read_end(in->transport, error) &&
               execute_calls(adapter, calls, out, seqid, error);
    case ENVELOPE_E_LIMIT:
        return thrift_transport_read_end(in->transport, error) &&
               exception_write(out, "executeBatch", seqid,
                               THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR, refusal->message,
                               error) &&
               flush(out, error);
    case ENVELOPE_E_BROKEN:
        if (exception_write(out, "executeBatch", seqid,
                            THRIFT_APPLICATION_EXCEPTION_ERROR_PROTOCOL_ERROR, refusal->message,
                            NULL))
            flush(out, NULL);
        g_propagate_error(error, g_steal_pointer(&refusal));
        return FALSE;
    }
    return FALSE;
}

/* --- the processor --------------------------------------------------------------------------- */

static gboolean batch_adapter_process(ThriftProcessor *processor, ThriftProtocol *in,
                                      ThriftProtocol *out, GError **error)
{
    BatchAdapter *adapter = G_TYPE_CHECK_INSTANCE_CAST(processor, BATCH_TYPE_ADAPTER, BatchAdapter);
    MessageHeader header = {0};
    GError *failure = NULL; /* generated processors read *error: it must not be NULL */
    gboolean ok = FALSE;

    if (message_header_read(in, &header, &failure)) {
        if (header.type != T_CALL && header.type != T_ONEWAY)
            g_set_error(&failure, THRIFT_PROTOCOL_ERROR, THRIFT_PROTOCOL_ERROR_INVALID_DATA,
                        "message type %d is no call", (int)header.type);
        else if (strcmp(header.name, "executeBatch") == 0)
            ok = execute_batch(adapter, in, out, header.seqid, &failure);
        else
            ok = dispatch(adapter, in, out, &header, &failure);
    }
    g_free(header.name);
    if (failure != NULL)
        g_propagate_error(error, failure);
    return ok;
}

static void batch_adapter_init(BatchAdapter *adapter)
{
    (void)adapter;
}

static void batch_adapter_finalize(GObject *object)
{
    BatchAdapter *adapter = G_TYPE_CHECK_INSTANCE_CAST(object, BATCH_TYPE_ADAPTER, BatchAdapter);

    g_clear_object(&adapter->inner);
    G_OBJECT_CLASS(batch_adapter_parent_class)->finalize(object);
}

static void batch_adapter_class_init(BatchAdapterClass *class)
{
    G_OBJECT_CLASS(class)->finalize = batch_adapter_finalize;
    class->parent_class.process = batch_adapter_process;
}

ThriftProcessor *batch_adapter_new(ThriftDispatchProcessor *inner, const BatchAdapterParams *params)
{
    BatchAdapter *adapter = g_object_new(BATCH_TYPE_ADAPTER, NULL);
    BatchAdapterParams *own = &adapter->params;

    adapter->inner = g_object_ref(inner);
    if (params != NULL)
        *own = *params;
    if (own->max_calls == 0)
        own->max_calls = DEFAULT_MAX_CALLS;
    if (own->max_bytes == 0)
        own->max_bytes = DEFAULT_MAX_BYTES;
    if (own->max_reply_bytes == 0)
        own->max_reply_bytes = DEFAULT_MAX_REPLY_BYTES;
    own->max_reply_bytes = MIN(own->max_reply_bytes, MOST_REPLY_BYTES);
    return &adapter->parent;
}
