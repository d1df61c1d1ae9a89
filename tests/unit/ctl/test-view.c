/* What happened between two documents, and documents that lack something. */
#include <criterion/criterion.h>

#include "document.h"
#include "view.h"

/* What json-glib finds wrong with its use is a failure too. */
static JsonObject *parse(const char *json)
{
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_FATAL_MASK);
    GError *error = NULL;
    JsonObject *object = document_parse(json, &error);
    cr_assert_not_null(object, "%s", error != NULL ? error->message : "");
    return object;
}

/* The line from its state on: the date is local. */
static char *line(const char *before, const char *after)
{
    JsonObject *was = parse(before), *is = parse(after);
    GString *text = g_string_new(NULL);
    view_line(text, was, is);
    json_object_unref(was);
    json_object_unref(is);
    char *from_state = g_strdup(strstr(text->str, "  ") + 2);
    g_string_free(text, TRUE);
    return from_state;
}

static void expect_line(const char *before, const char *after, const char *expected)
{
    char *got = line(before, after);
    cr_expect_str_eq(got, expected);
    g_free(got);
}

static const char before[] =
    "{\"time\": 100.0, \"state\": \"running\", \"calls\": {\"ok\": 5000, \"error\": 1},"
    " \"batch_calls\": {\"count\": 10, \"sum\": 100},"
    " \"call_seconds\": {\"count\": 5001, \"buckets\": [[0.5, 5001]]}}";

Test(view, a_line_is_about_the_time_between_two_documents)
{
    expect_line(before,
                "{\"time\": 102.0, \"state\": \"running\", \"clients\": 240, \"pending_calls\": 7,"
                " \"calls\": {\"ok\": 8000, \"error\": 101},"
                " \"batch_calls\": {\"count\": 110, \"sum\": 1700},"
                " \"call_seconds\": {\"count\": 5101, \"buckets\":"
                "   [[0.001, 50], [0.002, 48], [0.004, 2], [0.5, 5001]]},"
                " \"servers\": [{\"up\": true}, {\"up\": false}]}",
                "running  1,550 calls/s  50 failed/s  16.0 calls a batch  p50 1.0 ms  p99 4.0 ms  "
                "240 clients  "
                "7 pending  1 of 2 servers up\n");
}

Test(view, of_a_daemon_that_has_restarted_nothing_is_negative)
{
    expect_line(before,
                "{\"time\": 101.0, \"state\": \"running\", \"calls\": {\"ok\": 3},"
                " \"call_seconds\": {\"count\": 3, \"buckets\": [[0.001, 3]]}}",
                "running  0 calls/s  0 failed/s  0.0 calls a batch  p50 -  p99 -  0 clients  "
                "0 pending  "
                "0 of 0 servers up\n");
}

Test(view, what_a_document_lacks_is_nothing)
{
    static const char *const poor[] = {
        "{}",
        "{\"calls\": 3, \"servers\": {}, \"methods\": [1, null, []], \"config\": []}",
        "{\"state\": 1, \"servers\": [{\"name\": null, \"failures\": 0}], \"events\": [\"x\"]}",
        "{\"call_seconds\": {\"count\": 1}, \"methods\": [{\"name\": {}}]}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(poor); i++) {
        JsonObject *stats = parse(poor[i]);
        GString *text = g_string_new(NULL);
        view_stats(text, stats);
        view_screen(text, stats, stats);
        view_line(text, stats, stats);
        cr_expect_not_null(strstr(text->str, "calls/s"));
        g_string_free(text, TRUE);
        json_object_unref(stats);
    }
}

Test(view, what_is_no_document_is_said)
{
    static const char *const bad[] = {"", "no", "[1]", "3"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        cr_expect_null(document_parse(bad[i], &error));
        cr_assert_not_null(error);
        cr_expect_not_null(strstr(error->message, "no JSON"));
        g_error_free(error);
    }
}
