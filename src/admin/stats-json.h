/* Statistics as JSON: what /stats.json answers, the status page shows and thrift-batchctl reads.
 *
 *   version, time, started (seconds since 1970), state, ready, workers
 *   calls     {outcome: n}                  methods  [{name, outcome: n}], most called first
 *   batches   {reason: n}                   calls_saved, plain_calls, passthrough_calls,
 *   fallback_calls, deduped_calls, transcoded_calls, retries
 *   clients, clients_total, client_errors {reason: n}, pending_calls, pending_bytes
 *   limits    {max_clients, max_pending_calls, max_pending_bytes}
 *   batch_calls, batch_wait_seconds, call_seconds, upstream_seconds
 *             {count, sum, max, p50, p99, buckets: [[largest value, n]]}: those that have any
 *   servers   [{name, up, state, batching, inflight, failures {reason: n}}]
 *   events    [{time, level, text}], the latest last
 *   config    {path, sections {section: {key: {value, given, live}}}}
 *
 * Members keep their names and meaning; others may join them. */
#pragma once

#include "admin/stats.h"

/* Owned by the caller. */
char *stats_json(const Stats *stats);
