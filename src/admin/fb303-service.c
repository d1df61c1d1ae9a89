/* The processor is entered behind the message header, which the wire layer has read: c_glib cannot
 * read the old binary one. For the same reason the header that it writes is written anew. */
#include "admin/fb303-service.h"

#include "admin/c-glib.h"
#include "admin/fb303-methods.h"
#include "wire/exception.h"
#include "wire/header.h"

enum { MAX_REPLY = 16 << 20 };

struct Fb303Service {
    Fb303Methods *methods;
    ThriftDispatchProcessor *processor;
};

Fb303Service *fb303_service_new(const AdminOps *ops, void *ops_data)
{
    Fb303Service *service = g_new0(Fb303Service, 1);
    service->methods = fb303_methods_new(ops, ops_data);
    service->processor =
        g_object_new(FB303_TYPE_ADMIN_SERVICE_PROCESSOR, "handler", service->methods, NULL);
    return service;
}

void fb303_service_free(Fb303Service *service)
{
    if (service == NULL)
        return;
    g_object_unref(service->processor);
    g_object_unref(service->methods);
    g_free(service);
}

static ThriftProtocol *new_protocol(Protocol protocol, MemoryTransport *memory)
{
    GType type =
        protocol == PROTOCOL_COMPACT ? THRIFT_TYPE_COMPACT_PROTOCOL : THRIFT_TYPE_BINARY_PROTOCOL;
    return g_object_new(type, "transport", memory, NULL);
}

/* A compact one that has stopped inside a struct forgets to free what it keeps of the outer ones.
 */
static void free_protocol(ThriftProtocol *protocol)
{
    if (THRIFT_IS_COMPACT_PROTOCOL(protocol))
        g_queue_clear(&THRIFT_COMPACT_PROTOCOL(protocol)->_last_field);
    g_object_unref(protocol);
}

static bool process(Fb303Service *service, const Fb303Call *call, MemoryTransport *memory,
                    bool *ret_changes, GError **error)
{
    const Message *message = call->message;
    ThriftProtocol *in = new_protocol(call->form.protocol, memory);
    ThriftProtocol *out = new_protocol(call->form.protocol, memory);
    char *name = g_strndup((const char *)message->name.data, message->name.len);
    memory_transport_set_input(memory, message->body.data, message->body.len);
    fb303_methods_prepare(service->methods, call->stats, call->refusal);
    bool ok = THRIFT_DISPATCH_PROCESSOR_GET_CLASS(service->processor)
                  ->dispatch_call(service->processor, in, out, name, message->seqid, error);
    *ret_changes = fb303_methods_change(service->methods);
    fb303_methods_prepare(service->methods, NULL, NULL);
    free_protocol(in);
    free_protocol(out);
    return ok;
}

/* `reply` has the body, and the type in its own header. */
static void append_reply(Buffer *out, const Fb303Call *call, const Message *reply)
{
    Form form = call->form;
    Bytes name = call->message->name;
    size_t header_len = header_size(form.protocol, form.strict, name, call->message->seqid);
    size_t frame_len = form.transport == TRANSPORT_FRAMED ? FRAME_HEADER_SIZE : 0;
    uint8_t *to = buffer_reserve(out, frame_len + header_len + reply->body.len);
    if (frame_len > 0)
        store_be32(to, (uint32_t)(header_len + reply->body.len));
    to = header_write(to + frame_len, form.protocol, form.strict, reply->type, name,
                      call->message->seqid);
    memcpy(to, reply->body.data, reply->body.len);
    out->len += frame_len + header_len + reply->body.len;
}

/* False: the processor has written no reply. */
static bool read_reply(const MemoryTransport *memory, Protocol protocol, Message *ret)
{
    size_t len, header_len;
    const uint8_t *data = memory_transport_output((MemoryTransport *)memory, &len);
    if (header_read(protocol, (Bytes){data, len}, len, ret, &header_len) != HEADER_OK)
        return false;
    ret->body = (Bytes){data + header_len, len - header_len};
    return true;
}

bool fb303_service_answer(Fb303Service *service, const Fb303Call *call, Buffer *out)
{
    MemoryTransport *memory = memory_transport_new(MAX_REPLY);
    g_autoptr(GError) error = NULL;
    Message reply;
    bool changes = false;
    bool ok = process(service, call, memory, &changes, &error);
    bool owed = call->message->type == MESSAGE_CALL;
    if (!ok && owed)
        exception_append(out, call->form, call->message->name, call->message->seqid,
                         EXCEPTION_INTERNAL_ERROR,
                         error != NULL ? error->message : "the call could not be processed");
    else if (owed && read_reply(memory, call->form.protocol, &reply))
        append_reply(out, call, &reply);
    g_object_unref(memory);
    return changes;
}
