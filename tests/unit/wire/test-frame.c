#include <criterion/criterion.h>
#include <glib.h>

#include "oracle.h"
#include "stream.h"

enum { MAX_SIZE = 64 * 1024 };

static void assert_same_reading(Bytes stream, size_t max_size, Pieces pieces,
                                const Buffer *expected, const char *what, size_t number)
{
    Buffer transcript = {0};
    stream_read(stream, max_size, pieces, &transcript);
    cr_assert(bytes_equal(buffer_bytes(&transcript), buffer_bytes(expected)),
              "%s %zu: cutting changed what was read", what, number);
    buffer_clear(&transcript);
}

/* `expected`: the transcript of the whole stream. */
static void assert_cuts_do_not_matter(Bytes stream, size_t max_size, const Buffer *expected,
                                      Random *random)
{
    assert_same_reading(stream, max_size, in_one_piece, expected, "one piece", 1);
    for (size_t piece = 1; piece <= 5; piece++)
        assert_same_reading(stream, max_size, (Pieces){.first = piece, .later = piece}, expected,
                            "pieces of", piece);
    for (size_t cut = 1; cut < stream.len; cut++)
        assert_same_reading(stream, max_size, (Pieces){.first = cut, .later = SIZE_MAX}, expected,
                            "cut at", cut);
    for (size_t round = 0; round < 5; round++)
        assert_same_reading(stream, max_size, (Pieces){.first = 20, .later = 40, .random = random},
                            expected, "random", round);
}

Test(frame, every_cut_gives_the_same_messages_in_every_form)
{
    Random random = {1};
    for (unsigned round = 0; round < 60; round++) {
        Form form = all_forms[round % FORMS];
        Buffer stream = {0}, expected = {0};
        for (unsigned i = 1 + random_below(&random, 4); i > 0; i--)
            append_random_message(&stream, &random, form, &expected);
        transcript_end(&expected, FRAME_MORE, stream.len);
        assert_cuts_do_not_matter(buffer_bytes(&stream), MAX_SIZE, &expected, &random);
        buffer_clear(&stream);
        buffer_clear(&expected);
    }
}

Test(frame, strict_and_non_strict_may_alternate)
{
    Random random = {2};
    for (unsigned transport = TRANSPORT_FRAMED; transport <= TRANSPORT_BUFFERED; transport++) {
        Buffer stream = {0}, expected = {0};
        for (unsigned i = 0; i < 8; i++) {
            Form form = {(Transport)transport, PROTOCOL_BINARY, i % 3 == 0};
            append_random_message(&stream, &random, form, &expected);
        }
        transcript_end(&expected, FRAME_MORE, stream.len);
        assert_same_reading(buffer_bytes(&stream), MAX_SIZE, in_one_piece, &expected, "transport",
                            transport);
        buffer_clear(&stream);
        buffer_clear(&expected);
    }
}

Test(frame, form_is_fixed_by_the_first_message)
{
    Random random = {3};
    for (unsigned first = 0; first < FORMS; first++)
        for (unsigned second = 0; second < FORMS; second++) {
            Form a = all_forms[first], b = all_forms[second];
            Buffer stream = {0};
            append_random_message(&stream, &random, a, NULL);
            append_random_message(&stream, &random, b, NULL);
            bool same = a.transport == b.transport && a.protocol == b.protocol;
            cr_assert_eq(stream_taken(buffer_bytes(&stream), MAX_SIZE) == stream.len, same,
                         "form %u then %u", first, second);
            buffer_clear(&stream);
        }
}

Test(frame, a_later_length_is_checked_too)
{
    static const struct {
        const char *hex;
        FrameStatus status;
    } lengths[] = {
        {"00 00 00 00", FRAME_E_NOT_THRIFT}, {"80 01 00 01", FRAME_E_NOT_THRIFT},
        {"ff ff ff ff", FRAME_E_NOT_THRIFT}, {"00 01 00 00", FRAME_MORE},
        {"00 01 00 01", FRAME_E_TOO_LARGE},
    };
    Random random = {8};
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        Buffer stream = {0}, length = bytes_from_hex(lengths[i].hex);
        append_random_message(&stream, &random, all_forms[0], NULL);
        buffer_append(&stream, length.data, length.len);
        FrameStatus status = stream_status(buffer_bytes(&stream), MAX_SIZE);
        cr_assert_eq(status, lengths[i].status, "%s: %d", lengths[i].hex, status);
        buffer_clear(&stream);
        buffer_clear(&length);
    }
}

