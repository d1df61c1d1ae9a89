/* client ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with Thrift's C library (c_glib).
 *
 * A check returns NULL, or why it failed. What is allocated stays: the process is short. */

#include "demo_directory.h"
#include "interop_newer.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/thrift_application_exception.h>
#include <thrift/c_glib/transport/thrift_buffered_transport.h>
#include <thrift/c_glib/transport/thrift_framed_transport.h>
#include <thrift/c_glib/transport/thrift_socket.h>
#include <unistd.h>

#define UNICODE "aé€𝄞 日本語 \n\t"

typedef struct Client {
    DemoDirectoryIf *demo;
    InteropNewerIf *newer;
} Client;

static bool client_open(Client *client, char **form, GError **error)
{
    g_auto(GStrv) address = g_strsplit(form[0], ":", 2);
    ThriftSocket *socket =
        g_object_new(THRIFT_TYPE_SOCKET, "hostname", address[0], "port", atoi(address[1]), NULL);
    GType transport_type = g_str_equal(form[1], "framed") ? THRIFT_TYPE_FRAMED_TRANSPORT
                                                          : THRIFT_TYPE_BUFFERED_TRANSPORT;
    GType protocol_type = g_str_equal(form[2], "compact") ? THRIFT_TYPE_COMPACT_PROTOCOL
                                                          : THRIFT_TYPE_BINARY_PROTOCOL;
    ThriftTransport *transport = g_object_new(transport_type, "transport", socket, NULL);
    ThriftProtocol *protocol = g_object_new(protocol_type, "transport", transport, NULL);

    client->demo = g_object_new(DEMO_TYPE_DIRECTORY_CLIENT, "input_protocol", protocol,
                                "output_protocol", protocol, NULL);
    client->newer = g_object_new(INTEROP_TYPE_NEWER_CLIENT, "input_protocol", protocol,
                                 "output_protocol", protocol, NULL);
    return thrift_transport_open(transport, error);
}

/* --- comparing -------------------------------------------------------------------------------- */

static char *wrong(const char *format, ...) G_GNUC_PRINTF(1, 2);
static char *wrong(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return text;
}

static char *because(const GError *error)
{
    return wrong("%s %d: %s", g_quark_to_string(error->domain), error->code, error->message);
}

static char *same_text(const char *got, const char *wanted)
{
    return g_strcmp0(got, wanted) == 0 ? NULL : wrong("got %.99s, wanted %.99s", got, wanted);
}

static char *same_number(gint64 got, gint64 wanted)
{
    return got == wanted ? NULL
                         : wrong("got %" G_GINT64_FORMAT ", wanted %" G_GINT64_FORMAT, got, wanted);
}

static char *same_bytes(const GByteArray *got, const GByteArray *wanted)
{
    if (got != NULL && got->len == wanted->len && memcmp(got->data, wanted->data, got->len) == 0)
        return NULL;
    return wrong("other bytes, %d of them", got == NULL ? -1 : (int)got->len);
}

static char *is_user(const DemoUser *user, gint64 id, const char *token)
{
    g_autofree char *name = g_strdup_printf("user-%" G_GINT64_FORMAT, id);

    if (user != NULL && user->id == id && g_str_equal(user->name, name) &&
        user->active == (id % 10 != 0) && g_str_equal(user->token, token))
        return NULL;
    return wrong("not user %" G_GINT64_FORMAT, id);
}

static char *is_missing(gboolean returned, const DemoNotFound *missing, gint64 id)
{
    g_autofree char *reason = g_strdup_printf("there is no user %" G_GINT64_FORMAT, id);

    if (returned || missing == NULL)
        return wrong("no NotFound came");
    if (missing->id != id)
        return same_number(missing->id, id);
    return same_text(missing->reason, reason);
}

static char *is_application_exception(gboolean returned, const GError *error, int code)
{
    if (returned)
        return wrong("did not fail");
    if (error == NULL || error->domain != THRIFT_APPLICATION_EXCEPTION_ERROR || error->code != code)
        return error == NULL ? wrong("no error came") : because(error);
    return NULL;
}

/* --- building --------------------------------------------------------------------------------- */

static GByteArray *bytes(const void *data, guint size)
{
    return g_byte_array_append(g_byte_array_new(), data, size);
}

