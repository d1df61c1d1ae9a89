#include "admin/fb303-server.h"

#include "admin/fb303-connection.h"
#include "base/log.h"
#include "net/listener.h"

struct AdminFb303 {
    Fb303Connections connections;
    GPtrArray *listeners; /* of Listener */
};

static void on_accept(void *data, int fd)
{
    AdminFb303 *fb303 = data;
    fb303_connections_accept(&fb303->connections, fd);
}

static bool add_listener(AdminFb303 *fb303, const Address *address, mode_t socket_mode,
                         GError **error)
{
    Listener *listener =
        listener_new(fb303->connections.loop, address, socket_mode, on_accept, fb303, error);
    if (listener == NULL)
        return false;
    g_ptr_array_add(fb303->listeners, listener);
    char text[ADDRESS_TEXT_SIZE];
    listener_format(listener, text);
    log_info("fb303 on %s", text);
    return true;
}

/* Every address that the name has, as for clients. */
static bool add_listeners(AdminFb303 *fb303, const AdminParams *params, GError **error)
{
    g_autoptr(GArray) addresses = address_resolve(params->fb303, error);
    for (guint i = 0; addresses != NULL && i < addresses->len; i++)
        if (!add_listener(fb303, &g_array_index(addresses, Address, i), params->socket_mode, error))
            return false;
    return addresses != NULL;
}

static void free_listener(void *listener)
{
    listener_free(listener);
}

AdminFb303 *admin_fb303_new(Loop *loop, Mailbox *mailbox, const AdminParams *params, GError **error)
{
    AdminFb303 *fb303 = g_new0(AdminFb303, 1);
    fb303_connections_init(&fb303->connections, loop, mailbox, params->ops, params->ops_data,
                           FB303_IDLE_TIMEOUT);
    fb303->listeners = g_ptr_array_new_with_free_func(free_listener);
    if (!add_listeners(fb303, params, error)) {
        admin_fb303_free(fb303);
        return NULL;
    }
    return fb303;
}

void admin_fb303_free(AdminFb303 *fb303)
{
    if (fb303 == NULL)
        return;
    g_ptr_array_unref(fb303->listeners);
    fb303_connections_clear(&fb303->connections);
    g_free(fb303);
}
