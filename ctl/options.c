#include "options.h"

#include "command.h"

enum { DEFAULT_TIMEOUT = 5, MAX_TIMEOUT = 3600 };

typedef struct Raw {
    char *socket, *instance;
    Options options;
} Raw;

/* GOption's own --help prints and exits, which would take the decision away from main. */
static GOptionContext *new_context(Raw *raw)
{
    Options *options = &raw->options;
    const GOptionEntry entries[] = {
        {"socket", 's', 0, G_OPTION_ARG_STRING, &raw->socket,
         "The daemon's fb303 address: unix:/path or host:port", "ADDRESS"},
        {"instance", 'i', 0, G_OPTION_ARG_STRING, &raw->instance, "The daemon thrift-batchd@NAME",
         "NAME"},
        {"timeout", 't', 0, G_OPTION_ARG_INT, &options->timeout,
         "How long to wait for an answer (default: 5 s)", "SECONDS"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options->json,
         "status, stats, servers, methods, get: print JSON", NULL},
        {"watch", 'w', 0, G_OPTION_ARG_NONE, &options->watch, "stats: again every second", NULL},
        {"no-wait", 0, 0, G_OPTION_ARG_NONE, &options->no_wait,
         "pause: do not wait for the calls in flight", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version and exit", NULL},
        {"help", 'h', 0, G_OPTION_ARG_NONE, &options->help, "Print this and exit", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autofree char *commands = command_list();
    GOptionContext *context = g_option_context_new("COMMAND");

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_summary(context, commands);
    g_option_context_set_description(
        context,
        "The address is --socket, that of --instance (unix:/run/thrift-batchd/NAME/fb303.sock),\n"
        "$" OPTIONS_ENVIRONMENT ", or " OPTIONS_DEFAULT_ADDRESS ".\n\n"
        "Exit status: 0 done; 1 the daemon cannot be reached or has said no; 2 usage.");
    g_option_context_add_main_entries(context, entries, NULL);
    return context;
}

static bool fail(GError **error, const char *text)
{
    g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
    return false;
}

static bool choose_address(Raw *raw, GError **error)
{
    const char *from_environment = g_getenv(OPTIONS_ENVIRONMENT);
    if (raw->socket != NULL && raw->instance != NULL)
        return fail(error, "--socket and --instance exclude each other");
    if (raw->instance != NULL && (raw->instance[0] == '\0' || strchr(raw->instance, '/') != NULL))
        return fail(error, "--instance takes the name behind thrift-batchd@");
    if (raw->socket != NULL)
        raw->options.address = g_strdup(raw->socket);
    else if (raw->instance != NULL)
        raw->options.address =
            g_strdup_printf("unix:/run/thrift-batchd/%s/fb303.sock", raw->instance);
    else if (from_environment != NULL && from_environment[0] != '\0')
        raw->options.address = g_strdup(from_environment);
    else
        raw->options.address = g_strdup(OPTIONS_DEFAULT_ADDRESS);
    return true;
}

static bool parse(Raw *raw, char ***args, GError **error)
{
    g_autoptr(GOptionContext) context = new_context(raw);

    if (!g_option_context_parse_strv(context, args, error))
        return false;
    if (raw->options.timeout < 1 || raw->options.timeout > MAX_TIMEOUT)
        return fail(error, "--timeout is 1 to 3600 seconds");
    return choose_address(raw, error);
}

bool options_parse(char *const *argv, Options *ret, GError **error)
{
    g_auto(GStrv) args = g_strdupv((char **)argv);
    Raw raw = {.options.timeout = DEFAULT_TIMEOUT};
    bool ok = parse(&raw, &args, error);

    g_free(raw.socket);
    g_free(raw.instance);
    if (!ok)
        return false;
    *ret = raw.options;
    ret->arguments = g_strdupv(args[0] != NULL ? args + 1 : args);
    return true;
}

void options_clear(Options *options)
{
    g_free(options->address);
    g_strfreev(options->arguments);
    *options = (Options){0};
}

char *options_help(void)
{
    Raw raw = {0};
    g_autoptr(GOptionContext) context = new_context(&raw);
    return g_option_context_get_help(context, TRUE, NULL);
}
