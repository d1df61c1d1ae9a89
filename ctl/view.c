#include "view.h"

#include <math.h>

#include "document.h"
#include "figures.h"
#include "table.h"

static const char *const outcomes[] = {"ok", "exception", "error", "timeout", "withdrawn"};

/* --- parts ----------------------------------------------------------------------------------- */

static void add_pair(Table *table, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_pair(Table *table, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    table_add(table, name);
    table_take(table, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

static double n_calls(JsonObject *stats)
{
    double n = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(outcomes); i++) {
        g_autofree char *path = g_strconcat("calls.", outcomes[i], NULL);
        n += document_number(stats, path);
    }
    return n;
}

/* Of which servers are up, and which of these do not batch. */
static void add_servers(Table *table, JsonObject *stats)
{
    guint n = document_length(stats, "servers"), n_up = 0, n_without = 0;
    for (guint i = 0; i < n; i++) {
        JsonObject *server = document_element(stats, "servers", i);
        bool up = document_flag(server, "up");
        n_up += up;
        n_without += up && g_str_equal(document_text(server, "batching"), "no");
    }
    if (n_without == 0)
        add_pair(table, "servers", "%u of %u up", n_up, n);
    else
        add_pair(table, "servers", "%u of %u up, %u without batches: see servers", n_up, n,
                 n_without);
}

static void add_configuration(Table *table, JsonObject *stats)
{
    const char *failed = "; the latest reload failed, and changed nothing: see the log";
    add_pair(table, "configuration", "%s%s", document_text(stats, "config.path"),
             document_flag(stats, "config.reload_failed") ? failed : "");
}

/* "23,990 ok, 10 error": those there are. */
static char *outcomes_text(JsonObject *stats)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(outcomes); i++) {
        g_autofree char *path = g_strconcat("calls.", outcomes[i], NULL);
        g_autofree char *count = figure_count(document_number(stats, path));
        if (document_number(stats, path) > 0)
            g_string_append_printf(text, "%s%s %s", text->len > 0 ? ", " : "", count, outcomes[i]);
    }
    return g_string_free(text, FALSE);
}

static void add_calls(Table *table, JsonObject *stats)
{
    g_autofree char *all = figure_count(n_calls(stats)), *which = outcomes_text(stats);
    add_pair(table, "calls", which[0] != '\0' ? "%s: %s" : "%s%s", all, which);
}

/* A gauge beside its limit. */
static void add_limited(Table *table, const char *name, const char *path, JsonObject *stats,
                        char *(*figure)(double))
{
    g_autofree char *limit_path = g_strconcat("limits.max_", path, NULL);
    g_autofree char *now = figure(document_number(stats, path));
    g_autofree char *limit = figure(document_number(stats, limit_path));
    add_pair(table, name, "%s of %s", now, limit);
}

/* Of a histogram of seconds. */
static void add_times(Table *table, const char *name, JsonObject *stats, const char *histogram)
{
    static const char *const parts[] = {"p50", "p99", "max"};
    g_autofree char *count = g_strconcat(histogram, ".count", NULL);
    bool any = document_number(stats, count) > 0;
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *path = g_strdup_printf("%s.%s", histogram, parts[i]);
        g_autofree char *time = figure_time(any ? document_number(stats, path) : NAN);
        g_string_append_printf(text, "%s%s %s", i > 0 ? ", " : "", parts[i], time);
    }
    add_pair(table, name, "%s", text->str);
    g_string_free(text, TRUE);
}

static double mean(JsonObject *stats, const char *histogram)
{
    g_autofree char *count = g_strconcat(histogram, ".count", NULL);
    g_autofree char *sum = g_strconcat(histogram, ".sum", NULL);
    double n = document_number(stats, count);
    return n > 0 ? document_number(stats, sum) / n : 0;
}

static void add_batches(Table *table, JsonObject *stats)
{
    g_autofree char *n = figure_count(document_number(stats, "batch_calls.count"));
    g_autofree char *calls = figure_one(mean(stats, "batch_calls"));
    g_autofree char *saved = figure_count(document_number(stats, "calls_saved"));
    bool any = document_number(stats, "batch_calls.count") > 0;
    add_pair(table, "batches", any ? "%s of %s calls each: %s upstream messages saved" : "%s", n,
             calls, saved);
}

static void append_title(GString *to, JsonObject *stats)
{
    g_autofree char *up =
        figure_span(document_number(stats, "time") - document_number(stats, "started"));
    g_autofree char *state = figure_text(document_text(stats, "state"));
    g_autofree char *version = figure_text(document_text(stats, "version"));
    const char *ready = document_flag(stats, "ready") ? "" : ", not ready: no server is up";
    bool draining = g_str_equal(state, "draining");
    g_string_append_printf(to, "thrift-batchd %s: %s%s, up %s\n", version, state,
                           draining ? "" : ready, up);
}

/* --- status, servers, methods ---------------------------------------------------------------- */

