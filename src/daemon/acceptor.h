/* The listening sockets, and which worker gets a new client: the one that has the fewest, so that
 * all stay evenly loaded whoever comes and goes. (With SO_REUSEPORT the kernel chooses by a hash:
 * few connections spread unevenly, unix sockets do not spread, and what is queued at a listener
 * that closes is lost.) Belongs to the main thread. */
#pragma once

#include <glib.h>

#include "daemon/config.h"
#include "daemon/worker.h"

typedef struct Acceptor Acceptor;

/* Takes the sockets that systemd has passed (LISTEN_FDS), or opens those of `listen`, on the loop
 * of the first of `workers`, whose thread is the main thread. Both arguments are borrowed. No other
 * thread may run: it changes the environment. */
Acceptor *acceptor_new(const Config *config, GPtrArray *workers, GError **error);
/* Other values of max_clients and socket_mode from now on. `config` is borrowed. */
void acceptor_set_config(Acceptor *acceptor, const Config *config);
void acceptor_free(Acceptor *acceptor); /* stops listening */
