#include "admin/fb303-server.h"

#include "admin/fb303-connection.h"
#include "base/log.h"
#include "net/listener.h"

struct AdminFb303 {
    Fb303Connections connections;
    Listener *listener;
};

static void on_accept(void *data, int fd)
{
    AdminFb303 *fb303 = data;
    fb303_connections_accept(&fb303->connections, fd);
}

/* The first address of a name is listened on, as admin interfaces have one each. */
static Listener *open_listener(AdminFb303 *fb303, Loop *loop, const AdminParams *params,
                               GError **error)
{
    g_autoptr(GArray) addresses = address_resolve(params->fb303, error);
    if (addresses == NULL)
        return NULL;
    return listener_new(loop, &g_array_index(addresses, Address, 0), params->socket_mode, on_accept,
                        fb303, error);
}

AdminFb303 *admin_fb303_new(Loop *loop, Mailbox *mailbox, const AdminParams *params, GError **error)
{
    AdminFb303 *fb303 = g_new0(AdminFb303, 1);
    fb303_connections_init(&fb303->connections, loop, mailbox, params->ops, params->ops_data,
                           FB303_IDLE_TIMEOUT);
    fb303->listener = open_listener(fb303, loop, params, error);
    if (fb303->listener == NULL) {
        admin_fb303_free(fb303);
        return NULL;
    }
    char text[ADDRESS_TEXT_SIZE];
    listener_format(fb303->listener, text);
    log_info("fb303: serving at %s", text);
    return fb303;
}

void admin_fb303_free(AdminFb303 *fb303)
{
    if (fb303 == NULL)
        return;
    listener_free(fb303->listener);
    fb303_connections_clear(&fb303->connections);
    g_free(fb303);
}
