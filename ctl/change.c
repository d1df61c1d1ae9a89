#include "change.h"

#include <stdio.h>

#include "document.h"
#include "figures.h"

enum { WAIT_USEC = 20000 }; /* between two looks at the calls in flight */

bool change_option(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    (void)options;
    if (!remote_set_option(remote, arguments[0], arguments[1], error))
        return false;
    g_autofree char *value = remote_option(remote, arguments[0], error);
    if (value == NULL)
        return false;
    printf("%s is %s until the next reload\n", arguments[0], value);
    return true;
}

bool change_reload(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    (void)options, (void)arguments;
    g_autofree char *remarks = remote_reload(remote, error);
    if (remarks == NULL) {
        g_prefix_error(error, "not reloaded, nothing has changed:\n");
        return false;
    }
    printf("reloaded; the daemon's log says what has changed\n");
    if (remarks[0] != '\0')
        printf("%s\n", remarks);
    return true;
}

/* --- pause and resume ------------------------------------------------------------------------ */

static double n_inflight(JsonObject *stats)
{
    double n = 0;
    for (guint i = 0; i < document_length(stats, "servers"); i++)
        n += document_number(document_element(stats, "servers", i), "inflight");
    return n;
}

static void say_paused(JsonObject *stats)
{
    g_autofree char *inflight = figure_count(n_inflight(stats));
    g_autofree char *pending = figure_count(document_number(stats, "pending_calls"));
    if (n_inflight(stats) > 0)
        printf("paused; calls in flight: %s\n", inflight);
    else
        printf("paused; nothing is in flight; calls held: %s\n", pending);
}

static bool is_paused(JsonObject *stats, GError **error)
{
    const char *state = document_text(stats, "state");
    if (g_str_equal(state, "paused"))
        return true;
    bool draining = g_str_equal(state, "draining");
    g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                        draining ? "it is draining, and cannot be paused"
                                 : "it was resumed meanwhile");
    return false;
}

/* Until what is in flight has ended, by itself or by call_timeout. */
bool change_pause(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    (void)arguments;
    if (!remote_pause(remote, error))
        return false;
    g_autoptr(JsonObject) stats = document_fetch(remote, error);
    while (stats != NULL && is_paused(stats, error)) {
        if (options->no_wait || n_inflight(stats) == 0) {
            say_paused(stats);
            return true;
        }
        g_usleep(WAIT_USEC);
        json_object_unref(stats);
        stats = document_fetch(remote, error);
    }
    return false;
}

bool change_resume(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    (void)options, (void)arguments;
    if (!remote_resume(remote, error))
        return false;
    printf("resumed\n");
    return true;
}

bool change_drain(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    (void)options, (void)arguments;
    if (!remote_drain(remote, error))
        return false;
    printf("draining; the daemon ends when the calls that it has accepted are finished\n");
    return true;
}
