#include "admin/fb303-connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "wire/exception.h"

typedef enum Fb303State {
    FB303_STATE_READING,
    FB303_STATE_WAITING, /* for statistics */
    FB303_STATE_WRITING,
    FB303_STATE_LAST_WORDS,
    FB303_STATE_CLOSED,
} Fb303State;

struct Fb303Connection {
    ListLink link; /* Fb303Connections.open, closed */
    Fb303Connections *set;
    int fd;
    struct event readable, writable;
    Fb303State state;
    nsec_t active; /* when it came, was given a reply, or had taken a whole one */
    FrameReader reader;
    Buffer input;
    size_t taken; /* bytes of `input` that have been answered */
    Buffer output;
    size_t written;       /* bytes of `output` */
    Message message;      /* WAITING: borrowed from `input` */
    size_t message_size;  /* with frame header */
    StatsRequest request; /* WAITING */
    char *refusal;        /* why it may not change anything; NULL: it may */
};

/* --- who may change the daemon --------------------------------------------------------------- */

/* NULL: the peer may. */
static char *peer_refusal(int fd)
{
    struct ucred peer;
    struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
    socklen_t peer_len = sizeof peer, own_len = sizeof own;
    if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0 || own.ss_family != AF_UNIX)
        return g_strdup("what changes the daemon is accepted only over its unix socket");
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) < 0)
        return g_strdup("the peer's user is not known");
    if (peer.uid == 0 || peer.uid == geteuid())
        return NULL;
    return g_strdup_printf("what changes the daemon is accepted only from root and from the "
                           "daemon's own user (uid %u), not from uid %u",
                           (unsigned)geteuid(), (unsigned)peer.uid);
}

/* --- the end of a connection ----------------------------------------------------------------- */

static void free_connection(Fb303Connection *connection)
{
    list_remove(&connection->link);
    buffer_clear(&connection->input);
    buffer_clear(&connection->output);
    g_free(connection->refusal);
    g_free(connection);
}

static void free_closed(void *data)
{
    Fb303Connections *set = data;
    ListLink *link;
    while ((link = list_first(&set->closed)) != NULL)
        free_connection(LIST_OWNER(link, Fb303Connection, link));
}

/* Bytes left unread would make the kernel reset the connection, and with it the last reply. */
static void discard_unread(int fd)
{
    uint8_t sink[4096];
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 16 && read(fd, sink, sizeof sink) > 0; i++)
        ;
}

static void close_connection(Fb303Connection *connection)
{
    Fb303Connections *set = connection->set;
    check(connection->state != FB303_STATE_CLOSED);
    event_del(&connection->readable);
    event_del(&connection->writable);
    if (connection->state == FB303_STATE_LAST_WORDS)
        discard_unread(connection->fd);
    close(connection->fd);
    connection->state = FB303_STATE_CLOSED;
    set->n_open--;
    list_remove(&connection->link);
    list_append(&set->closed, &connection->link);
    loop_defer(set->loop, &set->release);
}

/* --- messages -------------------------------------------------------------------------------- */

static void take_next(Fb303Connection *connection);

static void wait_for(Fb303Connection *connection, Fb303State state)
{
    event_del(&connection->readable);
    event_del(&connection->writable);
    connection->state = state;
    if (state == FB303_STATE_READING)
        check(event_add(&connection->readable, NULL) == 0);
    else if (state != FB303_STATE_WAITING)
        check(event_add(&connection->writable, NULL) == 0);
}

/* Its time begins anew: behind all others. */
static void note_active(Fb303Connection *connection)
{
    connection->active = loop_now(connection->set->loop);
    list_remove(&connection->link);
    list_append(&connection->set->open, &connection->link);
}

typedef enum SendStatus {
    SEND_DONE,
    SEND_BLOCKED, /* the peer does not take more for now */
    SEND_E_BROKEN,
} SendStatus;