Test(frame, unframed_header_that_does_not_fit_the_limit_is_too_large)
{
    enum { LIMIT = 20 };
    for (unsigned i = 3; i < FORMS; i++) {
        Message header = {.type = MESSAGE_CALL, .name = BYTES_LITERAL("longMethodName20byte")};
        Buffer stream = {0};
        append_message(&stream, all_forms[i], header, (Bytes){0});
        cr_assert_eq(stream_status((Bytes){stream.data, LIMIT - 1}, LIMIT), FRAME_MORE, "form %u",
                     i);
        cr_assert_eq(stream_status((Bytes){stream.data, LIMIT}, LIMIT), FRAME_E_TOO_LARGE,
                     "form %u", i);
        buffer_clear(&stream);
    }
}

typedef struct Rejected {
    const char *what, *hex;
    FrameStatus status;
} Rejected;

/* Each must be seen through at its last byte at the latest, and goes on with bytes that change
 * nothing. */
static const Rejected rejected[] = {
    {"empty frame", "00 00 00 00", FRAME_E_NOT_THRIFT},
    {"negative frame", "ff", FRAME_E_NOT_THRIFT},
    {"other version byte", "81", FRAME_E_NOT_THRIFT},
    {"compact id's neighbour", "83", FRAME_E_NOT_THRIFT},
    {"HTTP", "47 45 54 20", FRAME_E_NOT_THRIFT},
    {"TLS", "16 03 01 02", FRAME_E_NOT_THRIFT},
    {"SSH", "53 53 48 2d", FRAME_E_NOT_THRIFT},
    {"newlines", "0d 0a 0d 0a", FRAME_E_TOO_LARGE},
    {"large frame", "00 01 00 01", FRAME_E_TOO_LARGE},
    {"largest frame", "7f ff ff ff", FRAME_E_TOO_LARGE},
    {"THeader", "00 00 00 20 0f", FRAME_E_NOT_THRIFT},
    {"control character for a name", "00 00 00 20 1f", FRAME_E_NOT_THRIFT},
    {"delete for a name", "00 00 00 20 7f", FRAME_E_NOT_THRIFT},
    {"continuation byte for a name", "00 00 00 20 c1", FRAME_E_NOT_THRIFT},
    {"no version behind a length", "00 00 00 20 81", FRAME_E_NOT_THRIFT},
    {"strict, version byte 1", "80 02", FRAME_E_NOT_THRIFT},
    {"strict, version byte 2", "80 01 01", FRAME_E_NOT_THRIFT},
    {"strict, type 0", "80 01 00 00", FRAME_E_NOT_THRIFT},
    {"strict, type 5", "80 01 00 05", FRAME_E_NOT_THRIFT},
    {"strict, negative name", "80 01 00 01 ff ff ff ff", FRAME_E_NOT_THRIFT},
    {"strict, endless name", "80 01 00 01 7f ff ff ff", FRAME_E_NOT_THRIFT},
    {"compact, version 2", "82 22", FRAME_E_NOT_THRIFT},
    {"compact, type 0", "82 01", FRAME_E_NOT_THRIFT},
    {"compact, type 5", "82 a1", FRAME_E_NOT_THRIFT},
    {"compact, overlong seqid", "82 21 80 80 80 80 80 80 80 80 80 80", FRAME_E_NOT_THRIFT},
    {"compact, overlong name", "82 21 01 80 80 80 80 80 80 80 80 80 80", FRAME_E_NOT_THRIFT},
    {"compact, endless name", "82 21 01 ff ff ff ff 07", FRAME_E_NOT_THRIFT},
    {"compact, negative name", "82 21 01 ff ff ff ff 0f", FRAME_E_NOT_THRIFT},
    {"non-strict, type 0", "00 00 00 01 41 00", FRAME_E_NOT_THRIFT},
    {"non-strict, type 5", "00 00 00 01 41 05", FRAME_E_NOT_THRIFT},
    {"framed strict, version", "00 00 00 20 80 02", FRAME_E_NOT_THRIFT},
    {"framed strict, type", "00 00 00 20 80 01 00 05", FRAME_E_NOT_THRIFT},
    {"framed strict, name beyond the frame", "00 00 00 10 80 01 00 01 00 00 00 11",
     FRAME_E_NOT_THRIFT},
    {"framed compact, version", "00 00 00 20 82 22", FRAME_E_NOT_THRIFT},
    {"framed compact, name beyond the frame", "00 00 00 10 82 21 00 11", FRAME_E_NOT_THRIFT},
    {"framed non-strict, name beyond the frame", "00 00 00 10 00 00 00 11", FRAME_E_NOT_THRIFT},
    {"frame smaller than a header", "00 00 00 04 80 01 00 01", FRAME_E_NOT_THRIFT},
    {"header ends in its seqid", "00 00 00 0c 80 01 00 01 00 00 00 01 41 00 00 00",
     FRAME_E_NOT_THRIFT},
    {"frame without struct", "00 00 00 0d 80 01 00 01 00 00 00 01 41 00 00 00 00", FRAME_E_BODY},
    {"frame with a cut struct", "00 00 00 0e 80 01 00 01 00 00 00 01 41 00 00 00 00 08",
     FRAME_E_BODY},
    {"bytes behind the struct", "00 00 00 0f 80 01 00 01 00 00 00 01 41 00 00 00 00 00 00",
     FRAME_E_NOT_THRIFT},
    {"unknown type", "80 01 00 01 00 00 00 01 41 00 00 00 00 05", FRAME_E_BODY},
    {"negative string", "80 01 00 01 00 00 00 01 41 00 00 00 00 0b 00 01 ff ff ff ff",
     FRAME_E_BODY},
    {"endless string", "80 01 00 01 00 00 00 01 41 00 00 00 00 0b 00 01 7f ff ff ff",
     FRAME_E_TOO_LARGE},
    {"endless list", "80 01 00 01 00 00 00 01 41 00 00 00 00 0f 00 01 0c 7f ff ff ff",
     FRAME_E_TOO_LARGE},
    {"endless map", "82 21 00 01 41 1b ff ff ff ff 07 11", FRAME_E_TOO_LARGE},
    {"endless string in a frame",
     "00 00 00 15 80 01 00 01 00 00 00 01 41 00 00 00 00 0b 00 01 7f ff ff ff 00", FRAME_E_BODY},
};

