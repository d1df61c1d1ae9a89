/* Times and durations in nanoseconds. Points in time are CLOCK_MONOTONIC; only net and daemon read
 * a clock, everything below is given `now`. */
#pragma once

#include <stdint.h>

typedef uint64_t nsec_t;

#define NSEC_PER_USEC ((nsec_t)1000)
#define NSEC_PER_MSEC ((nsec_t)1000000)
#define NSEC_PER_SEC  ((nsec_t)1000000000)

/* Later than every point in time. */
#define NSEC_NEVER ((nsec_t)UINT64_MAX)

static inline nsec_t nsec_min(nsec_t a, nsec_t b)
{
    return a < b ? a : b;
}

static inline nsec_t nsec_max(nsec_t a, nsec_t b)
{
    return a > b ? a : b;
}

/* How long it is from `now` to `then`; 0 where `then` has passed. */
static inline nsec_t nsec_until(nsec_t now, nsec_t then)
{
    return then > now ? then - now : 0;
}
