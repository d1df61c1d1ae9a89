/* bench-load: many Thrift clients in one thread, which check every reply.
 *
 * Raw epoll, one read and one write for what a connection has to receive and to send, messages from
 * templates: it shares a machine with what it measures. See --help. */

#include "load.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

enum {
    EXIT_BAD_REPLIES = 1,
    EXIT_USAGE = 2,
    MAX_CONNECTIONS = 100000,
    MAX_DEPTH = 1000,
    MAX_PAYLOAD = 1 << 20,
    MAX_SECONDS = 3600,
};

static gboolean fail(GError **error, const char *text)
{
    g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
    return FALSE;
}

static gboolean one_of(char **value, const char *by_default, const char *other)
{
    if (*value == NULL)
        *value = g_strdup(by_default);
    return g_str_equal(*value, by_default) || g_str_equal(*value, other);
}

static gboolean is_time(double seconds)
{
    return seconds >= 0 && seconds <= MAX_SECONDS;
}

static gboolean options_check(LoadOptions *options, GError **error)
{
    if (options->connect == NULL || strchr(options->connect, ':') == NULL)
        return fail(error, "--connect HOST:PORT or --connect unix:/path is needed");
    if (!one_of(&options->transport, "framed", "buffered"))
        return fail(error, "--transport is framed or buffered");
    if (!one_of(&options->protocol, "binary", "compact"))
        return fail(error, "--protocol is binary or compact");
    if (!one_of(&options->method, "echo", "getUser"))
        return fail(error, "--method is echo or getUser");
    if (options->connections < 1 || options->connections > MAX_CONNECTIONS)
        return fail(error, "--connections is 1 to 100000");
    if (options->depth < 1 || options->depth > MAX_DEPTH)
        return fail(error, "--depth is 1 to 1000");
    if (options->payload < MESSAGE_MIN_PAYLOAD || options->payload > MAX_PAYLOAD)
        return fail(error, "--payload is 16 to 1048576");
    if (options->connecting < 1)
        return fail(error, "--connecting is at least 1");
    if (options->calls < 0 || options->rate < 0)
        return fail(error, "--calls and --rate are not negative");
    if (options->rate > 0 && options->depth > 1)
        return fail(error, "--depth is for the closed loop");
    if (!is_time(options->seconds) || !is_time(options->warm_up) || !is_time(options->patience))
        return fail(error, "--seconds, --warm-up and --patience are 0 to 3600");
    return TRUE;
}

static gboolean options_parse(LoadOptions *o, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"connect", 0, 0, G_OPTION_ARG_STRING, &o->connect, "host:port or unix:/path", "ADDRESS"},
        {"connections", 0, 0, G_OPTION_ARG_INT, &o->connections, "how many clients (1)", "N"},
        {"depth", 0, 0, G_OPTION_ARG_INT, &o->depth, "calls under way of each client (1)", "N"},
        {"rate", 0, 0, G_OPTION_ARG_DOUBLE, &o->rate,
         "open loop: so many calls a second, Poisson arrivals", "N"},
        {"calls", 0, 0, G_OPTION_ARG_INT64, &o->calls,
         "end after so many calls, not counting greetings", "N"},
        {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &o->seconds,
         "measure at most so long (1); 0: only greet", "S"},
        {"warm-up", 0, 0, G_OPTION_ARG_DOUBLE, &o->warm_up, "load before that (0)", "S"},
        {"patience", 0, 0, G_OPTION_ARG_DOUBLE, &o->patience, "wait for the last replies (5)", "S"},
        {"payload", 0, 0, G_OPTION_ARG_INT, &o->payload, "bytes of an echo (32)", "BYTES"},
        {"transport", 0, 0, G_OPTION_ARG_STRING, &o->transport, "framed (default) or buffered",
         "NAME"},
        {"protocol", 0, 0, G_OPTION_ARG_STRING, &o->protocol, "binary (default) or compact",
         "NAME"},
        {"method", 0, 0, G_OPTION_ARG_STRING, &o->method, "echo (default) or getUser", "NAME"},
        {"connecting", 0, 0, G_OPTION_ARG_INT, &o->connecting,
         "clients that connect and greet at once (64)", "N"},
        {"no-greeting", 0, 0, G_OPTION_ARG_NONE, &o->no_greeting, "connect without a call", NULL},
        {"idle", 0, 0, G_OPTION_ARG_NONE, &o->idle,
         "greet, print 'ready N', hold the connections until stdin ends", NULL},
        {"account", 0, 0, G_OPTION_ARG_INT, &o->account,
         "report the CPU time of this process while measuring", "PID"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(
        context,
        "Thrift clients that check every byte of every reply. Each connects and makes one\n"
        "call (the greeting), then the load begins. Writes one JSON object; latencies count\n"
        "from when a call was meant to be sent. Exit status 1: a reply was wrong or missing.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    return *argc > 1 ? fail(error, "there are only options, see --help") : options_check(o, error);
}

static void options_clear(LoadOptions *options)
{
    g_free(options->connect);
    g_free(options->transport);
    g_free(options->protocol);
    g_free(options->method);
}

static int run(const LoadOptions *options)
{
    static Load load;
    bool good;

    load_run(&load, options);
    load_report(&load);
    good = load.wrong == 0 && load.talk.unasked == 0 && load_missing(&load) == 0 &&
           load.greeted == (uint64_t)options->connections;
    load_clear(&load);
    return good ? 0 : EXIT_BAD_REPLIES;
}

int main(int argc, char **argv)
{
    LoadOptions options = {
        .connections = 1,
        .depth = 1,
        .payload = 32,
        .connecting = 64,
        .seconds = 1,
        .patience = 5,
    };
    g_autoptr(GError) error = NULL;
    int status = EXIT_USAGE;

    sockets_allow_many();
    prctl(PR_SET_TIMERSLACK, 1UL); /* arrivals are tens of microseconds apart */
    if (options_parse(&options, &argc, &argv, &error))
        status = run(&options);
    else
        g_printerr("%s\n", error->message);
    options_clear(&options);
    return status;
}
