#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

enum {
    PORT_MAX = 65535,
    HOST_NAME_MAX_LEN = 253, /* RFC 1035, without the final dot */
    UNIX_PATH_MAX_LEN = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1,
};

#define UNIX_PREFIX "unix:"

static G_DEFINE_QUARK(address - error, address_error)

    static bool reject(GError **error, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static bool reject(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, address_error_quark(), 0, text);
    return false;
}

static bool parse_path(const char *text, char **ret_path, GError **error)
{
    const char *path = text + strlen(UNIX_PREFIX);
    size_t len = strlen(path);

    if (path[0] != '/')
        return reject(error, "'%s' has no absolute path; write unix:/path", text);
    if (path[len - 1] == '/')
        return reject(error, "'%s' names a directory; write unix:/path/to/the.sock", text);
    if (len > UNIX_PATH_MAX_LEN)
        return reject(error, "'%s' has a path of %zu bytes; a unix socket's has at most %d", text,
                      len, UNIX_PATH_MAX_LEN);

    *ret_path = g_strdup(path);
    return true;
}

static bool parse_port(const char *text, const char *digits, bool allow_zero, uint16_t *ret_port,
                       GError **error)
{
    guint64 port;

    if (!g_ascii_string_to_unsigned(digits, 10, allow_zero ? 0 : 1, PORT_MAX, &port, NULL))
        return reject(error, "'%s' has the port '%s'; a port is a number from %d to %d", text,
                      digits, allow_zero ? 0 : 1, PORT_MAX);

    *ret_port = (uint16_t)port;
    return true;
}

static bool is_ipv4(const char *host)
{
    struct in_addr addr;
    return inet_pton(AF_INET, host, &addr) == 1;
}

/* The scope behind '%' is checked when the address is resolved. */
static bool is_ipv6(const char *host)
{
    g_autofree char *unscoped = g_strndup(host, strcspn(host, "%"));
    struct in6_addr addr;
    return inet_pton(AF_INET6, unscoped, &addr) == 1;
}

