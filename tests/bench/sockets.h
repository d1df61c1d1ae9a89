/* The sockets of the benchmark's programs. Addresses are "host:port" (numeric, IPv4) or
 * "unix:/path"; TCP sockets never delay small writes. */
#pragma once

#include "base/nsec.h"

/* A connected, non-blocking socket; -1 where it failed or took more than ten seconds (errno). */
int sockets_connect(const char *text);

/* A listening, non-blocking socket; port 0 lets the kernel choose. Prints "listening on ADDRESS" to
 * stdout. Ends the program where that fails. */
int sockets_listen(const char *text);

/* The next connection, non-blocking; -1 where there is none now. */
int sockets_accept(int listener);

/* Raises the soft limit of descriptors to the hard one. */
void sockets_allow_many(void);

/* CLOCK_MONOTONIC. */
nsec_t clock_now(void);
