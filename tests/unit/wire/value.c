#include "value.h"

#include <glib.h>

#include "wire/thrift.h"

static Value random_value(Random *random, uint8_t type, unsigned levels);

static uint8_t random_type(Random *random, unsigned levels)
{
    static const uint8_t types[] = {THRIFT_BOOL, THRIFT_BYTE,   THRIFT_DOUBLE, THRIFT_I16,
                                    THRIFT_I32,  THRIFT_I64,    THRIFT_STRING, THRIFT_STRUCT,
                                    THRIFT_LIST, THRIFT_STRUCT, THRIFT_SET,    THRIFT_MAP};
    enum { SIMPLE = 7, ALL = sizeof types };
    return types[random_below(random, levels > 0 ? ALL : SIMPLE)];
}

/* Small and large magnitudes alike, as varints of every size. */
static int64_t random_number(Random *random, unsigned bits)
{
    unsigned keep = 1 + random_below(random, bits);
    return (int64_t)(random_bits(random) << (64 - keep)) >> (64 - keep);
}

static Value random_string(Random *random)
{
    Value value = {.type = THRIFT_STRING};
    uint32_t len = random_one_in(random, 8) ? random_below(random, 300) : random_below(random, 12);
    for (uint32_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)random_bits(random);
        buffer_append(&value.text, &byte, 1);
    }
    return value;
}

static Value random_container(Random *random, uint8_t type, unsigned levels)
{
    Value value = {.type = type};
    uint32_t entries =
        random_one_in(random, 8) ? random_below(random, 40) : random_below(random, 5);
    if (type == THRIFT_MAP) {
        /* An empty map's types do not survive compact; transcoding gives these. */
        value.key = entries > 0 ? random_type(random, levels - 1) : THRIFT_STRING;
        value.element = entries > 0 ? random_type(random, levels - 1) : THRIFT_STRING;
        value.count = entries * 2;
    } else {
        value.key = value.element = random_type(random, levels - 1);
        value.count = entries;
    }
    value.children = g_new0(Value, value.count);
    for (uint32_t i = 0; i < value.count; i++)
        value.children[i] =
            random_value(random, i % 2 == 0 ? value.key : value.element, levels - 1);
    return value;
}

static int16_t next_id(Random *random, int16_t id)
{
    if (random_one_in(random, 10))
        return (int16_t)random_bits(random);
    return (int16_t)(id + 1 + (int16_t)random_below(random, random_one_in(random, 4) ? 20 : 2));
}

Value value_random_struct(Random *random, unsigned levels)
{
    Value value = {.type = THRIFT_STRUCT, .count = random_below(random, 7)};
    value.children = g_new0(Value, value.count);
    value.ids = g_new0(int16_t, value.count);
    int16_t id = 0;
    for (uint32_t i = 0; i < value.count; i++) {
        value.ids[i] = id = next_id(random, id);
        value.children[i] = random_value(random, random_type(random, levels - 1), levels - 1);
    }
    return value;
}

static Value random_value(Random *random, uint8_t type, unsigned levels)
{
    switch ((ThriftType)type) {
    case THRIFT_BOOL:
        return (Value){.type = type, .number = random_below(random, 2)};
    case THRIFT_BYTE:
        return (Value){.type = type, .number = random_number(random, 8)};
    case THRIFT_I16:
        return (Value){.type = type, .number = random_number(random, 16)};
    case THRIFT_I32:
        return (Value){.type = type, .number = random_number(random, 32)};
    case THRIFT_I64:
        return (Value){.type = type, .number = random_number(random, 64)};
    case THRIFT_DOUBLE:
        return (Value){.type = type, .number = (int64_t)random_bits(random)};
    case THRIFT_STRING:
        return random_string(random);
    case THRIFT_STRUCT:
        return value_random_struct(random, levels);
    case THRIFT_LIST:
    case THRIFT_SET:
    case THRIFT_MAP:
        return random_container(random, type, levels);
    case THRIFT_STOP:
    case THRIFT_UUID: /* c_glib does not know it */
        break;
    }
    g_assert_not_reached();
}

void value_clear(Value *value)
{
    for (uint32_t i = 0; i < value->count; i++)
        value_clear(&value->children[i]);
    buffer_clear(&value->text);
    g_free(value->children);
    g_free(value->ids);
    *value = (Value){0};
}

unsigned value_levels(const Value *value)
{
    bool simple = value->key == 0 && value->type != THRIFT_STRUCT;
    unsigned inner = 0;
    for (uint32_t i = 0; i < value->count; i++)
        inner = MAX(inner, value_levels(&value->children[i]));
    return simple ? 0 : inner + 1;
}
