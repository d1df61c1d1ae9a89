/* A histogram of latencies in nanoseconds, log-linear: 128 buckets for each power of two, so that a
 * quantile is right to 0.4 %. Recording is a handful of instructions and never allocates. */
#pragma once

#include <stdint.h>

enum {
    LATENCY_BITS = 7,
    LATENCY_STEPS = 1 << LATENCY_BITS,
    LATENCY_BUCKETS = LATENCY_STEPS * (65 - LATENCY_BITS),
};

typedef struct Latency {
    uint64_t count, max;
    uint64_t buckets[LATENCY_BUCKETS];
} Latency;

/* Values below 256 have a bucket each; above, seven bits behind the leading one choose it. */
static inline unsigned latency_bucket(uint64_t value)
{
    if (value < LATENCY_STEPS)
        return (unsigned)value;
    unsigned shift = 63 - LATENCY_BITS - (unsigned)__builtin_clzll(value);
    return LATENCY_STEPS * shift + (unsigned)(value >> shift);
}

static inline void latency_record(Latency *latency, uint64_t value)
{
    latency->count++;
    if (value > latency->max)
        latency->max = value;
    latency->buckets[latency_bucket(value)]++;
}

/* The middle of the bucket. */
static inline double latency_of_bucket(unsigned bucket)
{
    if (bucket < 2 * LATENCY_STEPS)
        return bucket;
    unsigned shift = bucket / LATENCY_STEPS - 1;
    uint64_t begin = (uint64_t)(bucket % LATENCY_STEPS + LATENCY_STEPS) << shift;
    return (double)begin + (double)((uint64_t)1 << shift) / 2;
}

/* `part` is 0 to 1; 0 where nothing was recorded. */
static inline double latency_quantile(const Latency *latency, double part)
{
    uint64_t rank = (uint64_t)(part * (double)latency->count), seen = 0;

    for (unsigned bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
        seen += latency->buckets[bucket];
        if (seen > rank || (seen == latency->count && seen > 0))
            return latency_of_bucket(bucket);
    }
    return 0;
}