static bool is_host_name(const char *host)
{
    size_t len = strlen(host);
    if (len == 0 || len > HOST_NAME_MAX_LEN || host[0] == '.' || host[0] == '-')
        return false;
    return strspn(host, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-") == len;
}

/* Only digits and dots: not meant as a name, so that 10.0.0.300 is no name to look up. */
static bool looks_like_ipv4(const char *host)
{
    return host[strspn(host, G_CSET_DIGITS ".")] == '\0';
}

static bool parse_host(const char *text, const char *host, GError **error)
{
    if (host[0] == '\0')
        return reject(error, "'%s' has no host; write host:port, for all addresses 0.0.0.0:port",
                      text);
    if (looks_like_ipv4(host) ? !is_ipv4(host) : !is_host_name(host))
        return reject(error, "'%s' has the host '%s'; write a name or an IP address", text, host);
    return true;
}

static bool parse_bracketed(const char *text, bool allow_port_zero, AddressName *name,
                            GError **error)
{
    const char *end = strchr(text, ']');

    if (!end || end[1] != ':')
        return reject(error, "'%s' has no port behind a ']'; write [::1]:port", text);

    name->host = g_strndup(text + 1, (size_t)(end - text) - 1);
    if (!is_ipv6(name->host))
        return reject(error, "'%s' has no IPv6 address in its brackets; write [::1]:port", text);
    return parse_port(text, end + 2, allow_port_zero, &name->port, error);
}

static bool parse_host_and_port(const char *text, bool allow_port_zero, AddressName *name,
                                GError **error)
{
    const char *colon = strchr(text, ':');

    if (!colon)
        return reject(error, "'%s' has no port; write host:port, [::1]:port or unix:/path", text);
    if (strchr(colon + 1, ':'))
        return reject(error, "'%s' has more than one ':'; write an IPv6 address as [::1]:port",
                      text);

    name->host = g_strndup(text, (size_t)(colon - text));
    return parse_host(text, name->host, error) &&
           parse_port(text, colon + 1, allow_port_zero, &name->port, error);
}

bool address_name_parse(const char *text, bool allow_port_zero, AddressName *ret, GError **error)
{
    AddressName name = {.text = g_strdup(text)};
    bool ok;

    if (g_str_has_prefix(text, UNIX_PREFIX))
        ok = parse_path(text, &name.path, error);
    else if (text[0] == '[')
        ok = parse_bracketed(text, allow_port_zero, &name, error);
    else
        ok = parse_host_and_port(text, allow_port_zero, &name, error);

    if (!ok) {
        address_name_clear(&name);
        return false;
    }
    *ret = name;
    return true;
}

void address_name_clear(AddressName *name)
{
    if (!name)
        return;
    g_free(name->text);
    g_free(name->host);
    g_free(name->path);
    *name = (AddressName){0};
}

/* Numeric IPv6 addresses have many spellings: ::1, 0:0::1. */
static bool same_host(const char *a, const char *b)
{
    struct in6_addr a6, b6;

    if (inet_pton(AF_INET6, a, &a6) == 1 && inet_pton(AF_INET6, b, &b6) == 1)
        return memcmp(&a6, &b6, sizeof a6) == 0;
    return g_ascii_strcasecmp(a, b) == 0;
}

bool address_name_equal(const AddressName *a, const AddressName *b)
{
    if (a->path || b->path)
        return g_strcmp0(a->path, b->path) == 0;
    return a->port != 0 && a->port == b->port && same_host(a->host, b->host);
}

bool address_name_is_fixed(const AddressName *name)
{
    struct in6_addr addr;
    return name->path || is_ipv4(name->host) || inet_pton(AF_INET6, name->host, &addr) == 1;
}

bool address_equal(const Address *a, const Address *b)
{
    return a->len == b->len && memcmp(&a->sockaddr, &b->sockaddr, a->len) == 0;
}

static bool contains(const GArray *addresses, const Address *address)
{
    for (guint i = 0; i < addresses->len; i++) {
        if (address_equal(&g_array_index(addresses, Address, i), address))
            return true;
    }
    return false;
}

static void append_unix(GArray *addresses, const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    Address address = {.len = sizeof sun};

    g_strlcpy(sun.sun_path, path, sizeof sun.sun_path);
    memcpy(&address.sockaddr, &sun, sizeof sun);
    g_array_append_val(addresses, address);
}

/* Without AI_ADDRCONFIG: it would hide the addresses of a host that has only a loopback device. */
static bool append_resolved(GArray *addresses, const AddressName *name, GError **error)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    char port[sizeof "65535"];

    g_snprintf(port, sizeof port, "%u", name->port);
    int status = getaddrinfo(name->host, port, &hints, &found);
    if (status != 0)
        return reject(error, "'%s' cannot be resolved: %s", name->text,
                      status == EAI_SYSTEM ? g_strerror(errno) : gai_strerror(status));

    for (const struct addrinfo *info = found; info; info = info->ai_next) {
        Address address = {.len = info->ai_addrlen};
        memcpy(&address.sockaddr, info->ai_addr, info->ai_addrlen);
        if (!contains(addresses, &address))
            g_array_append_val(addresses, address);
    }
    freeaddrinfo(found);
    return addresses->len > 0 || reject(error, "'%s' has no address", name->text);
}

GArray *address_resolve(const AddressName *name, GError **error)
{
    g_autoptr(GArray) addresses = g_array_new(FALSE, FALSE, sizeof(Address));

    if (name->path)
        append_unix(addresses, name->path);
    else if (!append_resolved(addresses, name, error))
        return NULL;
    return g_steal_pointer(&addresses);
}

/* The kernel does not promise a terminating NUL; an abstract name begins with one. */
static void format_unix(const struct sockaddr_storage *sockaddr, socklen_t len, char *text)
{
    struct sockaddr_un sun;
    size_t path_len = len > offsetof(struct sockaddr_un, sun_path)
                          ? len - offsetof(struct sockaddr_un, sun_path)
                          : 0;

    memcpy(&sun, sockaddr, sizeof sun);
    path_len = MIN(path_len, sizeof sun.sun_path);
    if (path_len > 0 && sun.sun_path[0] == '\0') {
        g_snprintf(text, ADDRESS_TEXT_SIZE, path_len > 1 ? UNIX_PREFIX "@%.*s" : UNIX_PREFIX,
                   (int)path_len - 1, sun.sun_path + 1);
        return;
    }
    g_snprintf(text, ADDRESS_TEXT_SIZE, UNIX_PREFIX "%.*s", (int)path_len, sun.sun_path);
}

void address_format(const struct sockaddr_storage *sockaddr, socklen_t len,
                    char text[ADDRESS_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN + sizeof "%interface-name."], port[sizeof "65535"];

    if (sockaddr->ss_family == AF_UNIX)
        format_unix(sockaddr, len, text);
    else if (getnameinfo((const struct sockaddr *)sockaddr, len, host, sizeof host, port,
                         sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        g_snprintf(text, ADDRESS_TEXT_SIZE, sockaddr->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
                   host, port);
    else
        g_strlcpy(text, "unknown address", ADDRESS_TEXT_SIZE);
}
