#include "daemon/daemon.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/check.h"
#include "base/log.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/crew.h"
#include "daemon/descriptor-limit.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/stderr-log.h"

typedef struct Daemon {
    Crew *crew;
    Control control;
    Admin *admin; /* NULL: no admin interface is configured */
    int signal_fd;
    struct event signals;
    bool signalled; /* to drain */
    bool cut_short; /* by a second signal */
} Daemon;

static int print_check(const Config *config)
{
    printf("%s: OK\n", config->path);
    return EXIT_OK;
}

static void on_end(Daemon *daemon, int number)
{
    if (daemon->signalled) {
        log_warning("%s again: ending at once", g_strsignal(number));
        daemon->cut_short = true;
        crew_stop(daemon->crew);
        return;
    }
    daemon->signalled = true;
    if (crew_is_draining(daemon->crew)) { /* an admin interface was asked to */
        log_info("%s: draining already", g_strsignal(number));
        return;
    }
    log_info("%s: draining", g_strsignal(number));
    crew_drain(daemon->crew);
}

static void on_hangup(Daemon *daemon)
{
    g_autofree char *remarks = NULL; /* the log has them */
    if (!crew_is_draining(daemon->crew))
        control_reload(&daemon->control, &remarks, NULL);
}

static void on_signals(evutil_socket_t fd, short what, void *argument)
{
    (void)what;
    Daemon *daemon = argument;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            on_hangup(daemon);
        else
            on_end(daemon, (int)info.ssi_signo);
    }
}

/* They are blocked for good, in all threads, and read: no code is interrupted by one, and what
 * comes before they can be obeyed, or when all is over, waits. */
static bool block_signals(Daemon *daemon, GError **error)
{
    sigset_t obeyed;
    sigemptyset(&obeyed);
    sigaddset(&obeyed, SIGTERM);
    sigaddset(&obeyed, SIGINT);
    sigaddset(&obeyed, SIGHUP);
    check(pthread_sigmask(SIG_BLOCK, &obeyed, NULL) == 0);
    daemon->signal_fd = signalfd(-1, &obeyed, SFD_NONBLOCK | SFD_CLOEXEC);
    if (daemon->signal_fd >= 0)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot read signals: %s",
                g_strerror(errno));
    return false;
}

static void obey_signals(Daemon *daemon)
{
    struct event_base *base = crew_loop(daemon->crew)->base;
    check(event_assign(&daemon->signals, base, daemon->signal_fd, EV_READ | EV_PERSIST, on_signals,
                       daemon) == 0);
    check(event_add(&daemon->signals, NULL) == 0);
}

static uint64_t n_ended(const Counters *counters)
{
    uint64_t ended = 0;
    for (int i = 0; i < CALL_OUTCOMES; i++)
        ended += counters_n_calls(counters, (CallOutcome)i);
    return ended;
}

static void log_counters(const Counters *counters)
{
    const Histogram *batches = &counters->batch_calls;
    log_info(
        "stopped: %" G_GUINT64_FORMAT " calls of %" G_GUINT64_FORMAT
        " clients (ok %" G_GUINT64_FORMAT ", exception %" G_GUINT64_FORMAT
        ", error %" G_GUINT64_FORMAT ", timeout %" G_GUINT64_FORMAT ", withdrawn %" G_GUINT64_FORMAT
        "); %" G_GUINT64_FORMAT " batches of %.1f calls, the largest %" G_GUINT64_FORMAT
        "; %" G_GUINT64_FORMAT " calls sent plain",
        n_ended(counters), counters->clients_total, counters_n_calls(counters, CALL_OUTCOME_OK),
        counters_n_calls(counters, CALL_OUTCOME_EXCEPTION),
        counters_n_calls(counters, CALL_OUTCOME_ERROR),
        counters_n_calls(counters, CALL_OUTCOME_TIMEOUT),
        counters_n_calls(counters, CALL_OUTCOME_WITHDRAWN), batches->count,
        batches->count > 0 ? (double)batches->sum / (double)batches->count : 0.0, batches->max,
        counters->plain_calls);
}

static void log_summary(const Crew *crew)
{
    g_autofree Counters *total = g_new0(Counters, 1);
    for (guint i = 0; i < crew_size(crew); i++) {
        const Counters *part = crew_counters(crew, i);
        counters_add(total, part);
        log_debug("worker %u: %" G_GUINT64_FORMAT " calls of %" G_GUINT64_FORMAT " clients", i + 1,
                  n_ended(part), part->clients_total);
    }
    log_counters(total);
}

static int run(Daemon *daemon)
{
    obey_signals(daemon);
    log_info("thrift-batchd %s is ready", PACKAGE_VERSION);
    crew_run(daemon->crew);
    event_del(&daemon->signals);
    log_summary(daemon->crew);
    return daemon->cut_short ? EXIT_FAILED : EXIT_OK;
}

static bool open_admin(Daemon *daemon, const Config *config, GError **error)
{
    const AdminParams params = {
        .http = config->admin.http,
        .fb303 = config->admin.fb303,
        .socket_mode = config->daemon.socket_mode,
        .ops = &control_ops,
        .ops_data = &daemon->control,
    };
    if (params.http == NULL && params.fb303 == NULL)
        return true;
    daemon->admin = admin_new(&params, error);
    return daemon->admin != NULL;
}

static bool set_up(Daemon *daemon, Config *config, GError **error)
{
    daemon->crew = crew_new(config, error);
    if (daemon->crew == NULL)
        return false;
    control_init(&daemon->control, daemon->crew);
    return open_admin(daemon, config, error);
}

static void clear(Daemon *daemon)
{
    admin_free(daemon->admin);
    if (daemon->crew != NULL)
        control_clear(&daemon->control);
    crew_free(daemon->crew);
    if (daemon->signal_fd >= 0)
        close(daemon->signal_fd);
}

static int serve(Config *config)
{
    stderr_log_install();
    log_set_level(config->daemon.log_level);
    signal(SIGPIPE, SIG_IGN);
    descriptor_limit_raise(config);
    Daemon daemon = {0};
    g_autoptr(GError) error = NULL;
    notify_status("Starting");
    int status = EXIT_FAILED;
    if (block_signals(&daemon, &error) && set_up(&daemon, config, &error))
        status = run(&daemon);
    else
        log_error("%s", error->message);
    clear(&daemon);
    return status;
}

static int load_and_run(const Options *options)
{
    g_autoptr(GError) error = NULL;
    Config *config = config_load(options->config_path, &error);
    if (config == NULL) {
        fprintf(stderr, "%s\n", error->message);
        return EXIT_INVALID;
    }
    int status = options->check ? print_check(config) : serve(config);
    config_unref(config);
    return status;
}

static int act_on(const Options *options)
{
    if (options->help) {
        g_autofree char *help = options_help();
        fputs(help, stdout);
        return EXIT_OK;
    }
    if (options->version) {
        puts("thrift-batchd " PACKAGE_VERSION);
        return EXIT_OK;
    }
    return load_and_run(options);
}

int daemon_main(char **argv)
{
    Options options;
    g_autoptr(GError) error = NULL;
    if (!options_parse(argv, &options, &error)) {
        fprintf(stderr, "thrift-batchd: %s\nTry 'thrift-batchd --help'.\n", error->message);
        return EXIT_INVALID;
    }
    int status = act_on(&options);
    options_clear(&options);
    return status;
}
