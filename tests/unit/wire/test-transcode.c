/* Cursor, writer and transcoding: typed reading and writing of the same values in both protocols.
 */
#include <criterion/criterion.h>
#include <glib.h>

#include "wire/cursor.h"
#include "wire/scan.h"
#include "wire/transcode.h"
#include "wire/writer.h"

#include "oracle.h"
#include "stream.h"

enum { MAX_SIZE = 1 << 20 };

static void assert_reads(Cursor *cursor, const Value *value);

static void assert_reads_struct(Cursor *cursor, const Value *value)
{
    int16_t id, saved = cursor_enter_struct(cursor);
    for (uint32_t i = 0; i < value->count; i++) {
        cr_assert_eq(cursor_field(cursor, &id), (ThriftType)value->children[i].type);
        cr_assert_eq(id, value->ids[i]);
        assert_reads(cursor, &value->children[i]);
    }
    cr_assert_eq(cursor_field(cursor, &id), THRIFT_STOP);
    cursor_leave_struct(cursor, saved);
}

static void assert_reads_container(Cursor *cursor, const Value *value)
{
    ThriftType key, element;
    if (value->type == THRIFT_MAP) {
        cr_assert_eq(cursor_map(cursor, &key, &element), value->count / 2);
        cr_assert(value->count == 0 || key == (ThriftType)value->key);
    } else {
        cr_assert_eq(cursor_list(cursor, &element), value->count);
    }
    cr_assert(value->count == 0 || element == (ThriftType)value->element);
    for (uint32_t i = 0; i < value->count; i++)
        assert_reads(cursor, &value->children[i]);
}

static int64_t read_number(Cursor *cursor, uint8_t type)
{
    switch (type) {
    case THRIFT_BOOL:
        return cursor_bool(cursor);
    case THRIFT_BYTE:
        return cursor_byte(cursor);
    case THRIFT_I16:
        return cursor_i16(cursor);
    case THRIFT_I32:
        return cursor_i32(cursor);
    case THRIFT_I64:
        return cursor_i64(cursor);
    default:
        return (int64_t)cursor_double_bits(cursor);
    }
}

static void assert_reads(Cursor *cursor, const Value *value)
{
    if (value->type == THRIFT_STRUCT)
        assert_reads_struct(cursor, value);
    else if (value->key != 0)
        assert_reads_container(cursor, value);
    else if (value->type == THRIFT_STRING)
        cr_assert(bytes_equal(cursor_string(cursor), buffer_bytes(&value->text)));
    else
        cr_assert_eq(read_number(cursor, value->type), value->number);
}

static void write_value(Writer *writer, const Value *value);

static void write_struct(Writer *writer, const Value *value)
{
    int16_t saved = writer_enter_struct(writer);
    for (uint32_t i = 0; i < value->count; i++) {
        writer_field(writer, (ThriftType)value->children[i].type, value->ids[i]);
        write_value(writer, &value->children[i]);
    }
    writer_leave_struct(writer, saved);
}

static void write_container(Writer *writer, const Value *value)
{
    ThriftType key = (ThriftType)value->key, element = (ThriftType)value->element;
    if (value->type == THRIFT_MAP)
        writer_map(writer, key, element, value->count / 2);
    else
        writer_list(writer, element, value->count);
    for (uint32_t i = 0; i < value->count; i++)
        write_value(writer, &value->children[i]);
}

static void write_number(Writer *writer, uint8_t type, int64_t number)
{
    switch (type) {
    case THRIFT_BOOL:
        return writer_bool(writer, number != 0);
    case THRIFT_BYTE:
        return writer_byte(writer, (int8_t)number);
    case THRIFT_I16:
        return writer_i16(writer, (int16_t)number);
    case THRIFT_I32:
        return writer_i32(writer, (int32_t)number);
    case THRIFT_I64:
        return writer_i64(writer, number);
    default:
        return writer_double_bits(writer, (uint64_t)number);
    }
}

