/* bench-upstream: a server whose messages and calls cost what they are said to.
 *
 * One thread, raw epoll; answers echo and executeBatch (answer.h). What a message costs is so much
 * a message, of which a batch is one, and so much a call:
 *
 *     nothing     by default; one read and one write for what a connection has sent
 *     --busy      the thread computes; like every single-threaded server it does one message at a
 *                 time, in the order in which they came
 *     --sleep     the answer comes that much later, and the thread serves others meanwhile; one
 *                 message at a time of each connection
 *     --serial    with --sleep: one message at a time of the whole server
 *
 *                   due: replies by time
 *     read -> answer ------------------> write
 *               \_______________________/
 *                     without --sleep
 *
 * SIGUSR1 prints what has been served as a line of JSON. */

#include "answer.h"
#include "sockets.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    ROOM = 256 << 10,
    FRAME = 4,
    LARGEST = 64 << 20,
    EXIT_USAGE = 2,
};

typedef struct Connection {
    int fd; /* -1: closed; it is freed with its last reply that is due */
    Buffer in, out;
    nsec_t free_at; /* when its last message is answered */
    unsigned owed;  /* replies that are due later */
} Connection;

/* A reply that is not due yet. */
typedef struct Reply {
    nsec_t due;
    uint64_t number; /* equal times: in the order of their messages */
    Connection *connection;
    Buffer bytes;
} Reply;

typedef struct Server {
    gchar *listen;
    gboolean busy, sleep, serial;
    gint message_us, call_us;

    int epoll, listener, signals;
    nsec_t free_at;
    GArray *due; /* of Reply: a heap, the earliest first */
    Buffer made; /* the reply that is being made */
    uint64_t messages, calls, batches, batched, largest;
} Server;

static uint8_t room[ROOM];

/* --- connections --------------------------------------------------------------------------------
 */

static void connection_free_if_done(Connection *connection)
{
    if (connection->fd >= 0 || connection->owed > 0)
        return;
    buffer_clear(&connection->in);
    buffer_clear(&connection->out);
    g_free(connection);
}

static void connection_close(Connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
}

static void watch(const Server *server, Connection *connection, int operation, bool writable)
{
    struct epoll_event event = {
        .events = EPOLLIN | (writable ? EPOLLOUT : 0),
        .data.ptr = connection,
    };

    epoll_ctl(server->epoll, operation, connection->fd, &event);
}

/* How much the kernel takes; all of it where the connection is lost, which reading will tell. */
static size_t give(const Connection *connection, const uint8_t *data, size_t len)
{
    ssize_t sent = send(connection->fd, data, len, MSG_NOSIGNAL);

    if (sent >= 0)
        return (size_t)sent;
    return errno == EAGAIN ? 0 : len;
}

static void give_or_keep(const Server *server, Connection *connection, const Buffer *bytes)
{
    size_t sent = 0;

    if (connection->fd < 0 || bytes->len == 0)
        return;
    if (connection->out.len == 0) {
        sent = give(connection, bytes->data, bytes->len);
        if (sent < bytes->len)
            watch(server, connection, EPOLL_CTL_MOD, true);
    }
    buffer_append(&connection->out, bytes->data + sent, bytes->len - sent);
}

static void connection_flush(const Server *server, Connection *connection)
{
    Buffer *out = &connection->out;

    buffer_drop(out, give(connection, out->data, out->len));
    if (out->len == 0)
        watch(server, connection, EPOLL_CTL_MOD, false);
}

static void accept_all(const Server *server)
{
    int fd;

    while ((fd = sockets_accept(server->listener)) >= 0) {
        Connection *connection = g_new0(Connection, 1);

        connection->fd = fd;
        watch(server, connection, EPOLL_CTL_ADD, false);
    }
}

/* --- replies that are due later -----------------------------------------------------------------
 */

static Reply *reply_at(const Server *server, guint index)
{
    return &g_array_index(server->due, Reply, index);
}

static bool swap_if_earlier(const Server *server, guint child, guint parent)
{
    Reply *a = reply_at(server, child), *b = reply_at(server, parent), kept = *a;

    if (a->due > b->due || (a->due == b->due && a->number > b->number))
        return false;
    *a = *b;
    *b = kept;
    return true;
}

