/* thrift-batch-demo: a server for the proxy to stand in front of, which answers executeBatch
 * through the adapter, and whose costs can be chosen.
 *
 *     socket --> SocketTransport --> BatchAdapter --> DemoDirectoryProcessor --> Directory
 *                (a thread each)     (not with --no-batch)                       (handler.c) */

#include "handler.h"
#include "server.h"
#include "thrift-batch-adapter.h"
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    EXIT_CANNOT = 1,
    EXIT_USAGE = 2,
};

typedef struct Options {
    char *listen, *transport, *protocol;
    gint64 message_cost_us, call_cost_us;
    gboolean serial, no_batch;
} Options;

static gboolean options_fail(GError **error, const char *text)
{
    g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
    return FALSE;
}

static gboolean one_of(const char *value, const char *a, const char *b)
{
    return g_str_equal(value, a) || g_str_equal(value, b);
}

/* Not before parsing: GOption forgets to free what it replaces. */
static void options_complete(Options *options)
{
    if (options->listen == NULL)
        options->listen = g_strdup("127.0.0.1:0");
    if (options->transport == NULL)
        options->transport = g_strdup("framed");
    if (options->protocol == NULL)
        options->protocol = g_strdup("binary");
}

static gboolean options_check(const Options *options, GError **error)
{
    if (!one_of(options->transport, "framed", "buffered"))
        return options_fail(error, "--transport is framed or buffered");
    if (!one_of(options->protocol, "binary", "compact"))
        return options_fail(error, "--protocol is binary or compact");
    if (options->message_cost_us < 0 || options->call_cost_us < 0)
        return options_fail(error, "a cost is a number of microseconds, 0 or more");
    return TRUE;
}

static gboolean options_parse(Options *options, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"listen", 0, 0, G_OPTION_ARG_STRING, &options->listen,
         "where to listen: host:port or unix:/path; port 0: any (127.0.0.1:0)", "ADDRESS"},
        {"transport", 0, 0, G_OPTION_ARG_STRING, &options->transport,
         "framed (default) or buffered", "NAME"},
        {"protocol", 0, 0, G_OPTION_ARG_STRING, &options->protocol, "binary (default) or compact",
         "NAME"},
        {"message-cost-us", 0, 0, G_OPTION_ARG_INT64, &options->message_cost_us,
         "sleep so long for each message; a batch is one", "US"},
        {"call-cost-us", 0, 0, G_OPTION_ARG_INT64, &options->call_cost_us,
         "sleep so long for each call, in a batch or not", "US"},
        {"serial", 0, 0, G_OPTION_ARG_NONE, &options->serial,
         "process one message at a time, as a single-threaded server", NULL},
        {"no-batch", 0, 0, G_OPTION_ARG_NONE, &options->no_batch, "do not know executeBatch", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context,
                                 "A Thrift server (demo.thrift) that serves executeBatch. It says\n"
                                 "'listening on ADDRESS' when it is ready, and ends on SIGTERM.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (*argc > 1)
        return options_fail(error, "there are only options, see --help");
    options_complete(options);
    return options_check(options, error);
}

static void options_clear(Options *options)
{
    g_free(options->listen);
    g_free(options->transport);
    g_free(options->protocol);
}

static void count_batch(guint calls, gpointer data)
{
    Counts *counts = data;

    atomic_fetch_add(calls > 0 ? &counts->batches : &counts->empty_batches, 1);
    atomic_fetch_add(&counts->batched_calls, calls);
    counts_raise(&counts->largest_batch, calls);
}

/* Blocked here, before there are threads, which inherit it. */
static int open_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int serve(const Options *options)
{
    Counts counts = {0};
    Directory *directory = directory_new(&counts, (guint64)options->call_cost_us);
    ThriftProcessor *own = g_object_new(DEMO_TYPE_DIRECTORY_PROCESSOR, "handler", directory, NULL);
    const BatchAdapterParams adapter_params = {.batch_begins = count_batch, .user_data = &counts};
    ThriftProcessor *batching = batch_adapter_new(THRIFT_DISPATCH_PROCESSOR(own), &adapter_params);
    const ServerParams params = {
        .listen = options->listen,
        .framed = g_str_equal(options->transport, "framed"),
        .compact = g_str_equal(options->protocol, "compact"),
        .serial = options->serial,
        .message_cost_us = (guint64)options->message_cost_us,
        .processor = options->no_batch ? own : batching,
        .counts = &counts,
    };
    g_autoptr(GError) error = NULL;
    int signal_fd = open_signals();
    Server *server = server_new(&params, &error);

    if (server != NULL) {
        printf("listening on %s\n", server_address(server));
        fflush(stdout);
        server_run(server, signal_fd);
        directory_stop(directory);
        server_free(server);
    } else {
        g_printerr("%s\n", error->message);
    }
    close(signal_fd);
    g_object_unref(batching);
    g_object_unref(own);
    g_object_unref(directory);
    return error == NULL ? 0 : EXIT_CANNOT;
}

int main(int argc, char **argv)
{
    Options options = {0};
    g_autoptr(GError) error = NULL;
    int status;

    setlocale(LC_ALL, "");
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL); /* costs are slept to the microsecond */
    if (options_parse(&options, &argc, &argv, &error)) {
        status = serve(&options);
    } else {
        g_printerr("%s\n", error->message);
        status = EXIT_USAGE;
    }
    options_clear(&options);
    return status;
}