static void write_value(Writer *writer, const Value *value)
{
    if (value->type == THRIFT_STRUCT)
        write_struct(writer, value);
    else if (value->key != 0)
        write_container(writer, value);
    else if (value->type == THRIFT_STRING)
        writer_string(writer, buffer_bytes(&value->text));
    else
        write_number(writer, value->type, value->number);
}

static void assert_transcodes(Protocol from, const Buffer *bytes, Protocol to,
                              const Buffer *expected, const char *what, size_t number)
{
    Buffer out = bytes_from_hex("ee");
    TranscodeStatus status = transcode_struct(from, to, buffer_bytes(bytes), MAX_SIZE, &out);
    cr_assert_eq(status, TRANSCODE_OK, "%s %zu, from %d: %d", what, number, from, status);
    buffer_drop(&out, 1);
    cr_assert(bytes_equal(buffer_bytes(&out), buffer_bytes(expected)), "%s %zu, from %d", what,
              number, from);
    buffer_clear(&out);
}

Test(transcode, agrees_with_c_glib_on_random_structs)
{
    Random random = {21};
    for (unsigned round = 0; round < 600; round++) {
        Value value = value_random_struct(&random, 1 + round % 6);
        Buffer binary = {0}, compact = {0};
        oracle_write_struct(ORACLE_BINARY, &value, &binary);
        oracle_write_struct(ORACLE_COMPACT, &value, &compact);
        assert_transcodes(PROTOCOL_BINARY, &binary, PROTOCOL_COMPACT, &compact, "round", round);
        assert_transcodes(PROTOCOL_COMPACT, &compact, PROTOCOL_BINARY, &binary, "round", round);
        assert_transcodes(PROTOCOL_BINARY, &binary, PROTOCOL_BINARY, &binary, "round", round);
        assert_transcodes(PROTOCOL_COMPACT, &compact, PROTOCOL_COMPACT, &compact, "round", round);
        buffer_clear(&binary);
        buffer_clear(&compact);
        value_clear(&value);
    }
}

Test(cursor_and_writer, agree_with_c_glib_on_random_structs)
{
    Random random = {22};
    for (unsigned round = 0; round < 600; round++) {
        Value value = value_random_struct(&random, 1 + round % 6);
        for (unsigned compact = 0; compact < 2; compact++) {
            Protocol protocol = compact ? PROTOCOL_COMPACT : PROTOCOL_BINARY;
            Buffer bytes = {0}, written = {0};
            oracle_write_struct(compact ? ORACLE_COMPACT : ORACLE_BINARY, &value, &bytes);
            Cursor cursor = cursor_init(protocol, buffer_bytes(&bytes));
            assert_reads_struct(&cursor, &value);
            cr_assert(!cursor.failed && cursor.at == cursor.end, "round %u", round);
            Writer writer = writer_init(protocol, &written);
            write_struct(&writer, &value);
            cr_assert(bytes_equal(buffer_bytes(&written), buffer_bytes(&bytes)), "round %u", round);
            buffer_clear(&bytes);
            buffer_clear(&written);
        }
        value_clear(&value);
    }
}

Test(cursor, skips_what_it_would_read)
{
    Random random = {23};
    for (unsigned round = 0; round < 300; round++) {
        Protocol protocol = round % 2 ? PROTOCOL_COMPACT : PROTOCOL_BINARY;
        Value value = value_random_struct(&random, 4);
        Buffer bytes = {0};
        oracle_write_struct(round % 2 ? ORACLE_COMPACT : ORACLE_BINARY, &value, &bytes);
        Cursor skipping = cursor_init(protocol, buffer_bytes(&bytes)), reading = skipping;
        int16_t id;
        for (uint32_t i = 0; i < value.count; i++) {
            ThriftType type = cursor_field(&skipping, &id);
            cursor_field(&reading, &id);
            const uint8_t *start = reading.at;
            assert_reads(&reading, &value.children[i]);
            Bytes skipped = cursor_skip(&skipping, type, false);
            cr_assert(skipped.data == start && skipped.data + skipped.len == reading.at);
        }
        cr_assert_eq(cursor_field(&skipping, &id), THRIFT_STOP);
        cr_assert(!skipping.failed && skipping.at == skipping.end);
        buffer_clear(&bytes);
        value_clear(&value);
    }
}

