#include "remote.h"

#include <fb303_admin_service.h>
#include <socket-transport.h>
#include <string.h>
#include <sys/socket.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/thrift_application_exception.h>
#include <thrift/c_glib/transport/thrift_transport.h>
#include <unistd.h>

#include "connect.h"

struct Remote {
    int fd;
    int timeout;
    SocketTransport *transport;
    ThriftProtocol *protocol;
    Fb303AdminServiceClient *client;
};

Remote *remote_open(const char *address, int timeout, GError **error)
{
    int fd = connect_to(address, timeout, error);
    if (fd < 0)
        return NULL;
    Remote *remote = g_new0(Remote, 1);
    remote->fd = fd;
    remote->timeout = timeout;
    remote->transport = socket_transport_new(fd, FALSE);
    remote->protocol =
        g_object_new(THRIFT_TYPE_BINARY_PROTOCOL, "transport", remote->transport, NULL);
    remote->client = g_object_new(FB303_TYPE_ADMIN_SERVICE_CLIENT, "input_protocol",
                                  remote->protocol, "output_protocol", remote->protocol, NULL);
    return remote;
}

void remote_close(Remote *remote)
{
    if (remote == NULL)
        return;
    g_object_unref(remote->client);
    g_object_unref(remote->protocol);
    g_object_unref(remote->transport);
    close(remote->fd);
    g_free(remote);
}

/* c_glib tells what the other side said behind a prefix of its own. */
static const char *said(const GError *error)
{
    static const char prefix[] = "application error: ";
    return g_str_has_prefix(error->message, prefix) ? error->message + strlen(prefix)
                                                    : error->message;
}

static bool has_ended(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Makes words of a failed call. Takes `why`. */
static bool explain(const Remote *remote, gboolean ok, GError *why, GError **error)
{
    if (ok && why == NULL)
        return true;
    if (why != NULL && why->domain == THRIFT_APPLICATION_EXCEPTION_ERROR)
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, said(why));
    else if (has_ended(remote->fd))
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_PIPE,
                            "the daemon has closed the connection; its log says why");
    else if (why != NULL && why->domain == THRIFT_TRANSPORT_ERROR)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN,
                    "the daemon did not answer within %d s (see --timeout)", remote->timeout);
    else
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "the daemon's answer is not understood: %s",
                    why != NULL ? why->message : "it has no result");
    g_clear_error(&why);
    return false;
}

static Fb303AdminServiceIf *admin_of(Remote *remote)
{
    return FB303_ADMIN_SERVICE_IF(remote->client);
}

static Fb303FacebookServiceIf *base_of(Remote *remote)
{
    return FB303_FACEBOOK_SERVICE_IF(remote->client);
}

char *remote_stats(Remote *remote, GError **error)
{
    GError *why = NULL;
    char *json = NULL;
    gboolean ok = fb303_admin_service_if_get_stats_json(admin_of(remote), &json, &why);
    if (explain(remote, ok && json != NULL, why, error))
        return json;
    g_free(json);
    return NULL;
}

char *remote_reload(Remote *remote, GError **error)
{
    GError *why = NULL;
    char *remarks = NULL;
    gboolean ok = fb303_admin_service_if_reload(admin_of(remote), &remarks, &why);
    if (explain(remote, ok && remarks != NULL, why, error))
        return remarks;
    g_free(remarks);
    return NULL;
}

bool remote_drain(Remote *remote, GError **error)
{
    GError *why = NULL;
    gboolean ok = fb303_admin_service_if_drain(admin_of(remote), &why);
    return explain(remote, ok, why, error);
}

bool remote_pause(Remote *remote, GError **error)
{
    GError *why = NULL;
    gboolean ok = fb303_admin_service_if_pause(admin_of(remote), &why);
    return explain(remote, ok, why, error);
}

bool remote_resume(Remote *remote, GError **error)
{
    GError *why = NULL;
    gboolean ok = fb303_admin_service_if_resume(admin_of(remote), &why);
    return explain(remote, ok, why, error);
}

bool remote_set_option(Remote *remote, const char *name, const char *value, GError **error)
{
    GError *why = NULL;
    gboolean ok = fb303_facebook_service_if_set_option(base_of(remote), name, value, &why);
    return explain(remote, ok, why, error);
}

char *remote_option(Remote *remote, const char *name, GError **error)
{
    GError *why = NULL;
    char *value = NULL;
    gboolean ok = fb303_facebook_service_if_get_option(base_of(remote), &value, name, &why);
    if (explain(remote, ok && value != NULL, why, error))
        return value;
    g_free(value);
    return NULL;
}

GHashTable *remote_options(Remote *remote, GError **error)
{
    GError *why = NULL;
    GHashTable *options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    gboolean ok = fb303_facebook_service_if_get_options(base_of(remote), &options, &why);
    if (explain(remote, ok, why, error))
        return options;
    g_hash_table_unref(options);
    return NULL;
}
