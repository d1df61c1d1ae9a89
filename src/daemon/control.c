#include "daemon/control.h"

#include <string.h>

#include "base/log.h"
#include "daemon/config-live.h"
#include "daemon/notify.h"

void control_init(Control *control, Crew *crew)
{
    control->crew = crew;
    pthread_mutex_init(&control->mutex, NULL);
}

void control_clear(Control *control)
{
    pthread_mutex_destroy(&control->mutex);
}

/* Reloading */

static Config *load_beside(const Config *running, GPtrArray *need_restart, GError **error)
{
    Config *loaded = config_load(running->path, error);
    if (loaded == NULL)
        return NULL;
    Config *config = config_keep_running(loaded, running, need_restart, error);
    config_unref(loaded);
    return config;
}

static void log_need_restart(const Config *after, const GPtrArray *need_restart)
{
    for (guint i = 0; i < need_restart->len; i++)
        log_warning("%s has changed in %s: it needs a restart, and stays as it is until then",
                    (const char *)g_ptr_array_index(need_restart, i), after->path);
}

static void log_errors(const char *path, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++)
        log_error("%s", *line);
    log_error("%s is not reloaded: the configuration from before stays in force", path);
}

static bool reload(Control *control, GError **error)
{
    Config *running = crew_config(control->crew);
    g_autoptr(GPtrArray) need_restart = g_ptr_array_new_with_free_func(g_free);
    GError *problem = NULL;
    Config *config = load_beside(running, need_restart, &problem);
    if (config != NULL) {
        log_need_restart(config, need_restart);
        crew_set_config(control->crew, config);
        config_unref(config);
    } else {
        log_errors(running->path, problem->message);
        g_propagate_error(error, problem);
    }
    config_unref(running);
    return config != NULL;
}

bool control_reload(Control *control, GError **error)
{
    pthread_mutex_lock(&control->mutex);
    notify_reloading();
    bool done = reload(control, error);
    notify_ready();
    pthread_mutex_unlock(&control->mutex);
    return done;
}

static bool reload_op(void *data, GError **error)
{
    Control *control = data;
    if (!crew_is_draining(control->crew))
        return control_reload(control, error);
    g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                        "the daemon is draining: it does not reload any more");
    return false;
}

/* Options */

const AdminOption admin_options[] = {
    {"window", "batch"},     {"max_calls", "batch"}, {"flush", "batch"},
    {"log_level", "daemon"}, {NULL, NULL},
};

static const AdminOption *find_option(const char *name)
{
    for (const AdminOption *option = admin_options; option->name != NULL; option++)
        if (strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

static void set_unknown_error(GError **error, const char *name)
{
    g_autoptr(GString) known = g_string_new(NULL);
    for (const AdminOption *option = admin_options; option->name != NULL; option++)
        g_string_append_printf(known, "%s%s", known->len > 0 ? ", " : "", option->name);
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
                "'%s' cannot be set while the daemon runs; these can: %s", name, known->str);
}

static bool set_option(Control *control, const AdminOption *option, const char *value,
                       GError **error)
{
    Config *running = crew_config(control->crew);
    Config *config = config_with(running, option->section, option->name, value, error);
    config_unref(running);
    if (config == NULL) {
        g_prefix_error(error, "%s: ", option->name);
        return false;
    }
    crew_set_config(control->crew, config);
    config_unref(config);
    return true;
}

static bool set_option_op(void *data, const char *name, const char *value, GError **error)
{
    Control *control = data;
    const AdminOption *option = find_option(name);
    if (option == NULL) {
        set_unknown_error(error, name);
        return false;
    }
    pthread_mutex_lock(&control->mutex);
    bool done = set_option(control, option, value, error);
    pthread_mutex_unlock(&control->mutex);
    return done;
}

/* The rest */

static void collect_op(void *data, StatsRequest *request)
{
    crew_collect(((Control *)data)->crew, request);
}

static void set_paused_op(void *data, bool paused)
{
    crew_set_paused(((Control *)data)->crew, paused);
}

static void drain_op(void *data)
{
    crew_request_drain(((Control *)data)->crew);
}

const AdminOps control_ops = {
    .collect = collect_op,
    .reload = reload_op,
    .set_option = set_option_op,
    .set_paused = set_paused_op,
    .drain = drain_op,
};