Test(cursor, a_failed_one_stays_failed_and_returns_zeros)
{
    Buffer bytes = bytes_from_hex("7f 7f 7f");
    for (unsigned protocol = 0; protocol < 2; protocol++) {
        Cursor cursor = cursor_init((Protocol)protocol, buffer_bytes(&bytes));
        cr_assert_eq(cursor_double_bits(&cursor), 0);
        cr_assert(cursor.failed);
        ThriftType type = THRIFT_I32, other = THRIFT_I32;
        int16_t id = 5;
        cr_assert_eq(cursor_byte(&cursor), 0);
        cr_assert_eq(cursor_bool(&cursor), false);
        cr_assert_eq(cursor_i16(&cursor), 0);
        cr_assert_eq(cursor_i32(&cursor), 0);
        cr_assert_eq(cursor_i64(&cursor), 0);
        cr_assert_eq(cursor_string(&cursor).len, 0);
        cr_assert_eq(cursor_uuid(&cursor).len, 0);
        cr_assert_eq(cursor_list(&cursor, &type), 0);
        cr_assert_eq(cursor_map(&cursor, &type, &other), 0);
        cr_assert_eq(cursor_field(&cursor, &id), THRIFT_STOP);
        cr_assert_eq(cursor_skip(&cursor, THRIFT_STRUCT, true).len, 0);
        cr_assert(cursor.failed);
    }
    buffer_clear(&bytes);
}