static SendStatus send_output(Fb303Connection *connection)
{
    const Buffer *output = &connection->output;
    while (connection->written < output->len) {
        ssize_t len = send(connection->fd, output->data + connection->written,
                           output->len - connection->written, MSG_NOSIGNAL);
        if (len >= 0)
            connection->written += (size_t)len;
        else if (errno == EAGAIN)
            return SEND_BLOCKED;
        else if (errno != EINTR)
            return SEND_E_BROKEN;
    }
    return SEND_DONE;
}

static void all_written(Fb303Connection *connection)
{
    buffer_clear(&connection->output);
    connection->written = 0;
    note_active(connection);
    if (connection->state == FB303_STATE_LAST_WORDS)
        close_connection(connection);
    else
        take_next(connection);
}

/* WRITING, LAST_WORDS */
static void write_output(Fb303Connection *connection)
{
    switch (send_output(connection)) {
    case SEND_DONE:
        all_written(connection);
        return;
    case SEND_BLOCKED:
        wait_for(connection, connection->state);
        return;
    case SEND_E_BROKEN:
        close_connection(connection);
        return;
    }
}

static void refuse(Fb303Connection *connection, ExceptionCode code, const char *text)
{
    const Message *message = &connection->message;
    exception_append(&connection->output, connection->reader.form, message->name, message->seqid,
                     code, text);
}

/* As fb303_service_answer(). */
static bool answer(Fb303Connection *connection, const Stats *stats)
{
    Fb303Call call = {
        .message = &connection->message,
        .form = connection->reader.form,
        .stats = stats,
        .refusal = connection->refusal,
    };
    MessageType type = connection->message.type;
    if (type == MESSAGE_CALL || type == MESSAGE_ONEWAY)
        return fb303_service_answer(connection->set->service, &call, &connection->output);
    refuse(connection, EXCEPTION_INVALID_MESSAGE_TYPE,
           "a client sends CALL or ONEWAY, not REPLY or EXCEPTION");
    return false;
}

static void write_reply(Fb303Connection *connection)
{
    connection->state = FB303_STATE_WRITING;
    write_output(connection);
}

static void collect_for(Fb303Connection *connection, void (*done)(StatsRequest *, Stats *))
{
    Fb303Connections *set = connection->set;
    wait_for(connection, FB303_STATE_WAITING);
    connection->request = (StatsRequest){.mailbox = set->mailbox, .done = done};
    set->ops->collect(set->ops_data, &connection->request);
}

/* Statistics that were collected behind a change: it has taken effect everywhere. */
static void on_changed(StatsRequest *request, Stats *stats)
{
    stats_free(stats);
    write_reply(LIST_OWNER(request, Fb303Connection, request));
}

static void on_stats(StatsRequest *request, Stats *stats)
{
    Fb303Connection *connection = LIST_OWNER(request, Fb303Connection, request);
    check(connection->state == FB303_STATE_WAITING);
    bool changes = answer(connection, stats);
    stats_free(stats);
    note_active(connection);
    connection->taken += connection->message_size;
    if (changes)
        collect_for(connection, on_changed);
    else
        write_reply(connection);
}

static void reject(Fb303Connection *connection, const char *why)
{
    Fb303Connections *set = connection->set;
    log_limited(&set->log_limit, loop_now(set->loop), LOG_LEVEL_WARNING,
                "fb303: a connection closed: %s", why);
    close_connection(connection);
}

static void reject_arguments(Fb303Connection *connection)
{
    if (connection->message.type != MESSAGE_ONEWAY)
        refuse(connection, EXCEPTION_PROTOCOL_ERROR, "the arguments of this call do not parse");
    connection->state = FB303_STATE_LAST_WORDS;
    write_output(connection);
}

/* Looks for a message in what has been read, and reads on where there is none. */
static void take_next(Fb303Connection *connection)
{
    Bytes window = {connection->input.data + connection->taken,
                    connection->input.len - connection->taken};
    switch (frame_reader_next(&connection->reader, window, &connection->message,
                              &connection->message_size)) {
    case FRAME_MESSAGE: /* waits, whatever it is: so none is answered inside another's answering */
        collect_for(connection, on_stats);
        return;
    case FRAME_MORE:
        wait_for(connection, FB303_STATE_READING);
        return;
    case FRAME_E_BODY:
        reject_arguments(connection);
        return;
    case FRAME_E_NOT_THRIFT:
        reject(connection, "what it sent is not Thrift");
        return;
    case FRAME_E_TOO_LARGE:
        reject(connection, "a message larger than 64 KiB");
        return;
    case FRAME_E_NESTING:
        reject(connection, "arguments nested deeper than 64 levels");
        return;
    }
}

