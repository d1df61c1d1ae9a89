/* c_glib wants a GObject with a function for each method. A function returns FALSE with the
 * exception it declares, or with an error, which the processor makes a TApplicationException of:
 * the error's code becomes the exception's type whatever its domain, so that only
 * THRIFT_APPLICATION_EXCEPTION_ERROR is a domain to use. */

#include "handler.h"

#include "sleep.h"
#include <string.h>
#include <thrift/c_glib/thrift_application_exception.h>

enum {
    LAST_USER = 1000000,
    MAX_BLOB = 64 << 20,
    MAX_WAIT_MS = 60000,
    MAX_LINES = 1000000,
};

struct Directory {
    DemoDirectoryHandler parent;
    Counts *counts;
    guint64 call_cost_us;

    GMutex lock; /* of what follows */
    GCond stopped;
    gboolean stopping;
    GHashTable *journals; /* name -> GPtrArray of lines */
    guint n_lines;
};

typedef struct DirectoryClass {
    DemoDirectoryHandlerClass parent_class;
} DirectoryClass;

G_DEFINE_TYPE(Directory, directory, DEMO_TYPE_DIRECTORY_HANDLER)

/* Every call begins here. */
static Directory *begin_call(DemoDirectoryIf *iface)
{
    Directory *directory = G_TYPE_CHECK_INSTANCE_CAST(iface, directory_get_type(), Directory);

    atomic_fetch_add(&directory->counts->calls, 1);
    sleep_us(directory->call_cost_us);
    return directory;
}

static gboolean fail(GError **error, const char *text)
{
    g_set_error_literal(error, THRIFT_APPLICATION_EXCEPTION_ERROR,
                        THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR, text);
    return FALSE;
}

/* --- users ----------------------------------------------------------------------------------- */

static gboolean user_exists(gint64 id)
{
    return id >= 1 && id <= LAST_USER;
}

/* Fields are set directly: g_object_set() on every call costs more than all the rest. */
static void user_fill(DemoUser *user, gint64 id, const char *token)
{
    user->id = id;
    user->name = g_strdup_printf("user-%" G_GINT64_FORMAT, id);
    user->active = id % 10 != 0;
    user->token = g_strdup(token);
    user->__isset_id = user->__isset_name = user->__isset_active = user->__isset_token = TRUE;
}

static DemoUser *user_new(gint64 id, const char *token)
{
    DemoUser *user = g_object_new(DEMO_TYPE_USER, NULL);

    user_fill(user, id, token);
    return user;
}

static DemoNotFound *not_found_new(gint64 id)
{
    DemoNotFound *missing = g_object_new(DEMO_TYPE_NOT_FOUND, NULL);

    missing->id = id;
    missing->reason = g_strdup_printf("there is no user %" G_GINT64_FORMAT, id);
    missing->__isset_id = missing->__isset_reason = TRUE;
    return missing;
}

/* The processor hands over an empty user, or none. */
static gboolean answer_user(DemoUser **ret_user, DemoNotFound **ret_missing, gint64 id,
                            const char *token)
{
    if (!user_exists(id)) {
        *ret_missing = not_found_new(id);
        return FALSE;
    }
    g_clear_object(ret_user);
    *ret_user = user_new(id, token);
    return TRUE;
}

static void collect_users(GHashTable *users, const GArray *ids, const char *token)
{
    for (guint i = 0; i < ids->len; i++) {
        gint64 id = g_array_index(ids, gint64, i);

        if (user_exists(id))
            g_hash_table_replace(users, g_memdup2(&id, sizeof(id)), user_new(id, token));
    }
}

static gboolean directory_get_user(DemoDirectoryIf *iface, DemoUser **ret, const gchar *token,
                                   const gint64 id, DemoNotFound **ret_missing, GError **error)
{
    (void)error;
    begin_call(iface);
    return answer_user(ret, ret_missing, id, token);
}

static gboolean directory_find_user(DemoDirectoryIf *iface, DemoUser **ret, const gint64 id,
                                    DemoNotFound **ret_missing, GError **error)
{
    (void)error;
    begin_call(iface);
    return answer_user(ret, ret_missing, id, "");
}

static gboolean directory_get_users(DemoDirectoryIf *iface, GHashTable **ret, const gchar *token,
                                    const GArray *ids, GError **error)
{
    (void)error;
    begin_call(iface);
    collect_users(*ret, ids, token);
    return TRUE;
}

