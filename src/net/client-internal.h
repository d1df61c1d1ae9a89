/* What the client's files share:
 *
 *   client.c        its life, its socket's events, and the calls that are read
 *   client-reply.c  the replies that are written */
#pragma once

#include "net/client.h"

/* Brings state and events in line with what the client may do now. */
void client_update(Client *client);

void client_close_with_error(Client *client, ClientError error, const char *why);

/* Has a closed client freed, once nothing of it is in flight. */
void client_release_if_done(Client *client);

/* At the end of the turn: client_flush(). */
void client_mark_dirty(Client *client);

/* The peer has closed its side, or the connection broke. What it had sent before can still be read,
 * and ONEWAYs among it are served; then it is closed. */
void client_left(Client *client);

/* False when the connection broke: client_left(). */
bool client_write_replies(Client *client);
