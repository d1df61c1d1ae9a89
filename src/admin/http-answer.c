#include "admin/http-answer.h"

#include <event2/buffer.h>
#include <string.h>

#include "admin/metrics.h"
#include "admin/stats-json.h"
#include "admin/status-page.h"
#include "base/check.h"

static const char plain_text[] = "text/plain; charset=utf-8";

static void add_header(struct evhttp_request *request, const char *name, const char *value)
{
    check(evhttp_add_header(evhttp_request_get_output_headers(request), name, value) == 0);
}

/* HEAD gets the headers that GET would get. `body` is copied. */
static void answer(struct evhttp_request *request, int code, const char *type, const char *body,
                   size_t size)
{
    char length[24];
    g_snprintf(length, sizeof length, "%zu", size);
    add_header(request, "Content-Type", type);
    add_header(request, "Content-Length", length);
    add_header(request, "Cache-Control", "no-store");
    add_header(request, "X-Content-Type-Options", "nosniff");
    struct evbuffer *buffer = evbuffer_new();
    check(buffer != NULL);
    if (evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
        check(evbuffer_add(buffer, body, size) == 0);
    evhttp_send_reply(request, code, NULL, buffer);
    evbuffer_free(buffer);
}

static void answer_text(struct evhttp_request *request, int code, const char *type,
                        const char *text)
{
    answer(request, code, type, text, strlen(text));
}

static void answer_page(struct evhttp_request *request, const Stats *stats)
{
    (void)stats;
    add_header(request, "Content-Security-Policy", status_page_csp);
    answer(request, HTTP_OK, "text/html; charset=utf-8", status_page, status_page_size);
}

static void answer_metrics(struct evhttp_request *request, const Stats *stats)
{
    g_autofree char *text = metrics_text(stats);
    answer_text(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text);
}

static void answer_stats(struct evhttp_request *request, const Stats *stats)
{
    g_autofree char *text = stats_json(stats);
    answer_text(request, HTTP_OK, "application/json", text);
}

static void answer_health(struct evhttp_request *request, const Stats *stats)
{
    (void)stats;
    answer_text(request, HTTP_OK, plain_text, "alive\n");
}

/* "no server is up: 127.0.0.1:9091 is out, ..." */
static char *why_not_ready(const Stats *stats)
{
    if (stats->state == DAEMON_STATE_DRAINING)
        return g_strdup("draining\n");
    GString *text = g_string_new("no server is up");
    for (guint i = 0; i < stats->servers->len; i++) {
        const ServerStats *server = &g_array_index(stats->servers, ServerStats, i);
        g_string_append_printf(text, "%s %s is %s", i == 0 ? ":" : ",", server->name,
                               server->state);
    }
    if (stats->servers->len == 0)
        g_string_append(text, ": no name has been looked up yet");
    g_string_append_c(text, '\n');
    return g_string_free(text, FALSE);
}

static void answer_readiness(struct evhttp_request *request, const Stats *stats)
{
    if (stats->is_ready) {
        answer_text(request, HTTP_OK, plain_text, "ready\n");
        return;
    }
    g_autofree char *why = why_not_ready(stats);
    answer_text(request, HTTP_SERVUNAVAIL, plain_text, why);
}

static const HttpResource resources[] = {
    {"/", false, answer_page},           {"/metrics", true, answer_metrics},
    {"/stats.json", true, answer_stats}, {"/healthz", false, answer_health},
    {"/readyz", true, answer_readiness},
};

const HttpResource *http_resource_find(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(resources); i++) {
        if (strcmp(resources[i].path, path) == 0)
            return &resources[i];
    }
    return NULL;
}

void http_answer_not_found(struct evhttp_request *request)
{
    GString *text = g_string_new("There is nothing here. What there is:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(resources); i++)
        g_string_append_printf(text, "  %s\n", resources[i].path);
    answer_text(request, HTTP_NOTFOUND, plain_text, text->str);
    g_string_free(text, TRUE);
}

void http_answer_not_allowed(struct evhttp_request *request)
{
    add_header(request, "Allow", "GET, HEAD");
    answer_text(request, HTTP_BADMETHOD, plain_text, "This only shows things: GET or HEAD.\n");
}