static void due_add(Server *server, Reply reply)
{
    guint at = server->due->len;

    g_array_append_val(server->due, reply);
    while (at > 0 && swap_if_earlier(server, at, (at - 1) / 2))
        at = (at - 1) / 2;
}

static Reply due_take(Server *server)
{
    Reply first = *reply_at(server, 0);
    guint at = 0, last = server->due->len - 1;

    *reply_at(server, 0) = *reply_at(server, last);
    g_array_set_size(server->due, last);
    for (;;) {
        guint left = 2 * at + 1, right = left + 1, least = left;

        if (right < last && (reply_at(server, right)->due < reply_at(server, left)->due ||
                             (reply_at(server, right)->due == reply_at(server, left)->due &&
                              reply_at(server, right)->number < reply_at(server, left)->number)))
            least = right;
        if (least >= last || !swap_if_earlier(server, least, at))
            return first;
        at = least;
    }
}

static void give_what_is_due(Server *server)
{
    while (server->due->len > 0 && reply_at(server, 0)->due <= clock_now()) {
        Reply reply = due_take(server);

        give_or_keep(server, reply.connection, &reply.bytes);
        reply.connection->owed--;
        buffer_clear(&reply.bytes);
        connection_free_if_done(reply.connection);
    }
}

/* --- serving ------------------------------------------------------------------------------------
 */

static void count(Server *server, Answer answer)
{
    server->messages++;
    server->calls += answer.calls;
    if (answer.is_batch && answer.calls > 0) {
        server->batches++;
        server->batched += answer.calls;
        server->largest = MAX(server->largest, answer.calls);
    }
}

static void give_later(Server *server, Connection *connection, nsec_t cost)
{
    nsec_t *free_at = server->serial ? &server->free_at : &connection->free_at;

    *free_at = MAX(*free_at, clock_now()) + cost;
    connection->owed++;
    due_add(server, (Reply){
                        .due = *free_at,
                        .number = server->messages,
                        .connection = connection,
                        .bytes = server->made,
                    });
    server->made = (Buffer){0};
}

/* Computing takes processor time: what others get of the processor meanwhile is no progress. */
static nsec_t processor_time(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (nsec_t)used.tv_sec * NSEC_PER_SEC + (nsec_t)used.tv_nsec;
}

/* The reply is in server->made, behind those that nothing had to be paid for. */
static void pay(Server *server, Connection *connection, Answer answer)
{
    nsec_t cost =
        ((nsec_t)server->message_us + (nsec_t)server->call_us * answer.calls) * NSEC_PER_USEC;

    count(server, answer);
    if (cost == 0 || answer.calls == 0)
        return;
    if (server->sleep) {
        give_later(server, connection, cost);
        return;
    }
    for (nsec_t end = processor_time() + cost; processor_time() < end;)
        ;
    give_or_keep(server, connection, &server->made);
    server->made.len = 0;
}

/* Serves the whole messages; how many bytes they are, or -1. */
static ssize_t serve(Server *server, Connection *connection, Bytes bytes)
{
    size_t done = 0;

    while (bytes.len - done >= FRAME) {
        uint32_t len = load_be32(bytes.data + done);
        Answer answer;

        if (len > LARGEST)
            return -1;
        if (len > bytes.len - done - FRAME)
            break;
        answer = answer_message((Bytes){bytes.data + done + FRAME, len}, &server->made);
        if (!answer.valid)
            return -1;
        pay(server, connection, answer);
        done += FRAME + len;
    }
    give_or_keep(server, connection, &server->made);
    server->made.len = 0;
    return (ssize_t)done;
}

/* A message that did not come whole waits in the connection, and is asked for as a whole. */
static size_t wanted(const Buffer *in)
{
    uint32_t len = in->len >= FRAME ? load_be32(in->data) : 0;

    return MAX((size_t)ROOM, len <= LARGEST && len + FRAME > in->len ? len + FRAME - in->len : 0);
}

