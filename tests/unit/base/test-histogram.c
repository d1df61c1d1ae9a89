#include <criterion/criterion.h>
#include <glib.h>

#include "base/histogram.h"

#include "expect.h"

/* The bucket holds the value: it ends behind it, and the one before ends at or before it. */
static void assert_in_its_bucket(uint64_t value)
{
    unsigned bucket = histogram_bucket(value);
    expect(bucket < HISTOGRAM_BUCKETS, "value %#lx is in bucket %u of %d", (unsigned long)value,
           bucket, HISTOGRAM_BUCKETS);
    uint64_t end = histogram_bucket_end(bucket);
    expect(end > value || end == 0, "value %#lx", (unsigned long)value);
    uint64_t start = bucket > 0 ? histogram_bucket_end(bucket - 1) : 0;
    expect(start <= value, "value %#lx", (unsigned long)value);
    expect(value < 4 || end == 0 || (end - start) * 4 <= start, "value %#lx", (unsigned long)value);
}

static void assert_around(uint64_t value)
{
    assert_in_its_bucket(value - 1);
    assert_in_its_bucket(value);
    assert_in_its_bucket(value + 1);
    expect(histogram_bucket(value) >= histogram_bucket(value - 1));
    expect(histogram_bucket(value + 1) >= histogram_bucket(value));
}

Test(histogram, every_value_is_in_the_bucket_that_ends_behind_it)
{
    for (uint64_t value = 0; value < 5000; value++)
        assert_in_its_bucket(value);
    for (unsigned power = 3; power < 63; power++)
        for (uint64_t quarter = 4; quarter < 8; quarter++)
            assert_around(quarter << (power - 2));
    static const uint64_t table[] = {1000,       250000,        999999,       1000000,
                                     5000000000, 3600000000000, INT64_MAX / 3};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_around(table[i]);
}

Test(histogram, the_largest_values_have_a_bucket_too)
{
    static const uint64_t table[] = {INT64_MAX,         (uint64_t)1 << 63, ((uint64_t)1 << 63) + 1,
                                     (uint64_t)3 << 62, UINT64_MAX - 1,    UINT64_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_in_its_bucket(table[i]);
}

Test(histogram, buckets_follow_each_other_without_a_gap)
{
    uint64_t start = 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t end = histogram_bucket_end(bucket);
        cr_assert(end > start || (end == 0 && bucket + 1 == HISTOGRAM_BUCKETS), "bucket %u",
                  bucket);
        cr_assert_eq(histogram_bucket(start), bucket);
        cr_assert_eq(histogram_bucket(end - 1), bucket);
        start = end;
    }
}

Test(histogram, records_count_sum_and_maximum)
{
    Histogram histogram = {0};
    static const uint64_t values[] = {0, 7, 7, 1000, 12};
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
        histogram_record(&histogram, values[i]);
    cr_assert_eq(histogram.count, 5);
    cr_assert_eq(histogram.sum, 1026);
    cr_assert_eq(histogram.max, 1000);
    cr_assert_eq(histogram.buckets[0], 1);
    cr_assert_eq(histogram.buckets[histogram_bucket(7)], 2);
    cr_assert_eq(histogram.buckets[histogram_bucket(1000)], 1);
    uint64_t total = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += histogram.buckets[i];
    cr_assert_eq(total, 5);
}
