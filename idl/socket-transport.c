/* Where the reading stands, framed:
 *
 *     | length | message ...                 | length | ...
 *              |<- frame_left ->|
 *
 * frame_left is what the message may still take; unframed it has no meaning, and the limit is
 * SOCKET_TRANSPORT_MAX_MESSAGE for a single value. */

#include "socket-transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
    BUFFER = 64 << 10,
    FRAME_HEADER = 4,
    OUTPUT_KEPT = 1 << 20, /* a larger output buffer is given back after its reply */
};

struct SocketTransport {
    ThriftTransport parent;
    int fd;
    gboolean framed;
    guint32 frame_left;
    guint8 *buffer;
    gsize begin, end; /* what has been read from the socket and not taken */
    GByteArray *output;
};

typedef struct SocketTransportClass {
    ThriftTransportClass parent_class;
} SocketTransportClass;

G_DEFINE_TYPE(SocketTransport, socket_transport, THRIFT_TYPE_TRANSPORT)

static SocketTransport *from_transport(ThriftTransport *transport)
{
    return G_TYPE_CHECK_INSTANCE_CAST(transport, socket_transport_get_type(), SocketTransport);
}

/* --- bytes ----------------------------------------------------------------------------------- */

static gsize receive(SocketTransport *transport, guint8 *into, gsize len)
{
    ssize_t got;

    do
        got = recv(transport->fd, into, len, 0);
    while (got < 0 && errno == EINTR);
    return got > 0 ? (gsize)got : 0;
}

/* One read at least: false at the end of the stream. */
static gboolean fill(SocketTransport *transport)
{
    if (transport->begin == transport->end)
        transport->begin = transport->end = 0;
    transport->end +=
        receive(transport, transport->buffer + transport->end, BUFFER - transport->end);
    return transport->begin < transport->end;
}

static gboolean take(SocketTransport *transport, guint8 *into, gsize len)
{
    while (len > 0) {
        gsize have = MIN(len, transport->end - transport->begin);

        if (have > 0) {
            memcpy(into, transport->buffer + transport->begin, have);
            transport->begin += have;
        } else if (len >= BUFFER) {
            have = receive(transport, into, len);
        } else if (fill(transport)) {
            continue;
        }
        if (have == 0)
            return FALSE;
        into += have;
        len -= have;
    }
    return TRUE;
}

static gboolean begin_frame(SocketTransport *transport)
{
    guint32 len;

    if (!take(transport, (guint8 *)&len, FRAME_HEADER))
        return FALSE;
    transport->frame_left = ntohl(len);
    return transport->frame_left > 0 && transport->frame_left <= SOCKET_TRANSPORT_MAX_MESSAGE;
}

gboolean socket_transport_wait(SocketTransport *transport, guint8 first)
{
    if (transport->framed && transport->frame_left == 0 && !begin_frame(transport))
        return FALSE;
    if (transport->begin == transport->end && !fill(transport))
        return FALSE;
    return transport->buffer[transport->begin] == first;
}

/* --- what c_glib calls ----------------------------------------------------------------------- */

static gboolean socket_transport_check_available(ThriftTransport *base, glong len, GError **error)
{
    SocketTransport *transport = from_transport(base);
    guint32 most = transport->framed ? transport->frame_left : SOCKET_TRANSPORT_MAX_MESSAGE;

    if (len >= 0 && len <= (glong)most)
        return TRUE;
    g_set_error(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_MAX_MESSAGE_SIZE_REACHED,
                "the message claims more bytes than it has");
    return FALSE;
}

static gint32 socket_transport_read(ThriftTransport *base, gpointer into, guint32 len,
                                    GError **error)
{
    SocketTransport *transport = from_transport(base);

    if (!socket_transport_check_available(base, (glong)len, error))
        return -1;
    if (!take(transport, into, len)) {
        g_set_error(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_RECEIVE,
                    "the connection ended inside a message");
        return -1;
    }
    if (transport->framed)
        transport->frame_left -= len;
    return (gint32)len;
}

