/* Sending calls and checking replies. Bytes go straight from the message's template to the kernel,
 * and replies are compared where they were read; only what is incomplete is stored with the client.
 */

#include "client.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ROOM = 1 << 20,
    ROOM_IN_CLIENT = 64 << 10,
    FRAME = 4,
    LARGEST_FRAME = 64 << 20,
};

static uint8_t room[ROOM];

static void note(Talk *talk, const Client *client, const char *text)
{
    if (talk->problem == NULL)
        talk->problem =
            g_strdup_printf("client %u, call %u: %s", client->number, client->answered, text);
}

void client_init(Client *client, uint32_t number, uint32_t depth)
{
    *client = (Client){.fd = -1, .number = number, .begins = g_new(nsec_t, depth)};
}

void client_clear(Client *client)
{
    client_close(client);
    buffer_clear(&client->in);
    buffer_clear(&client->out);
    g_free(client->begins);
}

static void watch(const Client *client, const Talk *talk, int operation, bool writable)
{
    struct epoll_event event = {
        .events = EPOLLIN | (writable ? EPOLLOUT : 0),
        .data.ptr = (void *)(uintptr_t)client,
    };

    epoll_ctl(talk->epoll, operation, client->fd, &event);
}

bool client_connect(Client *client, Talk *talk, const char *address)
{
    client->fd = sockets_connect(address);
    if (client->fd < 0) {
        note(talk, client, g_strerror(errno));
        return false;
    }
    watch(client, talk, EPOLL_CTL_ADD, false);
    return true;
}

void client_close(Client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

/* --- sending ------------------------------------------------------------------------------------
 */

/* How much the kernel takes; all of it where the connection is lost, which reading will tell. */
static size_t give(const Client *client, const uint8_t *data, size_t len)
{
    ssize_t sent = send(client->fd, data, len, MSG_NOSIGNAL);

    if (sent >= 0)
        return (size_t)sent;
    return errno == EAGAIN ? 0 : len;
}

static void give_or_keep(Client *client, const Talk *talk, const uint8_t *data, size_t len)
{
    size_t sent = 0;

    if (client->out.len == 0) {
        sent = give(client, data, len);
        if (sent < len)
            watch(client, talk, EPOLL_CTL_MOD, true);
    }
    if (sent < len)
        buffer_append(&client->out, data + sent, len - sent);
}

void client_send(Client *client, Talk *talk, uint32_t count, nsec_t begin)
{
    const Message *call = &talk->call;
    size_t len = 0;

    for (uint32_t i = 0; i < count; i++) {
        message_make(&talk->call, (MessageId){client->number, client->begun});
        client->begins[client->begun++ % talk->depth] = begin;
        if (count == 1 || call->len > ROOM) {
            give_or_keep(client, talk, call->data, call->len);
            continue;
        }
        if (len + call->len > ROOM) {
            give_or_keep(client, talk, room, len);
            len = 0;
        }
        memcpy(room + len, call->data, call->len);
        len += call->len;
    }
    if (len > 0)
        give_or_keep(client, talk, room, len);
}

void client_flush(Client *client, Talk *talk)
{
    buffer_drop(&client->out, give(client, client->out.data, client->out.len));
    if (client->out.len == 0)
        watch(client, talk, EPOLL_CTL_MOD, false);
}

/* --- receiving ----------------------------------------------------------------------------------
 */

Bytes client_read(Client *client, Talk *talk)
{
    Buffer *in = &client->in;
    uint8_t *to = in->len > 0 ? buffer_reserve(in, ROOM_IN_CLIENT) : room;
    ssize_t got;

    if (client->fd < 0)
        return (Bytes){0};
    got = read(client->fd, to, in->len > 0 ? ROOM_IN_CLIENT : ROOM);
    if (got < 0 && errno == EAGAIN)
        return (Bytes){0};
    if (got <= 0) {
        note(talk, client, got == 0 ? "the connection was closed" : g_strerror(errno));
        client_close(client);
        return (Bytes){0};
    }
    if (in->len == 0)
        return (Bytes){room, (size_t)got};
    in->len += (size_t)got;
    return (Bytes){in->data, in->len};
}

static void describe(Talk *talk, const Client *client, Bytes got)
{
    char text[160];

    bytes_printable((Bytes){got.data, MIN(got.len, sizeof text - 1)}, text, sizeof text);
    if (talk->problem == NULL)
        talk->problem = g_strdup_printf("client %u, call %u: a wrong reply: %s", client->number,
                                        client->answered, text);
}

/* Of a framed reply the end is known even where nothing else is right. */
static ClientReply pass_over(Client *client, Talk *talk, Bytes *bytes)
{
    size_t len = (size_t)load_be32(bytes->data) + FRAME;

    if (len <= LARGEST_FRAME && len > bytes->len)
        return CLIENT_REPLY_MORE;
    describe(talk, client, *bytes);
    if (len > LARGEST_FRAME) {
        client_close(client);
        len = bytes->len;
    }
    *bytes = (Bytes){bytes->data + len, bytes->len - len};
    return CLIENT_REPLY_WRONG;
}

static ClientReply compare(Client *client, Talk *talk, Bytes *bytes)
{
    const Message *reply = &talk->reply;
    bool framed = !reply->form.buffered;

    if (bytes->len < FRAME)
        return CLIENT_REPLY_MORE;
    message_make(&talk->reply, (MessageId){client->number, client->answered});
    if (framed && bytes->len < reply->len && memcmp(bytes->data, reply->data, FRAME) == 0)
        return CLIENT_REPLY_MORE;
    if (memcmp(bytes->data, reply->data, MIN(bytes->len, reply->len)) != 0) {
        if (framed)
            return pass_over(client, talk, bytes);
        describe(talk, client, *bytes);
        client_close(client);
        return CLIENT_REPLY_WRONG;
    }
    if (bytes->len < reply->len)
        return CLIENT_REPLY_MORE;
    *bytes = (Bytes){bytes->data + reply->len, bytes->len - reply->len};
    return CLIENT_REPLY_RIGHT;
}

ClientReply client_next_reply(Client *client, Talk *talk, Bytes *bytes, nsec_t *ret_begin)
{
    ClientReply outcome;

    if (bytes->len == 0 || client->fd < 0)
        return CLIENT_REPLY_MORE;
    if (client_under_way(client) == 0) {
        note(talk, client, "a reply to no call");
        talk->unasked++;
        client_close(client);
        return CLIENT_REPLY_MORE;
    }
    outcome = compare(client, talk, bytes);
    if (outcome != CLIENT_REPLY_MORE)
        *ret_begin = client->begins[client->answered++ % talk->depth];
    return outcome;
}

void client_keep(Client *client, Bytes rest)
{
    Buffer *in = &client->in;

    if (in->len > 0)
        buffer_drop(in, in->len - rest.len);
    else if (rest.len > 0)
        buffer_append(in, rest.data, rest.len);
}
