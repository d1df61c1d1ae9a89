/* Connecting, listening and accepting, the same for all programs of the benchmark. */

#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECT_SECONDS = 10,
    BACKLOG = 4096,
};

typedef union Address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
} Address;

static bool is_unix(const char *text)
{
    return strncmp(text, "unix:", strlen("unix:")) == 0;
}

static bool address_parse(const char *text, Address *ret, socklen_t *ret_len)
{
    const char *colon = strrchr(text, ':');
    char host[64] = "";

    memset(ret, 0, sizeof *ret);
    if (is_unix(text)) {
        const char *path = text + strlen("unix:");

        if (strlen(path) >= sizeof ret->un.sun_path)
            return false;
        ret->un.sun_family = AF_UNIX;
        memcpy(ret->un.sun_path, path, strlen(path));
        *ret_len = sizeof ret->un;
        return true;
    }
    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        return false;
    memcpy(host, text, (size_t)(colon - text));
    ret->in.sin_family = AF_INET;
    ret->in.sin_port = htons((uint16_t)atoi(colon + 1));
    *ret_len = sizeof ret->in;
    return inet_pton(AF_INET, host, &ret->in.sin_addr) == 1;
}

static void make_prompt(int fd)
{
    int on = 1;

    /* Fails for unix sockets, which do not delay anyway. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int sockets_connect(const char *text)
{
    const struct timeval patience = {.tv_sec = CONNECT_SECONDS};
    Address address;
    socklen_t len;
    int fd;

    if (!address_parse(text, &address, &len)) {
        errno = EINVAL;
        return -1;
    }
    fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, &address.any, len) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        int problem = errno;

        close(fd);
        errno = problem;
        return -1;
    }
    make_prompt(fd);
    return fd;
}

static void announce(int fd, const char *text)
{
    Address address = {0};
    socklen_t len = sizeof address;
    char host[INET_ADDRSTRLEN];

    if (is_unix(text)) {
        printf("listening on %s\n", text);
    } else {
        getsockname(fd, &address.any, &len);
        inet_ntop(AF_INET, &address.in.sin_addr, host, sizeof host);
        printf("listening on %s:%d\n", host, ntohs(address.in.sin_port));
    }
    fflush(stdout);
}

int sockets_listen(const char *text)
{
    Address address;
    socklen_t len;
    int fd = -1, on = 1;

    if (address_parse(text, &address, &len))
        fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (is_unix(text))
        unlink(text + strlen("unix:"));
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, &address.any, len) != 0 || listen(fd, BACKLOG) != 0) {
        fprintf(stderr, "cannot listen on %s: %s\n", text, strerror(errno));
        exit(1);
    }
    announce(fd, text);
    return fd;
}

int sockets_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        make_prompt(fd);
    return fd;
}

void sockets_allow_many(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

nsec_t clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (nsec_t)now.tv_sec * NSEC_PER_SEC + (nsec_t)now.tv_nsec;
}
