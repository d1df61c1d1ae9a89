#include "conversation.h"

#include "demo_directory.h"
#include "thrift_batch_batch_service.h"
#include <criterion/criterion.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/thrift_application_exception.h>
#include <thrift/c_glib/transport/thrift_memory_buffer.h>

/* --- a service that remembers what it executed ----------------------------------------------- */

typedef struct Recorder {
    DemoDirectoryHandler parent;
    GPtrArray *executed; /* borrowed */
} Recorder;

typedef struct RecorderClass {
    DemoDirectoryHandlerClass parent_class;
} RecorderClass;

static GType recorder_get_type(void);
G_DEFINE_TYPE(Recorder, recorder, DEMO_TYPE_DIRECTORY_HANDLER)

static void record(DemoDirectoryIf *iface, const char *method, const char *text)
{
    Recorder *recorder = G_TYPE_CHECK_INSTANCE_CAST(iface, recorder_get_type(), Recorder);

    g_ptr_array_add(recorder->executed, g_strdup_printf("%s %s", method, text));
}

static gboolean recorder_echo(DemoDirectoryIf *iface, gchar **ret, const gchar *token,
                              GError **error)
{
    (void)error;
    record(iface, "echo", token);
    *ret = g_strdup(token);
    return TRUE;
}

static gboolean recorder_log(DemoDirectoryIf *iface, const gchar *line, GError **error)
{
    (void)error;
    record(iface, "log", line);
    return TRUE;
}

static gboolean recorder_fail(DemoDirectoryIf *iface, gchar **ret, const gchar *token,
                              GError **error)
{
    (void)ret;
    record(iface, "fail", token);
    g_set_error(error, THRIFT_APPLICATION_EXCEPTION_ERROR,
                THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR, "no %s", token);
    return FALSE;
}

static void recorder_init(Recorder *recorder)
{
    (void)recorder;
}

static void recorder_class_init(RecorderClass *class)
{
    class->parent_class.echo = recorder_echo;
    class->parent_class.log = recorder_log;
    class->parent_class.fail = recorder_fail;
}

/* --- the conversation ------------------------------------------------------------------------ */

static ThriftTransport *buffer_new(void)
{
    return g_object_new(THRIFT_TYPE_MEMORY_BUFFER, "buf_size", 1048576U, NULL);
}

static GByteArray *bytes_of(ThriftTransport *buffer)
{
    return THRIFT_MEMORY_BUFFER(buffer)->buf;
}

static void count_batch(guint calls, gpointer data)
{
    Conversation *conversation = data;

    conversation->batches++;
    conversation->last_calls = calls;
}

void conversation_init(Conversation *conversation, GType protocol_type,
                       const BatchAdapterParams *params)
{
    BatchAdapterParams own = params != NULL ? *params : (BatchAdapterParams){0};
    Recorder *recorder = g_object_new(recorder_get_type(), NULL);

    *conversation = (Conversation){
        .protocol_type = protocol_type,
        .executed = g_ptr_array_new_with_free_func(g_free),
        .to_server = memory_transport_new(0),
        .to_client = buffer_new(),
    };
    recorder->executed = conversation->executed;
    own.batch_begins = count_batch;
    own.user_data = conversation;
    conversation->directory =
        g_object_new(DEMO_TYPE_DIRECTORY_PROCESSOR, "handler", recorder, NULL);
    conversation->adapter = batch_adapter_new(conversation->directory, &own);
    conversation->server_in =
        g_object_new(protocol_type, "transport", conversation->to_server, NULL);
    conversation->server_out =
        g_object_new(protocol_type, "transport", conversation->to_client, NULL);
    g_object_unref(recorder);
}

void conversation_clear(Conversation *conversation)
{
    g_object_unref(conversation->server_in);
    g_object_unref(conversation->server_out);
    g_object_unref(conversation->to_server);
    g_object_unref(conversation->to_client);
    g_object_unref(conversation->adapter);
    g_object_unref(conversation->directory);
    g_ptr_array_unref(conversation->executed);
}

bool conversation_process(Conversation *conversation, const GByteArray *message)
{
    g_autoptr(GError) error = NULL;
    bool ok;

    memory_transport_set_input(conversation->to_server, message->data, message->len);
    ok = thrift_processor_process(conversation->adapter, conversation->server_in,
                                  conversation->server_out, &error);
    cr_assert(ok == (error == NULL));
    cr_assert(!ok || memory_transport_tell(conversation->to_server) == message->len);
    return ok;
}

GByteArray *conversation_take(Conversation *conversation)
{
    GByteArray *written = bytes_of(conversation->to_client);
    GByteArray *taken = g_byte_array_new();

    g_byte_array_append(taken, written->data, written->len);
    g_byte_array_set_size(written, 0);
    return taken;
}

/* --- messages -------------------------------------------------------------------------------- */

GByteArray *message_new(GType protocol_type, const char *name, ThriftMessageType type, gint32 seqid,
                        gpointer arguments)
{
    g_autoptr(GObject) buffer = (GObject *)buffer_new();
    g_autoptr(GObject) protocol = g_object_new(protocol_type, "transport", buffer, NULL);
    ThriftProtocol *out = THRIFT_PROTOCOL(protocol);

    cr_assert(thrift_protocol_write_message_begin(out, name, type, seqid, NULL) > 0);
    cr_assert(thrift_struct_write(arguments, out, NULL) > 0);
    cr_assert(thrift_protocol_write_message_end(out, NULL) >= 0);
    return g_byte_array_ref(bytes_of(THRIFT_TRANSPORT(buffer)));
}

