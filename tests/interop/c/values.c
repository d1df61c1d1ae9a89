#include "values.h"

#include <stdarg.h>
#include <string.h>

char *wrong(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return text;
}

char *because(const GError *error)
{
    return wrong("%s %d: %s", g_quark_to_string(error->domain), error->code, error->message);
}

char *same_text(const char *got, const char *wanted)
{
    return g_strcmp0(got, wanted) == 0 ? NULL : wrong("got %.99s, wanted %.99s", got, wanted);
}

char *same_number(gint64 got, gint64 wanted)
{
    return got == wanted ? NULL
                         : wrong("got %" G_GINT64_FORMAT ", wanted %" G_GINT64_FORMAT, got, wanted);
}

char *same_bytes(const GByteArray *got, const GByteArray *wanted)
{
    if (got != NULL && got->len == wanted->len && memcmp(got->data, wanted->data, got->len) == 0)
        return NULL;
    return wrong("other bytes, %d of them", got == NULL ? -1 : (int)got->len);
}

GByteArray *bytes(const void *data, guint size)
{
    return g_byte_array_append(g_byte_array_new(), data, size);
}

GByteArray *counting_bytes(guint size)
{
    GByteArray *array = g_byte_array_new();

    g_byte_array_set_size(array, size);
    for (guint i = 0; i < size; i++)
        array->data[i] = (guint8)i;
    return array;
}

DemoPoint *point(double x, double y)
{
    return g_object_new(DEMO_TYPE_POINT, "x", x, "y", y, NULL);
}

GHashTable *strings(void)
{
    return g_hash_table_new(g_str_hash, g_str_equal);
}

void map_set(GHashTable *map, const char *key, gint64 value)
{
    g_hash_table_insert(map, g_strdup(key), g_memdup2(&value, sizeof(value)));
}
