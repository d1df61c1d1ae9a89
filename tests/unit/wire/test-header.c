#include <criterion/criterion.h>
#include <glib.h>

#include "wire/header.h"
#include "wire/varint.h"

#include "oracle.h"
#include "stream.h"

static const Message headers[] = {
    {.type = MESSAGE_CALL, .seqid = 0, .name = {(const uint8_t *)"", 0}},
    {.type = MESSAGE_CALL, .seqid = 1, .name = {(const uint8_t *)"ping", 4}},
    {.type = MESSAGE_REPLY, .seqid = -1, .name = {(const uint8_t *)"a", 1}},
    {.type = MESSAGE_EXCEPTION, .seqid = INT32_MIN, .name = {(const uint8_t *)"S:getUser", 9}},
    {.type = MESSAGE_ONEWAY, .seqid = INT32_MAX, .name = {(const uint8_t *)"b\xc3\xa4", 3}},
    {.type = MESSAGE_CALL, .seqid = 127, .name = {(const uint8_t *)"n", 1}},
    {.type = MESSAGE_CALL, .seqid = 128, .name = {(const uint8_t *)"n", 1}},
};

static Buffer write_header(Form form, const Message *message)
{
    Buffer out = {0};
    append_message(&out, (Form){TRANSPORT_BUFFERED, form.protocol, form.strict}, *message,
                   (Bytes){0});
    return out;
}

/* Every length of the bytes but the whole one is MORE, and leaves the results alone. */
static void assert_read_back(Protocol protocol, Bytes bytes, const Message *expected, bool strict)
{
    for (size_t len = 0; len < bytes.len; len++) {
        Message read = {.seqid = 99};
        size_t size = 99;
        uint8_t *exact = g_memdup2(bytes.data, len);
        cr_assert_eq(header_read(protocol, (Bytes){exact, len}, 100, &read, &size), HEADER_MORE,
                     "%zu bytes", len);
        cr_assert(read.seqid == 99 && size == 99);
        g_free(exact);
    }
    Message read;
    size_t size;
    cr_assert_eq(header_read(protocol, bytes, 100, &read, &size), HEADER_OK);
    cr_assert_eq(size, bytes.len);
    cr_assert_eq(read.type, expected->type);
    cr_assert_eq(read.strict, strict);
    cr_assert_eq(read.seqid, expected->seqid);
    cr_assert(bytes_equal(read.name, expected->name));
}

Test(header, is_read_as_written_in_every_form)
{
    for (size_t i = 0; i < G_N_ELEMENTS(headers); i++)
        for (unsigned form = 0; form < 3; form++) {
            Buffer out = write_header(all_forms[form], &headers[i]);
            cr_assert_leq(out.len - headers[i].name.len, (size_t)HEADER_MAX_SIZE);
            assert_read_back(all_forms[form].protocol, buffer_bytes(&out), &headers[i],
                             all_forms[form].strict);
            buffer_clear(&out);
        }
}

Test(header, is_written_as_c_glib_writes_it)
{
    for (size_t i = 0; i < G_N_ELEMENTS(headers); i++)
        for (unsigned compact = 0; compact < 2; compact++) {
            Form form = {TRANSPORT_BUFFERED, compact ? PROTOCOL_COMPACT : PROTOCOL_BINARY,
                         !compact};
            Buffer out = write_header(form, &headers[i]), expected = {0};
            char *name = g_strndup((const char *)headers[i].name.data, headers[i].name.len);
            oracle_write_header(compact ? ORACLE_COMPACT : ORACLE_BINARY, (int)headers[i].type,
                                name, headers[i].seqid, &expected);
            cr_assert(bytes_equal(buffer_bytes(&out), buffer_bytes(&expected)), "%zu %u", i,
                      compact);
            g_free(name);
            buffer_clear(&out);
            buffer_clear(&expected);
        }
}

Test(header, name_may_lie_where_the_header_goes)
{
    enum { ROOM = 64 };
    Bytes name = BYTES_LITERAL("Service:getUser");
    for (unsigned form = 0; form < 3; form++)
        for (size_t at = 0; at + name.len <= ROOM; at++) {
            uint8_t room[ROOM + HEADER_MAX_SIZE] = {0}, apart[ROOM + HEADER_MAX_SIZE] = {0};
            memcpy(room + at, name.data, name.len);
            Form f = all_forms[form];
            uint8_t *end = header_write(room, f.protocol, f.strict, MESSAGE_CALL,
                                        (Bytes){room + at, name.len}, 0x01020304);
            header_write(apart, f.protocol, f.strict, MESSAGE_CALL, name, 0x01020304);
            size_t size = header_size(f.protocol, f.strict, name, 0x01020304);
            cr_assert_eq((size_t)(end - room), size);
            cr_assert(memcmp(room, apart, size) == 0, "form %u, name at %zu", form, at);
        }
}

Test(header, name_is_bounded)
{
    for (unsigned form = 0; form < 3; form++) {
        Buffer out = write_header(all_forms[form], &headers[3]);
        Message read;
        size_t size, len = headers[3].name.len;
        Protocol protocol = all_forms[form].protocol;
        cr_assert_eq(header_read(protocol, buffer_bytes(&out), len, &read, &size), HEADER_OK);
        cr_assert_eq(header_read(protocol, buffer_bytes(&out), len - 1, &read, &size),
                     HEADER_E_INVALID);
        buffer_clear(&out);
    }
}

Test(header, bare_name_is_behind_the_first_colon)
{
    static const char *const names[][2] = {
        {"ping", "ping"}, {"S:ping", "ping"}, {"A:B:c", "B:c"}, {":x", "x"}, {"S:", ""}, {"", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        cr_assert(bytes_equal(header_bare_name(bytes_from_string(names[i][0])),
                              bytes_from_string(names[i][1])),
                  "%s", names[i][0]);
}

Test(varint, round_trips_and_ends)
{
    static const uint64_t values[] = {0,         1,          127,       128,       300,
                                      INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        uint8_t bytes[VARINT_MAX_SIZE];
        uint64_t value = 0;
        size_t size = (size_t)(varint_write(bytes, values[i]) - bytes);
        cr_assert_eq(size, varint_size(values[i]));
        cr_assert_eq(varint_read(bytes, bytes + size, &value), (int)size);
        cr_assert_eq(value, values[i]);
        cr_assert_eq(varint_read(bytes, bytes + size - 1, &value), 0);
        cr_assert_eq((uint64_t)zigzag_decode(zigzag_encode((int64_t)value)), value);
    }
    static const uint8_t overlong[VARINT_MAX_SIZE + 1] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                                          0x80, 0x80, 0x80, 0x80, 0x01};
    uint64_t value;
    cr_assert_eq(varint_read(overlong, overlong + sizeof overlong, &value), -1);
}
