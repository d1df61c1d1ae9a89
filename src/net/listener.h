/* A listening socket. Accepted connections are non-blocking and handed over; a turn accepts a
 * bounded number. Out of descriptors, accepting pauses and goes on by itself. */
#pragma once

#include "net/address.h"
#include "net/loop.h"

typedef struct Listener Listener;

/* Takes over the descriptor of a connection. */
typedef void (*ListenerAccept)(void *data, int fd);

/* Opens a socket on `address`. A stale unix socket is replaced, one that somebody serves is not; a
 * new one gets `socket_mode`. */
Listener *listener_new(Loop *loop, const Address *address, mode_t socket_mode,
                       ListenerAccept on_accept, void *data, GError **error);

/* Takes over a socket that somebody else has made and may hand to the next daemon, too: closed
 * here, it goes on listening there, and a unix socket's file stays. On failure `fd` is left as it
 * is. */
Listener *listener_adopt(Loop *loop, int fd, ListenerAccept on_accept, void *data, GError **error);

void listener_free(Listener *listener); /* closes it; removes the unix socket it made */

/* Leaves accepting to somebody else, who gets the socket; it stays the listener's. */
int listener_lend(Listener *listener);

/* A unix socket that it made gets another mode. */
void listener_set_mode(const Listener *listener, mode_t socket_mode);

/* The address in force: the port that the kernel chose where 0 was asked for. */
void listener_format(const Listener *listener, char text[ADDRESS_TEXT_SIZE]);