static bool receive(Server *server, Connection *connection)
{
    Buffer *in = &connection->in;
    bool begun = in->len > 0;
    size_t want = begun ? wanted(in) : ROOM;
    uint8_t *to = begun ? buffer_reserve(in, want) : room;
    ssize_t got = read(connection->fd, to, want), done;

    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    if (begun) {
        in->len += (size_t)got;
        done = serve(server, connection, (Bytes){in->data, in->len});
        if (done > 0)
            buffer_drop(in, (size_t)done);
    } else {
        done = serve(server, connection, (Bytes){room, (size_t)got});
        if (done >= 0)
            buffer_append(in, room + done, (size_t)(got - done));
    }
    return done >= 0;
}

static void on_event(Server *server, Connection *connection, uint32_t events)
{
    if ((events & EPOLLOUT) != 0)
        connection_flush(server, connection);
    if ((events & ~(uint32_t)EPOLLOUT) != 0 && !receive(server, connection)) {
        server->made.len = 0;
        connection_close(connection);
        connection_free_if_done(connection);
    }
}

static bool on_signal(Server *server)
{
    struct signalfd_siginfo got;
    bool go_on = read(server->signals, &got, sizeof got) == sizeof got && got.ssi_signo == SIGUSR1;

    printf("{\"messages\": %" PRIu64 ", \"calls\": %" PRIu64 ", \"batches\": %" PRIu64
           ", \"batched\": %" PRIu64 ", \"largest\": %" PRIu64 "}\n",
           server->messages, server->calls, server->batches, server->batched, server->largest);
    fflush(stdout);
    return go_on;
}

static bool turn(Server *server)
{
    nsec_t wait = server->due->len > 0 ? nsec_until(clock_now(), reply_at(server, 0)->due) : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait / NSEC_PER_SEC),
                               .tv_nsec = (long)(wait % NSEC_PER_SEC)};
    struct epoll_event events[EVENTS];
    int number =
        epoll_pwait2(server->epoll, events, EVENTS, server->due->len > 0 ? &timeout : NULL, NULL);

    for (int i = 0; i < number; i++) {
        if (events[i].data.ptr == &server->listener)
            accept_all(server);
        else if (events[i].data.ptr != &server->signals)
            on_event(server, events[i].data.ptr, events[i].events);
        else if (!on_signal(server))
            return false;
    }
    give_what_is_due(server);
    return true;
}

/* --- starting -----------------------------------------------------------------------------------
 */

static void watch_own(const Server *server, int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

    epoll_ctl(server->epoll, EPOLL_CTL_ADD, *fd, &event);
}

static void server_run(Server *server)
{
    sigset_t signals;

    sockets_allow_many();
    prctl(PR_SET_TIMERSLACK, 1UL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    server->signals = signalfd(-1, &signals, SFD_CLOEXEC);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->due = g_array_new(FALSE, FALSE, sizeof(Reply));
    server->listener = sockets_listen(server->listen);
    watch_own(server, &server->signals);
    watch_own(server, &server->listener);
    while (turn(server))
        ;
}

int main(int argc, char **argv)
{
    static Server server;
    const GOptionEntry entries[] = {
        {"listen", 0, 0, G_OPTION_ARG_STRING, &server.listen,
         "host:port (127.0.0.1:0) or unix:/path", "ADDRESS"},
        {"busy", 0, 0, G_OPTION_ARG_NONE, &server.busy, "costs are computing (default)", NULL},
        {"sleep", 0, 0, G_OPTION_ARG_NONE, &server.sleep, "costs are waiting", NULL},
        {"serial", 0, 0, G_OPTION_ARG_NONE, &server.serial,
         "with --sleep: one message at a time of the whole server", NULL},
        {"message-us", 0, 0, G_OPTION_ARG_INT, &server.message_us, "cost of a message (0)", "US"},
        {"call-us", 0, 0, G_OPTION_ARG_INT, &server.call_us, "cost of a call (0)", "US"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_set_summary(context, "Serves echo and executeBatch, framed, strict binary.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("%s\n", error->message);
        return EXIT_USAGE;
    }
    if ((server.busy && server.sleep) || server.message_us < 0 || server.call_us < 0) {
        g_printerr("--busy or --sleep, with costs that are not negative\n");
        return EXIT_USAGE;
    }
    if (server.listen == NULL)
        server.listen = g_strdup("127.0.0.1:0");
    server_run(&server);
    g_free(server.listen);
    return 0;
}
