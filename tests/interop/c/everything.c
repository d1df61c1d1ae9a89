/* Values of all types, there and back. */
#include "checks.h"
#include "values.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

static DemoEverything *typical(void)
{
    DemoEverything *v = g_object_new(DEMO_TYPE_EVERYTHING, NULL);

    v->token = "t";
    v->aBool = TRUE;
    v->aByte = 1;
    v->anI16 = 2;
    v->anI32 = 3;
    v->anI64 = 4;
    v->aDouble = 5.5;
    v->aString = "text";
    v->aBinary = bytes("\0\1\xfe\xff", 4);
    v->aList = g_array_new(FALSE, FALSE, sizeof(gint32));
    for (gint32 i = 1; i <= 3; i++)
        g_array_append_val(v->aList, i);
    v->aSet = strings();
    g_hash_table_add(v->aSet, "a");
    g_hash_table_add(v->aSet, "b");
    v->aMap = strings();
    map_set(v->aMap, "one", 1);
    v->aStruct = point(0.5, -0.25);
    v->structs = g_ptr_array_new();
    g_ptr_array_add(v->structs, point(1, 2));
    g_ptr_array_add(v->structs, point(3, 4));
    return v;
}

static bool same_double(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

static bool same_points(const GPtrArray *a, const GPtrArray *b)
{
    bool same = a->len == b->len;

    for (guint i = 0; same && i < a->len; i++) {
        const DemoPoint *p = g_ptr_array_index(a, i), *q = g_ptr_array_index(b, i);

        same = p->x == q->x && p->y == q->y;
    }
    return same;
}

/* The keys of both, and the values, which are numbers, where there are such. */
static bool same_table(GHashTable *a, GHashTable *b, bool with_values)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, a);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        gpointer other_key, other;

        if (!g_hash_table_lookup_extended(b, key, &other_key, &other) ||
            (with_values && *(gint64 *)value != *(gint64 *)other))
            return false;
    }
    return g_hash_table_size(a) == g_hash_table_size(b);
}

static const char *difference(const DemoEverything *a, const DemoEverything *b)
{
    if (!g_str_equal(a->token, b->token) || !g_str_equal(a->aString, b->aString))
        return "a string";
    if (a->aBool != b->aBool || a->aByte != b->aByte || a->anI16 != b->anI16 ||
        a->anI32 != b->anI32 || a->anI64 != b->anI64)
        return "an integer";
    if (!same_double(a->aDouble, b->aDouble))
        return "the double";
    if (same_bytes(a->aBinary, b->aBinary) != NULL)
        return "the binary";
    if (a->aList->len != b->aList->len ||
        memcmp(a->aList->data, b->aList->data, a->aList->len * sizeof(gint32)) != 0)
        return "the list";
    if (!same_table(a->aSet, b->aSet, false))
        return "the set";
    if (!same_table(a->aMap, b->aMap, true))
        return "the map";
    if (a->aStruct->x != b->aStruct->x || a->aStruct->y != b->aStruct->y)
        return "the struct";
    return same_points(a->structs, b->structs) ? NULL : "the structs";
}

static char *everything(Client *client, const DemoEverything *v)
{
    DemoEverything *got = g_object_new(DEMO_TYPE_EVERYTHING, NULL);
    GError *error = NULL;
    const char *other;

    if (!demo_directory_client_everything(client->demo, &got, v->token, v->aBool, v->aByte,
                                          v->anI16, v->anI32, v->anI64, v->aDouble, v->aString,
                                          v->aBinary, v->aList, v->aSet, v->aMap, v->aStruct,
                                          v->structs, &error))
        return because(error);
    other = difference(v, got);
    return other == NULL ? NULL : wrong("%s came back changed", other);
}

