/* The resolver: looks the configured names up, again and again, on a thread of its own, so that a
 * lookup never holds up a call. Without names (numeric addresses and unix sockets alone) there is
 * no thread.
 *
 *   resolver thread:  lookup --> ServerList --"it has changed"--> Mailbox of each worker
 *   worker:           reads the letter, takes the list: resolver_servers()
 *
 * A name is looked up every `interval`; one that has no address yet sooner, with backoff. A lookup
 * that fails, or finds nothing, changes nothing. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/nsec.h"
#include "net/server-list.h"

typedef struct Resolver Resolver;

/* `names`: of AddressName, copied: a lookup that is left behind still has its own. Looks nothing up
 * yet. */
Resolver *resolver_new(const GArray *names, nsec_t interval);

/* Starts the thread, where there are names. `on_change` is called on the thread, whenever that has
 * changed the list. */
bool resolver_start(Resolver *resolver, void (*on_change)(void *data), void *data, GError **error);

/* Ends the thread; `on_change` is not called any more. A lookup cannot be interrupted: one that is
 * under way is left behind, and what it holds is freed when it returns. */
void resolver_free(Resolver *resolver);

/* Other names from now on, and how often they are looked up; starts the thread where that is
 * needed. What is known of names that stay is kept. The list stays as it is until each new name has
 * been looked up once, and there is a server: those of before are not given up for none. Where it
 * changes at once, the caller knows, and `on_change` is not called. */
void resolver_set_names(Resolver *resolver, const GArray *names, nsec_t interval);

/* The list of the moment, from any thread; the caller unrefs it. */
ServerList *resolver_servers(Resolver *resolver);
