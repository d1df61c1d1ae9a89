/* client ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with c_glib, the library for C. */

#include "checks.h"
#include "values.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/transport/thrift_buffered_transport.h>
#include <thrift/c_glib/transport/thrift_framed_transport.h>
#include <thrift/c_glib/transport/thrift_socket.h>

typedef struct Connection {
    Client client;
    bool open;
} Connection;

static bool client_open(Client *client, char **form, GError **error)
{
    g_auto(GStrv) address = g_strsplit(form[0], ":", 2);
    ThriftSocket *socket =
        g_object_new(THRIFT_TYPE_SOCKET, "hostname", address[0], "port", atoi(address[1]), NULL);
    GType transport_type = g_str_equal(form[1], "framed") ? THRIFT_TYPE_FRAMED_TRANSPORT
                                                          : THRIFT_TYPE_BUFFERED_TRANSPORT;
    GType protocol_type = g_str_equal(form[2], "compact") ? THRIFT_TYPE_COMPACT_PROTOCOL
                                                          : THRIFT_TYPE_BINARY_PROTOCOL;
    ThriftTransport *transport = g_object_new(transport_type, "transport", socket, NULL);
    ThriftProtocol *protocol = g_object_new(protocol_type, "transport", transport, NULL);

    client->demo = g_object_new(DEMO_TYPE_DIRECTORY_CLIENT, "input_protocol", protocol,
                                "output_protocol", protocol, NULL);
    client->newer = g_object_new(INTEROP_TYPE_NEWER_CLIENT, "input_protocol", protocol,
                                 "output_protocol", protocol, NULL);
    return thrift_transport_open(transport, error);
}

/* A failed check ends the connection: what is left on it is no business of the next one. */
static void run(Connection *connection, const Check *check, char **form)
{
    GError *error = NULL;
    char *why;

    connection->open = connection->open || client_open(&connection->client, form, &error);
    why = connection->open ? check->run(&connection->client) : because(error);
    if (why == NULL)
        printf("ok %s\n", check->name);
    else
        printf("not ok %s: %s\n", check->name, g_strdelimit(why, "\n", ' '));
    connection->open = connection->open && why == NULL;
}

int main(int argc, char **argv)
{
    Connection connection = {0};

    if (argc != 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (const Check *check = everything_checks; check->name != NULL; check++)
        run(&connection, check, argv + 1);
    for (const Check *check = call_checks; check->name != NULL; check++)
        run(&connection, check, argv + 1);
    return 0;
}
