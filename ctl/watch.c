#include "watch.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "document.h"
#include "view.h"

/* The terminal's other screen; no cursor; long lines are cut. */
#define SCREEN_OPEN  "\033[?1049h\033[?25l\033[?7l"
#define SCREEN_CLOSE "\033[?7h\033[?25h\033[?1049l"
#define SCREEN_BEGIN "\033[H"
#define LINE_END     "\033[K"
#define SCREEN_END   "\033[J" /* nothing is left below */

typedef struct Watch {
    const Options *options;
    Remote *remote;     /* in use; NULL: to be opened again */
    Remote *own;        /* what was opened here */
    JsonObject *before; /* NULL at first */
    bool screen;
} Watch;

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* Without SA_RESTART: whatever waits ends. */
static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void forget_remote(Watch *watch)
{
    remote_close(watch->own);
    watch->own = watch->remote = NULL;
    g_clear_pointer(&watch->before, json_object_unref);
}

static JsonObject *fetch(Watch *watch, GError **error)
{
    if (watch->remote == NULL)
        watch->remote = watch->own =
            remote_open(watch->options->address, watch->options->timeout, error);
    JsonObject *stats = watch->remote != NULL ? document_fetch(watch->remote, error) : NULL;
    if (stats == NULL)
        forget_remote(watch);
    return stats;
}

static void append_json(GString *text, JsonObject *stats)
{
    JsonNode *node = json_node_init_object(json_node_alloc(), stats);
    g_autofree char *json = json_to_string(node, FALSE);
    json_node_unref(node);
    g_string_append_printf(text, "%s\n", json);
}

/* Takes `stats`. */
static void append_stats(Watch *watch, GString *text, JsonObject *stats)
{
    JsonObject *before = watch->before != NULL ? watch->before : stats;
    if (watch->options->json)
        append_json(text, stats);
    else if (watch->screen)
        view_screen(text, before, stats);
    else if (watch->before != NULL)
        view_line(text, before, stats);
    g_clear_pointer(&watch->before, json_object_unref);
    watch->before = stats;
}

static guint n_rows(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

/* As many lines as there is room for. Each clears what an earlier one has left behind its end. */
static void print_screen(const GString *text)
{
    g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
    guint n = MIN(g_strv_length(lines), n_rows());
    fputs(SCREEN_BEGIN, stdout);
    for (guint i = 0; i < n; i++)
        printf("%s%s" LINE_END, i > 0 ? "\n" : "", lines[i]);
    fputs(SCREEN_END, stdout);
}

static bool turn(Watch *watch, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) why = NULL;
    JsonObject *stats = fetch(watch, &why);
    if (stats != NULL) {
        append_stats(watch, text, stats);
    } else if (watch->screen) {
        g_string_append_printf(text, "%s\n", why->message);
    } else {
        if (!stopped)
            g_propagate_error(error, g_steal_pointer(&why));
        return stopped;
    }
    if (watch->screen)
        print_screen(text);
    else
        fputs(text->str, stdout);
    if (fflush(stdout) == 0 || stopped)
        return true;
    g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_IO, "cannot write the output");
    return false;
}

bool watch(Remote *remote, const Options *options, GError **error)
{
    Watch watch = {
        .options = options,
        .remote = remote,
        .screen = isatty(STDOUT_FILENO) && !options->json,
    };
    bool ok = true;
    catch_signals();
    if (watch.screen)
        fputs(SCREEN_OPEN, stdout);
    while (ok && !stopped) {
        ok = turn(&watch, error);
        if (ok && !stopped)
            sleep(1); /* a signal ends it */
    }
    if (watch.screen)
        fputs(SCREEN_CLOSE, stdout);
    forget_remote(&watch);
    return ok;
}
