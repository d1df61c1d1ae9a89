/* The places for connections of the http interface: evhttp itself takes any number of them for any
 * time, lets a byte now and then keep one open, and reads on and on while an answer is not taken.
 *
 * There are HTTP_PLACES. A connection that has not brought a whole request, and taken the answer,
 * within HTTP_PATIENCE of its opening or its latest answer is closed. Once all places are taken
 * nobody is accepted, and the patience is HTTP_SHORT_PATIENCE: those who hold places for nothing
 * lose them to those who wait. */
#pragma once

#include <event2/http.h>
#include <glib.h>

#include "net/loop.h"

enum { HTTP_PLACES = 64 };
#define HTTP_PATIENCE       (10 * NSEC_PER_SEC)
#define HTTP_SHORT_PATIENCE NSEC_PER_SEC

typedef struct HttpPlaces {
    Loop *loop;
    size_t max_input; /* bytes of a connection that are read ahead */
    List connections; /* HttpConnection.link; who was opened or answered first comes first */
    unsigned n;       /* of connections, with the fresh ones */
    GPtrArray *fresh; /* of bufferevents: accepted in this turn */
    LoopTask take_fresh;
    LoopTimer tick;
    GPtrArray *listeners; /* of evconnlistener; borrowed */
    void (*on_close)(void *data, struct evhttp_connection *connection);
    void *data;
} HttpPlaces;

/* Must not move afterwards. `max_input` has room for a whole request. on_close(data, connection) is
 * called before a connection is freed. */
void http_places_init(HttpPlaces *places, Loop *loop, size_t max_input,
                      void (*on_close)(void *data, struct evhttp_connection *connection),
                      void *data);
void http_places_clear(HttpPlaces *places); /* all connections are closed */

/* Who connects to this listener of `evhttp` takes one of the places. */
void http_places_watch(HttpPlaces *places, struct evhttp *evhttp, struct evconnlistener *listener);

/* The connection's patience begins anew. */
void http_places_answered(HttpPlaces *places, struct evhttp_connection *connection);
