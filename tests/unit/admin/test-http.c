/* The http interface on its own thread, before a daemon that is only pretended. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/http-places.h"
#include "admin/status-page.h"
#include "made-stats.h"

/* The daemon */

typedef struct Letter {
    StatsRequest *request;
    Stats *stats;
} Letter;

static GMutex mutex;
static GCond cond;
static unsigned n_collected;
static bool is_held;    /* requests are kept for release() */
static GPtrArray *held; /* of StatsRequest */
static void (*change)(Stats *stats);

static void deliver(void *data, int value)
{
    (void)value;
    Letter *letter = data;
    letter->request->done(letter->request, letter->stats);
    g_free(letter);
}

static void answer(StatsRequest *request)
{
    Letter *letter = g_new0(Letter, 1);
    letter->request = request;
    letter->stats = made_stats();
    if (change != NULL)
        change(letter->stats);
    mailbox_post(request->mailbox, deliver, letter, 0);
}

static void collect(void *data, StatsRequest *request)
{
    (void)data;
    g_mutex_lock(&mutex);
    n_collected++;
    if (is_held)
        g_ptr_array_add(held, request);
    else
        answer(request);
    g_cond_signal(&cond);
    g_mutex_unlock(&mutex);
}

static void await_held(guint n)
{
    g_mutex_lock(&mutex);
    while (held->len < n)
        g_cond_wait(&cond, &mutex);
    g_mutex_unlock(&mutex);
}

static void release(void)
{
    g_mutex_lock(&mutex);
    is_held = false;
    for (guint i = 0; i < held->len; i++)
        answer(g_ptr_array_index(held, i));
    g_ptr_array_set_size(held, 0);
    g_mutex_unlock(&mutex);
}

static const AdminOps ops = {.collect = collect};
static Admin *admin;
static char *directory, *path;

static void start(void)
{
    held = g_ptr_array_new();
    directory = g_dir_make_tmp("http-XXXXXX", NULL);
    path = g_build_filename(directory, "http.sock", NULL);
    g_autofree char *text = g_strconcat("unix:", path, NULL);
    AddressName name;
    cr_assert(address_name_parse(text, false, &name, NULL));
    const AdminParams params = {.http = &name, .socket_mode = 0600, .ops = &ops};
    g_autoptr(GError) error = NULL;
    admin = admin_new(&params, &error);
    cr_assert(admin != NULL, "%s", error != NULL ? error->message : "");
    address_name_clear(&name);
}

static void stop(void)
{
    admin_free(admin);
    cr_assert(!g_file_test(path, G_FILE_TEST_EXISTS));
    rmdir(directory);
    g_free(path);
    g_free(directory);
    g_ptr_array_unref(held);
}

TestSuite(http, .init = start, .fini = stop, .timeout = 60);

/* Its client */

