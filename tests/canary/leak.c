/* Leaks, and overflows an int, on purpose: `./run asan` checks that both are reported before it
 * believes that the other tests are clean. Criterion runs each test in a child process and ends
 * with 0 on a leak, so only the sanitizers' own report files tell. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdlib.h>

static void *volatile held;

Test(canary, leaks)
{
    held = malloc(4242);
    cr_assert_neq(held, NULL);
    held = NULL;
}

Test(canary, overflows)
{
    volatile int most = INT_MAX;
    most = most + 1;
    cr_assert_eq(most, INT_MIN);
}
