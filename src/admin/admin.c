#include "admin/admin.h"

#include <pthread.h>
#include <signal.h>

#include "admin/fb303-server.h"
#include "admin/http-server.h"
#include "base/check.h"
#include "base/log.h"

struct Admin {
    Loop *loop;
    Mailbox mailbox;
    AdminHttp *http;   /* NULL: off */
    AdminFb303 *fb303; /* NULL: off */
    pthread_t thread;
    bool is_running;
};

static void *thread_main(void *argument)
{
    const Admin *admin = argument;
    log_set_origin("admin");
    loop_run(admin->loop);
    return NULL;
}

/* Signals are the main thread's. */
static bool start_thread(Admin *admin, GError **error)
{
    sigset_t all, before;
    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int code = pthread_create(&admin->thread, NULL, thread_main, admin);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (code != 0) {
        g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(code),
                    "cannot start the admin thread: %s", g_strerror(code));
        return false;
    }
    admin->is_running = true;
    pthread_setname_np(admin->thread, "admin");
    return true;
}

static void read_stop_letter(void *data, int value)
{
    (void)value;
    Admin *admin = data;
    loop_stop(admin->loop);
}

static bool open_interfaces(Admin *admin, const AdminParams *params, GError **error)
{
    if (params->http != NULL) {
        admin->http = admin_http_new(admin->loop, &admin->mailbox, params, error);
        if (admin->http == NULL)
            return false;
    }
    if (params->fb303 != NULL) {
        admin->fb303 = admin_fb303_new(admin->loop, &admin->mailbox, params, error);
        if (admin->fb303 == NULL)
            return false;
    }
    return true;
}

static bool set_up(Admin *admin, const AdminParams *params, GError **error)
{
    admin->loop = loop_new(error);
    return admin->loop != NULL && mailbox_init(&admin->mailbox, admin->loop, error) &&
           open_interfaces(admin, params, error) && start_thread(admin, error);
}

Admin *admin_new(const AdminParams *params, GError **error)
{
    Admin *admin = g_new0(Admin, 1);
    admin->mailbox.wakeup = -1;
    if (!set_up(admin, params, error)) {
        admin_free(admin);
        return NULL;
    }
    return admin;
}

void admin_free(Admin *admin)
{
    if (admin == NULL)
        return;
    if (admin->is_running) {
        mailbox_post(&admin->mailbox, read_stop_letter, admin, 0);
        check(pthread_join(admin->thread, NULL) == 0);
    }
    admin_http_free(admin->http);
    admin_fb303_free(admin->fb303);
    mailbox_clear(&admin->mailbox);
    loop_free(admin->loop);
    g_free(admin);
}