static int open_connection(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    g_strlcpy(name.sun_path, path, sizeof name.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connect(fd, (struct sockaddr *)&name, sizeof name) == 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static char *read_to_the_end(int fd)
{
    GString *text = g_string_new(NULL);
    char part[4096];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0)
        g_string_append_len(text, part, n);
    close(fd);
    return g_string_free(text, FALSE);
}

/* What is answered to this request line; the connection ends with it. */
static char *ask(const char *line)
{
    int fd = open_connection();
    g_autofree char *text =
        g_strconcat(line, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    send_text(fd, text);
    return read_to_the_end(fd);
}

static void assert_contains(const char *text, const char *part)
{
    cr_assert(strstr(text, part) != NULL, "'%s' is not in: %.300s", part, text);
}

static const char *body_of(const char *answer_text)
{
    const char *end = strstr(answer_text, "\r\n\r\n");
    cr_assert(end != NULL, "%s", answer_text);
    return end + 4;
}

static void assert_answer(const char *line, const char *status, const char *type, const char *body)
{
    g_autofree char *text = ask(line);
    g_autofree char *first = g_strdup_printf("HTTP/1.1 %s", status);
    cr_assert(g_str_has_prefix(text, first), "%s: %.300s", line, text);
    g_autofree char *header = g_strdup_printf("\r\nContent-Type: %s\r\n", type);
    assert_contains(text, header);
    assert_contains(text, "\r\nCache-Control: no-store\r\n");
    assert_contains(text, "\r\nX-Content-Type-Options: nosniff\r\n");
    g_autofree char *length = g_strdup_printf("\r\nContent-Length: %zu\r\n", strlen(body_of(text)));
    assert_contains(text, length);
    assert_contains(body_of(text), body);
}

#define PLAIN "text/plain; charset=utf-8"

Test(http, shows_what_there_is)
{
    assert_answer("GET /metrics", "200 ", "text/plain; version=0.0.4; charset=utf-8",
                  "\nthrift_batchd_clients 48\n");
    assert_answer("GET /stats.json", "200 ", "application/json", "\"clients\":48");
    assert_answer("GET /healthz", "200 ", PLAIN, "alive\n");
    assert_answer("GET /readyz", "200 ", PLAIN, "ready\n");
    assert_answer("GET /", "200 ", "text/html; charset=utf-8", "<!");
}

Test(http, ignores_queries)
{
    assert_answer("GET /metrics?name=x&y", "200 ", "text/plain; version=0.0.4; charset=utf-8",
                  "thrift_batchd_clients 48\n");
    assert_answer("GET http://somewhere/readyz?x", "200 ", PLAIN, "ready\n");
}

Test(http, the_page_comes_with_its_policy)
{
    g_autofree char *text = ask("GET /");
    g_autofree char *header =
        g_strdup_printf("\r\nContent-Security-Policy: %s\r\n", status_page_csp);
    assert_contains(text, header);
    cr_assert_str_eq(body_of(text), status_page);
}

Test(http, head_gets_the_headers_alone)
{
    g_autofree char *get = ask("GET /metrics"), *head = ask("HEAD /metrics");
    cr_assert_str_eq(body_of(head), "");
    g_autofree char *length = g_strdup_printf("\r\nContent-Length: %zu\r\n", strlen(body_of(get)));
    assert_contains(head, length);
}

Test(http, says_what_there_is_instead)
{
    assert_answer("GET /metric", "404 ", PLAIN, "  /metrics\n");
    assert_answer("GET /metrics/", "404 ", PLAIN, "  /stats.json\n");
    assert_answer("POST /nothing", "404 ", PLAIN, "  /metrics\n");
}

Test(http, changes_nothing)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
        g_autofree char *line = g_strconcat(methods[i], " /metrics", NULL);
        assert_answer(line, "405 ", PLAIN, "GET or HEAD");
        g_autofree char *text = ask(line);
        assert_contains(text, "\r\nAllow: GET, HEAD\r\n");
    }
}

static void drain(Stats *stats)
{
    stats->state = DAEMON_STATE_DRAINING;
    stats->is_ready = false;
}

static void lose_servers(Stats *stats)
{
    g_array_index(stats->servers, ServerStats, 0).state = "probing";
    stats->is_ready = false;
}

static void lose_all_servers(Stats *stats)
{
    g_array_set_size(stats->servers, 0);
    stats->is_ready = false;
}

Test(http, says_why_it_is_not_ready)
{
    change = drain;
    assert_answer("GET /readyz", "503 ", PLAIN, "draining\n");
    change = lose_servers;
    assert_answer("GET /readyz", "503 ", PLAIN,
                  "no server is up: 127.0.0.1:9091 is probing, users/10.0.0.7:9091 is out\n");
    change = lose_all_servers;
    assert_answer("GET /readyz", "503 ", PLAIN,
                  "no server is up: no name has been looked up yet\n");
    assert_answer("GET /healthz", "200 ", PLAIN, "alive\n");
}

Test(http, answers_one_request_after_the_other)
{
    int fd = open_connection();
    send_text(fd, "GET /healthz HTTP/1.1\r\n\r\nGET /stats.json HTTP/1.1\r\n\r\n"
                  "GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n");
    g_autofree char *text = read_to_the_end(fd);
    const char *json = strstr(text, "{\"version\""), *ready = strstr(text, "\r\n\r\nready\n");
    cr_assert(strstr(text, "alive\n") < json && json < ready, "%s", text);
}

