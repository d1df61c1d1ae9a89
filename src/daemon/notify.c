#include "daemon/notify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

/* To close clients and connections, beside what a drain may take. */
#define TIME_TO_END (5 * NSEC_PER_SEC)

bool notify_enabled(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

void notify_ready(void)
{
    sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, usec);
}

void notify_stopping(nsec_t timeout)
{
    sd_notifyf(0, "STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=%" PRIu64,
               (timeout + TIME_TO_END) / NSEC_PER_USEC);
}

void notify_status(const char *line)
{
    sd_notifyf(0, "STATUS=%s", line);
}

nsec_t notify_watchdog_interval(void)
{
    uint64_t usec;
    return sd_watchdog_enabled(0, &usec) > 0 ? usec * NSEC_PER_USEC : 0;
}

void notify_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}
