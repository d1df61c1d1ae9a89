#include <criterion/criterion.h>
#include <glib.h>

#include "wire/scan.h"

#include "oracle.h"
#include "stream.h"

typedef struct Scanned {
    const char *what;
    Protocol protocol;
    const char *hex;
    ScanStatus status;
} Scanned;

enum { LIMIT = 1000 };

#define B PROTOCOL_BINARY
#define C PROTOCOL_COMPACT

/* SCAN_DONE: exactly at the last byte. */
static const Scanned scanned[] = {
    {"empty struct", B, "00", SCAN_DONE},
    {"empty struct", C, "00", SCAN_DONE},
    {"every fixed type", B,
     "02 0001 01 03 0002 7f 06 0003 0001 08 0004 00000001 0a 0005 0000000000000001 "
     "04 0006 3ff0000000000000 10 0007 000102030405060708090a0b0c0d0e0f 00",
     SCAN_DONE},
    {"every simple type", C,
     "11 12 13 7f 14 02 15 02 16 02 17 000000000000f03f 18 01 41 "
     "1d 000102030405060708090a0b0c0d0e0f 00",
     SCAN_DONE},
    {"negative field id", B, "08 ffff 00000001 00", SCAN_DONE},
    {"long form of a field id", C, "05 c801 02 01 03 02 ffff03 00", SCAN_DONE},
    {"field id of ten bytes", C, "05 80808080808080808001 02 00", SCAN_DONE},
    {"field id of eleven bytes", C, "05 8080808080808080808001 02 00", SCAN_E_INVALID},
    {"integer of ten bytes", C, "15 80808080808080808001 00", SCAN_DONE},
    {"integer of eleven bytes", C, "15 8080808080808080808001 00", SCAN_E_INVALID},
    {"void", B, "01 0001", SCAN_E_INVALID},
    {"unknown type", B, "11 0001", SCAN_E_INVALID},
    {"unknown type", B, "ff 0001", SCAN_E_INVALID},
    {"unknown type", C, "1e", SCAN_E_INVALID},
    {"unknown type in long form", C, "0e", SCAN_E_INVALID},
    {"stop with an id", C, "10", SCAN_E_INVALID},
    {"string", B, "0b 0001 00000002 4142 00", SCAN_DONE},
    {"negative string", B, "0b 0001 ffffffff", SCAN_E_INVALID},
    {"largest string", B, "0b 0001 7fffffff", SCAN_E_LIMIT},
    {"string just over the limit", B, "0b 0001 000003e2", SCAN_E_LIMIT},
    {"string just within the limit", B, "0b 0001 000003e1", SCAN_MORE},
    {"string of 2^31", C, "18 8080808008", SCAN_E_INVALID},
    {"largest string", C, "18 ffffffff07", SCAN_E_LIMIT},
    {"string of 2^63", C, "18 80808080808080808001", SCAN_E_INVALID},
    {"string with a padded length", C, "18 8180808000 41 00", SCAN_DONE},
    {"fixed list", B, "0f 0001 06 00000003 000100020003 00", SCAN_DONE},
    {"fixed set", B, "0e 0001 04 00000001 0000000000000000 00", SCAN_DONE},
    {"fixed map", B, "0d 0001 06 02 00000002 000101000200 00", SCAN_DONE},
    {"uuid list", B, "0f 0001 10 00000001 000102030405060708090a0b0c0d0e0f 00", SCAN_DONE},
    {"string list", B, "0f 0001 0b 00000002 00000001 41 00000000 00", SCAN_DONE},
    {"list of lists", B, "0f 0001 0f 00000002 08 00000000 03 00000001 07 00", SCAN_DONE},
    {"map of struct", B, "0d 0001 08 0c 00000002 00000001 00 00000002 03 0001 07 00 00", SCAN_DONE},
    {"map with string keys", B, "0d 0001 0b 02 00000001 00000001 41 01 00", SCAN_DONE},
    {"empty list of nothing", B, "0f 0001 00 00000000 00", SCAN_DONE},
    {"empty map of nothing", B, "0d 0001 00 00 00000000 00", SCAN_DONE},
    {"list of nothing", B, "0f 0001 00 00000001", SCAN_E_INVALID},
    {"map to nothing", B, "0d 0001 08 00 00000001", SCAN_E_INVALID},
    {"map from nothing", B, "0d 0001 00 08 00000001", SCAN_E_INVALID},
    {"empty list of an unknown type", B, "0f 0001 05 00000000", SCAN_E_INVALID},
    {"negative list", B, "0f 0001 08 80000000", SCAN_E_INVALID},
    {"negative set", B, "0e 0001 0c ffffffff", SCAN_E_INVALID},
    {"negative map", B, "0d 0001 08 08 ffffffff", SCAN_E_INVALID},
    {"largest fixed list", B, "0f 0001 10 7fffffff", SCAN_E_LIMIT},
    {"largest struct list", B, "0f 0001 0c 7fffffff", SCAN_E_LIMIT},
    {"largest map", B, "0d 0001 10 10 7fffffff", SCAN_E_LIMIT},
    {"list just over the limit", B, "0f 0001 0b 000000f9", SCAN_E_LIMIT},
    {"list just within the limit", B, "0f 0001 0b 000000f8", SCAN_MORE},
    {"map just over the limit", B, "0d 0001 03 0c 000001f0", SCAN_E_LIMIT},
    {"map just within the limit", B, "0d 0001 03 0c 000001ef", SCAN_MORE},
    {"short list", C, "19 35 02 04 06 00", SCAN_DONE},
    {"long integers in a list", C,
     "19 c6 80808080808080808001 8001 02 02 02 808080808080808001 02 02 02 8001 80808001 02 00",
     SCAN_DONE},
    {"integer of eleven bytes in a list", C, "19 c6 02 02 02 8080808080808080808001",
     SCAN_E_INVALID},
    {"integer of eleven bytes across words", C, "19 c6 02 8001 808080 8080808080808080",
     SCAN_E_INVALID},
    {"map of integers", C, "1b 03 65 8001 02 04 ffffffff0f 06 08 00", SCAN_DONE},
    {"map to integers", C, "1b 02 86 0141 02 00 04 00", SCAN_DONE},
    {"longest short list", C, "19 e3 0102030405060708090a0b0c0d0e 00", SCAN_DONE},
    {"long list", C, "19 f3 02 0102 00", SCAN_DONE},
    {"bool list", C, "19 41 01020100 00", SCAN_DONE},
    {"bool list, numbered false", C, "19 22 0102 00", SCAN_DONE},
    {"set of strings", C, "1a 28 0141 00 00", SCAN_DONE},
    {"double list", C, "19 17 000000000000f03f 00", SCAN_DONE},
    {"empty list of nothing", C, "19 00 00", SCAN_DONE},
    {"list of nothing", C, "19 10", SCAN_E_INVALID},
    {"empty list of an unknown type", C, "19 0e", SCAN_E_INVALID},
    {"list of 2^31", C, "19 f3 8080808008", SCAN_E_INVALID},
    {"largest list", C, "19 f3 ffffffff07", SCAN_E_LIMIT},
    {"empty map", C, "1b 00 00", SCAN_DONE},
    {"map", C, "1b 02 58 02 0141 04 00 00", SCAN_DONE},
    {"map of bools", C, "1b 01 11 01 02 00", SCAN_DONE},
    {"map to nothing", C, "1b 01 50", SCAN_E_INVALID},
    {"map of 2^31", C, "1b 8080808008 33", SCAN_E_INVALID},
    {"largest map", C, "1b ffffffff07 33", SCAN_E_LIMIT},
    {"nested structs", C, "1c 1c 11 00 15 02 00 00", SCAN_DONE},
};

