#include <criterion/criterion.h>
#include <glib.h>

#include "base/bytes.h"

#include "expect.h"

static Bytes buffer_bytes(const Buffer *buffer)
{
    return (Bytes){buffer->data, buffer->len};
}

Test(buffer, of_no_bytes_needs_no_memory)
{
    Buffer buffer = {0};
    buffer_append(&buffer, NULL, 0);
    buffer_append(&buffer, "", 0);
    buffer_drop(&buffer, 0);
    cr_assert(buffer.data == NULL && buffer.len == 0 && buffer.cap == 0);
    buffer_clear(&buffer);
    cr_assert_null(buffer.data);
}

/* A sanitizer complains about offsets to NULL. */
Test(buffer, reserves_nothing_in_an_empty_buffer)
{
    Buffer buffer = {0};
    buffer_reserve(&buffer, 0);
    cr_assert_eq(buffer.len, 0);
    buffer_clear(&buffer);
}

Test(buffer, keeps_its_bytes_while_it_grows_and_grows_by_half_at_least)
{
    Buffer buffer = {0};
    unsigned moves = 0;
    size_t cap = 0;
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t byte = (uint8_t)(i * 7);
        buffer_append(&buffer, &byte, 1);
        if (buffer.cap == cap)
            continue;
        expect(buffer.cap >= cap + cap / 2);
        cap = buffer.cap;
        moves++;
    }
    cr_assert_eq(buffer.len, 100000);
    cr_assert_lt(moves, 20);
    for (unsigned i = 0; i < 100000; i++)
        expect_eq(buffer.data[i], (uint8_t)(i * 7), "byte %u", i);
    buffer_clear(&buffer);
    cr_assert(buffer.data == NULL && buffer.len == 0 && buffer.cap == 0);
    buffer_append(&buffer, "again", 5);
    cr_assert(bytes_equal(buffer_bytes(&buffer), BYTES_LITERAL("again")));
    buffer_clear(&buffer);
}

Test(buffer, makes_room_behind_its_bytes_without_taking_it)
{
    static const size_t sizes[] = {1, 255, 256, 257, 5000};
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Buffer buffer = {0};
        buffer_append(&buffer, "ab", 2);
        uint8_t *room = buffer_reserve(&buffer, sizes[i]);
        cr_assert_eq(room, buffer.data + 2);
        cr_assert_eq(buffer.len, 2);
        cr_assert_geq(buffer.cap, 2 + sizes[i]);
        memset(room, 'x', sizes[i]);
        cr_assert(bytes_equal((Bytes){buffer.data, 2}, BYTES_LITERAL("ab")));
        buffer_clear(&buffer);
    }
}

Test(buffer, drops_from_its_start)
{
    static const struct {
        size_t drop;
        const char *left;
    } table[] = {{0, "abcdef"}, {1, "bcdef"}, {5, "f"}, {6, ""}};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        Buffer buffer = {0};
        buffer_append(&buffer, "abcdef", 6);
        buffer_drop(&buffer, table[i].drop);
        cr_assert(bytes_equal(buffer_bytes(&buffer), bytes_from_string(table[i].left)),
                  "%zu bytes dropped", table[i].drop);
        buffer_clear(&buffer);
    }
}

Test(bytes, are_equal_by_length_and_content)
{
    cr_assert(bytes_equal((Bytes){0}, BYTES_LITERAL("")));
    cr_assert(bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0b")));
    cr_assert(!bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0c")));
    cr_assert(!bytes_equal(BYTES_LITERAL("a"), BYTES_LITERAL("ab")));
    cr_assert(bytes_equal(bytes_from_string("ab"), BYTES_LITERAL("ab")));
}

Test(bytes, are_big_endian_numbers_at_any_address)
{
    uint8_t room[16] = {0};
    for (size_t at = 0; at < 4; at++) {
        store_be16(room + at, 0x8182);
        cr_assert(room[at] == 0x81 && room[at + 1] == 0x82);
        cr_assert_eq(load_be16(room + at), 0x8182);
        store_be32(room + at, 0x81828384);
        cr_assert(room[at] == 0x81 && room[at + 3] == 0x84);
        cr_assert_eq(load_be32(room + at), 0x81828384);
        store_be64(room + at, 0x8182838485868788);
        cr_assert(room[at] == 0x81 && room[at + 7] == 0x88);
        cr_assert_eq(load_be64(room + at), 0x8182838485868788);
    }
}
