#include "net/client-internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "net/address.h"

enum { FIRST_BYTES_LOGGED = 12 };

static const char *state_name(ClientState state)
{
    static const char *const names[] = {
        [CLIENT_STATE_OPEN] = "open",       [CLIENT_STATE_PAUSED] = "paused",
        [CLIENT_STATE_LEAVING] = "leaving", [CLIENT_STATE_CLOSING] = "closing",
        [CLIENT_STATE_CLOSED] = "closed",
    };
    return names[state];
}

static void client_name(const Client *client, char text[ADDRESS_TEXT_SIZE])
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    if (client->fd < 0 || getpeername(client->fd, (struct sockaddr *)&peer, &len) < 0)
        snprintf(text, ADDRESS_TEXT_SIZE, "(gone)");
    else
        address_format(&peer, len, text);
}

/* Waiting for events */

/* Whether another message of the client may be taken. */
static bool may_take(Client *client)
{
    ClientSet *set = client->set;
    if (client->caller.n_calls >= set->params.max_client_calls ||
        client->output > set->params.max_client_output / 2 ||
        (client->route != set->route && client->caller.n_calls > 0))
        return false;
    if (!client_set_at_bound(set))
        return true;
    set->at_bound = true;
    return false;
}

/* Edge-triggered: the kernel looks at a socket once an event, and a broken connection does not
 * spin. What one read leaves is remembered (`unread`), for nobody tells of it again. A client that
 * is not read is watched for its leaving only; what it has sent meanwhile is told when it is read
 * again. */
static uint32_t wanted_events(const Client *client, bool reads)
{
    uint32_t writes = client->blocked ? EPOLLOUT : 0;
    switch (client->state) {
    case CLIENT_STATE_OPEN:
        return EPOLLIN | EPOLLRDHUP | EPOLLET | writes;
    case CLIENT_STATE_PAUSED:
    case CLIENT_STATE_CLOSING:
        return EPOLLRDHUP | EPOLLET | writes;
    case CLIENT_STATE_LEAVING:
        return reads ? EPOLLIN : 0;
    case CLIENT_STATE_CLOSED:
        return 0;
    }
    return 0;
}

/* False: the kernel lacks what it takes. */
static bool set_events(Client *client, uint32_t events)
{
    if (client->events == events)
        return true;
    if (!poller_watch(&client->set->poller, client->fd, client->events, events, client))
        return false;
    client->events = events;
    return true;
}

static void set_state(Client *client, ClientState state)
{
    if (client->state == state)
        return;
    check(client->state != CLIENT_STATE_CLOSED);
    if (log_enabled(LOG_LEVEL_DEBUG)) {
        char name[ADDRESS_TEXT_SIZE];
        client_name(client, name);
        log_debug("client %s: %s -> %s", name, state_name(client->state), state_name(state));
    }
    client->state = state;
}

void client_update(Client *client)
{
    ClientSet *set = client->set;
    if (client->state == CLIENT_STATE_CLOSED)
        return;
    bool takes = may_take(client), reads = takes && !unfinished_waits(client);
    if (reads && client->state == CLIENT_STATE_OPEN && !client->stalled && !client->unread &&
        client->events == wanted_events(client, true))
        return;
    if (client->state == CLIENT_STATE_OPEN && !reads)
        set_state(client, CLIENT_STATE_PAUSED);
    else if (client->state == CLIENT_STATE_PAUSED && reads)
        set_state(client, CLIENT_STATE_OPEN);
    bool resumes = takes && client->state < CLIENT_STATE_CLOSING &&
                   (client->stalled || (client->unread && client->state == CLIENT_STATE_OPEN));
    if ((resumes || (!takes && set->at_bound)) && !list_linked(&client->resume_link))
        list_append(&set->resuming, &client->resume_link);
    if (resumes)
        loop_defer(set->loop, &set->resume);
    if (set_events(client, wanted_events(client, reads)))
        return;
    log_limited(&set->log_limit, loop_now(set->loop), LOG_LEVEL_ERROR,
                "a client is closed, it cannot be waited for: %s", g_strerror(errno));
    client_close(client);
}

/* Leaving */

void client_release_if_done(Client *client)
{
    if (client->state != CLIENT_STATE_CLOSED || client->caller.n_calls > 0)
        return;
    list_remove(&client->set_link);
    list_append(&client->set->closed, &client->set_link);
    loop_defer(client->set->loop, &client->set->release);
}

