/* Criterion reports every assertion to its parent process, also those that hold: too slow for what
 * is checked thousands of times. These report only what fails. `condition` without '%'. */
#pragma once

#include <criterion/criterion.h>
#include <string.h>

#define expect(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            cr_assert_fail("expected: " #condition ". " __VA_ARGS__);                              \
    } while (0)

#define expect_eq(one, other, ...)     expect((one) == (other), __VA_ARGS__)
#define expect_str_eq(one, other, ...) expect(strcmp(one, other) == 0, __VA_ARGS__)
