/* What happened between two documents. */
#include <math.h>

#include "document.h"
#include "figures.h"
#include "table.h"
#include "view.h"

enum { METHODS_SHOWN = 10, EVENTS_SHOWN = 5 };

/* --- differences ----------------------------------------------------------------------------- */

static double since(JsonObject *before, JsonObject *stats, const char *path)
{
    return document_number(stats, path) - document_number(before, path);
}

/* A second; of what was counted anew by a daemon that has restarted, nothing. */
static double rate(JsonObject *before, JsonObject *stats, const char *path)
{
    double seconds = since(before, stats, "time");
    return seconds > 0 ? fmax(since(before, stats, path) / seconds, 0) : 0;
}

static double ended_calls(JsonObject *object)
{
    return document_number(object, "ok") + document_number(object, "exception") +
           document_number(object, "error") + document_number(object, "timeout") +
           document_number(object, "withdrawn");
}

static double calls_rate(JsonObject *before, JsonObject *stats)
{
    return rate(before, stats, "calls.ok") + rate(before, stats, "calls.exception") +
           rate(before, stats, "calls.error") + rate(before, stats, "calls.timeout") +
           rate(before, stats, "calls.withdrawn");
}

/* Of calls that the daemon answered with an error of its own. */
static double failed_rate(JsonObject *before, JsonObject *stats)
{
    return rate(before, stats, "calls.error") + rate(before, stats, "calls.timeout");
}

static double calls_a_batch(JsonObject *before, JsonObject *stats)
{
    double n = since(before, stats, "batch_calls.count");
    return n > 0 ? since(before, stats, "batch_calls.sum") / n : 0;
}

/* [upper bound, count] */
static JsonArray *bucket(JsonObject *histogram, guint at)
{
    JsonArray *buckets = json_object_get_array_member(histogram, "buckets");
    return json_array_get_array_element(buckets, at);
}

static double count_of(JsonObject *histogram, double bound)
{
    for (guint i = 0; i < document_length(histogram, "buckets"); i++)
        if (json_array_get_double_element(bucket(histogram, i), 0) == bound)
            return json_array_get_double_element(bucket(histogram, i), 1);
    return 0;
}

/* What that part of the values between the two documents does not pass; NAN without any. */
static double quantile(JsonObject *before, JsonObject *stats, const char *name, double part)
{
    JsonObject *was = document_object(before, name);
    JsonObject *is = document_object(stats, name);
    double n = document_number(is, "count") - document_number(was, "count"), so_far = 0;
    double bound = NAN;
    for (guint i = 0; n > 0 && i < document_length(is, "buckets") && so_far < n * part; i++) {
        bound = json_array_get_double_element(bucket(is, i), 0);
        so_far += json_array_get_double_element(bucket(is, i), 1) - count_of(was, bound);
    }
    return bound;
}

static char *time_of(JsonObject *before, JsonObject *stats, const char *name, double part)
{
    return figure_time(quantile(before, stats, name, part));
}

static guint n_servers_up(JsonObject *stats)
{
    guint n = 0;
    for (guint i = 0; i < document_length(stats, "servers"); i++)
        n += document_flag(document_element(stats, "servers", i), "up") ? 1 : 0;
    return n;
}

/* --- a line ---------------------------------------------------------------------------------- */

void view_line(GString *to, JsonObject *before, JsonObject *stats)
{
    g_autofree char *date = figure_date(document_number(stats, "time"));
    g_autofree char *calls = figure_count(calls_rate(before, stats));
    g_autofree char *failed = figure_count(failed_rate(before, stats));
    g_autofree char *batch = figure_one(calls_a_batch(before, stats));
    g_autofree char *p50 = time_of(before, stats, "call_seconds", 0.5);
    g_autofree char *p99 = time_of(before, stats, "call_seconds", 0.99);
    g_autofree char *clients = figure_count(document_number(stats, "clients"));
    g_autofree char *pending = figure_count(document_number(stats, "pending_calls"));
    g_autofree char *state = figure_text(document_text(stats, "state"));
    g_string_append_printf(to,
                           "%s  %s  %s calls/s  %s failed/s  %s calls a batch  p50 %s  p99 %s  "
                           "%s clients  %s pending  %u of %u servers up\n",
                           date, state, calls, failed, batch, p50, p99, clients, pending,
                           n_servers_up(stats), document_length(stats, "servers"));
}

