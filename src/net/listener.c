#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

enum {
    BACKLOG = 4096,
    ACCEPTS_PER_TURN = 64,
};
#define ACCEPT_PAUSE (100 * NSEC_PER_MSEC)

struct Listener {
    Loop *loop;
    int fd;
    struct event event;
    LoopTimer pause;
    LogLimit log_limit;
    ListenerAccept on_accept;
    void *data;
    char *unix_path; /* of the socket that this listener made; NULL otherwise */
    dev_t unix_dev;
    ino_t unix_ino;
};

static bool set_listen_error(GError **error, const Address *address, const char *what)
{
    int code = errno;
    char text[ADDRESS_TEXT_SIZE];
    address_format(&address->sockaddr, address->len, text);
    g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(code),
                "cannot listen on %s: %s: %s", text, what, g_strerror(code));
    return false;
}

/* Whether there is a unix socket that nobody serves any more. */
static bool unix_socket_is_stale(const Address *address)
{
    const struct sockaddr_un *name = (const struct sockaddr_un *)&address->sockaddr;
    struct stat status;
    if (lstat(name->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    int result = connect(fd, (const struct sockaddr *)&address->sockaddr, address->len);
    bool stale = result < 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static bool bind_unix(Listener *listener, const Address *address, mode_t mode, GError **error)
{
    const struct sockaddr_un *name = (const struct sockaddr_un *)&address->sockaddr;
    const struct sockaddr *sockaddr = (const struct sockaddr *)name;
    mode_t before = umask((mode_t)~mode & 0777);
    int result = bind(listener->fd, sockaddr, address->len);
    if (result < 0 && errno == EADDRINUSE && unix_socket_is_stale(address)) {
        unlink(name->sun_path);
        result = bind(listener->fd, sockaddr, address->len);
    }
    umask(before);
    if (result < 0)
        return set_listen_error(error, address, "bind");
    struct stat status;
    if (chmod(name->sun_path, mode) < 0 || stat(name->sun_path, &status) < 0)
        return set_listen_error(error, address, "chmod");
    listener->unix_path = g_strdup(name->sun_path);
    listener->unix_dev = status.st_dev;
    listener->unix_ino = status.st_ino;
    return true;
}

static bool bind_tcp(Listener *listener, const Address *address, GError **error)
{
    int on = 1;
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->sockaddr.ss_family == AF_INET6)
        setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(listener->fd, (const struct sockaddr *)&address->sockaddr, address->len) < 0)
        return set_listen_error(error, address, "bind");
    return true;
}

static bool open_socket(Listener *listener, const Address *address, mode_t mode, GError **error)
{
    int family = address->sockaddr.ss_family;
    listener->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return set_listen_error(error, address, "socket");
    bool bound = family == AF_UNIX ? bind_unix(listener, address, mode, error)
                                   : bind_tcp(listener, address, error);
    if (!bound)
        return false;
    if (listen(listener->fd, BACKLOG) < 0)
        return set_listen_error(error, address, "listen");
    return true;
}

static void pause_accepting(Listener *listener, int code)
{
    nsec_t now = loop_now(listener->loop);
    log_limited(&listener->log_limit, now, LOG_LEVEL_ERROR,
                "cannot accept a client: %s; accepting pauses for %u ms", g_strerror(code),
                (unsigned)(ACCEPT_PAUSE / NSEC_PER_MSEC));
    event_del(&listener->event);
    loop_timer_set(&listener->pause, now + ACCEPT_PAUSE);
}

static void resume_accepting(void *data)
{
    Listener *listener = data;
    check(event_add(&listener->event, NULL) == 0);
}

static bool is_passing_error(int code)
{
    return code == EAGAIN || code == EINTR || code == ECONNABORTED || code == EPROTO ||
           code == ENETDOWN || code == EHOSTDOWN || code == EHOSTUNREACH || code == ENETUNREACH;
}

static void on_readable(evutil_socket_t socket, short what, void *argument)
{
    (void)what;
    Listener *listener = argument;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (!is_passing_error(errno))
                pause_accepting(listener, errno);
            return;
        }
        listener->on_accept(listener->data, fd);
    }
}