static gboolean socket_transport_read_end(ThriftTransport *base, GError **error)
{
    SocketTransport *transport = from_transport(base);

    if (!transport->framed || transport->frame_left == 0)
        return TRUE;
    g_set_error(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_RECEIVE,
                "%u bytes behind the message in its frame", transport->frame_left);
    return FALSE;
}

static gboolean socket_transport_write(ThriftTransport *base, const gpointer from,
                                       const guint32 len, GError **error)
{
    SocketTransport *transport = from_transport(base);

    if (len > G_MAXINT32 - transport->output->len) {
        g_set_error(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_SEND,
                    "the reply is too large");
        return FALSE;
    }
    if (transport->framed && transport->output->len == 0)
        g_byte_array_set_size(transport->output, FRAME_HEADER);
    g_byte_array_append(transport->output, from, len);
    return TRUE;
}

static void forget_output(SocketTransport *transport)
{
    if (transport->output->len > OUTPUT_KEPT) {
        g_byte_array_unref(transport->output);
        transport->output = g_byte_array_new();
    }
    g_byte_array_set_size(transport->output, 0);
}

static gboolean socket_transport_flush(ThriftTransport *base, GError **error)
{
    SocketTransport *transport = from_transport(base);
    gsize sent = 0, len = transport->output->len;

    if (len == 0)
        return TRUE;
    if (transport->framed) {
        guint32 frame = htonl((guint32)(len - FRAME_HEADER));

        memcpy(transport->output->data, &frame, FRAME_HEADER);
    }
    while (sent < len) {
        ssize_t n = send(transport->fd, transport->output->data + sent, len - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            g_set_error(error, THRIFT_TRANSPORT_ERROR, THRIFT_TRANSPORT_ERROR_SEND,
                        "cannot send: %s", g_strerror(errno));
            return FALSE;
        }
        sent += (gsize)n;
    }
    forget_output(transport);
    return TRUE;
}

static gboolean socket_transport_is_open(ThriftTransport *base)
{
    (void)base;
    return TRUE;
}

static gboolean socket_transport_do_nothing(ThriftTransport *base, GError **error)
{
    (void)base, (void)error;
    return TRUE;
}

static gboolean socket_transport_ignore_size(ThriftTransport *base, glong size, GError **error)
{
    (void)base, (void)size, (void)error;
    return TRUE;
}

static void socket_transport_init(SocketTransport *transport)
{
    transport->buffer = g_malloc(BUFFER);
    transport->output = g_byte_array_new();
}

static void socket_transport_finalize(GObject *object)
{
    SocketTransport *transport = from_transport((ThriftTransport *)object);

    g_free(transport->buffer);
    g_byte_array_unref(transport->output);
    G_OBJECT_CLASS(socket_transport_parent_class)->finalize(object);
}

static void socket_transport_class_init(SocketTransportClass *class)
{
    ThriftTransportClass *methods = &class->parent_class;

    G_OBJECT_CLASS(class)->finalize = socket_transport_finalize;
    methods->is_open = socket_transport_is_open;
    methods->open = socket_transport_do_nothing;
    methods->close = socket_transport_do_nothing;
    methods->read = socket_transport_read;
    methods->read_all = socket_transport_read;
    methods->read_end = socket_transport_read_end;
    methods->write = socket_transport_write;
    methods->write_end = socket_transport_do_nothing;
    methods->flush = socket_transport_flush;
    methods->checkReadBytesAvailable = socket_transport_check_available;
    methods->updateKnownMessageSize = socket_transport_ignore_size;
    methods->resetConsumedMessageSize = socket_transport_ignore_size;
    methods->countConsumedMessageBytes = socket_transport_ignore_size;
}

SocketTransport *socket_transport_new(int fd, gboolean framed)
{
    SocketTransport *transport = g_object_new(socket_transport_get_type(), NULL);

    transport->fd = fd;
    transport->framed = framed;
    return transport;
}
