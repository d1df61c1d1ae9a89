#include "base/counters.h"

static void add_array(uint64_t *total, const uint64_t *part, int n)
{
    for (int i = 0; i < n; i++)
        total[i] += part[i];
}

uint64_t counters_n_calls(const Counters *counters, CallOutcome outcome)
{
    uint64_t n = 0;
    for (int label = 0; label < METHOD_LABELS; label++)
        n += counters->calls[label][outcome];
    return n;
}

void counters_add(Counters *total, const Counters *part)
{
    for (int i = 0; i < METHOD_LABELS; i++)
        add_array(total->calls[i], part->calls[i], CALL_OUTCOMES);
    add_array(total->batches, part->batches, BATCH_REASONS);
    total->plain_calls += part->plain_calls;
    total->passthrough_calls += part->passthrough_calls;
    total->fallback_calls += part->fallback_calls;
    total->deduped_calls += part->deduped_calls;
    total->transcoded_calls += part->transcoded_calls;
    total->retries += part->retries;
    total->clients_total += part->clients_total;
    add_array(total->client_errors, part->client_errors, CLIENT_ERRORS);
    total->clients += part->clients;
    total->pending_calls += part->pending_calls;
    total->pending_bytes += part->pending_bytes;
    histogram_add(&total->batch_calls, &part->batch_calls);
    histogram_add(&total->batch_wait_nsec, &part->batch_wait_nsec);
    histogram_add(&total->call_nsec, &part->call_nsec);
    histogram_add(&total->upstream_nsec, &part->upstream_nsec);
}
