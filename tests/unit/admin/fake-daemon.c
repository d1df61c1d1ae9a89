#include "fake-daemon.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "made-stats.h"

/* --- operations ------------------------------------------------------------------------------ */

static void deliver(void *data, int value)
{
    (void)value;
    StatsRequest *request = data;
    request->done(request, made_stats());
}

static void collect(void *data, StatsRequest *request)
{
    FakeDaemon *daemon = data;
    daemon->n_collected++;
    if (daemon->holds)
        daemon->held = request;
    else
        mailbox_post(request->mailbox, deliver, request, 0);
}

static bool succeed_unless(const char *failure, GError **error)
{
    if (failure != NULL)
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, failure);
    return failure == NULL;
}

static bool reload(void *data, char **ret_remarks, GError **error)
{
    FakeDaemon *daemon = data;
    daemon->n_reloads++;
    *ret_remarks = g_strdup("");
    return succeed_unless(daemon->failure, error);
}

static bool set_option(void *data, const char *name, const char *value, GError **error)
{
    FakeDaemon *daemon = data;
    g_snprintf(daemon->option, sizeof daemon->option, "%s=%s", name, value);
    daemon->n_options++;
    return succeed_unless(daemon->failure, error);
}

static void set_paused(void *data, bool paused)
{
    FakeDaemon *daemon = data;
    daemon->paused = paused;
}

static void drain(void *data)
{
    FakeDaemon *daemon = data;
    daemon->n_drains++;
}

const AdminOption admin_options[] = {
    {"window", "batch"},     {"max_calls", "batch"}, {"flush", "batch"},
    {"log_level", "daemon"}, {NULL, NULL},
};

static const AdminOps fake_ops = {collect, reload, set_option, set_paused, drain};

/* --- the thread ------------------------------------------------------------------------------ */

static void *run(void *data)
{
    FakeDaemon *daemon = data;
    loop_run(daemon->loop);
    return NULL;
}

void fake_daemon_start(FakeDaemon *daemon, nsec_t idle_timeout)
{
    GError *error = NULL;
    *daemon = (FakeDaemon){.loop = loop_new(&error), .paused = -1};
    cr_assert_not_null(daemon->loop);
    cr_assert(mailbox_init(&daemon->mailbox, daemon->loop, &error));
    fb303_connections_init(&daemon->connections, daemon->loop, &daemon->mailbox, &fake_ops, daemon,
                           idle_timeout);
    cr_assert_eq(pthread_create(&daemon->thread, NULL, run, daemon), 0);
}

static void stop(void *data, int value)
{
    (void)value;
    FakeDaemon *daemon = data;
    loop_stop(daemon->loop);
}

void fake_daemon_stop(FakeDaemon *daemon)
{
    mailbox_post(&daemon->mailbox, stop, daemon, 0);
    pthread_join(daemon->thread, NULL);
    fb303_connections_clear(&daemon->connections);
    mailbox_clear(&daemon->mailbox);
    loop_free(daemon->loop);
}

void fake_daemon_deliver(FakeDaemon *daemon)
{
    StatsRequest *request;
    while ((request = atomic_exchange(&daemon->held, NULL)) == NULL)
        g_usleep(100);
    mailbox_post(&daemon->mailbox, deliver, request, 0);
}

/* --- clients --------------------------------------------------------------------------------- */

static void accept_letter(void *data, int fd)
{
    FakeDaemon *daemon = data;
    fb303_connections_accept(&daemon->connections, fd);
}

/* Nothing in these tests takes as long: whoever waits for more fails. */
static int patient(int fd)
{
    const struct timeval patience = {.tv_sec = 20};
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

int fake_daemon_connect(FakeDaemon *daemon)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    cr_assert_eq(evutil_make_socket_nonblocking(fds[0]), 0);
    mailbox_post(&daemon->mailbox, accept_letter, daemon, fds[0]);
    return patient(fds[1]);
}

int fake_daemon_connect_tcp(FakeDaemon *daemon)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, len), 0);
    int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    cr_assert_geq(accepted, 0);
    close(listener);
    mailbox_post(&daemon->mailbox, accept_letter, daemon, accepted);
    return patient(fd);
}