/* --- a screen -------------------------------------------------------------------------------- */

static void append_rates(GString *to, JsonObject *before, JsonObject *stats)
{
    static const char *const headers[] = {"calls/s", "failed/s",         "batches/s", "calls each",
                                          "plain/s", "passed through/s", "retries/s"};
    Table *table = table_new("rrrrrrr", headers);
    table_take(table, figure_count(calls_rate(before, stats)));
    table_take(table, figure_count(failed_rate(before, stats)));
    table_take(table, figure_count(rate(before, stats, "batch_calls.count")));
    table_take(table, figure_one(calls_a_batch(before, stats)));
    table_take(table, figure_count(rate(before, stats, "plain_calls")));
    table_take(table, figure_count(rate(before, stats, "passthrough_calls")));
    table_take(table, figure_count(rate(before, stats, "retries")));
    table_append(table, to);
    table_free(table);
}

static void append_times(GString *to, JsonObject *before, JsonObject *stats)
{
    static const char *const headers[] = {"time", "p50", "p99"};
    static const char *const rows[][2] = {{"of a call", "call_seconds"},
                                          {"of the upstream", "upstream_seconds"},
                                          {"waiting for a batch", "batch_wait_seconds"}};
    Table *table = table_new("lrr", headers);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        table_add(table, rows[i][0]);
        table_take(table, time_of(before, stats, rows[i][1], 0.5));
        table_take(table, time_of(before, stats, rows[i][1], 0.99));
    }
    table_append(table, to);
    table_free(table);
}

static JsonObject *method_named(JsonObject *stats, const char *name)
{
    for (guint i = 0; i < document_length(stats, "methods"); i++) {
        JsonObject *method = document_element(stats, "methods", i);
        if (g_str_equal(document_text(method, "name"), name))
            return method;
    }
    return NULL;
}

static void append_methods(GString *to, JsonObject *before, JsonObject *stats)
{
    static const char *const headers[] = {"method", "calls/s", "calls"};
    if (document_length(stats, "methods") == 0)
        return;
    Table *table = table_new("lrr", headers);
    double seconds = since(before, stats, "time");
    for (guint i = 0; i < MIN(document_length(stats, "methods"), METHODS_SHOWN); i++) {
        JsonObject *method = document_element(stats, "methods", i);
        const char *name = document_text(method, "name");
        double calls = ended_calls(method);
        double more = fmax(calls - ended_calls(method_named(before, name)), 0);
        table_add(table, name);
        table_take(table, figure_count(seconds > 0 ? more / seconds : 0));
        table_take(table, figure_count(calls));
    }
    table_append(table, to);
    table_free(table);
}

/* The newest first: where the screen ends is what may be missing. */
static void append_events(GString *to, JsonObject *stats)
{
    Table *table = table_new("lll", NULL);
    guint n = document_length(stats, "events");
    for (guint i = 0; i < MIN(n, EVENTS_SHOWN); i++) {
        JsonObject *event = document_element(stats, "events", n - 1 - i);
        table_take(table, figure_date(document_number(event, "time")));
        table_add(table, document_text(event, "level"));
        table_add(table, document_text(event, "text"));
    }
    table_append(table, to);
    table_free(table);
}

void view_screen(GString *to, JsonObject *before, JsonObject *stats)
{
    view_status(to, stats);
    g_string_append_c(to, '\n');
    append_rates(to, before, stats);
    g_string_append_c(to, '\n');
    append_times(to, before, stats);
    g_string_append_c(to, '\n');
    view_servers(to, stats);
    g_string_append_c(to, '\n');
    append_methods(to, before, stats);
    g_string_append_c(to, '\n');
    append_events(to, stats);
}