void view_status(GString *to, JsonObject *stats)
{
    Table *table = table_new("ll", NULL);
    g_autofree char *since = figure_date(document_number(stats, "started"));
    append_title(to, stats);
    add_pair(table, "since", "%s", since);
    add_configuration(table, stats);
    add_servers(table, stats);
    add_limited(table, "clients", "clients", stats, figure_count);
    add_limited(table, "pending calls", "pending_calls", stats, figure_count);
    add_limited(table, "pending bytes", "pending_bytes", stats, figure_bytes);
    add_calls(table, stats);
    add_batches(table, stats);
    add_times(table, "call time", stats, "call_seconds");
    table_append(table, to);
    table_free(table);
}

static double n_failures(JsonObject *server)
{
    return document_number(server, "failures.connect") + document_number(server, "failures.lost") +
           document_number(server, "failures.timeout") + document_number(server, "failures.broken");
}

void view_servers(GString *to, JsonObject *stats)
{
    static const char *const headers[] = {"server",  "state", "batching", "in flight", "failures",
                                          "connect", "lost",  "timeout",  "broken"};
    static const char *const reasons[] = {"failures.connect", "failures.lost", "failures.timeout",
                                          "failures.broken"};
    if (document_length(stats, "servers") == 0) {
        g_string_append(to, "  no server is known yet: its name has not been looked up\n");
        return;
    }
    Table *table = table_new("lllrrrrrr", headers);
    for (guint i = 0; i < document_length(stats, "servers"); i++) {
        JsonObject *server = document_element(stats, "servers", i);
        table_add(table, document_text(server, "name"));
        table_add(table, document_text(server, "state"));
        table_add(table, document_text(server, "batching"));
        table_take(table, figure_count(document_number(server, "inflight")));
        table_take(table, figure_count(n_failures(server)));
        for (size_t j = 0; j < G_N_ELEMENTS(reasons); j++)
            table_take(table, figure_count(document_number(server, reasons[j])));
    }
    table_append(table, to);
    table_free(table);
}

void view_methods(GString *to, JsonObject *stats)
{
    static const char *const headers[] = {"method", "ok",      "exception",
                                          "error",  "timeout", "withdrawn"};
    if (document_length(stats, "methods") == 0) {
        g_string_append(to, "  no call has ended yet\n");
        return;
    }
    Table *table = table_new("lrrrrr", headers);
    for (guint i = 0; i < document_length(stats, "methods"); i++) {
        JsonObject *method = document_element(stats, "methods", i);
        table_add(table, document_text(method, "name"));
        for (size_t j = 0; j < G_N_ELEMENTS(outcomes); j++)
            table_take(table, figure_count(document_number(method, outcomes[j])));
    }
    table_append(table, to);
    table_free(table);
}

/* --- all figures ----------------------------------------------------------------------------- */

typedef struct Figure {
    const char *name, *path;
} Figure;

static void add_counts(Table *table, JsonObject *stats, const Figure *figures, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        table_add(table, figures[i].name);
        table_take(table, figure_count(document_number(stats, figures[i].path)));
    }
}

static void append_counts(GString *to, JsonObject *stats, const char *title, const Figure *figures,
                          size_t n)
{
    Table *table = table_new("lr", NULL);
    g_string_append_printf(to, "\n%s\n", title);
    add_counts(table, stats, figures, n);
    table_append(table, to);
    table_free(table);
}

static void append_times(GString *to, JsonObject *stats)
{
    Table *table = table_new("ll", NULL);
    g_string_append(to, "\ntimes\n");
    add_times(table, "of a call", stats, "call_seconds");
    add_times(table, "of the upstream", stats, "upstream_seconds");
    add_times(table, "waiting for a batch", stats, "batch_wait_seconds");
    table_append(table, to);
    table_free(table);
}

void view_stats(GString *to, JsonObject *stats)
{
    static const Figure sent[] = {
        {"batches, full of calls", "batches.full_calls"},
        {"batches, full of bytes", "batches.full_bytes"},
        {"batches, a slot was free", "batches.slot"},
        {"batches, window over", "batches.window"},
        {"batches, nobody left to wait for", "batches.nobody_left"},
        {"plain calls", "plain_calls"},
        {"passed-through calls", "passthrough_calls"},
        {"of these, not batched by the server", "fallback_calls"},
        {"calls saved by an equal one", "deduped_calls"},
        {"transcoded calls", "transcoded_calls"},
        {"retries", "retries"},
    };
    static const Figure clients[] = {
        {"accepted", "clients_total"},
        {"closed: not Thrift", "client_errors.not_thrift"},
        {"closed: message too large", "client_errors.message_too_large"},
        {"closed: nested too deep", "client_errors.nesting"},
        {"arguments that do not parse", "client_errors.protocol"},
        {"messages of a wrong type", "client_errors.message_type"},
        {"closed: replies not read", "client_errors.output"},
        {"turned away: max_clients", "client_errors.max_clients"},
        {"closed: idle", "client_errors.idle"},
    };
    view_status(to, stats);
    append_counts(to, stats, "sent upstream", sent, G_N_ELEMENTS(sent));
    append_times(to, stats);
    append_counts(to, stats, "clients", clients, G_N_ELEMENTS(clients));
    g_string_append_c(to, '\n');
    view_servers(to, stats);
    g_string_append_c(to, '\n');
    view_methods(to, stats);
}
