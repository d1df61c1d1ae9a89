/* Varints: ULEB128, seven bits a byte, least significant first; zigzag maps signed onto unsigned.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { VARINT_MAX_SIZE = 10, VARINT32_MAX_SIZE = 5 };

static inline size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

static inline uint8_t *varint_write(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

/* The bytes taken; 0 when [at, end) ends inside it; -1 when it is longer than VARINT_MAX_SIZE. */
static inline int varint_read(const uint8_t *at, const uint8_t *end, uint64_t *ret)
{
    uint64_t value = 0;
    for (int size = 1; size <= VARINT_MAX_SIZE; size++) {
        if (at == end)
            return 0;
        uint8_t byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << (7 * (size - 1));
        if (byte < 0x80) {
            *ret = value;
            return size;
        }
    }
    return -1;
}

static inline uint64_t zigzag_encode(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t zigzag_decode(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}
