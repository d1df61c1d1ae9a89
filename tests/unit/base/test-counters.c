#include <criterion/criterion.h>
#include <string.h>

#include "base/counters.h"

/* Every byte of the part is set: a member that were forgotten would stay zero. */
Test(counters, adding_reaches_every_member)
{
    Counters part, total = {0};
    memset(&part, 1, sizeof part);
    counters_add(&total, &part);
    cr_assert_eq(memcmp(&total, &part, sizeof total), 0);
    counters_add(&total, &part);
    cr_assert_eq(counters_n_calls(&total, CALL_OUTCOME_WITHDRAWN),
                 2 * METHOD_LABELS * part.calls[0][CALL_OUTCOME_WITHDRAWN]);
    cr_assert_eq(total.clients, 2 * part.clients);
    cr_assert_eq(total.upstream_nsec.buckets[HISTOGRAM_BUCKETS - 1],
                 2 * part.upstream_nsec.buckets[HISTOGRAM_BUCKETS - 1]);
    cr_assert_eq(total.upstream_nsec.max, part.upstream_nsec.max);
}
