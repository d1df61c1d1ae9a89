/* A method that fails says so by an error of THRIFT_APPLICATION_EXCEPTION_ERROR: the generated code
 * makes the code and the words of it a TApplicationException. Oneway methods have to succeed: it
 * would write one for them, too. */
#include "admin/fb303-methods.h"

#include "admin/c-glib.h"
#include "admin/fb303-counters.h"
#include "admin/fb303-status.h"
#include "admin/stats-json.h"
#include "base/log.h"

struct Fb303Methods {
    Fb303AdminServiceHandler parent;
    const AdminOps *ops;
    void *ops_data;
    const Stats *stats;
    const char *refusal;
    bool changes; /* the call does, and the daemon is on its way to that */
    LogLimit refused;
};

typedef struct Fb303MethodsClass {
    Fb303AdminServiceHandlerClass parent_class;
} Fb303MethodsClass;

GType fb303_methods_get_type(void);

G_DEFINE_TYPE(Fb303Methods, fb303_methods, FB303_TYPE_ADMIN_SERVICE_HANDLER)

static Fb303Methods *methods_of(void *iface)
{
    return G_TYPE_CHECK_INSTANCE_CAST(iface, fb303_methods_get_type(), Fb303Methods);
}

static gboolean fail(GError **error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static gboolean fail(GError **error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error_literal(error, THRIFT_APPLICATION_EXCEPTION_ERROR,
                        THRIFT_APPLICATION_EXCEPTION_ERROR_INTERNAL_ERROR, text);
    return FALSE;
}

static gboolean may_change(const Fb303Methods *methods, const char *method, GError **error)
{
    return methods->refusal == NULL || fail(error, "%s: %s", method, methods->refusal);
}

/* Of a oneway method. */
static bool may_change_unanswered(Fb303Methods *methods, const char *method)
{
    nsec_t now = (nsec_t)g_get_monotonic_time() * NSEC_PER_USEC;
    if (methods->refusal != NULL)
        log_limited(&methods->refused, now, LOG_LEVEL_WARNING, "fb303: %s refused: %s", method,
                    methods->refusal);
    return methods->refusal == NULL;
}

/* Else a change would come too late. */
static gboolean is_running(const Fb303Methods *methods, GError **error)
{
    return methods->stats->state != DAEMON_STATE_DRAINING ||
           fail(error, "the daemon is draining, nothing is changed any more");
}

/* --- what it is and how it does -------------------------------------------------------------- */

static gboolean get_name(Fb303FacebookServiceIf *iface, char **ret, GError **error)
{
    (void)iface, (void)error;
    *ret = g_strdup("thrift-batchd");
    return TRUE;
}

static gboolean get_version(Fb303FacebookServiceIf *iface, char **ret, GError **error)
{
    (void)iface, (void)error;
    *ret = g_strdup(PACKAGE_VERSION);
    return TRUE;
}

static gboolean get_status(Fb303FacebookServiceIf *iface, Fb303fb_status *ret, GError **error)
{
    (void)error;
    switch (fb303_status(methods_of(iface)->stats)) {
    case FB303_STATUS_ALIVE:
        *ret = FB303_FB_STATUS_ALIVE;
        return TRUE;
    case FB303_STATUS_WARNING:
        *ret = FB303_FB_STATUS_WARNING;
        return TRUE;
    case FB303_STATUS_STOPPING:
        break;
    }
    *ret = FB303_FB_STATUS_STOPPING;
    return TRUE;
}

static gboolean get_status_details(Fb303FacebookServiceIf *iface, char **ret, GError **error)
{
    (void)error;
    *ret = fb303_status_details(methods_of(iface)->stats);
    return TRUE;
}

static gboolean alive_since(Fb303FacebookServiceIf *iface, gint64 *ret, GError **error)
{
    (void)error;
    *ret = methods_of(iface)->stats->started / G_USEC_PER_SEC;
    return TRUE;
}

static gboolean get_counters(Fb303FacebookServiceIf *iface, GHashTable **ret, GError **error)
{
    (void)error;
    fb303_counters_fill(methods_of(iface)->stats, *ret);
    return TRUE;
}

static gboolean get_counter(Fb303FacebookServiceIf *iface, gint64 *ret, const char *key,
                            GError **error)
{
    g_autoptr(GHashTable) counters = fb303_counters_new(methods_of(iface)->stats);
    const gint64 *value = key != NULL ? g_hash_table_lookup(counters, key) : NULL;
    if (value == NULL)
        return fail(error, "there is no counter '%s'; getCounters has all of them",
                    key != NULL ? key : "");
    *ret = *value;
    return TRUE;
}

static gboolean get_stats_json(Fb303AdminServiceIf *iface, char **ret, GError **error)
{
    (void)error;
    *ret = stats_json(methods_of(iface)->stats);
    return TRUE;
}

static gboolean get_cpu_profile(Fb303FacebookServiceIf *iface, char **ret, const gint32 seconds,
                                GError **error)
{
    (void)iface, (void)ret, (void)seconds;
    return fail(error, "getCpuProfile: the daemon keeps no profile of itself");
}

/* --- live options ---------------------------------------------------------------------------- */

static const AdminOption *find_option(const char *name)
{
    for (const AdminOption *option = admin_options; option->name != NULL; option++)
        if (g_strcmp0(option->name, name) == 0)
            return option;
    return NULL;
}

static gboolean fail_unknown_option(const char *name, GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (const AdminOption *option = admin_options; option->name != NULL; option++)
        g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", option->name);
    return fail(error, "there is no option '%s'; there are %s", name != NULL ? name : "",
                names->str);
}

static char *option_value(const Fb303Methods *methods, const AdminOption *option)
{
    const SettingStats *setting = stats_setting(methods->stats, option->section, option->name);
    return g_strdup(setting != NULL ? setting->value : "");
}

static gboolean get_option(Fb303FacebookServiceIf *iface, char **ret, const char *key,
                           GError **error)
{
    const AdminOption *option = find_option(key);
    if (option == NULL)
        return fail_unknown_option(key, error);
    *ret = option_value(methods_of(iface), option);
    return TRUE;
}

static gboolean get_options(Fb303FacebookServiceIf *iface, GHashTable **ret, GError **error)
{
    (void)error;
    for (const AdminOption *option = admin_options; option->name != NULL; option++)
        g_hash_table_insert(*ret, g_strdup(option->name), option_value(methods_of(iface), option));
    return TRUE;
}

static gboolean set_option(Fb303FacebookServiceIf *iface, const char *key, const char *value,
                           GError **error)
{
    Fb303Methods *methods = methods_of(iface);
    g_autoptr(GError) why = NULL;
    if (!may_change(methods, "setOption", error) || !is_running(methods, error))
        return FALSE;
    if (find_option(key) == NULL)
        return fail_unknown_option(key, error);
    methods->changes =
        methods->ops->set_option(methods->ops_data, key, value != NULL ? value : "", &why);
    return methods->changes || fail(error, "%s", why->message);
}

/* --- changes --------------------------------------------------------------------------------- */

static gboolean set_paused(Fb303AdminServiceIf *iface, const char *method, bool paused,
                           GError **error)
{
    Fb303Methods *methods = methods_of(iface);
    if (!may_change(methods, method, error) || !is_running(methods, error))
        return FALSE;
    methods->ops->set_paused(methods->ops_data, paused);
    methods->changes = true;
    return TRUE;
}

static gboolean pause_calls(Fb303AdminServiceIf *iface, GError **error)
{
    return set_paused(iface, "pause", true, error);
}

static gboolean resume_calls(Fb303AdminServiceIf *iface, GError **error)
{
    return set_paused(iface, "resume", false, error);
}

static gboolean reload(Fb303AdminServiceIf *iface, char **ret_remarks, GError **error)
{
    Fb303Methods *methods = methods_of(iface);
    g_autoptr(GError) why = NULL;
    if (!may_change(methods, "reload", error) || !is_running(methods, error))
        return FALSE;
    methods->changes = methods->ops->reload(methods->ops_data, ret_remarks, &why);
    return methods->changes || fail(error, "%s", why->message);
}

static gboolean reinitialize(Fb303FacebookServiceIf *iface, GError **error)
{
    Fb303Methods *methods = methods_of(iface);
    g_autofree char *remarks = NULL; /* the daemon has logged them, and the error */
    g_autoptr(GError) why = NULL;
    (void)error;
    if (may_change_unanswered(methods, "reinitialize") && is_running(methods, &why))
        methods->ops->reload(methods->ops_data, &remarks, &why);
    return TRUE;
}

static gboolean drain(Fb303AdminServiceIf *iface, GError **error)
{
    const Fb303Methods *methods = methods_of(iface);
    if (!may_change(methods, "drain", error))
        return FALSE;
    methods->ops->drain(methods->ops_data);
    return TRUE;
}

static gboolean shut_down(Fb303FacebookServiceIf *iface, GError **error)
{
    Fb303Methods *methods = methods_of(iface);
    (void)error;
    if (may_change_unanswered(methods, "shutdown"))
        methods->ops->drain(methods->ops_data);
    return TRUE;
}

/* --- the object ------------------------------------------------------------------------------ */

static void fb303_methods_init(Fb303Methods *methods)
{
    (void)methods;
}

static void fb303_methods_class_init(Fb303MethodsClass *class)
{
    Fb303FacebookServiceHandlerClass *base = &class->parent_class.parent;
    Fb303AdminServiceHandlerClass *admin = &class->parent_class;
    base->get_name = get_name;
    base->get_version = get_version;
    base->get_status = get_status;
    base->get_status_details = get_status_details;
    base->get_counters = get_counters;
    base->get_counter = get_counter;
    base->set_option = set_option;
    base->get_option = get_option;
    base->get_options = get_options;
    base->get_cpu_profile = get_cpu_profile;
    base->alive_since = alive_since;
    base->reinitialize = reinitialize;
    base->shutdown = shut_down;
    admin->pause = pause_calls;
    admin->resume = resume_calls;
    admin->reload = reload;
    admin->drain = drain;
    admin->get_stats_json = get_stats_json;
}

Fb303Methods *fb303_methods_new(const AdminOps *ops, void *ops_data)
{
    Fb303Methods *methods = g_object_new(fb303_methods_get_type(), NULL);
    methods->ops = ops;
    methods->ops_data = ops_data;
    return methods;
}

void fb303_methods_prepare(Fb303Methods *methods, const Stats *stats, const char *refusal)
{
    methods->stats = stats;
    methods->refusal = refusal;
    methods->changes = false;
}

bool fb303_methods_change(const Fb303Methods *methods)
{
    return methods->changes;
}
