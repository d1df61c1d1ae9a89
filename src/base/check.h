/* Broken invariants end the process, in every build. Nothing that bytes from a socket or a file can
 * cause is an invariant: for those there are status enums and GError. */
#pragma once

#include <stdlib.h>

_Noreturn void check_failed(const char *what, const char *file, int line);

#define check(condition)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            check_failed(#condition, __FILE__, __LINE__);                                          \
    } while (0)