static GByteArray *counting_bytes(guint size)
{
    GByteArray *array = g_byte_array_new();

    g_byte_array_set_size(array, size);
    for (guint i = 0; i < size; i++)
        array->data[i] = (guint8)i;
    return array;
}

static DemoPoint *point(double x, double y)
{
    return g_object_new(DEMO_TYPE_POINT, "x", x, "y", y, NULL);
}

static GArray *ids(guint n, const gint64 *values)
{
    return g_array_append_vals(g_array_new(FALSE, FALSE, sizeof(gint64)), values, n);
}

static GArray *bools(guint n, const gboolean *values)
{
    return g_array_append_vals(g_array_new(FALSE, FALSE, sizeof(gboolean)), values, n);
}

static GHashTable *strings(void)
{
    return g_hash_table_new(g_str_hash, g_str_equal);
}

static void map_set(GHashTable *map, const char *key, gint64 value)
{
    g_hash_table_insert(map, g_strdup(key), g_memdup2(&value, sizeof(value)));
}

static void flag_set(GHashTable *map, const char *key, gboolean value)
{
    g_hash_table_insert(map, g_strdup(key), g_memdup2(&value, sizeof(value)));
}

/* --- calls ------------------------------------------------------------------------------------ */

static char *echo(Client *client, const char *token)
{
    char *got = NULL;
    GError *error = NULL;

    if (!demo_directory_client_echo(client->demo, &got, token, &error))
        return because(error);
    return same_text(got, token);
}

static char *echo_ascii(Client *client)
{
    return echo(client, "hello");
}
static char *echo_empty(Client *client)
{
    return echo(client, "");
}
static char *echo_unicode(Client *client)
{
    return echo(client, UNICODE);
}
static char *still_there(Client *client)
{
    return echo(client, "still there");
}

static char *echo_long(Client *client)
{
    GString *text = g_string_new(NULL);

    for (int i = 0; i < 10000; i++)
        g_string_append(text, "0123456789");
    return echo(client, text->str);
}

static char *user_of(Client *client, const char *token, gint64 id)
{
    DemoUser *user = g_object_new(DEMO_TYPE_USER, NULL);
    DemoNotFound *missing = NULL;
    GError *error = NULL;

    if (!demo_directory_client_get_user(client->demo, &user, token, id, &missing, &error))
        return error == NULL ? wrong("missing") : because(error);
    return is_user(user, id, token);
}

static char *get_user(Client *client)
{
    return user_of(client, "t", 7);
}
static char *get_user_inactive(Client *client)
{
    return user_of(client, "t", 10);
}
static char *get_user_last(Client *client)
{
    return user_of(client, "é", 1000000);
}

static char *get_user_missing(Client *client)
{
    DemoUser *user = g_object_new(DEMO_TYPE_USER, NULL);
    DemoNotFound *missing = NULL;
    GError *error = NULL;
    gboolean returned =
        demo_directory_client_get_user(client->demo, &user, "t", -5, &missing, &error);

    return is_missing(returned, missing, -5);
}

static char *are_users(GHashTable *users, guint n, const gint64 *wanted, const char *token)
{
    char *why = same_number(g_hash_table_size(users), n);

    for (guint i = 0; i < n && why == NULL; i++)
        why = is_user(g_hash_table_lookup(users, &wanted[i]), wanted[i], token);
    return why;
}

static char *users_of(Client *client, guint n_asked, guint n_found)
{
    const gint64 asked[] = {1, 2, 10, 0};
    GHashTable *users = g_hash_table_new(g_int64_hash, g_int64_equal);
    GError *error = NULL;

    if (!demo_directory_client_get_users(client->demo, &users, "t", ids(n_asked, asked), &error))
        return because(error);
    return are_users(users, n_found, asked, "t");
}

static char *get_users(Client *client)
{
    return users_of(client, 4, 3);
}
static char *get_users_empty(Client *client)
{
    return users_of(client, 0, 0);
}

static char *find_user(Client *client)
{
    DemoUser *user = g_object_new(DEMO_TYPE_USER, NULL);
    DemoNotFound *missing = NULL;
    GError *error = NULL;

    if (!demo_directory_client_find_user(client->demo, &user, 42, &missing, &error))
        return error == NULL ? wrong("missing") : because(error);
    return is_user(user, 42, "");
}

