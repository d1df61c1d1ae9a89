#include <criterion/criterion.h>
#include <glib.h>

#include "base/histogram.h"

#include "expect.h"

/* The bucket holds the value: its largest is not below it, and that of the one before is. */
static void assert_in_its_bucket(uint64_t value)
{
    unsigned bucket = histogram_bucket(value);
    expect(bucket < HISTOGRAM_BUCKETS, "value %#lx is in bucket %u of %d", (unsigned long)value,
           bucket, HISTOGRAM_BUCKETS);
    uint64_t max = histogram_bucket_max(bucket);
    expect(max >= value || max == 0, "value %#lx", (unsigned long)value);
    uint64_t before = bucket > 0 ? histogram_bucket_max(bucket - 1) : 0;
    expect(before < value || value == 0, "value %#lx", (unsigned long)value);
    expect(value <= 4 || max == 0 || (max - before) * 4 <= before, "value %#lx",
           (unsigned long)value);
}

static void assert_around(uint64_t value)
{
    assert_in_its_bucket(value - 1);
    assert_in_its_bucket(value);
    assert_in_its_bucket(value + 1);
    expect(histogram_bucket(value) >= histogram_bucket(value - 1));
    expect(histogram_bucket(value + 1) >= histogram_bucket(value));
}

Test(histogram, every_value_is_in_the_first_bucket_that_reaches_it)
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
    uint64_t before = 0;
    for (unsigned bucket = 0; bucket + 1 < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t max = histogram_bucket_max(bucket);
        cr_assert(max > before, "bucket %u", bucket);
        cr_assert_eq(histogram_bucket(before + 1), bucket);
        cr_assert_eq(histogram_bucket(max), bucket);
        before = max;
    }
    cr_assert_eq(histogram_bucket(before + 1), HISTOGRAM_BUCKETS - 1);
    cr_assert_eq(histogram_bucket_max(HISTOGRAM_BUCKETS - 1), 0);
}

Test(histogram, powers_of_two_are_the_largest_of_their_buckets)
{
    for (unsigned power = 0; power < 63; power++) {
        uint64_t value = (uint64_t)1 << power;
        cr_assert_eq(histogram_bucket_max(histogram_bucket(value)), value);
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

Test(histogram, percentiles_are_the_largest_of_their_buckets)
{
    Histogram histogram = {0};
    cr_assert_eq(histogram_percentile(&histogram, 50), 0);
    for (uint64_t value = 1; value <= 100; value++)
        histogram_record(&histogram, value);
    cr_assert_eq(histogram_percentile(&histogram, 1), 1);
    cr_assert_eq(histogram_percentile(&histogram, 50), 56); /* 50 is in the bucket 49 to 56 */
    cr_assert_eq(histogram_percentile(&histogram, 96), 96);
    cr_assert_eq(histogram_percentile(&histogram, 97), 100); /* up to 112, but none is above 100 */
    cr_assert_eq(histogram_percentile(&histogram, 100), 100);
}

Test(histogram, a_percentile_of_few_values_is_one_of_them)
{
    Histogram histogram = {0};
    histogram_record(&histogram, 3);
    cr_assert_eq(histogram_percentile(&histogram, 50), 3);
    cr_assert_eq(histogram_percentile(&histogram, 99), 3);
    histogram_record(&histogram, 1000);
    cr_assert_eq(histogram_percentile(&histogram, 50), 3);
    cr_assert_eq(histogram_percentile(&histogram, 51), 1000);
    histogram_record(&histogram, UINT64_MAX);
    cr_assert_eq(histogram_percentile(&histogram, 99), UINT64_MAX);
}
