/* Connecting to an address, with errors that say what to do about them. */
#pragma once

#include <glib.h>

/* A blocking socket whose reads and writes take at most `timeout` seconds, like connecting. -1: see
 * *error. `address` is "unix:/path", "host:port" or "[::1]:port". */
int connect_to(const char *address, int timeout, GError **error);
