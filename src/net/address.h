/* Where to listen or connect: an IPv4 or IPv6 address with a port, or a unix socket's path. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct Address {
    struct sockaddr_storage sockaddr;
    socklen_t len;
} Address;

enum { ADDRESS_TEXT_SIZE = 128 };

/* An address as the configuration writes it: host and port, or a path. Owned strings. */
typedef struct AddressName {
    char *text; /* as configured, for logs and metrics */
    char *host; /* name or numeric, without brackets; NULL for a unix socket */
    uint16_t port;
    char *path; /* of a unix socket; NULL otherwise */
} AddressName;

/* "host:port", "[::1]:port", "unix:/path". The message of *error says what is wrong and what would
 * be right, without naming file or key. Port 0 is accepted only with `allow_port_zero`. */
bool address_name_parse(const char *text, bool allow_port_zero, AddressName *ret, GError **error);
void address_name_clear(AddressName *name);

/* Whether both name the same place, however they are written. Names are not resolved, and port 0 is
 * never the same place as another. */
bool address_name_equal(const AddressName *a, const AddressName *b);

/* Whether it needs no resolver: a numeric address without scope, or a unix socket. */
bool address_name_is_fixed(const AddressName *name);

bool address_equal(const Address *a, const Address *b);

/* Every address that the name has, in the resolver's order, without duplicates. Blocks. */
GArray *address_resolve(const AddressName *name, GError **error); /* of Address */

/* "127.0.0.1:9090", "[::1]:9090", "unix:/path"; "unix:" for an unnamed peer. */
void address_format(const struct sockaddr_storage *sockaddr, socklen_t len,
                    char text[ADDRESS_TEXT_SIZE]);
