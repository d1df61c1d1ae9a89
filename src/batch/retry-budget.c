#include "batch/retry-budget.h"

#include <string.h>

/* Forgets the seconds that have become too old. */
static void advance(RetryBudget *budget, nsec_t now)
{
    uint64_t second = now / NSEC_PER_SEC;
    if (second <= budget->second)
        return;
    uint64_t n = second - budget->second;
    for (uint64_t i = 1; i <= n && i <= RETRY_BUDGET_SECONDS; i++)
        memset(&budget->seconds[(budget->second + i) % RETRY_BUDGET_SECONDS], 0,
               sizeof budget->seconds[0]);
    budget->second = second;
}

void retry_budget_add(RetryBudget *budget, uint32_t n_calls, nsec_t now)
{
    advance(budget, now);
    budget->seconds[budget->second % RETRY_BUDGET_SECONDS].n_sent += n_calls;
}

bool retry_budget_take(RetryBudget *budget, nsec_t now)
{
    advance(budget, now);
    uint64_t n_sent = 0, n_repeated = 0;
    for (int i = 0; i < RETRY_BUDGET_SECONDS; i++) {
        n_sent += budget->seconds[i].n_sent;
        n_repeated += budget->seconds[i].n_repeated;
    }
    if (n_repeated >= RETRY_BUDGET_FREE && 100 * (n_repeated + 1) > RETRY_BUDGET_PERCENT * n_sent)
        return false;
    budget->seconds[budget->second % RETRY_BUDGET_SECONDS].n_repeated++;
    return true;
}
