/* Has the processor fetch what is used next while it is busy with something else: with a thousand
 * clients most of what a call touches has left the caches since the client's last one. */
#pragma once

#include <stddef.h>

/* `size` bytes from `at`, which need not be valid. */
static inline void prefetch(const void *at, size_t size)
{
    enum { CACHE_LINE_SIZE = 64 };
    for (size_t offset = 0; offset < size; offset += CACHE_LINE_SIZE)
        __builtin_prefetch((const char *)at + offset, 1);
}
