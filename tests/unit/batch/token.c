#include "token.h"

#include <glib.h>

#include "wire/cursor.h"
#include "wire/writer.h"

#include "../base/expect.h"

/* Many small values: four times as long in binary as in compact. */
static void write_wide_field(Writer *writer, size_t count)
{
    writer_field(writer, THRIFT_LIST, 2);
    writer_list(writer, THRIFT_STRING, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        writer_string(writer, BYTES_LITERAL(""));
}

void token_write(Buffer *out, Protocol protocol, int16_t id, const char *text, size_t padding,
                 size_t width)
{
    Writer writer = writer_init(protocol, out);
    int16_t saved = writer_enter_struct(&writer);
    writer_field(&writer, THRIFT_STRING, id);
    writer_string(&writer, bytes_from_string(text));
    if (padding > 0) {
        char *filler = g_strnfill(padding, 'x');
        writer_field(&writer, THRIFT_STRING, 3);
        writer_string(&writer, bytes_from_string(filler));
        g_free(filler);
    }
    if (width > 0)
        write_wide_field(&writer, width);
    writer_leave_struct(&writer, saved);
}

char *token_read(Protocol protocol, Bytes body, int16_t wanted)
{
    char *found = NULL;
    int16_t id;
    ThriftType type;
    Cursor cursor = cursor_init(protocol, body);
    while ((type = cursor_field(&cursor, &id)) != THRIFT_STOP) {
        if (type != THRIFT_STRING || id != wanted) {
            cursor_skip(&cursor, type, false);
            continue;
        }
        Bytes text = cursor_string(&cursor);
        g_free(found);
        found = g_strndup((const char *)text.data, text.len);
    }
    expect(!cursor.failed && cursor.at == cursor.end);
    expect(found != NULL);
    return found;
}

bool name_begins(Bytes name, const char *prefix)
{
    return name.len >= strlen(prefix) && memcmp(name.data, prefix, strlen(prefix)) == 0;
}
