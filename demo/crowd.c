/* crowd: many ordinary c_glib clients at once, each of which checks that every answer is its own.
 *
 * A thread is a client with one connection and one call at a time. Every call carries a token that
 * no other call has. Replies are counted as
 *
 *     right     the answer to this call
 *     wrong     another answer, or an exception
 *     missing   none: the connection failed, or the time was over; the client's later calls as well
 *
 * The clients connect first and begin together. */

#include "demo_directory.h"
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/thrift_application_exception.h>
#include <thrift/c_glib/transport/thrift_buffered_transport.h>
#include <thrift/c_glib/transport/thrift_framed_transport.h>
#include <thrift/c_glib/transport/thrift_socket.h>

enum {
    EXIT_BAD_REPLIES = 1,
    EXIT_USAGE = 2,
    MAX_CONNECTIONS = 20000,
    MAX_CALLS = 100000000,
    MAX_PAYLOAD = 1 << 20, /* c_glib puts whole frames on the stack */
    LAST_USER = 1000000,
    TOKEN_DIGITS = 64,
};

typedef struct Options {
    char *connect, *transport, *protocol, *method;
    gint connections, calls, payload, seconds;
} Options;

/* --- beginning together ---------------------------------------------------------------------- */

typedef struct Gate {
    GMutex lock;
    GCond changed;
    guint waiting;
    gboolean open;
} Gate;

static void gate_wait(Gate *gate)
{
    g_mutex_lock(&gate->lock);
    gate->waiting++;
    g_cond_broadcast(&gate->changed);
    while (!gate->open)
        g_cond_wait(&gate->changed, &gate->lock);
    g_mutex_unlock(&gate->lock);
}

static void gate_open_for(Gate *gate, guint number)
{
    g_mutex_lock(&gate->lock);
    while (gate->waiting < number)
        g_cond_wait(&gate->changed, &gate->lock);
    gate->open = TRUE;
    g_cond_broadcast(&gate->changed);
    g_mutex_unlock(&gate->lock);
}

/* --- one client ------------------------------------------------------------------------------ */

typedef enum Outcome {
    OUTCOME_RIGHT,
    OUTCOME_WRONG,
    OUTCOME_MISSING,
} Outcome;

typedef struct Client {
    const Options *options;
    Gate *gate;
    gint number;
    gint right, wrong;  /* what is left of options->calls is missing */
    guint32 *latencies; /* in us, of the calls that were answered */
    char *problem;      /* the first one, in words */

    ThriftSocket *socket;
    ThriftTransport *transport;
    ThriftProtocol *protocol;
    DemoDirectoryIf *directory;
} Client;

static void client_note(Client *client, const char *text)
{
    if (client->problem == NULL)
        client->problem = g_strdup(text);
}

static ThriftSocket *socket_for(const char *address)
{
    const char *colon = strrchr(address, ':');
    g_autofree char *host = NULL;

    if (g_str_has_prefix(address, "unix:"))
        return g_object_new(THRIFT_TYPE_SOCKET, "path", address + strlen("unix:"), NULL);
    host = g_strndup(address, (gsize)(colon - address));
    return g_object_new(THRIFT_TYPE_SOCKET, "hostname", host, "port", (guint)atoi(colon + 1), NULL);
}

static void client_init(Client *client)
{
    const Options *options = client->options;

    client->socket = socket_for(options->connect);
    client->transport =
        g_object_new(g_str_equal(options->transport, "framed") ? THRIFT_TYPE_FRAMED_TRANSPORT
                                                               : THRIFT_TYPE_BUFFERED_TRANSPORT,
                     "transport", client->socket, NULL);
    client->protocol =
        g_object_new(g_str_equal(options->protocol, "binary") ? THRIFT_TYPE_BINARY_PROTOCOL
                                                              : THRIFT_TYPE_COMPACT_PROTOCOL,
                     "transport", client->transport, NULL);
    client->directory = g_object_new(DEMO_TYPE_DIRECTORY_CLIENT, "input_protocol", client->protocol,
                                     "output_protocol", client->protocol, NULL);
    client->latencies = g_new(guint32, (gsize)options->calls);
}

static void client_clear(Client *client)
{
    g_clear_object(&client->directory);
    g_clear_object(&client->protocol);
    g_clear_object(&client->transport);
    g_clear_object(&client->socket);
    g_clear_pointer(&client->latencies, g_free);
    g_clear_pointer(&client->problem, g_free);
}

