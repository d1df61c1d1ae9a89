/* Replies: in the order of their calls. One that is all its client is owed is written when it
 * comes, from where the answer lies, the others at the end of the turn, one write a client. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "net/client-internal.h"
#include "net/pieces.h"

enum { WRITE_IOVECS = 64 };

static size_t reply_size(const Call *call)
{
    return call->reply.head.len + call->reply.body.len;
}

void client_mark_dirty(Client *client)
{
    if (list_linked(&client->dirty_link))
        return;
    list_append(&client->set->dirty, &client->dirty_link);
    loop_defer(client->set->loop, &client->set->flush);
}

static void queue_reply(Client *client, Call *call)
{
    list_remove(&call->caller_link);
    list_append(&client->replies, &call->caller_link);
    client->output += reply_size(call);
    if (client->blocked)
        call_own_reply(call);
    client_mark_dirty(client);
}

/* The replies that nothing earlier holds up. */
static void queue_replies_in_order(Client *client)
{
    ListLink *link;
    while ((link = list_first(&client->caller.calls)) != NULL) {
        Call *call = LIST_OWNER(link, Call, caller_link);
        if (call->state != CALL_STATE_ENDED)
            break;
        queue_reply(client, call);
    }
}

/* Under relaxed order only the error after which the connection is closed waits for the others. */
static bool waits_for_earlier(const Client *client, const Call *call)
{
    if (list_first(&client->caller.calls) == &call->caller_link)
        return false;
    return batcher_params(client->route->batcher)->ordering == ORDERING_STRICT ||
           (client->state == CLIENT_STATE_CLOSING && call->method == NULL);
}

/* The usual reply, all that its client is owed, is written from where it lies. Whatever may be said
 * against that, the end of the turn finds out. */
static bool write_at_once(Client *client, Call *call)
{
    Bytes body = call->reply.body;
    if (client->caller.n_calls > 1 || client->state != CLIENT_STATE_OPEN || client->blocked ||
        call->oneway || call->reply.head.len > 0)
        return false;
    ssize_t len = send(client->fd, body.data, body.len, MSG_NOSIGNAL);
    if (len == (ssize_t)body.len) {
        call_leave_caller(call);
        return true;
    }
    if (len > 0) {
        queue_reply(client, call);
        client->output -= (size_t)len;
        client->written = (size_t)len;
        return true;
    }
    return false;
}

void client_set_deliver(ClientSet *set, Call *call)
{
    Client *client = LIST_OWNER(call->caller, Client, caller);
    client->active = loop_now(set->loop);
    if (set->at_bound && !client_set_at_bound(set))
        loop_defer(set->loop, &set->resume);
    if (!set->draining && write_at_once(client, call))
        return;
    if (client->caller.departed) {
        call_leave_caller(call);
        if (client->state == CLIENT_STATE_CLOSED)
            client_release_if_done(client);
        else
            client_mark_dirty(client);
        return;
    }
    if (call->oneway)
        call_leave_caller(call);
    else if (waits_for_earlier(client, call))
        call_own_reply(call);
    else
        queue_reply(client, call);
    queue_replies_in_order(client);
    client_mark_dirty(client);
}

static size_t gather_replies(const Client *client, struct iovec *iovecs)
{
    size_t n = 0, skip = client->written;
    LIST_EACH (&client->replies, link) {
        const CallReply *reply = &LIST_OWNER(link, Call, caller_link)->reply;
        const Bytes parts[] = {reply->head, reply->body};
        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
            size_t skipped = MIN(skip, parts[i].len);
            skip -= skipped;
            if (skipped == parts[i].len)
                continue;
            iovecs[n++] = (struct iovec){(void *)(uintptr_t)(parts[i].data + skipped),
                                         parts[i].len - skipped};
        }
        if (n >= WRITE_IOVECS - 1)
            break;
    }
    return n;
}

static void take_written(Client *client, size_t len)
{
    client->output -= len;
    client->written += len;
    ListLink *link;
    while ((link = list_first(&client->replies)) != NULL) {
        Call *call = LIST_OWNER(link, Call, caller_link);
        size_t size = reply_size(call);
        if (client->written < size)
            break;
        client->written -= size;
        call_leave_caller(call);
    }
}

bool client_write_replies(Client *client)
{
    client->blocked = false;
    while (client->output > 0) {
        struct iovec iovecs[WRITE_IOVECS];
        size_t n = gather_replies(client, iovecs);
        ssize_t len = pieces_send(client->set->loop, client->fd, iovecs, n);
        if (len < 0) {
            if (errno == EAGAIN || errno == EINTR) {
                client->blocked = true;
                return true;
            }
            client_left(client);
            return false;
        }
        take_written(client, (size_t)len);
    }
    return true;
}

/* What a client that does not read makes the daemon keep, besides the reply being written. */
static size_t backlog(const Client *client)
{
    ListLink *first = list_first(&client->replies);
    if (first == NULL)
        return 0;
    return client->output - (reply_size(LIST_OWNER(first, Call, caller_link)) - client->written);
}

void client_flush(Client *client)
{
    if (client->state == CLIENT_STATE_CLOSED)
        return;
    if (!client->blocked && !client_write_replies(client))
        return;
    LIST_EACH (&client->replies, link)
        call_own_reply(LIST_OWNER(link, Call, caller_link));
    if (backlog(client) > client->set->params.max_client_output) {
        client_close_with_error(client, CLIENT_ERROR_OUTPUT,
                                "it does not read its replies (max_client_output)");
        return;
    }
    if (client->state == CLIENT_STATE_CLOSING && client->caller.n_calls == 0)
        client_close(client);
    else
        client_update(client);
    if (client->set->draining && client->caller.n_calls == 0)
        loop_defer(client->set->loop, client->route->dispatch);
}