static void long_containers(DemoEverything *v, const char *name)
{
    if (g_str_has_prefix(name, "list")) {
        g_array_set_size(v->aList, 0);
        for (gint32 i = -1000; i < 1000; i++)
            g_array_append_val(v->aList, i);
    } else if (g_str_has_prefix(name, "set")) {
        g_hash_table_remove_all(v->aSet);
        for (int i = 0; i < 100; i++)
            g_hash_table_add(v->aSet, g_strdup_printf("%d", i));
    } else if (g_str_has_prefix(name, "structs")) {
        g_ptr_array_set_size(v->structs, 0);
        for (int i = 0; i < 100; i++)
            g_ptr_array_add(v->structs, point(i, -i));
    } else {
        g_hash_table_remove_all(v->aMap);
        map_set(v->aMap, "", 0);
        map_set(v->aMap, "é", G_MININT64);
        map_set(v->aMap, "max", G_MAXINT64);
    }
}

#define EVERYTHING(name, change)                                                                   \
    static char *name(Client *client)                                                              \
    {                                                                                              \
        DemoEverything *v = typical();                                                             \
                                                                                                   \
        change;                                                                                    \
        return everything(client, v);                                                              \
    }

EVERYTHING(everything_typical, (void)0)
EVERYTHING(bool_false, v->aBool = FALSE)
EVERYTHING(byte_min, v->aByte = G_MININT8)
EVERYTHING(byte_max, v->aByte = G_MAXINT8)
EVERYTHING(i16_min, v->anI16 = G_MININT16)
EVERYTHING(i16_max, v->anI16 = G_MAXINT16)
EVERYTHING(i32_min, v->anI32 = G_MININT32)
EVERYTHING(i32_max, v->anI32 = G_MAXINT32)
EVERYTHING(i64_min, v->anI64 = G_MININT64)
EVERYTHING(i64_max, v->anI64 = G_MAXINT64)
EVERYTHING(double_max, v->aDouble = G_MAXDOUBLE)
EVERYTHING(double_tiny, v->aDouble = 5e-324)
EVERYTHING(double_minus_zero, v->aDouble = -0.0)
EVERYTHING(double_nan, v->aDouble = NAN)
EVERYTHING(double_infinity, v->aDouble = INFINITY)
EVERYTHING(double_minus_infinity, v->aDouble = -INFINITY)
EVERYTHING(string_empty, v->aString = "")
EVERYTHING(string_unicode, v->aString = UNICODE)
EVERYTHING(binary_empty, v->aBinary = bytes("", 0))
EVERYTHING(binary_all, v->aBinary = counting_bytes(256))
EVERYTHING(list_empty, g_array_set_size(v->aList, 0))
EVERYTHING(list_long, long_containers(v, "list"))
EVERYTHING(set_empty, g_hash_table_remove_all(v->aSet))
EVERYTHING(set_long, long_containers(v, "set"))
EVERYTHING(map_empty, g_hash_table_remove_all(v->aMap))
EVERYTHING(map_values, long_containers(v, "map"))
EVERYTHING(structs_empty, g_ptr_array_set_size(v->structs, 0))
EVERYTHING(structs_long, long_containers(v, "structs"))

const Check everything_checks[] = {
    {"everything-typical", everything_typical},
    {"bool-false", bool_false},
    {"byte-min", byte_min},
    {"byte-max", byte_max},
    {"i16-min", i16_min},
    {"i16-max", i16_max},
    {"i32-min", i32_min},
    {"i32-max", i32_max},
    {"i64-min", i64_min},
    {"i64-max", i64_max},
    {"double-max", double_max},
    {"double-tiny", double_tiny},
    {"double-minus-zero", double_minus_zero},
    {"double-nan", double_nan},
    {"double-infinity", double_infinity},
    {"double-minus-infinity", double_minus_infinity},
    {"string-empty", string_empty},
    {"string-unicode", string_unicode},
    {"binary-empty", binary_empty},
    {"binary-all", binary_all},
    {"list-empty", list_empty},
    {"list-long", list_long},
    {"set-empty", set_empty},
    {"set-long", set_long},
    {"map-empty", map_empty},
    {"map-values", map_values},
    {"structs-empty", structs_empty},
    {"structs-long", structs_long},
    {NULL, NULL},
};