/* --- events ---------------------------------------------------------------------------------- */

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    (void)what;
    Fb303Connection *connection = argument;
    uint8_t *buffer = connection->set->loop->read_buffer;
    ssize_t len = recv(fd, buffer, LOOP_READ_SIZE, 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        close_connection(connection);
        return;
    }
    buffer_drop(&connection->input, connection->taken);
    connection->taken = 0;
    buffer_append(&connection->input, buffer, (size_t)len);
    take_next(connection);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    (void)fd, (void)what;
    Fb303Connection *connection = argument;
    write_output(connection);
}

/* One that waits for statistics is not idle. */
static void close_idle(void *data)
{
    Fb303Connections *set = data;
    nsec_t now = loop_now(set->loop);
    LIST_EACH_SAFE (&set->open, link) {
        Fb303Connection *connection = LIST_OWNER(link, Fb303Connection, link);
        if (nsec_until(connection->active, now) < set->idle_timeout)
            break;
        if (connection->state != FB303_STATE_WAITING)
            close_connection(connection);
    }
    if (set->n_open > 0)
        loop_timer_set(&set->idle, now + set->idle_timeout / 4);
}

/* --- all of them ----------------------------------------------------------------------------- */

void fb303_connections_init(Fb303Connections *set, Loop *loop, Mailbox *mailbox,
                            const AdminOps *ops, void *ops_data, nsec_t idle_timeout)
{
    *set = (Fb303Connections){
        .loop = loop,
        .mailbox = mailbox,
        .ops = ops,
        .ops_data = ops_data,
        .service = fb303_service_new(ops, ops_data),
        .idle_timeout = idle_timeout,
    };
    list_init(&set->open);
    list_init(&set->closed);
    loop_timer_init(&set->idle, loop, close_idle, set);
    loop_task_init(&set->release, free_closed, set);
}

void fb303_connections_clear(Fb303Connections *set)
{
    loop_timer_clear(&set->idle);
    ListLink *link;
    while ((link = list_first(&set->open)) != NULL)
        close_connection(LIST_OWNER(link, Fb303Connection, link));
    free_closed(set);
    loop_cancel(&set->release);
    fb303_service_free(set->service);
}

static bool has_room(const Fb303Connections *set, bool may_change)
{
    return set->n_open < FB303_MAX_CONNECTIONS - (may_change ? 0 : FB303_RESERVED);
}

void fb303_connections_accept(Fb303Connections *set, int fd)
{
    char *refusal = peer_refusal(fd);
    if (!has_room(set, refusal == NULL)) {
        log_limited(&set->log_limit, loop_now(set->loop), LOG_LEVEL_WARNING,
                    "fb303: a connection turned away: %u are open", set->n_open);
        g_free(refusal);
        close(fd);
        return;
    }
    Fb303Connection *connection = g_new0(Fb303Connection, 1);
    connection->set = set;
    connection->fd = fd;
    connection->refusal = refusal;
    connection->active = loop_now(set->loop);
    struct event_base *base = set->loop->base;
    check(event_assign(&connection->readable, base, fd, EV_READ | EV_PERSIST, on_readable,
                       connection) == 0);
    check(event_assign(&connection->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable,
                       connection) == 0);
    frame_reader_init(&connection->reader, (Form){0}, FB303_MAX_MESSAGE, true);
    list_append(&set->open, &connection->link);
    set->n_open++;
    wait_for(connection, FB303_STATE_READING);
    if (set->idle.at == NSEC_NEVER)
        loop_timer_set(&set->idle, connection->active + set->idle_timeout);
}
