/* A fuzzer's input, taken from its start. What is not there any more reads as zeros and nothing. */
#pragma once

#include <glib.h>

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline Bytes input_take(Bytes *input, size_t len)
{
    Bytes bytes = {input->data, MIN(len, input->len)};
    input->data += bytes.len;
    input->len -= bytes.len;
    return bytes;
}

static inline uint8_t input_byte(Bytes *input)
{
    Bytes byte = input_take(input, 1);
    return byte.len > 0 ? byte.data[0] : 0;
}

/* A copy on its own, so that a sanitizer sees a read beyond. */
static inline Bytes bytes_copy(Bytes bytes)
{
    uint8_t *copy = g_malloc(MAX(bytes.len, 1));
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    return (Bytes){copy, bytes.len};
}

static inline void bytes_copy_free(Bytes bytes)
{
    g_free((void *)(uintptr_t)bytes.data);
}
