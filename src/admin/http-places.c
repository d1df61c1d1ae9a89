#include "admin/http-places.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "base/check.h"
#include "base/log.h"

typedef struct HttpConnection {
    ListLink link; /* HttpPlaces.connections */
    HttpPlaces *places;
    struct evhttp_connection *evhttp;
    nsec_t since; /* opened or answered */
} HttpConnection;

static void accept_or_wait(const HttpPlaces *places)
{
    for (guint i = 0; i < places->listeners->len; i++) {
        struct evconnlistener *listener = g_ptr_array_index(places->listeners, i);
        if (places->n < HTTP_PLACES)
            evconnlistener_enable(listener);
        else
            evconnlistener_disable(listener);
    }
}

/* Frees nothing of evhttp's, which is about to. */
static void on_closed(struct evhttp_connection *evhttp, void *data)
{
    HttpConnection *connection = data;
    HttpPlaces *places = connection->places;
    places->on_close(places->data, evhttp);
    list_remove(&connection->link);
    g_free(connection);
    places->n--;
    accept_or_wait(places);
}

static void take(HttpPlaces *places, struct evhttp_connection *evhttp)
{
    HttpConnection *connection = g_new0(HttpConnection, 1);
    connection->places = places;
    connection->evhttp = evhttp;
    connection->since = loop_now(places->loop);
    list_append(&places->connections, &connection->link);
    evhttp_connection_set_closecb(evhttp, on_closed, connection);
}

/* evhttp tells of a connection only with its first whole request. But it is what evhttp's callbacks
 * of the bufferevent get. Nothing was read yet: the turn that accepted is not over. */
static void take_fresh(void *data)
{
    HttpPlaces *places = data;
    for (guint i = 0; i < places->fresh->len; i++) {
        void *evhttp = NULL;
        bufferevent_getcb(g_ptr_array_index(places->fresh, i), NULL, NULL, NULL, &evhttp);
        check(evhttp != NULL);
        take(places, evhttp);
    }
    g_ptr_array_set_size(places->fresh, 0);
}

/* While evhttp accepts a connection. */
static struct bufferevent *on_accept(struct event_base *base, void *data)
{
    HttpPlaces *places = data;
    struct bufferevent *fresh = bufferevent_socket_new(base, -1, 0);
    check(fresh != NULL);
    bufferevent_setwatermark(fresh, EV_READ, 0, places->max_input);
    g_ptr_array_add(places->fresh, fresh);
    loop_defer(places->loop, &places->take_fresh);
    places->n++;
    accept_or_wait(places);
    return fresh;
}

/* Out of descriptors, for one: until the next tick. `evhttp` is not ours to look into. */
static void on_accept_error(struct evconnlistener *listener, void *evhttp)
{
    (void)evhttp;
    static LogLimit limit; /* the process has one admin thread */
    int code = errno;
    nsec_t now = (nsec_t)g_get_monotonic_time() * NSEC_PER_USEC;
    log_limited(&limit, now, LOG_LEVEL_ERROR, "cannot accept an http connection: %s",
                g_strerror(code));
    evconnlistener_disable(listener);
}

static void close_the_impatient(HttpPlaces *places)
{
    nsec_t now = loop_now(places->loop);
    nsec_t patience = places->n < HTTP_PLACES ? HTTP_PATIENCE : HTTP_SHORT_PATIENCE;
    ListLink *link;
    while ((link = list_first(&places->connections)) != NULL) {
        const HttpConnection *connection = LIST_OWNER(link, HttpConnection, link);
        if (now < connection->since + patience)
            break;
        evhttp_connection_free(connection->evhttp);
    }
}

static void on_tick(void *data)
{
    HttpPlaces *places = data;
    close_the_impatient(places);
    accept_or_wait(places);
    loop_timer_set(&places->tick, loop_now(places->loop) + NSEC_PER_SEC);
}

void http_places_init(HttpPlaces *places, Loop *loop, size_t max_input,
                      void (*on_close)(void *data, struct evhttp_connection *connection),
                      void *data)
{
    *places =
        (HttpPlaces){.loop = loop, .max_input = max_input, .on_close = on_close, .data = data};
    list_init(&places->connections);
    places->fresh = g_ptr_array_new();
    places->listeners = g_ptr_array_new();
    loop_task_init(&places->take_fresh, take_fresh, places);
    loop_timer_init(&places->tick, loop, on_tick, places);
    loop_timer_set(&places->tick, loop_now(loop) + NSEC_PER_SEC);
}

void http_places_clear(HttpPlaces *places)
{
    take_fresh(places);
    g_ptr_array_set_size(places->listeners, 0);
    ListLink *link;
    while ((link = list_first(&places->connections)) != NULL)
        evhttp_connection_free(LIST_OWNER(link, HttpConnection, link)->evhttp);
    loop_cancel(&places->take_fresh);
    loop_timer_clear(&places->tick);
    g_ptr_array_unref(places->fresh);
    g_ptr_array_unref(places->listeners);
}

void http_places_watch(HttpPlaces *places, struct evhttp *evhttp, struct evconnlistener *listener)
{
    evhttp_set_bevcb(evhttp, on_accept, places);
    evconnlistener_set_error_cb(listener, on_accept_error);
    g_ptr_array_add(places->listeners, listener);
}

void http_places_answered(HttpPlaces *places, struct evhttp_connection *connection)
{
    LIST_EACH (&places->connections, link) {
        HttpConnection *candidate = LIST_OWNER(link, HttpConnection, link);
        if (candidate->evhttp != connection)
            continue;
        candidate->since = loop_now(places->loop);
        list_remove(link);
        list_append(&places->connections, link);
        return;
    }
}