Test(frame, rejects_as_early_as_the_bytes_permit)
{
    Random random = {4};
    for (size_t i = 0; i < G_N_ELEMENTS(rejected); i++) {
        Buffer stream = bytes_from_hex(rejected[i].hex), expected = {0};
        Bytes bytes = buffer_bytes(&stream);
        FrameStatus status = stream_status(bytes, MAX_SIZE);
        cr_assert_eq(status, rejected[i].status, "%s: %d", rejected[i].what, status);
        bytes.len--;
        status = bytes.len > 0 ? stream_status(bytes, MAX_SIZE) : FRAME_MORE;
        cr_assert_eq(status, FRAME_MORE, "%s, a byte less: %d", rejected[i].what, status);
        buffer_append(&stream, "\1\2\3", 3);
        stream_read(buffer_bytes(&stream), MAX_SIZE, in_one_piece, &expected);
        assert_cuts_do_not_matter(buffer_bytes(&stream), MAX_SIZE, &expected, &random);
        buffer_clear(&expected);
        buffer_clear(&stream);
    }
}

/* A struct with one string, so that the whole message has `size` bytes. */
static void append_sized(Buffer *stream, Form form, size_t size)
{
    Message header = {.type = MESSAGE_CALL, .strict = form.strict, .name = BYTES_LITERAL("m")};
    size_t body_len = size - header_size(form.protocol, form.strict, header.name, 0);
    bool binary = form.protocol == PROTOCOL_BINARY;
    Buffer body = bytes_from_hex(binary ? "0b 00 01 00 00 00 00" : "18 ac 02"); /* 300 */
    size_t text_len = body_len - body.len - 1;
    if (binary)
        store_be32(body.data + 3, (uint32_t)text_len);
    else
        cr_assert_eq(text_len, 300);
    memset(buffer_reserve(&body, text_len + 1), 0, text_len + 1);
    body.len += text_len + 1;
    append_message(stream, form, header, buffer_bytes(&body));
    buffer_clear(&body);
}

