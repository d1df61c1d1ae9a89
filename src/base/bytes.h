/* Bytes: a borrowed run of bytes. Buffer: an owned one that grows. Both plain structs; sizes in
 * bytes. Big-endian loads and stores, as Thrift's framing and binary protocol have them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed: whoever hands it out says how long it stays valid. */
typedef struct Bytes {
    const uint8_t *data;
    size_t len;
} Bytes;

/* Owned. All zero is an empty buffer. Running out of memory ends the process (g_malloc). */
typedef struct Buffer {
    uint8_t *data;
    size_t len, cap;
} Buffer;

void buffer_clear(Buffer *buffer); /* frees the memory; the buffer is empty and usable */

/* Makes room for `more` bytes behind `len` and returns where they go; `len` stays. Grows at least
 * by half, so that appending is linear. */
uint8_t *buffer_reserve(Buffer *buffer, size_t more);

void buffer_append(Buffer *buffer, const void *data, size_t len);

/* Takes the first `len` bytes away. */
void buffer_drop(Buffer *buffer, size_t len);

/* Copies text from a peer for people: as much as fits, ending in NUL, with '?' for everything that
 * is not printable ASCII, so that it is one line and valid UTF-8. */
void bytes_printable(Bytes bytes, char *to, size_t size);

#define BYTES_LITERAL(text) ((Bytes){(const uint8_t *)(text), sizeof(text) - 1})

static inline Bytes bytes_from_string(const char *text)
{
    return (Bytes){(const uint8_t *)text, strlen(text)};
}

static inline uint64_t bytes_load_u64(const uint8_t *from)
{
    uint64_t raw;
    memcpy(&raw, from, sizeof raw);
    return raw;
}

static inline uint32_t bytes_load_u32(const uint8_t *from)
{
    uint32_t raw;
    memcpy(&raw, from, sizeof raw);
    return raw;
}

/* Names are compared several times a call, and most have 4 to 16 bytes: two words that overlap. */
static inline bool bytes_equal(Bytes a, Bytes b)
{
    if (a.len != b.len)
        return false;
    if (a.len > 16 || a.len < 4)
        return a.len == 0 || memcmp(a.data, b.data, a.len) == 0;
    if (a.len < 8)
        return bytes_load_u32(a.data) == bytes_load_u32(b.data) &&
               bytes_load_u32(a.data + a.len - 4) == bytes_load_u32(b.data + a.len - 4);
    return bytes_load_u64(a.data) == bytes_load_u64(b.data) &&
           bytes_load_u64(a.data + a.len - 8) == bytes_load_u64(b.data + a.len - 8);
}

static inline uint32_t load_be32(const uint8_t *from)
{
    uint32_t raw;
    memcpy(&raw, from, sizeof raw);
    return __builtin_bswap32(raw);
}

static inline uint16_t load_be16(const uint8_t *from)
{
    return (uint16_t)((uint16_t)(from[0] << 8) | from[1]);
}

static inline uint64_t load_be64(const uint8_t *from)
{
    uint64_t raw;
    memcpy(&raw, from, sizeof raw);
    return __builtin_bswap64(raw);
}

static inline void store_be16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static inline void store_be32(uint8_t *to, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(to, &value, sizeof value);
}

static inline void store_be64(uint8_t *to, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(to, &value, sizeof value);
}
