/* One buffer takes the output of a whole batch: a reply is a range of it, and a reply that fails is
 * taken back by truncating. */

#include "memory-transport.h"

#include <string.h>

struct MemoryTransport {
    ThriftTransport parent;
    const guint8 *input; /* borrowed */
    gsize input_len, position;
    GByteArray *output;
    gsize max_output;
};

typedef struct MemoryTransportClass {
    ThriftTransportClass parent_class;
} MemoryTransportClass;

G_DEFINE_TYPE(MemoryTransport, batch_memory_transport, THRIFT_TYPE_TRANSPORT)

static MemoryTransport *from_transport(ThriftTransport *transport)
{
    return G_TYPE_CHECK_INSTANCE_CAST(transport, BATCH_TYPE_MEMORY_TRANSPORT, MemoryTransport);
}

/* Tells that so many bytes are there. c_glib asks this before it allocates what a length claims. */
static gboolean memory_transport_check_available(ThriftTransport *transport, glong len,
                                                 GError **error)
{
    MemoryTransport *memory = from_transport(transport);

    if (len >= 0 && (gsize)len <= memory->input_len - memory->position)
        return TRUE;
    g_set_error(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_RECEIVE,
                "the message ends too early");
    return FALSE;
}

static gint32 memory_transport_read(ThriftTransport *transport, gpointer buf, guint32 len,
                                    GError **error)
{
    MemoryTransport *memory = from_transport(transport);

    if (!memory_transport_check_available(transport, (glong)len, error))
        return -1;
    if (len > 0)
        memcpy(buf, memory->input + memory->position, len);
    memory->position += len;
    return (gint32)len;
}

static gboolean memory_transport_write(ThriftTransport *transport, const gpointer buf,
                                       const guint32 len, GError **error)
{
    MemoryTransport *memory = from_transport(transport);

    if (len > memory->max_output || memory->output->len > memory->max_output - len) {
        g_set_error(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_SEND,
                    "the replies of this batch are too large together");
        return FALSE;
    }
    g_byte_array_append(memory->output, buf, len);
    return TRUE;
}

static gboolean memory_transport_is_open(ThriftTransport *transport)
{
    (void)transport;
    return TRUE;
}

static gboolean memory_transport_peek(ThriftTransport *transport, GError **error)
{
    MemoryTransport *memory = from_transport(transport);

    (void)error;
    return memory->position < memory->input_len;
}

static gboolean memory_transport_do_nothing(ThriftTransport *transport, GError **error)
{
    (void)transport, (void)error;
    return TRUE;
}

static gboolean memory_transport_ignore_size(ThriftTransport *transport, glong size, GError **error)
{
    (void)transport, (void)size, (void)error;
    return TRUE;
}

static void batch_memory_transport_init(MemoryTransport *memory)
{
    memory->output = g_byte_array_new();
}

static void memory_transport_finalize(GObject *object)
{
    MemoryTransport *memory = from_transport((ThriftTransport *)object);

    g_byte_array_unref(memory->output);
    G_OBJECT_CLASS(batch_memory_transport_parent_class)->finalize(object);
}

static void batch_memory_transport_class_init(MemoryTransportClass *class)
{
    ThriftTransportClass *transport_class = &class->parent_class;

    G_OBJECT_CLASS(class)->finalize = memory_transport_finalize;
    transport_class->is_open = memory_transport_is_open;
    transport_class->peek = memory_transport_peek;
    transport_class->open = memory_transport_do_nothing;
    transport_class->close = memory_transport_do_nothing;
    transport_class->read = memory_transport_read;
    transport_class->read_all = memory_transport_read;
    transport_class->read_end = memory_transport_do_nothing;
    transport_class->write = memory_transport_write;
    transport_class->write_end = memory_transport_do_nothing;
    transport_class->flush = memory_transport_do_nothing;
    /* c_glib counts down a size limit of the connection here; this one's limit is its end. */
    transport_class->checkReadBytesAvailable = memory_transport_check_available;
    transport_class->updateKnownMessageSize = memory_transport_ignore_size;
    transport_class->resetConsumedMessageSize = memory_transport_ignore_size;
    transport_class->countConsumedMessageBytes = memory_transport_ignore_size;
}

MemoryTransport *memory_transport_new(gsize max_output)
{
    MemoryTransport *memory = g_object_new(BATCH_TYPE_MEMORY_TRANSPORT, NULL);

    memory->max_output = max_output;
    return memory;
}

void memory_transport_set_input(MemoryTransport *memory, const guint8 *data, gsize len)
{
    memory->input = data;
    memory->input_len = len;
    memory->position = 0;
}

gsize memory_transport_tell(MemoryTransport *memory)
{
    return memory->position;
}

void memory_transport_seek(MemoryTransport *memory, gsize position)
{
    memory->position = position;
}

const guint8 *memory_transport_output(MemoryTransport *memory, gsize *ret_len)
{
    *ret_len = memory->output->len;
    return memory->output->data;
}

void memory_transport_truncate_output(MemoryTransport *memory, gsize len)
{
    g_byte_array_set_size(memory->output, (guint)len);
}

void memory_transport_set_max_output(MemoryTransport *memory, gsize max_output)
{
    memory->max_output = max_output;
}