static Listener *new_closed(Loop *loop, ListenerAccept on_accept, void *data)
{
    Listener *listener = g_new0(Listener, 1);
    listener->loop = loop;
    listener->fd = -1;
    listener->on_accept = on_accept;
    listener->data = data;
    loop_timer_init(&listener->pause, loop, resume_accepting, listener);
    return listener;
}

/* Where it could not be opened, there is no listener. */
static Listener *begin_accepting(Listener *listener, bool opened)
{
    check(event_assign(&listener->event, listener->loop->base, listener->fd, EV_READ | EV_PERSIST,
                       on_readable, listener) == 0);
    if (!opened) {
        listener_free(listener);
        return NULL;
    }
    check(event_add(&listener->event, NULL) == 0);
    return listener;
}

Listener *listener_new(Loop *loop, const Address *address, mode_t socket_mode,
                       ListenerAccept on_accept, void *data, GError **error)
{
    Listener *listener = new_closed(loop, on_accept, data);
    return begin_accepting(listener, open_socket(listener, address, socket_mode, error));
}

/* Sockets that were passed */

static bool socket_option_is(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

static bool has_usable_family(int fd)
{
    return socket_option_is(fd, SO_DOMAIN, AF_INET) || socket_option_is(fd, SO_DOMAIN, AF_INET6) ||
           socket_option_is(fd, SO_DOMAIN, AF_UNIX);
}

static const char *what_is_wrong_with(int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return "it is not open";
    if (!S_ISSOCK(status.st_mode))
        return "it is no socket";
    if (!has_usable_family(fd))
        return "it is neither an internet nor a unix socket";
    if (!socket_option_is(fd, SO_TYPE, SOCK_STREAM))
        return "it is no stream socket (ListenStream=)";
    if (!socket_option_is(fd, SO_ACCEPTCONN, 1))
        return "it does not listen (ListenStream= with Accept=no)";
    return NULL;
}

static bool take_over(Listener *listener, int fd, GError **error)
{
    const char *wrong = what_is_wrong_with(fd);
    if (wrong != NULL) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "cannot listen on descriptor %d, which was passed to it: %s", fd, wrong);
        return false;
    }
    listener->fd = fd;
    evutil_make_socket_nonblocking(fd);
    evutil_make_socket_closeonexec(fd);
    return true;
}

Listener *listener_adopt(Loop *loop, int fd, ListenerAccept on_accept, void *data, GError **error)
{
    Listener *listener = new_closed(loop, on_accept, data);
    return begin_accepting(listener, take_over(listener, fd, error));
}

/* Not when somebody has put another one in its place. */
static void remove_unix_socket(const Listener *listener)
{
    struct stat status;
    if (listener->unix_path != NULL && stat(listener->unix_path, &status) == 0 &&
        status.st_dev == listener->unix_dev && status.st_ino == listener->unix_ino)
        unlink(listener->unix_path);
}

void listener_free(Listener *listener)
{
    if (listener == NULL)
        return;
    loop_timer_clear(&listener->pause);
    event_del(&listener->event);
    if (listener->fd >= 0)
        close(listener->fd);
    remove_unix_socket(listener);
    g_free(listener->unix_path);
    g_free(listener);
}

int listener_lend(Listener *listener)
{
    event_del(&listener->event);
    return listener->fd;
}

void listener_set_mode(const Listener *listener, mode_t socket_mode)
{
    if (listener->unix_path != NULL && chmod(listener->unix_path, socket_mode) < 0)
        log_error("cannot change the mode of unix:%s: %s", listener->unix_path, g_strerror(errno));
}

void listener_format(const Listener *listener, char text[ADDRESS_TEXT_SIZE])
{
    struct sockaddr_storage sockaddr;
    socklen_t len = sizeof sockaddr;
    memset(&sockaddr, 0, sizeof sockaddr);
    if (getsockname(listener->fd, (struct sockaddr *)&sockaddr, &len) < 0)
        len = 0;
    address_format(&sockaddr, len, text);
}