Test(frame, max_message_size_is_exact_in_every_form)
{
    for (unsigned i = 0; i < FORMS; i++) {
        bool binary = all_forms[i].protocol == PROTOCOL_BINARY;
        size_t size = binary ? 500 : 5 + 3 + 300 + 1;
        Buffer stream = {0};
        append_sized(&stream, all_forms[i], size);
        Bytes bytes = buffer_bytes(&stream);
        cr_assert_eq(stream_status(bytes, size), FRAME_MORE, "form %u", i);
        cr_assert_eq(stream_status(bytes, size - 1), FRAME_E_TOO_LARGE, "form %u", i);
        buffer_clear(&stream);
    }
}

Test(frame, unframed_message_that_only_grows_is_too_large_at_the_limit)
{
    enum { FIELD_SIZE = 4 };
    for (unsigned i = 3; i < FORMS; i++) {
        Message header = {.type = MESSAGE_CALL, .name = BYTES_LITERAL("m")};
        Buffer stream = {0}, fields = {0};
        uint8_t *to = buffer_reserve(&fields, 300);
        memset(to, all_forms[i].protocol == PROTOCOL_BINARY ? THRIFT_BYTE : 0x11, 300);
        fields.len = 300;
        append_message(&stream, all_forms[i], header, buffer_bytes(&fields));
        for (size_t max = 40; max < 60; max++) {
            Bytes bytes = {stream.data, max - FIELD_SIZE};
            cr_assert_eq(stream_status(bytes, max), FRAME_MORE, "form %u, %zu", i, max);
            bytes.len = max;
            cr_assert_eq(stream_status(bytes, max), FRAME_E_TOO_LARGE, "form %u, %zu", i, max);
        }
        buffer_clear(&stream);
        buffer_clear(&fields);
    }
}

Test(frame, a_struct_cut_anywhere_in_a_complete_frame_does_not_parse)
{
    Random random = {5};
    for (unsigned round = 0; round < 30; round++) {
        Form form = all_forms[round % 3];
        Buffer stream = {0};
        append_random_message(&stream, &random, form, NULL);
        Message message;
        size_t header_len;
        Bytes whole = {stream.data + FRAME_HEADER_SIZE, stream.len - FRAME_HEADER_SIZE};
        cr_assert_eq(header_read(form.protocol, whole, MAX_SIZE, &message, &header_len), HEADER_OK);
        for (size_t len = 1; len < whole.len; len++) {
            store_be32(stream.data, (uint32_t)len);
            FrameStatus expected = len < header_len ? FRAME_E_NOT_THRIFT : FRAME_E_BODY;
            FrameStatus status =
                stream_status((Bytes){stream.data, FRAME_HEADER_SIZE + len}, MAX_SIZE);
            cr_assert_eq(status, expected, "round %u, %zu of %zu: %d", round, len, whole.len,
                         status);
        }
        buffer_clear(&stream);
    }
}

static void append_nested(Buffer *stream, Form form, unsigned levels)
{
    bool binary = form.protocol == PROTOCOL_BINARY;
    Message header = {.type = MESSAGE_CALL, .name = BYTES_LITERAL("m")};
    Buffer body = {0};
    for (unsigned level = 1; level < levels; level++)
        buffer_append(&body, binary ? "\x0c\0\1" : "\x1c", binary ? 3 : 1);
    memset(buffer_reserve(&body, levels), 0, levels);
    body.len += levels;
    append_message(stream, form, header, buffer_bytes(&body));
    buffer_clear(&body);
}

/* A native batch's answer may have more levels than its calls. */
Test(frame, a_servers_answer_may_be_nested_deeper)
{
    for (unsigned i = 0; i < FORMS; i++) {
        Buffer stream = {0};
        append_nested(&stream, all_forms[i], SCAN_MAX_DEPTH);
        FrameReader reader;
        Message message;
        size_t taken;
        frame_reader_init(&reader, all_forms[i], MAX_SIZE, false);
        FrameStatus status = frame_reader_next(&reader, buffer_bytes(&stream), &message, &taken);
        cr_assert_eq(status, FRAME_MESSAGE, "form %u: %d", i, status);
        buffer_clear(&stream);
    }
}

Test(frame, nesting_over_64_levels_is_told_apart)
{
    for (unsigned i = 0; i < FORMS; i++)
        for (unsigned levels = THRIFT_MAX_DEPTH; levels <= THRIFT_MAX_DEPTH + 1; levels++) {
            Buffer stream = {0};
            append_nested(&stream, all_forms[i], levels);
            FrameStatus expected = levels > THRIFT_MAX_DEPTH ? FRAME_E_NESTING : FRAME_MORE;
            cr_assert_eq(stream_status(buffer_bytes(&stream), MAX_SIZE), expected,
                         "form %u, %u levels", i, levels);
            buffer_clear(&stream);
        }
}

