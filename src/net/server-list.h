/* The servers that the configured names stand for at the moment: what the resolver tells all
 * workers. Every address is one server, however many names have it. A list is shared by reference
 * and does not change once others have it.
 *
 * Each worker has its own Server for an address, with its own connections and state; what the
 * workers know together of it is in its Endpoint. */
#pragma once

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/counters.h"
#include "net/address.h"

/* What the log has said of a server. */
typedef enum EndpointNews {
    ENDPOINT_NEWS_NONE,
    ENDPOINT_NEWS_UP,
    ENDPOINT_NEWS_OUT,
} EndpointNews;

typedef struct Endpoint {
    Address address;
    _Atomic unsigned n_refs;
    _Atomic EndpointNews news; /* of whichever worker learnt it first */
    _Atomic bool vanished;     /* no name has it any more */
    _Atomic int batching;      /* ServerBatching, as the log has said last */
    _Atomic uint64_t failures[SERVER_FAILURES];
} Endpoint;

Endpoint *endpoint_ref(Endpoint *endpoint);
void endpoint_unref(Endpoint *endpoint); /* with the last one it is drained, and the log says so */

/* True when the log has not said that last: whoever is told so says it, and tells the others. */
bool endpoint_tell(Endpoint *endpoint, EndpointNews news);

typedef struct ServerEntry {
    char *name; /* as configured, with its address where the name has several */
    Endpoint *endpoint;
} ServerEntry;

typedef struct ServerList {
    _Atomic unsigned n_refs;
    GArray *entries; /* of ServerEntry */
    bool complete;   /* every name has been looked up */
    char *problem;   /* of a name without address, for people; NULL: there is none */
} ServerList;

/* To be filled with the addresses of one name after the other. Endpoints are those of `before`
 * (NULL: none), where it has them. */
ServerList *server_list_new(void);
void server_list_add(ServerList *list, const char *name, const GArray *addresses,
                     const ServerList *before);

ServerList *server_list_ref(ServerList *list);
void server_list_unref(ServerList *list);

/* NULL where no entry has this address; entries of lists made one from the other share their
 * endpoints. */
const ServerEntry *server_list_find(const ServerList *list, const Endpoint *endpoint);

bool server_list_equal(const ServerList *a, const ServerList *b); /* in whatever order */