static gboolean client_connect(Client *client)
{
    const struct timeval patience = {.tv_sec = client->options->seconds};
    g_autoptr(GError) error = NULL;
    int on = 1;

    if (!thrift_transport_open(client->transport, &error)) {
        client_note(client, error != NULL ? error->message : "cannot connect");
        return FALSE;
    }
    setsockopt(client->socket->sd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(client->socket->sd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(client->socket->sd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return TRUE;
}

static Outcome client_fail(Client *client, const GError *error)
{
    client_note(client, error != NULL ? error->message : "the call failed without an error");
    return error != NULL && error->domain == THRIFT_APPLICATION_EXCEPTION_ERROR ? OUTCOME_WRONG
                                                                                : OUTCOME_MISSING;
}

static Outcome client_compare(Client *client, gboolean same)
{
    if (!same)
        client_note(client, "a reply to another call");
    return same ? OUTCOME_RIGHT : OUTCOME_WRONG;
}

static Outcome call_echo(Client *client, const char *token)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *reply = NULL;

    if (!demo_directory_if_echo(client->directory, &reply, token, &error))
        return client_fail(client, error);
    return client_compare(client, g_strcmp0(reply, token) == 0);
}

static Outcome call_get_user(Client *client, const char *token, gint64 id)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup_printf("user-%" G_GINT64_FORMAT, id);
    DemoUser *user = g_object_new(DEMO_TYPE_USER, NULL);
    DemoNotFound *missing = NULL;
    Outcome outcome;

    if (demo_directory_if_get_user(client->directory, &user, token, id, &missing, &error))
        outcome = client_compare(client, user->id == id && g_strcmp0(user->name, name) == 0 &&
                                             g_strcmp0(user->token, token) == 0);
    else if (missing != NULL)
        outcome = client_compare(client, FALSE); /* every user that we ask for exists */
    else
        outcome = client_fail(client, error);
    g_clear_object(&user);
    g_clear_object(&missing);
    return outcome;
}

/* `token` has room for the payload; its beginning makes it unlike every other one. */
static Outcome client_call(Client *client, gint number, char *token)
{
    gint digits = g_snprintf(token, TOKEN_DIGITS, "%d/%d.", client->number, number);

    if (digits < client->options->payload) {
        memset(token + digits, 'x', (gsize)(client->options->payload - digits));
        token[client->options->payload] = '\0';
    }
    if (g_str_equal(client->options->method, "echo"))
        return call_echo(client, token);
    return call_get_user(client, token, 1 + ((gint64)client->number * 1000 + number) % LAST_USER);
}

static void client_calls(Client *client, gint64 deadline)
{
    g_autofree char *token = g_malloc((gsize)MAX(client->options->payload, TOKEN_DIGITS) + 1);

    for (gint i = 0; i < client->options->calls; i++) {
        gint64 begin = g_get_monotonic_time();
        Outcome outcome;

        if (begin >= deadline) {
            client_note(client, "the time is over");
            return;
        }
        outcome = client_call(client, i, token);
        if (outcome == OUTCOME_MISSING)
            return;
        client->latencies[client->right + client->wrong] =
            (guint32)(g_get_monotonic_time() - begin);
        if (outcome == OUTCOME_RIGHT)
            client->right++;
        else
            client->wrong++;
    }
}

static gpointer client_run(gpointer data)
{
    Client *client = data;
    gboolean connected = client_connect(client);

    gate_wait(client->gate);
    if (connected) {
        client_calls(client,
                     g_get_monotonic_time() + client->options->seconds * G_TIME_SPAN_SECOND);
        thrift_transport_close(client->transport, NULL);
    }
    return NULL;
}

/* --- all of them ----------------------------------------------------------------------------- */

static int compare_latency(const void *a, const void *b)
{
    guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;

    return (x > y) - (x < y);
}

static guint32 quantile(const GArray *sorted, double part)
{
    if (sorted->len == 0)
        return 0;
    return g_array_index(sorted, guint32, (guint)(part * (sorted->len - 1) + 0.5));
}

static gboolean report(const Options *options, const Client *clients, double seconds)
{
    g_autoptr(GArray) latencies = g_array_new(FALSE, FALSE, sizeof(guint32));
    gint64 calls = (gint64)options->connections * options->calls, right = 0, wrong = 0;
    const char *problem = NULL;

    for (gint i = 0; i < options->connections; i++) {
        right += clients[i].right;
        wrong += clients[i].wrong;
        g_array_append_vals(latencies, clients[i].latencies,
                            (guint)(clients[i].right + clients[i].wrong));
        if (problem == NULL)
            problem = clients[i].problem;
    }
    if (latencies->len > 0)
        qsort(latencies->data, latencies->len, sizeof(guint32), compare_latency);
    printf("{\"calls\": %" G_GINT64_FORMAT ", \"right\": %" G_GINT64_FORMAT
           ", \"wrong\": %" G_GINT64_FORMAT ", \"missing\": %" G_GINT64_FORMAT
           ", \"seconds\": %.3f, \"p50_us\": %u, \"p99_us\": %u, \"throughput\": %.0f}\n",
           calls, right, wrong, calls - right - wrong, seconds, quantile(latencies, 0.5),
           quantile(latencies, 0.99), seconds > 0 ? (double)right / seconds : 0);
    if (problem != NULL)
        g_printerr("the first problem: %s\n", problem);
    return right == calls;
}

static int run(const Options *options)
{
    g_autofree Client *clients = g_new0(Client, (gsize)options->connections);
    g_autofree GThread **threads = g_new0(GThread *, (gsize)options->connections);
    Gate gate = {0};
    gint64 begin;
    gboolean ok;

    g_mutex_init(&gate.lock);
    g_cond_init(&gate.changed);
    for (gint i = 0; i < options->connections; i++) {
        clients[i] = (Client){.options = options, .gate = &gate, .number = i};
        client_init(&clients[i]);
        threads[i] = g_thread_new("client", client_run, &clients[i]);
    }
    gate_open_for(&gate, (guint)options->connections);
    begin = g_get_monotonic_time();
    for (gint i = 0; i < options->connections; i++)
        g_thread_join(threads[i]);
    ok = report(options, clients,
                (double)(g_get_monotonic_time() - begin) / (double)G_TIME_SPAN_SECOND);
    for (gint i = 0; i < options->connections; i++)
        client_clear(&clients[i]);
    g_cond_clear(&gate.changed);
    g_mutex_clear(&gate.lock);
    return ok ? 0 : EXIT_BAD_REPLIES;
}

/* --- options --------------------------------------------------------------------------------- */

static gboolean options_fail(GError **error, const char *text)
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

static gboolean options_check(Options *options, GError **error)
{
    if (options->connect == NULL || strchr(options->connect, ':') == NULL)
        return options_fail(error, "--connect HOST:PORT or --connect unix:/path is needed");
    if (!one_of(&options->transport, "framed", "buffered"))
        return options_fail(error, "--transport is framed or buffered");
    if (!one_of(&options->protocol, "binary", "compact"))
        return options_fail(error, "--protocol is binary or compact");
    if (!one_of(&options->method, "echo", "getUser"))
        return options_fail(error, "--method is echo or getUser");
    if (options->connections < 1 || options->connections > MAX_CONNECTIONS)
        return options_fail(error, "--connections is 1 to 20000");
    if (options->calls < 1 || options->calls > MAX_CALLS)
        return options_fail(error, "--calls is 1 to 100000000");
    if (options->payload < 0 || options->payload > MAX_PAYLOAD)
        return options_fail(error, "--payload is 0 to 1048576");
    if (options->seconds < 1 || options->seconds > 86400)
        return options_fail(error, "--seconds is 1 to 86400");
    return TRUE;
}

static gboolean options_parse(Options *options, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"connect", 0, 0, G_OPTION_ARG_STRING, &options->connect, "host:port or unix:/path",
         "ADDRESS"},
        {"connections", 0, 0, G_OPTION_ARG_INT, &options->connections, "how many clients (10)",
         "N"},
        {"calls", 0, 0, G_OPTION_ARG_INT, &options->calls, "how many calls each (1000)", "N"},
        {"payload", 0, 0, G_OPTION_ARG_INT, &options->payload,
         "make the token so many bytes long (as short as can be)", "BYTES"},
        {"transport", 0, 0, G_OPTION_ARG_STRING, &options->transport,
         "framed (default) or buffered", "NAME"},
        {"protocol", 0, 0, G_OPTION_ARG_STRING, &options->protocol, "binary (default) or compact",
         "NAME"},
        {"method", 0, 0, G_OPTION_ARG_STRING, &options->method, "echo (default) or getUser",
         "NAME"},
        {"seconds", 0, 0, G_OPTION_ARG_INT, &options->seconds, "give up after that (60)", "S"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context,
                                 "Ordinary clients of thrift-batch-demo, which check every reply.\n"
                                 "Writes one line of JSON; fails if a reply was wrong or missing.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (*argc > 1)
        return options_fail(error, "there are only options, see --help");
    return options_check(options, error);
}

static void options_clear(Options *options)
{
    g_free(options->connect);
    g_free(options->transport);
    g_free(options->protocol);
    g_free(options->method);
}

int main(int argc, char **argv)
{
    Options options = {.connections = 10, .calls = 1000, .seconds = 60};
    g_autoptr(GError) error = NULL;
    int status;

    signal(SIGPIPE, SIG_IGN); /* c_glib's sockets do not ask for that */
    if (options_parse(&options, &argc, &argv, &error)) {
        status = run(&options);
    } else {
        g_printerr("%s\n", error->message);
        status = EXIT_USAGE;
    }
    options_clear(&options);
    return status;
}
