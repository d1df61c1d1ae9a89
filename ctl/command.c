#include "command.h"

#include "base/nearest.h"
#include "change.h"
#include "show.h"
#include "watch.h"

static bool stats(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    return options->watch ? watch(remote, options, error)
                          : show_stats(remote, options, arguments, error);
}

static const Command commands[] = {
    {"status", "", "how the daemon does", 0, 0, true, false, false, show_status},
    {"stats", "", "all figures; --watch: live", 0, 0, true, true, false, stats},
    {"servers", "", "the servers of the upstream", 0, 0, true, false, false, show_servers},
    {"methods", "", "the methods that were called", 0, 0, true, false, false, show_methods},
    {"get", "[OPTION]", "the live options, or one of them", 0, 1, true, false, false, show_options},
    {"set", "OPTION VALUE", "change a live option, until the next reload", 2, 2, false, false,
     false, change_option},
    {"reload", "", "read the configuration file again", 0, 0, false, false, false, change_reload},
    {"pause", "", "hold the calls; wait until none is in flight", 0, 0, false, false, true,
     change_pause},
    {"resume", "", "let the held calls go", 0, 0, false, false, false, change_resume},
    {"drain", "", "finish the calls that were accepted, and end", 0, 0, false, false, false,
     change_drain},
};

char *command_list(void)
{
    GString *text = g_string_new("Talks to a running thrift-batchd.\n\nCommands:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *name = g_strdup_printf("%s %s", commands[i].name, commands[i].usage);
        g_string_append_printf(text, "  %-18s %s\n", name, commands[i].summary);
    }
    g_string_truncate(text, text->len - 1);
    return g_string_free(text, FALSE);
}

static bool fail(GError **error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(GError **error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, text);
    return false;
}

static void fail_unknown(const char *name, GError **error)
{
    Nearest nearest = {0};
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text, "there is no command '%s'", name);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        nearest_consider(&nearest, commands[i].name, name);
    if (nearest.name != NULL)
        g_string_append_printf(text, "; did you mean '%s'?", nearest.name);
    g_string_append(text, "\nCommands:");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        g_string_append_printf(text, " %s", commands[i].name);
    fail(error, "%s", text->str);
}

static bool takes(const Command *command, const Options *options, GError **error)
{
    guint n = g_strv_length(options->arguments) - 1;
    if (n < command->min_arguments || n > command->max_arguments)
        return fail(error, "usage: thrift-batchctl %s%s%s", command->name,
                    command->usage[0] != '\0' ? " " : "", command->usage);
    if (options->json && !command->prints_json)
        return fail(error, "%s has nothing to print as JSON", command->name);
    if (options->watch && !command->can_watch)
        return fail(error, "--watch is for stats, not for %s", command->name);
    if (options->no_wait && !command->can_wait)
        return fail(error, "--no-wait is for pause, not for %s", command->name);
    return true;
}

const Command *command_of(const Options *options, GError **error)
{
    const char *name = options->arguments[0];
    if (name == NULL) {
        fail(error, "which command? thrift-batchctl --help lists them");
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        if (g_str_equal(commands[i].name, name))
            return takes(&commands[i], options, error) ? &commands[i] : NULL;
    fail_unknown(name, error);
    return NULL;
}
