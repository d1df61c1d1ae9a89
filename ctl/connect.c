#include "connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX "unix:"

/* Of connect(2) to `address`. */
static void explain(const char *address, int code, GError **error)
{
    const char *advice = "";
    if (code == ENOENT || code == ECONNREFUSED)
        advice = "\nNobody listens there. Does the daemon run? The key fb303 of [admin] in its "
                 "configuration\nsays where it listens; --instance NAME or --socket ADDRESS "
                 "chooses another one.";
    else if (code == EACCES || code == EPERM)
        advice = "\nThe socket is for root and for the daemon's user and group: try sudo.";
    g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(code),
                "cannot connect to %s: %s%s", address, g_strerror(code), advice);
}

static int open_socket(const struct sockaddr *sockaddr, socklen_t len, int timeout)
{
    const struct timeval patience = {.tv_sec = timeout};
    int fd = socket(sockaddr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, sockaddr, len) == 0)
        return fd;
    int code = errno == EINPROGRESS || errno == EAGAIN ? ETIMEDOUT : errno;
    close(fd);
    errno = code;
    return -1;
}

static int connect_unix(const char *address, int timeout, GError **error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = address + strlen(UNIX_PREFIX);
    if (strlen(path) >= sizeof name.sun_path) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG,
                    "the path of %s is too long for a socket", address);
        return -1;
    }
    g_strlcpy(name.sun_path, path, sizeof name.sun_path);
    int fd = open_socket((const struct sockaddr *)&name, sizeof name, timeout);
    if (fd < 0)
        explain(address, errno, error);
    return fd;
}

/* "host:port" and "[::1]:port". */
static bool split(const char *address, char **ret_host, const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || colon[1] == '\0')
        return false;
    size_t len = (size_t)(colon - address);
    bool bracketed = address[0] == '[' && address[len - 1] == ']';
    *ret_host = bracketed ? g_strndup(address + 1, len - 2) : g_strndup(address, len);
    *ret_port = colon + 1;
    return true;
}

static int connect_tcp(const char *address, int timeout, GError **error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    g_autofree char *host = NULL;
    const char *port;
    if (!split(address, &host, &port)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "'%s' is no address; write unix:/path, host:port or [::1]:port", address);
        return -1;
    }
    int status = getaddrinfo(host, port, &hints, &found);
    if (status != 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot look up %s: %s", address,
                    gai_strerror(status));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *info = found; info != NULL && fd < 0; info = info->ai_next)
        fd = open_socket(info->ai_addr, info->ai_addrlen, timeout);
    if (fd < 0)
        explain(address, errno, error);
    freeaddrinfo(found);
    return fd;
}

int connect_to(const char *address, int timeout, GError **error)
{
    return g_str_has_prefix(address, UNIX_PREFIX) ? connect_unix(address, timeout, error)
                                                  : connect_tcp(address, timeout, error);
}
