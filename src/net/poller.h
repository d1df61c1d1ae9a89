/* A poller: the many sockets of one kind, in an epoll set of their own inside the loop's.
 *
 *   loop (libevent) ---> poller's epoll set ---> its sockets
 *
 * A socket costs no memory here and some dozen instructions an event, where an event of libevent
 * takes 170 bytes and 300 instructions. The price is one more epoll_wait() in a turn in which any
 * of them is ready. */
#pragma once

#include <stdint.h>
#include <sys/epoll.h>

#include "net/loop.h"

/* Bytes at the start of an object that are fetched ahead. */
enum { POLLER_PREFETCHED = 256 };

typedef struct Poller {
    struct event event;
    void (*ready)(void *object, uint32_t events);
    int fd; /* -1: there is none */
} Poller;

/* `ready` is called with what epoll_wait() says of a socket and the object it was added for, which
 * must live until the end of a turn in which it was removed. */
bool poller_init(Poller *poller, Loop *loop, void (*ready)(void *object, uint32_t events));
void poller_clear(Poller *poller);

/* Waits for `events` (EPOLLIN, ...) of a socket that so far was waited on for `before`; 0: it is
 * not in the set. What is ready already is told again. A socket that is closed is removed. False,
 * with errno: the kernel is out of memory or of watches. */
bool poller_watch(Poller *poller, int fd, uint32_t before, uint32_t events, void *object);
