#include "net/poller.h"

#include <errno.h>
#include <unistd.h>

#include "base/check.h"
#include "base/prefetch.h"

/* As many as one turn takes: what more there is waits for the next, behind the other sockets. So
 * few that what was read is still in the caches when it is sent, and answered; so many that what
 * each turn costs besides is divided among many. */
enum { EVENTS_PER_TURN = 128 };

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    (void)what;
    Poller *poller = argument;
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(fd, events, EVENTS_PER_TURN, 0);
    for (int i = 0; i < n; i++) {
        if (i + 1 < n)
            prefetch(events[i + 1].data.ptr, POLLER_PREFETCHED);
        poller->ready(events[i].data.ptr, events[i].events);
    }
}

bool poller_init(Poller *poller, Loop *loop, void (*ready)(void *object, uint32_t events))
{
    *poller = (Poller){.ready = ready, .fd = epoll_create1(EPOLL_CLOEXEC)};
    return poller->fd >= 0 &&
           event_assign(&poller->event, loop->base, poller->fd, EV_READ | EV_PERSIST, on_readable,
                        poller) == 0 &&
           event_add(&poller->event, NULL) == 0;
}

void poller_clear(Poller *poller)
{
    if (poller->fd < 0)
        return;
    event_del(&poller->event);
    close(poller->fd);
    poller->fd = -1;
}

bool poller_watch(Poller *poller, int fd, uint32_t before, uint32_t events, void *object)
{
    struct epoll_event event = {.events = events, .data.ptr = object};
    int operation = before == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    int result = epoll_ctl(poller->fd, operation, fd, &event);
    check(result == 0 || errno == ENOMEM || errno == ENOSPC);
    return result == 0;
}