Test(frame, a_servers_frame_is_measured_not_scanned)
{
    Buffer stream = bytes_from_hex("00 00 00 0f 80 01 00 02 00 00 00 01 41 00 00 00 07 ff ff");
    FrameReader reader;
    Message message;
    size_t taken;
    Form form = {TRANSPORT_FRAMED, PROTOCOL_BINARY, true};
    frame_reader_init(&reader, form, MAX_SIZE, false);
    cr_assert_eq(frame_reader_next(&reader, buffer_bytes(&stream), &message, &taken),
                 FRAME_MESSAGE);
    cr_assert_eq(taken, stream.len);
    cr_assert_eq(message.seqid, 7);
    cr_assert_eq(message.body.len, 2);
    buffer_clear(&stream);
}

Test(frame, wanted_tells_the_frame_once_its_length_is_there)
{
    Buffer stream = bytes_from_hex("00 00 00 20 80 01");
    FrameReader reader;
    Message message;
    size_t taken;
    frame_reader_init(&reader, (Form){0}, MAX_SIZE, true);
    cr_assert_eq(frame_reader_next(&reader, (Bytes){stream.data, 3}, &message, &taken), FRAME_MORE);
    cr_assert_eq(frame_reader_wanted(&reader), 0);
    cr_assert_eq(frame_reader_next(&reader, buffer_bytes(&stream), &message, &taken), FRAME_MORE);
    cr_assert_eq(frame_reader_wanted(&reader), 0x20 + FRAME_HEADER_SIZE);
    buffer_clear(&stream);
}

static void mutate(Buffer *bytes, Random *random)
{
    for (unsigned i = 1 + random_below(random, 4); i > 0 && bytes->len > 0; i--) {
        uint8_t *at = bytes->data + random_below(random, (unsigned)bytes->len);
        switch (random_below(random, 4)) {
        case 0:
            *at = (uint8_t)random_bits(random);
            break;
        case 1:
            *at ^= (uint8_t)(1u << random_below(random, 8));
            break;
        case 2:
            *at = random_one_in(random, 2) ? 0xff : 0;
            break;
        case 3:
            bytes->len = (size_t)(at - bytes->data);
            break;
        }
    }
}

static void assert_random_cuts_do_not_matter(Bytes stream, size_t max_size, Random *random,
                                             unsigned round)
{
    Buffer whole = {0};
    stream_read(stream, max_size, in_one_piece, &whole);
    assert_same_reading(stream, max_size, (Pieces){.first = 1, .later = 1}, &whole, "mutation",
                        round);
    assert_same_reading(stream, max_size, (Pieces){.first = 9, .later = 30, .random = random},
                        &whole, "mutation", round);
    buffer_clear(&whole);
}

Test(frame, mutated_messages_read_the_same_however_cut)
{
    Random random = {6};
    for (unsigned round = 0; round < 6000; round++) {
        Buffer stream = {0};
        for (unsigned i = 1 + random_below(&random, 2); i > 0; i--)
            append_random_message(&stream, &random, all_forms[round % FORMS], NULL);
        mutate(&stream, &random);
        size_t max_size = random_one_in(&random, 3) ? 32 + random_below(&random, 200) : MAX_SIZE;
        assert_random_cuts_do_not_matter(buffer_bytes(&stream), max_size, &random, round);
        buffer_clear(&stream);
    }
}

Test(frame, noise_reads_the_same_however_cut)
{
    Random random = {7};
    for (unsigned round = 0; round < 5000; round++) {
        static const uint8_t first[] = {0x00, 0x80, 0x82, 0x16, 'G'};
        Buffer stream = {0};
        for (unsigned i = 0; i < 24; i++) {
            uint8_t byte = (uint8_t)random_bits(&random);
            if (random_one_in(&random, 3))
                byte = first[random_below(&random, G_N_ELEMENTS(first))];
            buffer_append(&stream, &byte, 1);
        }
        assert_random_cuts_do_not_matter(buffer_bytes(&stream), MAX_SIZE, &random, round);
        buffer_clear(&stream);
    }
}
