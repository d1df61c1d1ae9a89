/* One method after another, and many calls. */
#include "checks.h"
#include "values.h"
#include <thrift/c_glib/thrift_application_exception.h>
#include <unistd.h>

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

static GArray *ids(guint n, const gint64 *values)
{
    return g_array_append_vals(g_array_new(FALSE, FALSE, sizeof(gint64)), values, n);
}

static GArray *bools(guint n, const gboolean *values)
{
    return g_array_append_vals(g_array_new(FALSE, FALSE, sizeof(gboolean)), values, n);
}

static void flag_set(GHashTable *map, const char *key, gboolean value)
{
    g_hash_table_insert(map, g_strdup(key), g_memdup2(&value, sizeof(value)));
}

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

const Check call_checks[] = {
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
    {NULL, NULL},
};