static void drop_replies(Client *client)
{
    ListLink *link;
    while ((link = list_first(&client->replies)) != NULL)
        call_leave_caller(LIST_OWNER(link, Call, caller_link));
    client->output = client->written = 0;
    client->blocked = false;
}

/* Calls that have ended and wait for an earlier one's reply. */
static void drop_ended(Client *client)
{
    LIST_EACH_SAFE (&client->caller.calls, link) {
        Call *call = LIST_OWNER(link, Call, caller_link);
        if (call->state == CALL_STATE_ENDED)
            call_leave_caller(call);
    }
}

static void depart(Client *client)
{
    ClientSet *set = client->set;
    if (!client->caller.departed) {
        batcher_depart_caller(client->route->batcher, &client->caller, loop_now(set->loop));
        loop_defer(set->loop, client->route->dispatch);
    }
    drop_replies(client);
    drop_ended(client);
}

/* Bytes left unread would make the kernel reset the connection, and with it the last reply. */
static void discard_unread(Client *client)
{
    uint8_t sink[4096]; /* not the loop's buffer: replies that are being written borrow it */
    shutdown(client->fd, SHUT_WR);
    for (int i = 0; i < 16 && read(client->fd, sink, sizeof sink) > 0; i++)
        ;
}

void client_close(Client *client)
{
    if (client->state == CLIENT_STATE_CLOSED)
        return;
    if (client->state == CLIENT_STATE_CLOSING)
        discard_unread(client);
    set_state(client, CLIENT_STATE_CLOSED);
    close(client->fd);
    client->fd = -1;
    client->set->counters->clients--;
    unfinished_free(client);
    list_remove(&client->dirty_link);
    list_remove(&client->resume_link);
    depart(client);
    client_release_if_done(client);
}

void client_close_with_error(Client *client, ClientError error, const char *why)
{
    ClientSet *set = client->set;
    set->counters->client_errors[error]++;
    char name[ADDRESS_TEXT_SIZE];
    client_name(client, name);
    log_limited(&set->log_limit, loop_now(set->loop), LOG_LEVEL_WARNING, "client %s closed: %s",
                name, why);
    client_close(client);
}

void client_left(Client *client)
{
    if (client->state > CLIENT_STATE_PAUSED) {
        client_close(client);
        return;
    }
    set_state(client, CLIENT_STATE_LEAVING);
    depart(client);
    client_update(client);
}

/* Calls */

static bool may_follow_route(const Client *client)
{
    const Caller *caller = &client->caller;
    return caller_is_free(caller) && !caller->departed &&
           (caller->bound == NULL || loop_now(client->set->loop) >= client->route->bound_until);
}

void client_follow_route(Client *client)
{
    ClientSet *set = client->set;
    if (client->route == set->route || !may_follow_route(client))
        return;
    batcher_remove_caller(client->route->batcher, &client->caller);
    client->route->n_clients--;
    client->route = set->route;
    client->route->n_clients++;
    batcher_add_caller(client->route->batcher, &client->caller);
}

/* A call that never becomes one: it ends here. */
static void count_refused(const Client *client, const Message *message)
{
    batcher_count_refused(client->route->batcher, message->name);
}

static void refuse(Client *client, const Message *message, ExceptionCode code, const char *text)
{
    Call *call = call_new_refused(&client->caller, client->form, message, code, text);
    client_set_deliver(client->set, call);
}

/* Arguments that do not parse: earlier calls are answered, then this one, then it is closed. */
static void reject_arguments(Client *client, const Message *message)
{
    client->set->counters->client_errors[CLIENT_ERROR_PROTOCOL]++;
    count_refused(client, message);
    if (client->state == CLIENT_STATE_LEAVING) {
        client_close(client);
        return;
    }
    set_state(client, CLIENT_STATE_CLOSING);
    if (message->type != MESSAGE_ONEWAY)
        refuse(client, message, EXCEPTION_PROTOCOL_ERROR,
               "thrift-batchd: the arguments of this call do not parse");
    client_mark_dirty(client);
}

static void submit(Client *client, const Message *message)
{
    ClientSet *set = client->set;
    if (client->route != set->route)
        client_follow_route(client);
    Batcher *batcher = client->route->batcher;
    const BatcherParams *params = batcher_params(batcher);
    nsec_t now = loop_now(set->loop);
    Call *call;
    size_t max_size = MIN(set->params.max_pending_bytes, (size_t)CALL_MAX_SIZE);
    switch (
        call_new(&client->caller, client->form, params->upstream, message, max_size, now, &call)) {
    case CALL_OK:
        batcher_submit(batcher, call, now);
        loop_defer(set->loop, client->route->dispatch);
        return;
    case CALL_E_ARGUMENTS:
        reject_arguments(client, message);
        return;
    case CALL_E_TOO_LARGE:
        count_refused(client, message);
        if (message->type == MESSAGE_ONEWAY)
            return;
        refuse(client, message, EXCEPTION_INTERNAL_ERROR,
               "thrift-batchd: the arguments are too large in the upstream's protocol");
        return;
    }
}

