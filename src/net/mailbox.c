#include "net/mailbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

typedef struct Letter {
    MailboxRun *run;
    void *data;
    int value;
} Letter;

static void read_letters(evutil_socket_t wakeup, short what, void *argument)
{
    (void)what;
    Mailbox *mailbox = argument;
    eventfd_t count;
    eventfd_read(wakeup, &count); /* before looking: a letter posted meanwhile wakes again */
    pthread_mutex_lock(&mailbox->mutex);
    GArray *letters = mailbox->letters;
    mailbox->letters = mailbox->reading;
    mailbox->reading = letters;
    pthread_mutex_unlock(&mailbox->mutex);
    for (guint i = 0; i < letters->len; i++) {
        const Letter *letter = &g_array_index(letters, Letter, i);
        letter->run(letter->data, letter->value);
    }
    g_array_set_size(letters, 0);
}

bool mailbox_init(Mailbox *mailbox, Loop *loop, GError **error)
{
    mailbox->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->wakeup < 0) {
        int code = errno;
        g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(code),
                    "cannot set up a worker: eventfd: %s", g_strerror(code));
        return false;
    }
    pthread_mutex_init(&mailbox->mutex, NULL);
    mailbox->letters = g_array_new(FALSE, FALSE, sizeof(Letter));
    mailbox->reading = g_array_new(FALSE, FALSE, sizeof(Letter));
    check(event_assign(&mailbox->event, loop->base, mailbox->wakeup, EV_READ | EV_PERSIST,
                       read_letters, mailbox) == 0);
    check(event_add(&mailbox->event, NULL) == 0);
    return true;
}

void mailbox_clear(Mailbox *mailbox)
{
    if (mailbox->wakeup < 0)
        return;
    event_del(&mailbox->event);
    close(mailbox->wakeup);
    mailbox->wakeup = -1;
    pthread_mutex_destroy(&mailbox->mutex);
    g_array_unref(mailbox->letters);
    g_array_unref(mailbox->reading);
}

void mailbox_post(Mailbox *mailbox, MailboxRun *run, void *data, int value)
{
    Letter letter = {run, data, value};
    pthread_mutex_lock(&mailbox->mutex);
    bool first = mailbox->letters->len == 0;
    g_array_append_val(mailbox->letters, letter);
    pthread_mutex_unlock(&mailbox->mutex);
    if (first)
        eventfd_write(mailbox->wakeup, 1);
}
