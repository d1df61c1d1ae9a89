/* The budget of repeated executions: when many calls fail, sending them all again would multiply
 * the load on whatever is failing. Of the calls that are sent in ten seconds, 20 % may be sent
 * again, and RETRY_BUDGET_FREE in any case, so that a quiet service is not refused its few.
 *
 * Only calls that may have been executed take from it: one of which no byte has reached a server
 * loads none when it is sent again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/nsec.h"

enum {
    RETRY_BUDGET_SECONDS = 10,
    RETRY_BUDGET_PERCENT = 20,
    RETRY_BUDGET_FREE = 10,
};

/* Zero is a new one. */
typedef struct RetryBudget {
    struct {
        uint64_t n_sent, n_repeated;
    } seconds[RETRY_BUDGET_SECONDS]; /* by second, modulo */
    uint64_t second;                 /* the latest */
} RetryBudget;

/* So many calls are sent for the first time. */
void retry_budget_add(RetryBudget *budget, uint32_t n_calls, nsec_t now);

/* Whether one more may be sent again; then it is counted. */
bool retry_budget_take(RetryBudget *budget, nsec_t now);
