/* A ThriftTransport over an accepted socket, framed or not, in place of c_glib's ThriftSocket under
 * ThriftFramedTransport or ThriftBufferedTransport: those put whole frames on the stack, move what
 * is left of a message at each read, and read unframed messages a few bytes a system call.
 *
 * Reads through a fixed buffer, large values past it; a reply is one write. */
#pragma once

#include <thrift/c_glib/transport/thrift_transport.h>

typedef struct SocketTransport SocketTransport;

GType socket_transport_get_type(void);

enum {
    SOCKET_TRANSPORT_MAX_MESSAGE = 256 << 20,
};

/* `fd` is borrowed: whoever closes it makes the reads of another thread end by shutdown(). */
SocketTransport *socket_transport_new(int fd, gboolean framed);

/* Waits for a message to begin. False when the peer is gone, has sent an impossible frame, or the
 * message does not begin with `first`, as every message of a protocol does. */
gboolean socket_transport_wait(SocketTransport *transport, guint8 first);
