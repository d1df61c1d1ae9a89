/* What one worker has counted: the figures behind DESIGN's metrics, with the metrics' words. Plain
 * integers that only their worker's thread reads and writes, so that counting costs nothing:
 * whoever sums has the worker's thread make a copy, or waits for its end. */
#pragma once

#include <stdint.h>

#include "base/histogram.h"

typedef enum CallOutcome {
    CALL_OUTCOME_OK,
    CALL_OUTCOME_EXCEPTION, /* the upstream said so */
    CALL_OUTCOME_ERROR,     /* the daemon said so */
    CALL_OUTCOME_TIMEOUT,
    CALL_OUTCOME_WITHDRAWN,
    CALL_OUTCOMES
} CallOutcome;

typedef enum BatchReason {
    BATCH_REASON_FULL_CALLS,
    BATCH_REASON_FULL_BYTES,
    BATCH_REASON_SLOT,
    BATCH_REASON_WINDOW,
    BATCH_REASON_NOBODY_LEFT,
    BATCH_REASONS
} BatchReason;

typedef enum ClientError {
    CLIENT_ERROR_NOT_THRIFT,
    CLIENT_ERROR_MESSAGE_TOO_LARGE,
    CLIENT_ERROR_NESTING,
    CLIENT_ERROR_PROTOCOL,
    CLIENT_ERROR_MESSAGE_TYPE,
    CLIENT_ERROR_OUTPUT,
    CLIENT_ERROR_MAX_CLIENTS,
    CLIENT_ERROR_IDLE,
    CLIENT_ERRORS
} ClientError;

typedef enum ServerFailure {
    SERVER_FAILURE_CONNECT,
    SERVER_FAILURE_LOST,
    SERVER_FAILURE_TIMEOUT,
    SERVER_FAILURE_BROKEN,
    SERVER_FAILURES
} ServerFailure;

/* Methods that are counted by name: the first hundred. All others share the label 0. */
enum { METHOD_LABEL_OTHER, METHOD_LABELS = 101 };

typedef struct Counters {
    uint64_t calls[METHOD_LABELS][CALL_OUTCOMES]; /* ended */
    uint64_t batches[BATCH_REASONS];
    uint64_t plain_calls;
    uint64_t passthrough_calls;
    uint64_t fallback_calls; /* passed through because they could not be batched where they went */
    uint64_t deduped_calls;
    uint64_t transcoded_calls;
    uint64_t retries;
    uint64_t clients_total;
    uint64_t client_errors[CLIENT_ERRORS];
    uint32_t clients;
    uint32_t pending_calls; /* read and not answered yet */
    uint64_t pending_bytes; /* their messages, as they came */
    Histogram batch_calls;
    Histogram batch_wait_nsec; /* a batch's first call, plain or not, from joining to sending */
    Histogram call_nsec;       /* from a call's last byte to its end */
    Histogram upstream_nsec;   /* from the sending of a batch, or of plain calls, to an answer */
} Counters;

/* Ended calls of all methods. */
uint64_t counters_n_calls(const Counters *counters, CallOutcome outcome);

/* Adds what another worker has counted. */
void counters_add(Counters *total, const Counters *part);