static char *find_user_missing(Client *client)
{
    DemoUser *user = g_object_new(DEMO_TYPE_USER, NULL);
    DemoNotFound *missing = NULL;
    GError *error = NULL;
    gboolean returned =
        demo_directory_client_find_user(client->demo, &user, G_MININT64, &missing, &error);

    return is_missing(returned, missing, G_MININT64);
}

static char *find_users(Client *client)
{
    const gint64 asked[] = {5, 6, -1};
    GHashTable *users = g_hash_table_new(g_int64_hash, g_int64_equal);
    GError *error = NULL;

    if (!demo_directory_client_find_users(client->demo, &users, ids(3, asked), &error))
        return because(error);
    return are_users(users, 2, asked, "");
}

static char *get_user_batch(Client *client)
{
    const char *const tokens[] = {"a", "b", "c"};
    const gint64 asked[] = {1, -1, 2};
    GPtrArray *requests = g_ptr_array_new(), *results = g_ptr_array_new();
    DemoUserResult **result;
    GError *error = NULL;
    char *why;

    for (int i = 0; i < 3; i++)
        g_ptr_array_add(requests, g_object_new(DEMO_TYPE_USER_REQUEST, "token", tokens[i], "id",
                                               asked[i], NULL));
    if (!demo_directory_client_get_user_batch(client->demo, &results, requests, &error))
        return because(error);
    if (results->len != 3)
        return same_number(results->len, 3);
    result = (DemoUserResult **)results->pdata;
    why = is_user(result[0]->user, 1, "a");
    if (why == NULL)
        why = is_user(result[2]->user, 2, "c");
    if (why == NULL && (result[1]->__isset_user || !result[1]->__isset_missing))
        why = wrong("the second is not missing");
    return why != NULL ? why : same_number(result[1]->missing->id, -1);
}

static char *touch(Client *client)
{
    GError *error = NULL;

    return demo_directory_client_touch(client->demo, "t", &error) ? NULL : because(error);
}

static char *log_oneway(Client *client)
{
    gint64 before = 0, after = 0;
    GError *error = NULL;
    gboolean good = demo_directory_client_logged(client->demo, &before, &error);

    for (int i = 0; i < 3 && good; i++)
        good = demo_directory_client_log(client->demo, "line", &error);
    if (!good || !demo_directory_client_logged(client->demo, &after, &error))
        return because(error);
    return same_number(after, before + 3);
}

static char *fails(Client *client)
{
    char *got = NULL;
    GError *error = NULL;
    gboolean returned = demo_directory_client_fail(client->demo, &got, "é", &error);
    char *why = is_application_exception(returned, error,
                                         THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR);

    /* The first words are the library's. */
    return why != NULL ? why : same_text(error->message, "application error: failed as asked: é");
}

static char *blob(Client *client, GByteArray *payload, int size, GByteArray *wanted)
{
    GByteArray *got = NULL;
    GError *error = NULL;

    if (!demo_directory_client_blob(client->demo, &got, payload, size, &error))
        return because(error);
    return same_bytes(got, wanted);
}

static char *blob_empty(Client *client)
{
    return blob(client, bytes("", 0), 0, bytes("", 0));
}

static char *blob_grown(Client *client)
{
    return blob(client, bytes("abc", 3), 10, bytes("abcabcabca", 10));
}

static char *blob_1mib(Client *client)
{
    GByteArray *payload = counting_bytes(1 << 20);

    return blob(client, payload, 1 << 20, payload);
}

static char *waits(Client *client)
{
    char *got = NULL;
    GError *error = NULL;

    if (!demo_directory_client_wait(client->demo, &got, "t", 20, &error))
        return because(error);
    return same_text(got, "t");
}

static char *append_lines(Client *client)
{
    const char *const lines[] = {"one", "two", "é"};
    char *journal = g_strdup_printf("%d-%" G_GINT64_FORMAT, getpid(), g_get_real_time());
    GPtrArray *got = g_ptr_array_new();
    GError *error = NULL;
    gint64 position;
    char *why = NULL;

    for (int i = 0; i < 3 && why == NULL; i++) {
        if (!demo_directory_client_append(client->demo, &position, journal, lines[i], &error))
            return because(error);
        why = same_number(position, i);
    }
    if (why == NULL && !demo_directory_client_lines(client->demo, &got, journal, &error))
        return because(error);
    if (why == NULL)
        why = same_number(got->len, 3);
    for (guint i = 0; i < 3 && why == NULL; i++)
        why = same_text(g_ptr_array_index(got, i), lines[i]);
    return why;
}

