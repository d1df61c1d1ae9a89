/* A histogram of fixed size with about 19 % resolution: four buckets for each power of two.
 * Recording is a handful of instructions and never allocates. Values are whatever unit the owner
 * says. */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 4 * 63 };

typedef struct Histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
} Histogram;

/* Values up to 4 have a bucket each (0 is in that of 1); above, two bits behind the leading one of
 * the number before choose it: the largest value of a bucket is a round number, as Prometheus' `le`
 * wants it. */
static inline unsigned histogram_bucket(uint64_t value)
{
    uint64_t before = value - (value > 0);
    if (before < 4)
        return (unsigned)before;
    unsigned shift = 61 - (unsigned)__builtin_clzll(before);
    return 4 * shift + (unsigned)(before >> shift);
}

/* The largest value that falls into the bucket: 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20 ...; 0
 * in the last one, which has no end. */
static inline uint64_t histogram_bucket_max(unsigned bucket)
{
    if (bucket < 4)
        return bucket + 1;
    unsigned shift = bucket / 4 - 1;
    return ((uint64_t)(bucket % 4) + 5) << shift;
}

static inline void histogram_record(Histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[histogram_bucket(value)]++;
}

/* The value that `percent` of a hundred recorded ones do not pass, as far as the buckets tell: the
 * largest of its bucket, at most `max`. 0 where nothing was recorded. */
uint64_t histogram_percentile(const Histogram *histogram, unsigned percent);

static inline void histogram_add(Histogram *total, const Histogram *part)
{
    total->count += part->count;
    total->sum += part->sum;
    if (part->max > total->max)
        total->max = part->max;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        total->buckets[i] += part->buckets[i];
}
