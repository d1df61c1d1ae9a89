#include "admin/http-server.h"

#include <event2/listener.h>

#include "admin/http-answer.h"
#include "admin/http-places.h"
#include "base/check.h"
#include "base/log.h"
#include "net/listener.h"

enum {
    MAX_HEADERS = 8 * 1024, /* bytes, with the request's line */
    MAX_BODY = 4 * 1024,    /* nobody needs one, but who sends a small one is told what is wrong */
};

struct AdminHttp {
    Loop *loop;
    const AdminOps *ops;
    void *ops_data;
    struct evhttp *evhttp;
    GPtrArray *listeners; /* of Listener: the sockets, on which evhttp accepts */
    HttpPlaces places;
    StatsRequest stats;
    List waiting; /* HttpWaiter.link: for statistics that are being collected */
    List late;    /* HttpWaiter.link: came since, and wait for the next */
};

/* A request that waits for statistics. Its connection may go away meanwhile. */
typedef struct HttpWaiter {
    ListLink link; /* AdminHttp.waiting, late */
    const HttpResource *resource;
    struct evhttp_request *request;       /* evhttp's; NULL once its connection is gone */
    struct evhttp_connection *connection; /* of it */
} HttpWaiter;

/* Requests */

/* One collection at a time for all who wait: however many ask, the workers are not asked more
 * often. */
static void collect(AdminHttp *http)
{
    if (!list_empty(&http->waiting) || list_empty(&http->late))
        return;
    list_take_all(&http->late, &http->waiting);
    http->ops->collect(http->ops_data, &http->stats);
}

static void answer_waiter(AdminHttp *http, HttpWaiter *waiter, const Stats *stats)
{
    if (waiter->request != NULL) {
        http_places_answered(&http->places, waiter->connection);
        waiter->resource->answer(waiter->request, stats);
    }
    list_remove(&waiter->link);
    g_free(waiter);
}

static void on_stats(StatsRequest *request, Stats *stats)
{
    AdminHttp *http = LIST_OWNER(request, AdminHttp, stats);
    ListLink *link;
    while ((link = list_first(&http->waiting)) != NULL)
        answer_waiter(http, LIST_OWNER(link, HttpWaiter, link), stats);
    stats_free(stats);
    collect(http);
}

static void wait_for_stats(AdminHttp *http, const HttpResource *resource,
                           struct evhttp_request *request)
{
    HttpWaiter *waiter = g_new0(HttpWaiter, 1);
    waiter->resource = resource;
    waiter->request = request;
    waiter->connection = evhttp_request_get_connection(request);
    list_append(&http->late, &waiter->link);
    collect(http);
}

static void forget_connection(const List *waiters, const struct evhttp_connection *connection)
{
    LIST_EACH (waiters, link) {
        HttpWaiter *waiter = LIST_OWNER(link, HttpWaiter, link);
        if (waiter->connection == connection)
            waiter->request = NULL;
    }
}

/* evhttp is about to free the connection, and its request with it. */
static void on_close(void *data, struct evhttp_connection *connection)
{
    const AdminHttp *http = data;
    forget_connection(&http->waiting, connection);
    forget_connection(&http->late, connection);
}

static bool only_shows(const struct evhttp_request *request)
{
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    return method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD;
}

static void answer_now(AdminHttp *http, struct evhttp_request *request,
                       const HttpResource *resource)
{
    http_places_answered(&http->places, evhttp_request_get_connection(request));
    if (resource == NULL)
        http_answer_not_found(request);
    else if (!only_shows(request))
        http_answer_not_allowed(request);
    else
        resource->answer(request, NULL);
}

static void on_request(struct evhttp_request *request, void *data)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
    const HttpResource *resource = path != NULL ? http_resource_find(path) : NULL;
    if (resource != NULL && resource->needs_stats && only_shows(request))
        wait_for_stats(data, resource, request);
    else
        answer_now(data, request, resource);
}

/* Setting up */

static struct evhttp *new_evhttp(AdminHttp *http)
{
    struct evhttp *evhttp = evhttp_new(http->loop->base);
    check(evhttp != NULL);
    evhttp_set_max_headers_size(evhttp, MAX_HEADERS);
    evhttp_set_max_body_size(evhttp, MAX_BODY);
    /* What is not shown is refused with words of ours. */
    evhttp_set_allowed_methods(evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                           EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
                                           EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT |
                                           EVHTTP_REQ_PATCH);
    evhttp_set_gencb(evhttp, on_request, http);
    return evhttp;
}

static bool add_listener(AdminHttp *http, const Address *address, mode_t socket_mode,
                         GError **error)
{
    Listener *listener = listener_new(http->loop, address, socket_mode, NULL, NULL, error);
    if (listener == NULL)
        return false;
    g_ptr_array_add(http->listeners, listener);
    struct evconnlistener *accepting = evconnlistener_new(
        http->loop->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, listener_lend(listener));
    check(accepting != NULL);
    check(evhttp_bind_listener(http->evhttp, accepting) != NULL);
    http_places_watch(&http->places, http->evhttp, accepting);
    char text[ADDRESS_TEXT_SIZE];
    listener_format(listener, text);
    log_info("http on %s", text);
    return true;
}

static bool add_listeners(AdminHttp *http, const AdminParams *params, GError **error)
{
    g_autoptr(GArray) addresses = address_resolve(params->http, error);
    if (addresses == NULL)
        return false;
    for (guint i = 0; i < addresses->len; i++) {
        if (!add_listener(http, &g_array_index(addresses, Address, i), params->socket_mode, error))
            return false;
    }
    return true;
}

static void free_listener(gpointer listener)
{
    listener_free(listener);
}

AdminHttp *admin_http_new(Loop *loop, Mailbox *mailbox, const AdminParams *params, GError **error)
{
    AdminHttp *http = g_new0(AdminHttp, 1);
    http->loop = loop;
    http->stats = (StatsRequest){.mailbox = mailbox, .done = on_stats};
    http->ops = params->ops;
    http->ops_data = params->ops_data;
    list_init(&http->waiting);
    list_init(&http->late);
    http->listeners = g_ptr_array_new_with_free_func(free_listener);
    http_places_init(&http->places, loop, MAX_HEADERS + MAX_BODY, on_close, http);
    http->evhttp = new_evhttp(http);
    if (!add_listeners(http, params, error)) {
        admin_http_free(http);
        return NULL;
    }
    return http;
}

static void free_waiters(List *waiters)
{
    ListLink *link;
    while ((link = list_first(waiters)) != NULL) {
        list_remove(link);
        g_free(LIST_OWNER(link, HttpWaiter, link));
    }
}

void admin_http_free(AdminHttp *http)
{
    if (http == NULL)
        return;
    http_places_clear(&http->places); /* before evhttp, whose listeners it knows */
    evhttp_free(http->evhttp);
    g_ptr_array_unref(http->listeners);
    free_waiters(&http->waiting);
    free_waiters(&http->late);
    g_free(http);
}