static void refuse_while_draining(Client *client, const Message *message)
{
    ClientSet *set = client->set;
    set->refused_at = loop_now(set->loop);
    count_refused(client, message);
    if (message->type == MESSAGE_CALL && client->state != CLIENT_STATE_LEAVING)
        refuse(client, message, EXCEPTION_INTERNAL_ERROR, "thrift-batchd: shutting down");
}

static void take_message(Client *client, const Message *message)
{
    ClientSet *set = client->set;
    client->active = loop_now(set->loop);
    bool is_call = message->type == MESSAGE_CALL || message->type == MESSAGE_ONEWAY;
    if (client->state == CLIENT_STATE_LEAVING && !is_call)
        return;
    if (!is_call) {
        set->counters->client_errors[CLIENT_ERROR_MESSAGE_TYPE]++;
        refuse(client, message, EXCEPTION_INVALID_MESSAGE_TYPE,
               "thrift-batchd: a client sends CALL or ONEWAY, not REPLY or EXCEPTION");
    } else if (!set->draining) {
        submit(client, message);
    } else {
        refuse_while_draining(client, message);
    }
}

static void describe_garbage(Bytes bytes, char *text, size_t size)
{
    size_t n = MIN(bytes.len, (size_t)FIRST_BYTES_LOGGED);
    int at = snprintf(text, size, "not Thrift; it begins");
    for (size_t i = 0; i < n; i++)
        at += snprintf(text + at, size - (size_t)at, " %02x", bytes.data[i]);
    at += snprintf(text + at, size - (size_t)at, " \"");
    for (size_t i = 0; i < n; i++)
        text[at++] = (char)(bytes.data[i] >= 0x20 && bytes.data[i] < 0x7f ? bytes.data[i] : '.');
    snprintf(text + at, size - (size_t)at, "\"");
}

static void reject(Client *client, FrameStatus status, Bytes window, const Message *message)
{
    char text[160];
    switch (status) {
    case FRAME_E_NOT_THRIFT:
        describe_garbage(window, text, sizeof text);
        client_close_with_error(client, CLIENT_ERROR_NOT_THRIFT, text);
        return;
    case FRAME_E_TOO_LARGE:
        snprintf(text, sizeof text, "a message larger than max_message_size (%zu bytes)",
                 client->set->params.max_message_size);
        client_close_with_error(client, CLIENT_ERROR_MESSAGE_TOO_LARGE, text);
        return;
    case FRAME_E_NESTING:
        client_close_with_error(client, CLIENT_ERROR_NESTING,
                                "arguments nested deeper than 64 levels");
        return;
    case FRAME_E_BODY:
        reject_arguments(client, message);
        return;
    case FRAME_MESSAGE:
    case FRAME_MORE:
        check(false);
    }
}

static bool takes_messages(Client *client)
{
    return client->state < CLIENT_STATE_CLOSING && may_take(client);
}

/* Takes the messages at the start of `bytes`, as many as may be taken, and returns their size. */
static size_t take_messages(Client *client, FrameReader *reader, Bytes bytes)
{
    size_t done = 0;
    client->stalled = false;
    while (done < bytes.len) {
        if (!takes_messages(client)) {
            client->stalled = true;
            break;
        }
        Bytes window = {bytes.data + done, bytes.len - done};
        Message message = {0};
        size_t taken;
        FrameStatus status = frame_reader_take(reader, window, &message, &taken);
        if (status == FRAME_MORE)
            break;
        client->form = reader->form;
        if (status != FRAME_MESSAGE) {
            reject(client, status, window, &message);
            return bytes.len;
        }
        take_message(client, &message);
        done += taken;
    }
    return done;
}

static bool reads_no_more(const Client *client)
{
    return client->state == CLIENT_STATE_CLOSING || client->state == CLIENT_STATE_CLOSED;
}

static void take_partial(Client *client)
{
    Partial *partial = client->partial;
    Bytes bytes = {partial->bytes.data, partial->bytes.len};
    size_t done = take_messages(client, &partial->reader, bytes);
    if (client->state == CLIENT_STATE_CLOSED)
        return;
    if (done == partial->bytes.len || reads_no_more(client))
        unfinished_free(client);
    else
        unfinished_drop(client, done);
}

