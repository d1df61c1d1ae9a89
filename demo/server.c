/* A connection belongs to its thread; the server's list knows it until the thread has been joined.
 * The thread says that it is done through an eventfd, and the accepting loop joins it. */

#include "server.h"

#include "base/list.h"
#include "sleep.h"
#include "socket-transport.h"
#include "turn.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <unistd.h>

enum {
    FIRST_BYTE_BINARY = 0x80,
    FIRST_BYTE_COMPACT = 0x82,
};

struct Server {
    ServerParams params;
    int listen_fd, done_fd;
    char *address;
    char *unix_path; /* to remove at the end; NULL over TCP */
    Turn turn;
    List connections;
};

typedef struct Connection {
    Server *server;
    int fd;
    GThread *thread;
    ListLink connections_link;
    _Atomic gboolean done;
} Connection;

/* --- a connection ---------------------------------------------------------------------------- */

static gboolean process_message(const ServerParams *params, ThriftProtocol *protocol)
{
    g_autoptr(GError) error = NULL;

    atomic_fetch_add(&params->counts->messages, 1);
    sleep_us(params->message_cost_us);
    if (thrift_processor_process(params->processor, protocol, protocol, &error))
        return TRUE;
    g_printerr("closing a connection: %s\n", error != NULL ? error->message : "cannot process");
    return FALSE;
}

static gpointer connection_run(gpointer data)
{
    Connection *connection = data;
    Server *server = connection->server;
    const ServerParams *params = &server->params;
    SocketTransport *transport = socket_transport_new(connection->fd, params->framed);
    ThriftProtocol *protocol =
        g_object_new(params->compact ? THRIFT_TYPE_COMPACT_PROTOCOL : THRIFT_TYPE_BINARY_PROTOCOL,
                     "transport", transport, NULL);
    guint8 first = params->compact ? FIRST_BYTE_COMPACT : FIRST_BYTE_BINARY;
    gboolean ok = TRUE;

    while (ok && socket_transport_wait(transport, first)) {
        if (params->serial)
            turn_take(&server->turn);
        ok = process_message(params, protocol);
        if (params->serial)
            turn_pass(&server->turn);
    }
    g_object_unref(protocol);
    g_object_unref(transport);
    /* The peer learns it now; the descriptor stays until the thread has been joined. */
    shutdown(connection->fd, SHUT_RDWR);
    atomic_fetch_sub(&params->counts->connections_open, 1);
    atomic_store(&connection->done, TRUE);
    eventfd_write(server->done_fd, 1);
    return NULL;
}

static void connection_start(Server *server, int fd)
{
    Counts *counts = server->params.counts;
    Connection *connection = g_new0(Connection, 1);
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on unix sockets: fine */
    connection->server = server;
    connection->fd = fd;
    list_append(&server->connections, &connection->connections_link);
    atomic_fetch_add(&counts->connections_total, 1);
    counts_raise(&counts->connections_most, atomic_fetch_add(&counts->connections_open, 1) + 1);
    connection->thread = g_thread_try_new("connection", connection_run, connection, NULL);
    if (connection->thread == NULL) {
        g_printerr("no thread for a connection\n");
        atomic_fetch_sub(&counts->connections_open, 1);
        atomic_store(&connection->done, TRUE);
    }
}

static void connection_free(Connection *connection)
{
    list_remove(&connection->connections_link);
    if (connection->thread != NULL)
        g_thread_join(connection->thread);
    close(connection->fd);
    g_free(connection);
}

/* --- the listener ---------------------------------------------------------------------------- */

static gboolean fail_errno(GError **error, const char *what, const char *address)
{
    int number = errno;

    g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(number), "%s %s: %s", what,
                address, g_strerror(number));
    return FALSE;
}

static gboolean bind_and_listen(Server *server, int family, const struct sockaddr *address,
                                socklen_t len, GError **error)
{
    int on = 1;

    server->listen_fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->listen_fd < 0)
        return fail_errno(error, "no socket for", server->params.listen);
    setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(server->listen_fd, address, len) < 0 || listen(server->listen_fd, SOMAXCONN) < 0)
        return fail_errno(error, "cannot listen on", server->params.listen);
    return TRUE;
}

