#include <criterion/criterion.h>
#include <glib.h>

#include "wire/exception.h"
#include "wire/header.h"

#include "oracle.h"
#include "stream.h"

static const char text[] = "No server of users:9090 could be reached within 1 s.";

static Buffer write_exception(Form form)
{
    Buffer out = bytes_from_hex("ee ee ee");
    exception_append(&out, form, BYTES_LITERAL("getUser"), -5, EXCEPTION_INTERNAL_ERROR, text);
    buffer_drop(&out, 3);
    return out;
}

/* Not the non-strict ones: c_glib has no reader for their header. */
Test(exception, c_glib_reads_it)
{
    for (unsigned i = 0; i < FORMS; i++) {
        if (all_forms[i].protocol == PROTOCOL_BINARY && !all_forms[i].strict)
            continue;
        Buffer out = write_exception(all_forms[i]);
        Bytes message = buffer_bytes(&out);
        if (all_forms[i].transport == TRANSPORT_FRAMED) {
            cr_assert_eq(load_be32(out.data), out.len - FRAME_HEADER_SIZE);
            message = (Bytes){out.data + FRAME_HEADER_SIZE, out.len - FRAME_HEADER_SIZE};
        }
        OracleException read;
        bool binary = all_forms[i].protocol == PROTOCOL_BINARY;
        cr_assert(oracle_read_exception(binary ? ORACLE_BINARY : ORACLE_COMPACT, message, &read),
                  "form %u", i);
        cr_assert_eq(read.message_type, MESSAGE_EXCEPTION);
        cr_assert_eq(read.seqid, -5);
        cr_assert_str_eq(read.name, "getUser");
        cr_assert_str_eq(read.text, text);
        cr_assert_eq(read.code, EXCEPTION_INTERNAL_ERROR);
        g_free(read.name);
        g_free(read.text);
        buffer_clear(&out);
    }
}

Test(exception, is_one_message_and_read_back)
{
    for (unsigned i = 0; i < FORMS; i++) {
        Buffer out = write_exception(all_forms[i]);
        FrameReader reader;
        Message message;
        size_t taken;
        frame_reader_init(&reader, (Form){0}, 1000, true);
        cr_assert_eq(frame_reader_next(&reader, buffer_bytes(&out), &message, &taken),
                     FRAME_MESSAGE);
        cr_assert_eq(taken, out.len);
        cr_assert_eq(message.type, MESSAGE_EXCEPTION);
        Bytes read_text;
        int32_t code;
        cr_assert(exception_read(all_forms[i].protocol, message.body, &read_text, &code));
        cr_assert(bytes_equal(read_text, bytes_from_string(text)));
        cr_assert_eq(code, EXCEPTION_INTERNAL_ERROR);
        buffer_clear(&out);
    }
}

Test(exception, missing_and_unknown_fields)
{
    static const struct {
        const char *hex, *text;
        int32_t code;
        bool parses;
    } bodies[] = {
        {"00", "", EXCEPTION_UNKNOWN, true},
        {"08 00 02 00 00 00 01 00", "", EXCEPTION_UNKNOWN_METHOD, true},
        {"0b 00 01 00 00 00 01 41 00", "A", EXCEPTION_UNKNOWN, true},
        {"02 00 07 01 08 00 02 ff ff ff ff 0c 00 09 00 00", "", -1, true},
        {"08 00 01 00 00 00 01 00", "", EXCEPTION_UNKNOWN, true},
        {"08 00 02 00 00 00 01", NULL, 0, false},
        {"0b 00 01 00 00 00 02 41", NULL, 0, false},
        {"05 00 01 00", NULL, 0, false},
        {"", NULL, 0, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++) {
        Buffer body = bytes_from_hex(bodies[i].hex);
        Bytes read = BYTES_LITERAL("untouched");
        int32_t code = 77;
        bool parses = exception_read(PROTOCOL_BINARY, buffer_bytes(&body), &read, &code);
        cr_assert_eq(parses, bodies[i].parses, "%s", bodies[i].hex);
        cr_assert_eq(code, parses ? bodies[i].code : 77, "%s", bodies[i].hex);
        const char *expected = parses ? bodies[i].text : "untouched";
        cr_assert(bytes_equal(read, bytes_from_string(expected)), "%s", bodies[i].hex);
        buffer_clear(&body);
    }
}

Test(exception, codes_have_names)
{
    cr_assert_str_eq(exception_code_name(EXCEPTION_UNKNOWN_METHOD), "UNKNOWN_METHOD");
    cr_assert_str_eq(exception_code_name(EXCEPTION_PROTOCOL_ERROR), "PROTOCOL_ERROR");
    cr_assert_str_eq(exception_code_name(8), "UNKNOWN");
    cr_assert_str_eq(exception_code_name(-1), "UNKNOWN");
    cr_assert_str_eq(exception_code_name(INT32_MIN), "UNKNOWN");
}