static void take_bytes(Client *client, Bytes bytes)
{
    ClientSet *set = client->set;
    if (client->partial != NULL) {
        unfinished_keep(client, NULL, bytes);
        take_partial(client);
        return;
    }
    frame_reader_init(&set->reader, client->form, set->params.max_message_size, true);
    size_t done = take_messages(client, &set->reader, bytes);
    if (done == bytes.len || reads_no_more(client))
        return;
    unfinished_keep(client, &set->reader, (Bytes){bytes.data + done, bytes.len - done});
}

/* The usual read of an ordinary client: one whole call, when it is owed nothing and nobody is at a
 * bound. False: nothing has been taken. */
static bool take_usual(Client *client, Bytes bytes)
{
    ClientSet *set = client->set;
    if (client->state != CLIENT_STATE_OPEN || client->caller.n_calls > 0 ||
        client->partial != NULL || set->draining || set->params.max_client_calls == 1)
        return false;
    Message message;
    if (!frame_take_usual(client->form, bytes, set->params.max_message_size, true, &message) ||
        message.whole.len + FRAME_HEADER_SIZE != bytes.len ||
        (message.type != MESSAGE_CALL && message.type != MESSAGE_ONEWAY))
        return false;
    client->active = loop_now(set->loop);
    submit(client, &message);
    if (client_set_at_bound(set))
        client_update(client);
    return true;
}

/* One read; what more there is follows later. `ends`: the connection is over behind what can be
 * read. */
static void read_bytes(Client *client, bool ends)
{
    ClientSet *set = client->set;
    uint8_t *buffer = set->loop->read_buffer;
    client->unread = true;
    bool scarce = set->unfinished.scarcity != SCARCITY_PLENTY;
    if (client->stalled || (scarce && unfinished_waits(client)) || client_set_at_bound(set)) {
        if (client_set_at_bound(set))
            set->at_bound = true;
        client_update(client); /* client_resume() follows */
        return;
    }
    size_t size = scarce ? unfinished_read_size(client) : (size_t)LOOP_READ_SIZE;
    ssize_t len = recv(client->fd, buffer, size, 0);
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR)) {
        client_close(client);
        return;
    }
    client->unread = len > 0 ? ends || len == (ssize_t)size : errno == EINTR;
    if (len > 0 && !client->unread && take_usual(client, (Bytes){buffer, (size_t)len}))
        return;
    if (len > 0)
        take_bytes(client, (Bytes){buffer, (size_t)len});
    client_update(client);
}

void client_ready(void *object, uint32_t events)
{
    enum { ENDS = EPOLLRDHUP | EPOLLHUP | EPOLLERR };
    Client *client = object;
    if (events & EPOLLOUT) {
        if (client->state == CLIENT_STATE_CLOSED || !client_write_replies(client))
            return;
        client_mark_dirty(client);
    }
    switch (client->state) {
    case CLIENT_STATE_OPEN:
    case CLIENT_STATE_LEAVING:
        if (events & (EPOLLIN | ENDS))
            read_bytes(client, (events & ENDS) != 0);
        break;
    case CLIENT_STATE_PAUSED:
    case CLIENT_STATE_CLOSING:
        if (events & ENDS)
            client_left(client);
        break;
    case CLIENT_STATE_CLOSED: /* earlier in this turn */
        break;
    }
}

void client_resume(Client *client)
{
    if (client->stalled && takes_messages(client))
        take_partial(client);
    if (client->set->draining)
        loop_defer(client->set->loop, client->route->dispatch);
    if (client->unread && client->state <= CLIENT_STATE_PAUSED && !client->stalled &&
        may_take(client))
        read_bytes(client, true); /* that it is over was told before, or it costs one read */
    else
        client_update(client);
}

void client_new(ClientSet *set, int fd)
{
    Client *client = g_new0(Client, 1);
    client->set = set;
    client->fd = fd;
    client->active = loop_now(set->loop);
    caller_init(&client->caller);
    client->caller.call_cache = &set->call_cache;
    list_init(&client->replies);
    list_link_init(&client->dirty_link);
    list_link_init(&client->resume_link);
    list_append(&set->clients, &client->set_link);
    client->route = set->route;
    client->route->n_clients++;
    batcher_add_caller(client->route->batcher, &client->caller);
    set->counters->clients++;
    client_update(client);
}
