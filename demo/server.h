/* A listener, and a thread for each connection. */
#pragma once

#include "counts.h"
#include <thrift/c_glib/processor/thrift_processor.h>

typedef struct ServerParams {
    const char *listen; /* host:port, [v6]:port, unix:/path; port 0: the kernel chooses */
    gboolean framed, compact;
    gboolean serial; /* one message at a time over all connections */
    guint64 message_cost_us;
    ThriftProcessor *processor; /* borrowed */
    Counts *counts;             /* borrowed */
} ServerParams;

typedef struct Server Server;

/* Listens. `params` is copied, what it points to is borrowed for the server's life. */
Server *server_new(const ServerParams *params, GError **error) __attribute__((warn_unused_result));

/* Where it listens, as `listen` above with the port that the kernel chose. */
const char *server_address(const Server *server);

/* Serves until `signal_fd`, a signalfd, can be read; returns at the next chance, with connections
 * still open. */
void server_run(Server *server, int signal_fd);

/* Closes every connection, waits for its thread, removes a unix socket. */
void server_free(Server *server);