static gboolean directory_find_users(DemoDirectoryIf *iface, GHashTable **ret, const GArray *ids,
                                     GError **error)
{
    (void)error;
    begin_call(iface);
    collect_users(*ret, ids, "");
    return TRUE;
}

static gboolean directory_get_user_batch(DemoDirectoryIf *iface, GPtrArray **ret,
                                         const GPtrArray *requests, GError **error)
{
    (void)error;
    begin_call(iface);
    for (guint i = 0; i < requests->len; i++) {
        const DemoUserRequest *request = g_ptr_array_index(requests, i);
        DemoUserResult *result = g_object_new(DEMO_TYPE_USER_RESULT, NULL);

        if (answer_user(&result->user, &result->missing, request->id, request->token))
            result->__isset_user = TRUE;
        else
            result->__isset_missing = TRUE;
        g_ptr_array_add(*ret, result);
    }
    return TRUE;
}

/* --- tokens ---------------------------------------------------------------------------------- */

static gboolean directory_echo(DemoDirectoryIf *iface, gchar **ret, const gchar *token,
                               GError **error)
{
    (void)error;
    begin_call(iface);
    *ret = g_strdup(token);
    return TRUE;
}

static gboolean directory_touch(DemoDirectoryIf *iface, const gchar *token, GError **error)
{
    (void)token, (void)error;
    begin_call(iface);
    return TRUE;
}

static gboolean directory_fail(DemoDirectoryIf *iface, gchar **ret, const gchar *token,
                               GError **error)
{
    g_autofree char *text = g_strdup_printf("failed as asked: %s", token);

    (void)ret;
    begin_call(iface);
    return fail(error, text);
}

static gboolean directory_wait(DemoDirectoryIf *iface, gchar **ret, const gchar *token,
                               const gint32 milliseconds, GError **error)
{
    Directory *directory = begin_call(iface);
    gint64 until = g_get_monotonic_time() + (gint64)CLAMP(milliseconds, 0, MAX_WAIT_MS) * 1000;
    gboolean stopping;

    g_mutex_lock(&directory->lock);
    while (!directory->stopping && g_cond_wait_until(&directory->stopped, &directory->lock, until))
        ;
    stopping = directory->stopping;
    g_mutex_unlock(&directory->lock);
    if (stopping)
        return fail(error, "the server stops");
    *ret = g_strdup(token);
    return TRUE;
}

/* --- everything and much --------------------------------------------------------------------- */

static gboolean directory_everything(DemoDirectoryIf *iface, DemoEverything **ret,
                                     const gchar *token, const gboolean a_bool, const gint8 a_byte,
                                     const gint16 an_i16, const gint32 an_i32, const gint64 an_i64,
                                     const gdouble a_double, const gchar *a_string,
                                     const GByteArray *a_binary, const GArray *a_list,
                                     const GHashTable *a_set, const GHashTable *a_map,
                                     const DemoPoint *a_struct, const GPtrArray *structs,
                                     GError **error)
{
    (void)error;
    begin_call(iface);
    g_object_set(*ret, "token", token, "aBool", a_bool, "aByte", (gint)a_byte, "anI16",
                 (gint)an_i16, "anI32", an_i32, "anI64", an_i64, "aString", a_string, "aBinary",
                 a_binary, "aList", a_list, "aSet", a_set, "aMap", a_map, "aStruct", a_struct,
                 "structs", structs, NULL);
    /* Not as a property: those clamp what is not finite. */
    (*ret)->aDouble = a_double;
    (*ret)->__isset_aDouble = TRUE;
    return TRUE;
}

static gboolean directory_blob(DemoDirectoryIf *iface, GByteArray **ret, const GByteArray *payload,
                               const gint32 size, GError **error)
{
    guint want, have;

    begin_call(iface);
    if (size < 0 || size > MAX_BLOB)
        return fail(error, "a blob has 0 bytes to 64 MiB");
    want = (guint)size;
    if (*ret == NULL)
        *ret = g_byte_array_new();
    g_byte_array_set_size(*ret, want);
    if (want == 0)
        return TRUE;
    if (payload == NULL || payload->len == 0) {
        memset((*ret)->data, 0, want);
        return TRUE;
    }
    have = MIN(want, payload->len);
    memcpy((*ret)->data, payload->data, have);
    for (; have < want; have += MIN(have, want - have))
        memcpy((*ret)->data + have, (*ret)->data, MIN(have, want - have));
    return TRUE;
}

/* --- journals -------------------------------------------------------------------------------- */

