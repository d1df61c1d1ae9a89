/* bench-floor: the least that any proxy must pay for its client side.
 *
 *     bench-floor [ADDRESS]
 *
 * A libevent server with raw events that answers echo (framed, strict binary) by itself: one read
 * and one write a call, the call turned into its reply in place. A reply is what the call was, with
 * another message type and another field id; everything else stays as it came. Messages that come
 * whole, as they do, are never copied; what is left of a read waits in a buffer of the client. */

#include "base/bytes.h"
#include "sockets.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ROOM = 256 << 10,
    FRAME = 4,
    HEADER = 16,   /* version and type, name, sequence id */
    FIELD_AT = 17, /* the argument's field id, behind its type */
    SMALLEST = HEADER + 8,
    LARGEST = 16 << 20,
};

typedef struct Client {
    struct event readable;
    Buffer waiting; /* the beginning of a call, where it did not come whole */
} Client;

static uint8_t room[ROOM];

static void client_close(Client *client)
{
    int fd = event_get_fd(&client->readable);

    event_del(&client->readable);
    close(fd);
    buffer_clear(&client->waiting);
    free(client);
}

/* Turns the complete calls into replies; how many bytes they are, -1 where one is no echo. */
static ssize_t answer(uint8_t *data, size_t len)
{
    size_t done = 0;

    while (len - done >= FRAME) {
        uint8_t *message = data + done + FRAME;
        uint32_t size = load_be32(data + done);

        if (size < SMALLEST || size > LARGEST)
            return -1;
        if (size > len - done - FRAME)
            break;
        if (load_be32(message) != 0x80010001 || memcmp(message + 4, "\0\0\0\4echo", 8) != 0)
            return -1;
        message[3] = 2;                    /* a reply */
        store_be16(message + FIELD_AT, 0); /* its result */
        done += FRAME + size;
    }
    return (ssize_t)done;
}

/* The kernel takes what a benchmark's client is owed; one that does not read is dropped. */
static bool give(int fd, const uint8_t *data, size_t len)
{
    return len == 0 || send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool take_more(Client *client, int fd)
{
    Buffer *waiting = &client->waiting;
    ssize_t got = read(fd, buffer_reserve(waiting, ROOM), ROOM), done;

    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    waiting->len += (size_t)got;
    done = answer(waiting->data, waiting->len);
    if (done < 0 || !give(fd, waiting->data, (size_t)done))
        return false;
    buffer_drop(waiting, (size_t)done);
    return true;
}

static bool take(Client *client, int fd)
{
    ssize_t got = read(fd, room, ROOM), done;

    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    done = answer(room, (size_t)got);
    if (done < 0 || !give(fd, room, (size_t)done))
        return false;
    if (done < got)
        buffer_append(&client->waiting, room + done, (size_t)(got - done));
    return true;
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
    Client *client = arg;

    (void)events;
    if (!(client->waiting.len == 0 ? take(client, fd) : take_more(client, fd)))
        client_close(client);
}

static void on_connection(evutil_socket_t listener, short events, void *arg)
{
    int fd;

    (void)events;
    while ((fd = sockets_accept(listener)) >= 0) {
        Client *client = calloc(1, sizeof *client);

        event_assign(&client->readable, arg, fd, EV_READ | EV_PERSIST, on_readable, client);
        event_add(&client->readable, NULL);
    }
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    struct event *listening;

    sockets_allow_many();
    listening = event_new(base, sockets_listen(argc > 1 ? argv[1] : "127.0.0.1:0"),
                          EV_READ | EV_PERSIST, on_connection, base);
    event_add(listening, NULL);
    event_base_dispatch(base);
    return 0;
}
