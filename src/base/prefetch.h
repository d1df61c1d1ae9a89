/* Has the processor fetch what is used next while it is busy with something else: with a thousand
 * clients most of what a call touches has left the caches since the client's last one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* `size` bytes from `at`, which need not be valid. */
static inline void prefetch(const void *at, size_t size)
{
    enum { CACHE_LINE_SIZE = 64 };
    uintptr_t end = (uintptr_t)at + size;
    for (uintptr_t line = (uintptr_t)at & -(uintptr_t)CACHE_LINE_SIZE; line < end;
         line += CACHE_LINE_SIZE)
        __builtin_prefetch((const void *)line, 1);
}
