/* What calls and messages of the demo cost: time, not processor. */
#pragma once

#include <errno.h>
#include <glib.h>
#include <time.h>

static inline void sleep_us(guint64 us)
{
    struct timespec left = {.tv_sec = (time_t)(us / 1000000),
                            .tv_nsec = (long)(us % 1000000) * 1000};

    while (us > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}
