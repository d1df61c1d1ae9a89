/* Letters from other threads: none lost, none twice, each sender's in order, all on one thread. */
#include "net/mailbox.h"

#include <criterion/criterion.h>

enum { SENDERS = 4, LETTERS = 20000 };

typedef struct Reader {
    Loop *loop;
    Mailbox mailbox;
    pthread_t thread;
    int n_read;
} Reader;

typedef struct Sender {
    Reader *reader;
    pthread_t thread;
    int next; /* expected; the reader's */
} Sender;

static void read_number(void *data, int value)
{
    Sender *sender = data;
    Reader *reader = sender->reader;
    cr_assert(pthread_equal(pthread_self(), reader->thread));
    cr_assert_eq(value, sender->next, "%d where %d is next", value, sender->next);
    sender->next++;
    reader->n_read++;
    if (reader->n_read == SENDERS * LETTERS)
        loop_stop(reader->loop);
}

static void *send_numbers(void *data)
{
    Sender *sender = data;
    for (int i = 0; i < LETTERS; i++)
        mailbox_post(&sender->reader->mailbox, read_number, sender, i);
    return NULL;
}

static void set_up(Reader *reader)
{
    GError *error = NULL;
    *reader = (Reader){.loop = loop_new(&error), .thread = pthread_self()};
    cr_assert_not_null(reader->loop);
    cr_assert(mailbox_init(&reader->mailbox, reader->loop, &error));
}

static void tear_down(Reader *reader)
{
    mailbox_clear(&reader->mailbox);
    loop_free(reader->loop);
}

Test(mailbox, every_letter_is_read_once_and_in_order, .timeout = 60)
{
    Reader reader;
    set_up(&reader);
    Sender senders[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (Sender){.reader = &reader};
        pthread_create(&senders[i].thread, NULL, send_numbers, &senders[i]);
    }
    loop_run(reader.loop);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i].thread, NULL);
    cr_expect_eq(reader.n_read, SENDERS * LETTERS);
    tear_down(&reader);
}

static void stop(void *data, int value)
{
    (void)value;
    Reader *reader = data;
    reader->n_read++;
    loop_stop(reader->loop);
}

static void post_again(void *data, int value)
{
    (void)value;
    Reader *reader = data;
    reader->n_read++;
    mailbox_post(&reader->mailbox, stop, reader, 0);
}

Test(mailbox, what_is_posted_while_reading_is_read_later)
{
    Reader reader;
    set_up(&reader);
    mailbox_post(&reader.mailbox, post_again, &reader, 0);
    loop_run(reader.loop);
    cr_expect_eq(reader.n_read, 2);
    tear_down(&reader);
}