Test(cursor, counts_are_checked_against_the_bytes)
{
    static const struct {
        Protocol protocol;
        bool map;
        const char *hex;
        bool fails;
    } rows[] = {
        {PROTOCOL_BINARY, false, "08 00000001 00000007", false},
        {PROTOCOL_BINARY, false, "08 00000002 00000007", true},
        {PROTOCOL_BINARY, false, "08 ffffffff 00000007", true},
        {PROTOCOL_BINARY, false, "00 00000000", false},
        {PROTOCOL_BINARY, false, "00 00000001 00", true},
        {PROTOCOL_BINARY, false, "09 00000000", true},
        {PROTOCOL_BINARY, true, "03 06 00000001 07 0001", false},
        {PROTOCOL_BINARY, true, "03 06 00000001 07 00", true},
        {PROTOCOL_BINARY, true, "00 00 00000000", false},
        {PROTOCOL_BINARY, true, "03 00 00000001 07", true},
        {PROTOCOL_COMPACT, false, "25 02 04", false},
        {PROTOCOL_COMPACT, false, "35 02 04", true},
        {PROTOCOL_COMPACT, false, "f5 ffffffff0f 02", true},
        {PROTOCOL_COMPACT, false, "1f 02", true},
        {PROTOCOL_COMPACT, true, "00", false},
        {PROTOCOL_COMPACT, true, "01 35 07 02", false},
        {PROTOCOL_COMPACT, true, "02 35 07 02", true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Buffer bytes = bytes_from_hex(rows[i].hex);
        Cursor cursor = cursor_init(rows[i].protocol, buffer_bytes(&bytes));
        ThriftType key, element;
        if (rows[i].map)
            cursor_map(&cursor, &key, &element);
        else
            cursor_list(&cursor, &element);
        cr_assert_eq(cursor.failed, rows[i].fails, "%s", rows[i].hex);
        buffer_clear(&bytes);
    }
}

/* What random values of c_glib do not show. A row without result must be refused. */
static const struct {
    const char *what;
    Protocol from;
    const char *hex, *result;
} rows[] = {
    {"PHP's bools in containers", PROTOCOL_COMPACT, "19 41 01000100 00",
     "0f 0001 02 00000004 01000100 00"},
    {"bools in containers", PROTOCOL_COMPACT, "19 42 01020102 00",
     "0f 0001 02 00000004 01000100 00"},
    {"bools in containers", PROTOCOL_BINARY, "0f 0001 02 00000003 0100ff 00", "19 31 010201 00"},
    {"bools in a map", PROTOCOL_COMPACT, "1b 01 12 00 01 00", "0d 0001 02 02 00000001 00 01 00"},
    {"bool fields", PROTOCOL_BINARY, "02 0001 07 02 0002 00 00", "11 12 00"},
    {"bool fields far apart", PROTOCOL_BINARY, "02 0001 01 02 0101 00 00", "11 02 8204 00"},
    {"field ids going back", PROTOCOL_BINARY, "03 0005 01 03 0002 02 03 0002 03 03 ffff 04 00",
     "53 01 03 04 02 03 04 03 03 01 04 00"},
    {"deltas up to 15", PROTOCOL_BINARY, "03 000f 01 03 001f 02 00", "f3 01 03 3e 02 00"},
    {"ids start anew in a struct", PROTOCOL_BINARY,
     "0c 0003 03 0002 01 03 0004 02 00 03 0005 03 00", "3c 23 01 23 02 00 23 03 00"},
    {"uuid", PROTOCOL_BINARY, "10 0001 000102030405060708090a0b0c0d0e0f 00",
     "1d 000102030405060708090a0b0c0d0e0f 00"},
    {"uuid", PROTOCOL_COMPACT, "1d 000102030405060708090a0b0c0d0e0f 00",
     "10 0001 000102030405060708090a0b0c0d0e0f 00"},
    {"uuid list", PROTOCOL_COMPACT, "19 1d 000102030405060708090a0b0c0d0e0f 00",
     "0f 0001 10 00000001 000102030405060708090a0b0c0d0e0f 00"},
    {"double", PROTOCOL_BINARY, "04 0001 3ff8000000000001 00", "17 010000000000f83f 00"},
    {"empty map", PROTOCOL_COMPACT, "1b 00 00", "0d 0001 0b 0b 00000000 00"},
    {"empty map", PROTOCOL_BINARY, "0d 0001 08 0c 00000000 00", "1b 00 00"},
    {"empty list of nothing", PROTOCOL_BINARY, "0f 0001 00 00000000 00", "19 08 00"},
    {"list of 14 and of 15", PROTOCOL_BINARY,
     "0f 0001 03 0000000e 0101010101010101010101010101 "
     "0f 0002 03 0000000f 010101010101010101010101010101 00",
     "19 e3 0101010101010101010101010101 19 f3 0f 010101010101010101010101010101 00"},
    {"i32 wider than its type", PROTOCOL_COMPACT, "15 feffffffff3f 00", "08 0001 ffffffff 00"},
    {"i16 wider than its type", PROTOCOL_COMPACT, "14 8280808080808080f001 00", "06 0001 0001 00"},
    {"bytes behind", PROTOCOL_BINARY, "00 00", NULL},
    {"bytes behind", PROTOCOL_COMPACT, "00 00", NULL},
    {"nothing", PROTOCOL_BINARY, "", NULL},
    {"cut short", PROTOCOL_BINARY, "08 0001 000000", NULL},
    {"unknown type", PROTOCOL_COMPACT, "1e 00", NULL},
    {"stop with an id", PROTOCOL_COMPACT, "10", NULL},
    {"endless list", PROTOCOL_BINARY, "0f 0001 0c 7fffffff 00", NULL},
};

Test(transcode, table)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Protocol from = rows[i].from,
                 to = from == PROTOCOL_BINARY ? PROTOCOL_COMPACT : PROTOCOL_BINARY;
        Buffer bytes = bytes_from_hex(rows[i].hex), out = bytes_from_hex("ee");
        Buffer expected = bytes_from_hex(rows[i].result ? rows[i].result : "");
        if (rows[i].result) {
            assert_transcodes(from, &bytes, to, &expected, rows[i].what, i);
        } else {
            for (unsigned target = 0; target < 2; target++)
                cr_assert_eq(
                    transcode_struct(from, (Protocol)target, buffer_bytes(&bytes), MAX_SIZE, &out),
                    TRANSCODE_E_INVALID, "%s", rows[i].what);
            cr_assert_eq(out.len, 1);
        }
        buffer_clear(&bytes);
        buffer_clear(&out);
        buffer_clear(&expected);
    }
}