static gboolean listen_unix(Server *server, const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat info = {0};

    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return fail_errno(error, "cannot listen on", path);
    }
    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode))
        unlink(path);
    if (!bind_and_listen(server, AF_UNIX, (struct sockaddr *)&address, sizeof(address), error))
        return FALSE;
    server->unix_path = g_strdup(path);
    server->address = g_strdup(server->params.listen);
    return TRUE;
}

static gboolean name_tcp(Server *server, GError **error)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (getsockname(server->listen_fd, (struct sockaddr *)&bound, &len) < 0 ||
        getnameinfo((struct sockaddr *)&bound, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return fail_errno(error, "cannot name", server->params.listen);
    server->address =
        g_strdup_printf(bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return TRUE;
}

static gboolean listen_tcp(Server *server, const char *text, GError **error)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(text, ':');
    g_autofree char *host = NULL;
    struct addrinfo *found = NULL;
    gboolean ok = FALSE;
    gsize len;
    int result;

    if (colon == NULL) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is not host:port or unix:/path",
                    text);
        return FALSE;
    }
    len = (gsize)(colon - text);
    host = len >= 2 && text[0] == '[' && text[len - 1] == ']' ? g_strndup(text + 1, len - 2)
                                                              : g_strndup(text, len);
    result = getaddrinfo(host, colon + 1, &hints, &found);
    if (result != 0)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: %s", text, gai_strerror(result));
    else
        ok = bind_and_listen(server, found->ai_family, found->ai_addr, found->ai_addrlen, error) &&
             name_tcp(server, error);
    if (found != NULL)
        freeaddrinfo(found);
    return ok;
}

Server *server_new(const ServerParams *params, GError **error)
{
    Server *server = g_new0(Server, 1);
    gboolean ok;

    server->params = *params;
    server->listen_fd = -1;
    server->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    turn_init(&server->turn);
    list_init(&server->connections);
    ok = g_str_has_prefix(params->listen, "unix:")
             ? listen_unix(server, params->listen + strlen("unix:"), error)
             : listen_tcp(server, params->listen, error);
    if (!ok)
        g_clear_pointer(&server, server_free);
    return server;
}

const char *server_address(const Server *server)
{
    return server->address;
}

/* --- the loop -------------------------------------------------------------------------------- */

static void accept_all(Server *server)
{
    for (;;) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            connection_start(server, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN) {
            g_printerr("cannot accept: %s\n", g_strerror(errno));
            sleep_us(10000); /* out of descriptors: until some connection ends */
        }
        return;
    }
}

static void join_done(Server *server)
{
    eventfd_t n;

    eventfd_read(server->done_fd, &n);
    LIST_EACH_SAFE (&server->connections, link) {
        Connection *connection = LIST_OWNER(link, Connection, connections_link);

        if (atomic_load(&connection->done))
            connection_free(connection);
    }
}

void server_run(Server *server, int signal_fd)
{
    struct pollfd fds[] = {
        {.fd = signal_fd, .events = POLLIN},
        {.fd = server->listen_fd, .events = POLLIN},
        {.fd = server->done_fd, .events = POLLIN},
    };

    for (;;) {
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
            if (errno == EINTR)
                continue;
            return;
        }
        if (fds[0].revents != 0)
            return;
        if (fds[1].revents != 0)
            accept_all(server);
        if (fds[2].revents != 0)
            join_done(server);
    }
}

void server_free(Server *server)
{
    if (server == NULL)
        return;
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    LIST_EACH (&server->connections, link)
        shutdown(LIST_OWNER(link, Connection, connections_link)->fd, SHUT_RDWR);
    LIST_EACH_SAFE (&server->connections, link)
        connection_free(LIST_OWNER(link, Connection, connections_link));
    if (server->unix_path != NULL)
        unlink(server->unix_path);
    close(server->done_fd);
    turn_clear(&server->turn);
    g_free(server->unix_path);
    g_free(server->address);
    g_free(server);
}
