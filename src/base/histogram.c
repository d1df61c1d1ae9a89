#include "base/histogram.h"

/* The first bucket up to which at least `n` values lie. */
static unsigned bucket_of_nth(const Histogram *histogram, uint64_t n)
{
    uint64_t so_far = 0;
    unsigned bucket = 0;
    for (; bucket + 1 < HISTOGRAM_BUCKETS; bucket++) {
        so_far += histogram->buckets[bucket];
        if (so_far >= n)
            break;
    }
    return bucket;
}

uint64_t histogram_percentile(const Histogram *histogram, unsigned percent)
{
    if (histogram->count == 0)
        return 0;
    /* Rounded up, without passing the range on the way. */
    uint64_t n = histogram->count / 100 * percent + (histogram->count % 100 * percent + 99) / 100;
    uint64_t max = histogram_bucket_max(bucket_of_nth(histogram, n));
    return max == 0 || max > histogram->max ? histogram->max : max;
}