/* Shows each byte only until it is taken, `piece` more at a time. */
static ScanStatus scan_in_pieces(Protocol protocol, Bytes bytes, size_t piece, size_t *ret_end)
{
    Scanner scanner;
    scanner_init(&scanner, protocol);
    size_t at = 0, end = 0;
    ScanStatus status = SCAN_MORE;
    while (status == SCAN_MORE && end < bytes.len) {
        end += MIN(piece, bytes.len - end);
        size_t taken;
        uint8_t *shown = g_memdup2(bytes.data + at, end - at);
        status = scanner_feed(&scanner, shown, end - at, LIMIT - at, &taken);
        g_free(shown);
        cr_assert_leq(taken, end - at);
        at += taken;
    }
    *ret_end = at;
    return status;
}

Test(scan, tables_in_pieces_of_every_size)
{
    for (size_t i = 0; i < G_N_ELEMENTS(scanned); i++) {
        const Scanned *row = &scanned[i];
        Buffer bytes = bytes_from_hex(row->hex);
        size_t whole = bytes.len;
        if (row->status == SCAN_DONE)
            buffer_append(&bytes, "\x08\x00", 2);
        for (size_t piece = 1; piece <= bytes.len; piece++) {
            size_t end;
            ScanStatus status = scan_in_pieces(row->protocol, buffer_bytes(&bytes), piece, &end);
            cr_assert_eq(status, row->status, "%s (%s), pieces of %zu: %d", row->what, row->hex,
                         piece, status);
            if (status == SCAN_DONE)
                cr_assert_eq(end, whole, "%s (%s), pieces of %zu", row->what, row->hex, piece);
        }
        buffer_clear(&bytes);
    }
}