Test(transcode, size_is_bounded_to_the_byte)
{
    Random random = {24};
    for (unsigned round = 0; round < 100; round++) {
        Value value = value_random_struct(&random, 4);
        Buffer bytes = {0}, out = {0};
        oracle_write_struct(ORACLE_BINARY, &value, &bytes);
        for (unsigned to = 0; to < 2; to++) {
            out.len = 0;
            cr_assert_eq(transcode_struct(PROTOCOL_BINARY, (Protocol)to, buffer_bytes(&bytes),
                                          MAX_SIZE, &out),
                         TRANSCODE_OK);
            size_t size = out.len;
            cr_assert_eq(
                transcode_struct(PROTOCOL_BINARY, (Protocol)to, buffer_bytes(&bytes), size, &out),
                TRANSCODE_OK);
            cr_assert_eq(transcode_struct(PROTOCOL_BINARY, (Protocol)to, buffer_bytes(&bytes),
                                          size - 1, &out),
                         TRANSCODE_E_LIMIT);
            cr_assert_eq(out.len, 2 * size, "a failure left something behind");
        }
        buffer_clear(&bytes);
        buffer_clear(&out);
        value_clear(&value);
    }
}

/* What the scanner lets through is what can be rewritten, and what comes out of that parses. */
static bool assert_scanner_agrees(Protocol from, Bytes bytes, unsigned round)
{
    Protocol to = from == PROTOCOL_BINARY ? PROTOCOL_COMPACT : PROTOCOL_BINARY;
    Buffer out = {0};
    size_t taken;
    bool parses =
        scan_struct(from, bytes, THRIFT_MAX_DEPTH, &taken) == SCAN_DONE && taken == bytes.len;
    TranscodeStatus status = transcode_struct(from, to, bytes, MAX_SIZE, &out);
    cr_assert_eq(status == TRANSCODE_OK, parses, "round %u: %d", round, status);
    if (parses)
        cr_assert(scan_struct(to, buffer_bytes(&out), THRIFT_MAX_DEPTH, &taken) == SCAN_DONE &&
                      taken == out.len,
                  "round %u", round);
    buffer_clear(&out);
    return parses;
}

Test(transcode, agrees_with_the_scanner_on_mutated_structs)
{
    Random random = {25};
    unsigned parsed = 0;
    enum { ROUNDS = 20000 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        Value value = value_random_struct(&random, 3);
        Buffer bytes = {0};
        oracle_write_struct(round % 2 ? ORACLE_COMPACT : ORACLE_BINARY, &value, &bytes);
        for (unsigned i = 1 + random_below(&random, 3); i > 0; i--)
            bytes.data[random_below(&random, (unsigned)bytes.len)] ^=
                (uint8_t)(1u << random_below(&random, 8));
        uint8_t *exact = g_memdup2(bytes.data, bytes.len);
        parsed += assert_scanner_agrees(round % 2 ? PROTOCOL_COMPACT : PROTOCOL_BINARY,
                                        (Bytes){exact, bytes.len}, round);
        g_free(exact);
        buffer_clear(&bytes);
        value_clear(&value);
    }
    cr_assert(parsed > ROUNDS / 10 && parsed < ROUNDS * 9 / 10, "%u still parse", parsed);
}

Test(transcode, nests_as_deep_as_the_scanner)
{
    for (unsigned levels = THRIFT_MAX_DEPTH; levels <= THRIFT_MAX_DEPTH + 1; levels++) {
        Buffer bytes = {0}, out = {0};
        for (unsigned level = 1; level < levels; level++)
            buffer_append(&bytes, "\x1c", 1);
        memset(buffer_reserve(&bytes, levels), 0, levels);
        bytes.len += levels;
        TranscodeStatus expected = levels > THRIFT_MAX_DEPTH ? TRANSCODE_E_INVALID : TRANSCODE_OK;
        cr_assert_eq(transcode_struct(PROTOCOL_COMPACT, PROTOCOL_BINARY, buffer_bytes(&bytes),
                                      MAX_SIZE, &out),
                     expected);
        buffer_clear(&bytes);
        buffer_clear(&out);
    }
}
