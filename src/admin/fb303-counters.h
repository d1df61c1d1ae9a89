/* Statistics as fb303's getCounters gives them: DESIGN's metrics without the prefix, labels joined
 * to the name by dots, everything an i64.
 *
 *   calls_total.getUser.ok   server_up.127.0.0.1:9091   batch_calls.count .sum .p50 .p99
 *                                                       call_seconds.count .sum_us .p50_us .p99_us
 */
#pragma once

#include "admin/stats.h"

/* char * -> int64_t *, both the table's own. */
GHashTable *fb303_counters_new(const Stats *stats);

/* The same into a table that is there; it must free keys and values with g_free(). */
void fb303_counters_fill(const Stats *stats, GHashTable *counters);