static char *unheard(Client *client, GHashTable *named, GHashTable *numbers)
{
    GArray *flags = bools(3, (gboolean[]){TRUE, FALSE, TRUE});
    GPtrArray *deep = g_ptr_array_new();
    GError *error = NULL;
    gint32 got;
    gboolean returned;

    g_ptr_array_add(deep, bools(2, (gboolean[]){TRUE, FALSE}));
    g_ptr_array_add(deep, bools(0, (gboolean[]){FALSE}));
    for (int i = 0; i < 4; i++) {
        GPtrArray *around = g_ptr_array_new();

        g_ptr_array_add(around, deep);
        deep = around;
    }
    returned =
        interop_newer_client_unheard_of(client->newer, &got, flags, named, deep, numbers, &error);
    return is_application_exception(returned, error,
                                    THRIFT_APPLICATION_EXCEPTION_ERROR_UNKNOWN_METHOD);
}

static char *unheard_of(Client *client)
{
    GHashTable *numbers = strings();

    map_set(numbers, "one", 1);
    return unheard(client, strings(), numbers);
}

static char *unheard_of_bool_map(Client *client)
{
    GHashTable *named = strings();

    flag_set(named, "yes", TRUE);
    flag_set(named, "no", FALSE);
    return unheard(client, named, strings());
}

static char *many_calls(Client *client)
{
    char *why = NULL;

    for (int i = 0; i < 200 && why == NULL; i++)
        why = echo(client, g_strdup_printf("token %d", i));
    return why;
}

static char *in_flight(Client *client)
{
    GError *error = NULL;
    char *why = NULL;

    for (int i = 0; i < 100; i++)
        if (!demo_directory_client_send_echo(client->demo, g_strdup_printf("token %d", i), &error))
            return because(error);
    for (int i = 0; i < 100 && why == NULL; i++) {
        char *got = NULL;

        if (!demo_directory_client_recv_echo(client->demo, &got, &error))
            return because(error);
        why = same_text(got, g_strdup_printf("token %d", i));
    }
    return why;
}

static char *stats(Client *client)
{
    DemoCounters *got = g_object_new(DEMO_TYPE_COUNTERS, NULL);
    GError *error = NULL;

    if (!demo_directory_client_stats(client->demo, &got, &error))
        return because(error);
    return got->calls >= 200 ? NULL : wrong("few calls");
}

/* --- everything ------------------------------------------------------------------------------- */

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

static const struct {
    const char *name;
    char *(*run)(Client *client);
} checks[] = {
    {"echo-ascii", echo_ascii},
    {"echo-empty", echo_empty},
    {"echo-unicode", echo_unicode},
    {"echo-long", echo_long},
    {"get-user", get_user},
    {"get-user-inactive", get_user_inactive},
    {"get-user-last", get_user_last},
    {"get-user-missing", get_user_missing},
    {"get-users", get_users},
    {"get-users-empty", get_users_empty},
    {"find-user", find_user},
    {"find-user-missing", find_user_missing},
    {"find-users", find_users},
    {"get-user-batch", get_user_batch},
    {"touch", touch},
    {"log-oneway", log_oneway},
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
    {"fail", fails},
    {"after-fail", still_there},
    {"blob-empty", blob_empty},
    {"blob-grown", blob_grown},
    {"blob-1mib", blob_1mib},
    {"wait", waits},
    {"append-lines", append_lines},
    {"unheard-of", unheard_of},
    {"unheard-of-bool-map", unheard_of_bool_map},
    {"after-unheard-of", still_there},
    {"many-calls", many_calls},
    {"in-flight", in_flight},
    {"stats", stats},
};

int main(int argc, char **argv)
{
    Client client;
    bool open = false;

    if (argc != 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        GError *error = NULL;
        char *why;

        open = open || client_open(&client, argv + 1, &error);
        why = open ? checks[i].run(&client) : because(error);
        if (why == NULL)
            printf("ok %s\n", checks[i].name);
        else
            printf("not ok %s: %s\n", checks[i].name, g_strdelimit(why, "\n", ' '));
        open = open && why == NULL; /* what is left on it is no business of the next check */
    }
    return 0;
}
