/* The recursion is at most as deep as `levels`, and every element that it visits takes a byte at
 * least: the work is bounded by the bytes. */
#include "wire/skip.h"

enum {
    FIELD_ID_SIZE = 2,
    LENGTH_SIZE = 4,
    LIST_HEADER_SIZE = 5,
    MAP_HEADER_SIZE = 6,
};

static inline const uint8_t *skip_bytes(const uint8_t *at, const uint8_t *end, uint64_t size)
{
    return size <= (uint64_t)(end - at) ? at + size : NULL;
}

static inline const uint8_t *skip_string(const uint8_t *at, const uint8_t *end)
{
    if (end - at < LENGTH_SIZE)
        return NULL;
    return skip_bytes(at + LENGTH_SIZE, end, load_be32(at));
}

static const uint8_t *skip_container(const uint8_t *at, const uint8_t *end, uint8_t type,
                                     unsigned levels);

static inline const uint8_t *skip_value(const uint8_t *at, const uint8_t *end, uint8_t type,
                                        unsigned levels)
{
    uint8_t size = type_fixed_size[PROTOCOL_BINARY][type];
    if (size > 0)
        return skip_bytes(at, end, size);
    if (type == THRIFT_STRING)
        return skip_string(at, end);
    if (type == THRIFT_STRUCT)
        return levels > 0 ? skip_binary_struct(at, end, levels) : NULL;
    return skip_container(at, end, type, levels);
}

/* `count` times a value of each of the two types in turn. */
static const uint8_t *skip_pairs(const uint8_t *at, const uint8_t *end, const uint8_t types[2],
                                 uint32_t count, unsigned levels)
{
    const uint8_t *fixed = type_fixed_size[PROTOCOL_BINARY];
    if (count > INT32_MAX || !type_fits_count(types[0], count) || !type_fits_count(types[1], count))
        return NULL;
    if (fixed[types[0]] > 0 && fixed[types[1]] > 0)
        return skip_bytes(at, end, (uint64_t)count * (fixed[types[0]] + fixed[types[1]]));
    for (uint32_t i = 0; i < 2 * count; i++) {
        at = skip_value(at, end, types[i % 2], levels);
        if (at == NULL)
            return NULL;
    }
    return at;
}

static const uint8_t *skip_elements(const uint8_t *at, const uint8_t *end, uint8_t type,
                                    uint32_t count, unsigned levels)
{
    uint8_t size = type_fixed_size[PROTOCOL_BINARY][type];
    if (count > INT32_MAX || !type_fits_count(type, count))
        return NULL;
    if (size > 0)
        return skip_bytes(at, end, (uint64_t)count * size);
    for (uint32_t i = 0; i < count && at != NULL; i++)
        at = skip_value(at, end, type, levels);
    return at;
}

static const uint8_t *skip_container(const uint8_t *at, const uint8_t *end, uint8_t type,
                                     unsigned levels)
{
    if (levels == 0)
        return NULL;
    if ((type == THRIFT_LIST || type == THRIFT_SET) && end - at >= LIST_HEADER_SIZE)
        return skip_elements(at + LIST_HEADER_SIZE, end, at[0], load_be32(at + 1), levels - 1);
    if (type == THRIFT_MAP && end - at >= MAP_HEADER_SIZE)
        return skip_pairs(at + MAP_HEADER_SIZE, end, at, load_be32(at + 2), levels - 1);
    return NULL;
}

const uint8_t *skip_binary_fields(const uint8_t *at, const uint8_t *end, unsigned levels)
{
    while (at != NULL && at < end) {
        uint8_t type = *at++;
        if (type == THRIFT_STOP)
            return at;
        if (end - at < FIELD_ID_SIZE)
            return NULL;
        at = skip_value(at + FIELD_ID_SIZE, end, type, levels - 1);
    }
    return NULL;
}
