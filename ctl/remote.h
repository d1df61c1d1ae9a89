/* The daemon as the tool sees it: one connection to its fb303 address, blocking, and the calls of
 * AdminService. The message of every *error is for the person at the terminal. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Remote Remote;

/* `address` is "unix:/path", "host:port" or "[::1]:port". No call takes longer than `timeout`
 * seconds. */
Remote *remote_open(const char *address, int timeout, GError **error);
void remote_close(Remote *remote); /* accepts NULL */

/* The document of /stats.json; the caller's. */
char *remote_stats(Remote *remote, GError **error);

char *remote_reload(Remote *remote, GError **error); /* what needs a restart, a line a key */
bool remote_drain(Remote *remote, GError **error);
bool remote_pause(Remote *remote, GError **error);
bool remote_resume(Remote *remote, GError **error);

bool remote_set_option(Remote *remote, const char *name, const char *value, GError **error);
char *remote_option(Remote *remote, const char *name, GError **error);
GHashTable *remote_options(Remote *remote, GError **error); /* char * -> char * */