GByteArray *echo_new(GType protocol_type, gint32 seqid, const char *token)
{
    g_autoptr(GObject) arguments =
        g_object_new(DEMO_TYPE_DIRECTORY_ECHO_ARGS, "token", token, NULL);

    return message_new(protocol_type, "echo", T_CALL, seqid, arguments);
}

GByteArray *log_new(GType protocol_type, ThriftMessageType type, gint32 seqid, const char *line)
{
    g_autoptr(GObject) arguments = g_object_new(DEMO_TYPE_DIRECTORY_LOG_ARGS, "line", line, NULL);

    return message_new(protocol_type, "log", type, seqid, arguments);
}

static void free_bytes(gpointer bytes)
{
    if (bytes != NULL)
        g_byte_array_unref(bytes);
}

GPtrArray *calls_new(void)
{
    return g_ptr_array_new_with_free_func(free_bytes);
}

GByteArray *batch_new(GType protocol_type, gint32 seqid, GPtrArray *calls, gint32 timeout_ms)
{
    g_autoptr(GObject) batch = g_object_new(THRIFT_BATCH_TYPE_BATCH_REQUEST, NULL);
    g_autoptr(GPtrArray) requests = g_ptr_array_new_with_free_func(g_object_unref);
    g_autoptr(GObject) arguments = NULL;

    for (guint i = 0; i < calls->len; i++) {
        gpointer request = g_object_new(THRIFT_BATCH_TYPE_REQUEST, "message",
                                        g_ptr_array_index(calls, i), "lane", 1, NULL);

        if (timeout_ms != NO_TIMEOUT)
            g_object_set(request, "timeoutMs", timeout_ms, NULL);
        g_ptr_array_add(requests, request);
    }
    g_object_set(batch, "requests", requests, NULL);
    arguments =
        g_object_new(THRIFT_BATCH_TYPE_BATCH_SERVICE_EXECUTE_BATCH_ARGS, "batch", batch, NULL);
    return message_new(protocol_type, "executeBatch", T_CALL, seqid, arguments);
}

/* --- replies --------------------------------------------------------------------------------- */

/* A protocol over a copy of the message; freed by reader_free. */
static ThriftProtocol *reader_new(GType protocol_type, const GByteArray *message)
{
    ThriftTransport *buffer = buffer_new();
    ThriftProtocol *protocol = g_object_new(protocol_type, "transport", buffer, NULL);

    g_byte_array_append(bytes_of(buffer), message->data, message->len);
    g_object_unref(buffer);
    return protocol;
}

static void reader_free(ThriftProtocol *protocol)
{
    cr_expect(bytes_of(protocol->transport)->len == 0, "bytes behind the message");
    g_object_unref(protocol);
}

static void read_struct(ThriftProtocol *in, gpointer object)
{
    g_autoptr(GError) error = NULL;

    cr_assert(thrift_struct_read(object, in, &error) > 0, "%s", error ? error->message : "");
}

void reply_read(Reply *reply, GType protocol_type, const GByteArray *message)
{
    ThriftProtocol *in = reader_new(protocol_type, message);
    GType type;
    g_autoptr(GObject) object = NULL;

    *reply = (Reply){0};
    cr_assert(thrift_protocol_read_message_begin(in, &reply->name, &reply->type, &reply->seqid,
                                                 NULL) > 0);
    type = reply->type == T_EXCEPTION ? THRIFT_TYPE_APPLICATION_EXCEPTION
                                      : DEMO_TYPE_DIRECTORY_ECHO_RESULT;
    object = g_object_new(type, NULL);
    read_struct(in, object);
    if (reply->type == T_EXCEPTION)
        g_object_get(object, "type", &reply->code, "message", &reply->text, NULL);
    else
        g_object_get(object, "success", &reply->text, NULL);
    reader_free(in);
}

void reply_clear(Reply *reply)
{
    g_clear_pointer(&reply->name, g_free);
    g_clear_pointer(&reply->text, g_free);
}

GPtrArray *responses_read(GType protocol_type, const GByteArray *message, gint32 seqid)
{
    ThriftProtocol *in = reader_new(protocol_type, message);
    g_autoptr(GObject) result =
        g_object_new(THRIFT_BATCH_TYPE_BATCH_SERVICE_EXECUTE_BATCH_RESULT, NULL);
    GPtrArray *messages = calls_new();
    ThriftBatchBatchResponse *answer;
    g_autofree char *name = NULL;
    ThriftMessageType type = 0;
    gint32 got_seqid = 0;

    cr_assert(thrift_protocol_read_message_begin(in, &name, &type, &got_seqid, NULL) > 0);
    cr_assert_str_eq(name, "executeBatch");
    cr_assert(type == T_REPLY && got_seqid == seqid);
    read_struct(in, result);
    answer = THRIFT_BATCH_BATCH_SERVICE_EXECUTE_BATCH_RESULT(result)->success;
    cr_assert(answer != NULL);
    for (guint i = 0; i < answer->responses->len; i++) {
        const ThriftBatchResponse *response = g_ptr_array_index(answer->responses, i);

        g_ptr_array_add(messages,
                        response->__isset_message ? g_byte_array_ref(response->message) : NULL);
    }
    reader_free(in);
    return messages;
}
