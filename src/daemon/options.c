#include "daemon/options.h"

/* GOption writes here; gboolean is an int. */
typedef struct Raw {
    char *config_path;
    gboolean check, version, help;
} Raw;

/* GOption's own --help prints and exits, which would take the decision away from main. */
static GOptionContext *new_context(Raw *raw)
{
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &raw->config_path,
         "Read this file instead of " OPTIONS_DEFAULT_CONFIG, "FILE"},
        {"check", 0, 0, G_OPTION_ARG_NONE, &raw->check,
         "Check the configuration and exit: 0 if it is good, else 2", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &raw->version, "Print the version and exit", NULL},
        {"help", 'h', 0, G_OPTION_ARG_NONE, &raw->help, "Print this and exit", NULL},
        G_OPTION_ENTRY_NULL,
    };
    GOptionContext *context = g_option_context_new(NULL);

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_summary(context, "Batches the calls of Thrift clients on their way to "
                                          "the server.");
    g_option_context_set_description(
        context, "Signals:\n"
                 "  TERM, INT         Drain: finish the calls that were accepted, then exit\n"
                 "  TERM, INT again   Exit at once\n"
                 "  HUP               Read the configuration file again\n\n"
                 "Exit status:\n"
                 "  0  drained, or drain_timeout has passed\n"
                 "  1  cannot start, or a second signal\n"
                 "  2  bad command line or configuration\n");
    g_option_context_add_main_entries(context, entries, NULL);
    return context;
}

static bool parse(Raw *raw, char ***args, GError **error)
{
    g_autoptr(GOptionContext) context = new_context(raw);

    if (!g_option_context_parse_strv(context, args, error))
        return false;
    if (*args && (*args)[0] && (*args)[1]) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
                    "Unexpected argument '%s'", (*args)[1]);
        return false;
    }
    if (raw->config_path && !raw->config_path[0]) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--config is empty; name a file");
        return false;
    }
    return true;
}

bool options_parse(char *const *argv, Options *ret, GError **error)
{
    g_auto(GStrv) args = g_strdupv((char **)argv);
    Raw raw = {0};

    if (!parse(&raw, &args, error)) {
        g_free(raw.config_path);
        return false;
    }
    *ret = (Options){
        .config_path = raw.config_path ? raw.config_path : g_strdup(OPTIONS_DEFAULT_CONFIG),
        .check = raw.check,
        .version = raw.version,
        .help = raw.help,
    };
    return true;
}

void options_clear(Options *options)
{
    if (!options)
        return;
    g_free(options->config_path);
    *options = (Options){0};
}

char *options_help(void)
{
    Raw raw = {0};
    g_autoptr(GOptionContext) context = new_context(&raw);
    return g_option_context_get_help(context, TRUE, NULL);
}
