/* One connection of bench-load, with up to `depth` calls under way. It knows nothing of when calls
 * are made. */
#pragma once

#include "base/bytes.h"
#include "message.h"
#include "sockets.h"

typedef struct Client {
    int fd; /* -1: closed */
    uint32_t number;
    uint32_t begun, answered; /* calls */
    nsec_t *begins;           /* of the calls under way, by call % depth */
    Buffer in;                /* the beginning of a reply */
    Buffer out;               /* what the kernel has not taken yet */
} Client;

/* What all clients share. */
typedef struct Talk {
    Message call, reply;
    uint32_t depth;
    int epoll;
    uint64_t unasked; /* replies to no call */
    char *problem;    /* the first one, in words; NULL: none */
} Talk;

typedef enum ClientReply {
    CLIENT_REPLY_MORE, /* none has come */
    CLIENT_REPLY_RIGHT,
    CLIENT_REPLY_WRONG, /* it came in the place of the oldest call's */
} ClientReply;

void client_init(Client *client, uint32_t number, uint32_t depth);
void client_clear(Client *client);

/* False: see talk->problem. The client's events carry a pointer to it. */
bool client_connect(Client *client, Talk *talk, const char *address);

void client_close(Client *client);

/* Sends `count` more calls, whose time counts from `begin`. At most `depth` may be under way. */
void client_send(Client *client, Talk *talk, uint32_t count, nsec_t begin);

/* Sends what is left, where the kernel takes more. */
void client_flush(Client *client, Talk *talk);

/* Reads once. The replies are taken off what it returns by client_next_reply() until there is no
 * more, then client_keep() stores the rest, then calls may be sent again. Empty, and nothing to
 * keep, where nothing has come or the connection is closed, then or before. */
Bytes client_read(Client *client, Talk *talk);

/* Takes the next reply off `bytes` and says when its call had begun. Behind a wrong reply whose end
 * cannot be told the client is closed. */
ClientReply client_next_reply(Client *client, Talk *talk, Bytes *bytes, nsec_t *ret_begin);

void client_keep(Client *client, Bytes rest);

static inline uint32_t client_under_way(const Client *client)
{
    return client->begun - client->answered;
}