Test(http, refuses_what_is_too_large)
{
    g_autofree char *value = g_strnfill(9000, 'x');
    g_autofree char *line = g_strdup_printf("GET /healthz?%s", value);
    g_autofree char *text = ask(line);
    assert_contains(text, "HTTP/1.1 400 ");
    int fd = open_connection();
    send_text(fd, "POST /metrics HTTP/1.1\r\nContent-Length: 5000\r\n\r\n");
    g_autofree char *other = read_to_the_end(fd);
    assert_contains(other, "HTTP/1.1 413 ");
}

/* One asks for all who came meanwhile. */
Test(http, statistics_are_collected_once_at_a_time)
{
    is_held = true;
    int fds[9];
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = open_connection();
        send_text(fds[i], "GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n");
        await_held(1);
    }
    assert_answer("GET /healthz", "200 ", PLAIN, "alive\n"); /* the others have been read */
    cr_assert_eq(n_collected, 1);
    release();
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        g_autofree char *text = read_to_the_end(fds[i]);
        assert_contains(text, "ready\n");
    }
    cr_assert_eq(n_collected, 2);
}

/* Leaving */

Test(http, a_client_may_leave_before_its_statistics_come)
{
    is_held = true;
    for (guint i = 0; i < 5; i++) {
        int fd = open_connection();
        send_text(fd, "GET /metrics HTTP/1.1\r\n\r\n");
        await_held(1);
        close(fd);
    }
    assert_answer("GET /healthz", "200 ", PLAIN, "alive\n"); /* the thread has gone on */
    release();
    assert_answer("GET /readyz", "200 ", PLAIN, "ready\n");
}

/* All places are taken, and the statistics take longer than the patience is then. */
Test(http, a_connection_may_be_closed_before_its_statistics_come)
{
    is_held = true;
    int fds[HTTP_PLACES];
    for (guint i = 0; i < HTTP_PLACES; i++) {
        fds[i] = open_connection();
        send_text(fds[i], "GET /metrics HTTP/1.1\r\n\r\n");
    }
    g_autofree char *text = read_to_the_end(fds[0]);
    cr_assert_str_eq(text, "");
    release();
    for (guint i = 1; i < HTTP_PLACES; i++)
        close(fds[i]);
    assert_answer("GET /readyz", "200 ", PLAIN, "ready\n");
}

Test(http, may_end_while_statistics_are_waited_for)
{
    is_held = true;
    int fd = open_connection();
    send_text(fd, "GET /metrics HTTP/1.1\r\n\r\n");
    await_held(1);
    /* stop() does */
}

/* Places */

Test(http, more_connections_than_places_wait_for_one)
{
    int fds[HTTP_PLACES];
    for (int i = 0; i < HTTP_PLACES; i++) {
        fds[i] = open_connection();
        send_text(fds[i], "GET /healthz HTTP/1.1\r\n\r\n");
        char first;
        cr_assert_eq(read(fds[i], &first, 1), 1); /* it has a place */
    }
    is_held = true;
    int fd = open_connection();
    send_text(fd, "GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n");
    g_mutex_lock(&mutex);
    gint64 end = g_get_monotonic_time() + 200 * G_TIME_SPAN_MILLISECOND;
    while (held->len == 0 && g_cond_wait_until(&cond, &mutex, end))
        ;
    cr_assert_eq(held->len, 0, "one more was accepted");
    g_mutex_unlock(&mutex);
    await_held(1); /* the idle ones have lost their places */
    release();
    g_autofree char *text = read_to_the_end(fd);
    assert_contains(text, "ready\n");
    for (int i = 0; i < HTTP_PLACES; i++)
        close(fds[i]);
}

Test(http, a_crowd_is_served)
{
    int fds[5 * HTTP_PLACES];
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = open_connection();
        send_text(fds[i], "GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        g_autofree char *text = read_to_the_end(fds[i]);
        assert_contains(text, "ready\n");
    }
}