static gboolean directory_log(DemoDirectoryIf *iface, const gchar *line, GError **error)
{
    (void)line, (void)error;
    atomic_fetch_add(&begin_call(iface)->counts->logged, 1);
    return TRUE;
}

static gboolean directory_logged(DemoDirectoryIf *iface, gint64 *ret, GError **error)
{
    (void)error;
    *ret = atomic_load(&begin_call(iface)->counts->logged);
    return TRUE;
}

static gboolean directory_append(DemoDirectoryIf *iface, gint64 *ret, const gchar *name,
                                 const gchar *line, GError **error)
{
    Directory *directory = begin_call(iface);
    GPtrArray *journal;
    gboolean full;

    g_mutex_lock(&directory->lock);
    full = directory->n_lines == MAX_LINES;
    if (!full) {
        journal = g_hash_table_lookup(directory->journals, name);
        if (journal == NULL) {
            journal = g_ptr_array_new_with_free_func(g_free);
            g_hash_table_insert(directory->journals, g_strdup(name), journal);
        }
        *ret = journal->len;
        g_ptr_array_add(journal, g_strdup(line));
        directory->n_lines++;
    }
    g_mutex_unlock(&directory->lock);
    return !full || fail(error, "the journals are full");
}

static gboolean directory_lines(DemoDirectoryIf *iface, GPtrArray **ret, const gchar *name,
                                GError **error)
{
    Directory *directory = begin_call(iface);
    const GPtrArray *journal;

    (void)error;
    g_mutex_lock(&directory->lock);
    journal = g_hash_table_lookup(directory->journals, name);
    for (guint i = 0; journal != NULL && i < journal->len; i++)
        g_ptr_array_add(*ret, g_strdup(g_ptr_array_index(journal, i)));
    g_mutex_unlock(&directory->lock);
    return TRUE;
}

static gboolean directory_stats(DemoDirectoryIf *iface, DemoCounters **ret, GError **error)
{
    Counts *counts = begin_call(iface)->counts;

    (void)error;
    g_object_set(*ret, "messages", atomic_load(&counts->messages), "calls",
                 atomic_load(&counts->calls), "batches", atomic_load(&counts->batches),
                 "largestBatch", atomic_load(&counts->largest_batch), "connectionsOpen",
                 atomic_load(&counts->connections_open), "connectionsMost",
                 atomic_load(&counts->connections_most), "connectionsTotal",
                 atomic_load(&counts->connections_total), "emptyBatches",
                 atomic_load(&counts->empty_batches), "batchedCalls",
                 atomic_load(&counts->batched_calls), NULL);
    return TRUE;
}

/* --- the object ------------------------------------------------------------------------------ */

static void free_journal(gpointer journal)
{
    g_ptr_array_unref(journal);
}

static void directory_init(Directory *directory)
{
    g_mutex_init(&directory->lock);
    g_cond_init(&directory->stopped);
    directory->journals = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_journal);
}

static void directory_finalize(GObject *object)
{
    Directory *directory = G_TYPE_CHECK_INSTANCE_CAST(object, directory_get_type(), Directory);

    g_hash_table_unref(directory->journals);
    g_cond_clear(&directory->stopped);
    g_mutex_clear(&directory->lock);
    G_OBJECT_CLASS(directory_parent_class)->finalize(object);
}

static void directory_class_init(DirectoryClass *class)
{
    DemoDirectoryHandlerClass *methods = &class->parent_class;

    G_OBJECT_CLASS(class)->finalize = directory_finalize;
    methods->echo = directory_echo;
    methods->get_user = directory_get_user;
    methods->get_users = directory_get_users;
    methods->touch = directory_touch;
    methods->log = directory_log;
    methods->logged = directory_logged;
    methods->everything = directory_everything;
    methods->blob = directory_blob;
    methods->fail = directory_fail;
    methods->wait = directory_wait;
    methods->append = directory_append;
    methods->lines = directory_lines;
    methods->stats = directory_stats;
    methods->find_user = directory_find_user;
    methods->find_users = directory_find_users;
    methods->get_user_batch = directory_get_user_batch;
}

Directory *directory_new(Counts *counts, guint64 call_cost_us)
{
    Directory *directory = g_object_new(directory_get_type(), NULL);

    directory->counts = counts;
    directory->call_cost_us = call_cost_us;
    return directory;
}

void directory_stop(Directory *directory)
{
    g_mutex_lock(&directory->lock);
    directory->stopping = TRUE;
    g_cond_broadcast(&directory->stopped);
    g_mutex_unlock(&directory->lock);
}