Test(scan, cut_short_is_more_at_every_byte)
{
    for (size_t i = 0; i < G_N_ELEMENTS(scanned); i++) {
        if (scanned[i].status != SCAN_DONE)
            continue;
        Buffer bytes = bytes_from_hex(scanned[i].hex);
        for (size_t len = 0; len < bytes.len; len++) {
            Bytes cut = {bytes.data, len};
            size_t end;
            cr_assert_eq(scan_in_pieces(scanned[i].protocol, cut, LIMIT, &end), SCAN_MORE,
                         "%s, %zu bytes", scanned[i].what, len);
            ScanStatus status = scan_struct(scanned[i].protocol, cut, THRIFT_MAX_DEPTH, &end);
            cr_assert(status == SCAN_MORE || status == SCAN_E_LIMIT, "%s, %zu bytes: %d",
                      scanned[i].what, len, status);
        }
        buffer_clear(&bytes);
    }
}

typedef struct Nesting {
    Protocol protocol;
    const char *field, *element, *innermost; /* the second level, each further one, the last one */
} Nesting;

static const Nesting nestings[] = {
    {B, "0c 0001", "0c 0001", "00"},
    {B, "0f 0001", "0f 00000001", "08 00000000"},
    {B, "0e 0001", "0e 00000001", "0b 00000000"},
    {B, "0d 0001", "08 0d 00000001 00000007", "08 08 00000000"},
    {B, "0f 0001", "0f 00000001", "03 00000001 07"},
    {B, "0f 0001", "0f 00000001", "0b 00000001 00000000"},
    {C, "1c", "1c", "00"},
    {C, "19", "19", "05"},
    {C, "1a", "1a", "13 07"},
    {C, "1b", "01 3b 07", "00"},
};

static ScanStatus scan_nested(const Nesting *nesting, unsigned levels)
{
    Buffer bytes = bytes_from_hex(nesting->field);
    Buffer element = bytes_from_hex(nesting->element),
           innermost = bytes_from_hex(nesting->innermost);
    for (unsigned level = 3; level <= levels; level++)
        buffer_append(&bytes, element.data, element.len);
    buffer_append(&bytes, innermost.data, innermost.len);
    /* Stop bytes for all that may be open. */
    memset(buffer_reserve(&bytes, levels), 0, levels);
    bytes.len += levels;
    size_t taken;
    ScanStatus status =
        scan_struct(nesting->protocol, buffer_bytes(&bytes), THRIFT_MAX_DEPTH, &taken);
    buffer_clear(&bytes);
    buffer_clear(&element);
    buffer_clear(&innermost);
    return status;
}

Test(scan, the_65th_level_is_too_deep_whatever_it_is)
{
    for (size_t i = 0; i < G_N_ELEMENTS(nestings); i++) {
        cr_assert_eq(scan_nested(&nestings[i], THRIFT_MAX_DEPTH), SCAN_DONE, "nesting %zu", i);
        cr_assert_eq(scan_nested(&nestings[i], THRIFT_MAX_DEPTH + 1), SCAN_E_DEPTH, "nesting %zu",
                     i);
    }
}

Test(scan, finds_the_end_of_what_c_glib_writes)
{
    Random random = {11};
    unsigned deepest = 0;
    for (unsigned round = 0; round < 600; round++) {
        Value value = value_random_struct(&random, 1 + round % 6);
        deepest = MAX(deepest, value_levels(&value));
        for (unsigned compact = 0; compact < 2; compact++) {
            Buffer bytes = {0};
            oracle_write_struct(compact ? ORACLE_COMPACT : ORACLE_BINARY, &value, &bytes);
            size_t size = bytes.len, taken;
            buffer_append(&bytes, "\x08\x00\x01", 3);
            ScanStatus status =
                scan_struct(compact ? C : B, buffer_bytes(&bytes), THRIFT_MAX_DEPTH, &taken);
            cr_assert_eq(status, SCAN_DONE, "round %u, compact %u: %d", round, compact, status);
            cr_assert_eq(taken, size, "round %u, compact %u", round, compact);
            buffer_clear(&bytes);
        }
        value_clear(&value);
    }
    cr_assert_geq(deepest, 5, "the values nest only %u levels", deepest);
}

Test(scan, a_value_stands_one_level_down)
{
    Buffer bytes = bytes_from_hex("0b 00000001 00000002 4142 ff");
    size_t taken;
    cr_assert_eq(scan_value(B, THRIFT_LIST, buffer_bytes(&bytes), THRIFT_MAX_DEPTH, &taken),
                 SCAN_DONE);
    cr_assert_eq(taken, 11);
    cr_assert_eq(scan_value(B, THRIFT_BYTE, buffer_bytes(&bytes), THRIFT_MAX_DEPTH, &taken),
                 SCAN_DONE);
    cr_assert_eq(taken, 1);
    cr_assert_eq(scan_value(B, THRIFT_STOP, buffer_bytes(&bytes), THRIFT_MAX_DEPTH, &taken),
                 SCAN_E_INVALID);
    buffer_clear(&bytes);
}
