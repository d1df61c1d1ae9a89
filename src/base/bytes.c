#include "base/bytes.h"

#include <glib.h>

#include "base/check.h"

enum { BUFFER_FIRST = 256 };

void buffer_clear(Buffer *buffer)
{
    g_free(buffer->data);
    *buffer = (Buffer){0};
}

uint8_t *buffer_reserve(Buffer *buffer, size_t more)
{
    check(more <= SIZE_MAX / 4 - buffer->len);
    size_t need = buffer->len + more;
    if (need > buffer->cap) {
        size_t cap = MAX(MAX(need, buffer->cap + buffer->cap / 2), (size_t)BUFFER_FIRST);
        buffer->data = g_realloc(buffer->data, cap);
        buffer->cap = cap;
    }
    return buffer->len > 0 ? buffer->data + buffer->len : buffer->data;
}

void buffer_append(Buffer *buffer, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(buffer_reserve(buffer, len), data, len);
    buffer->len += len;
}

void buffer_drop(Buffer *buffer, size_t len)
{
    check(len <= buffer->len);
    buffer->len -= len;
    if (buffer->len > 0 && len > 0)
        memmove(buffer->data, buffer->data + len, buffer->len);
}

void bytes_printable(Bytes bytes, char *to, size_t size)
{
    size_t len = MIN(bytes.len, size - 1);
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(bytes.data[i] >= 0x20 && bytes.data[i] < 0x7f ? bytes.data[i] : '?');
    to[len] = '\0';
}
