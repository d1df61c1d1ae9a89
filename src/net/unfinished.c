#include "net/unfinished.h"

#include "base/check.h"
#include "net/client-internal.h"

enum { SCARCE_READ_SIZE = 2048 };

#define TURN_CHECKED (50 * NSEC_PER_MSEC)

/* Those that the daemon itself holds up have no turn. */
static Partial *next_reading(const Unfinished *unfinished)
{
    LIST_EACH (&unfinished->partials, link) {
        Partial *partial = LIST_OWNER(link, Partial, link);
        if (!partial->client->stalled)
            return partial;
    }
    return NULL;
}

static void begin_turn(ClientSet *set, Partial *partial)
{
    Unfinished *unfinished = &set->unfinished;
    unfinished->reading = partial;
    unfinished->read = partial->bytes.len;
    unfinished->turn = loop_now(set->loop);
    client_update(partial->client);
}

/* Brings who is read in line with what is kept. */
static void update(void *data)
{
    ClientSet *set = data;
    Unfinished *unfinished = &set->unfinished;
    if (!unfinished->scarce) {
        unfinished->reading = NULL;
        loop_timer_clear(&unfinished->timer);
        LIST_EACH_SAFE (&unfinished->partials, link)
            client_update(LIST_OWNER(link, Partial, link)->client);
        return;
    }
    if (unfinished->reading == NULL || unfinished->reading->client->stalled) {
        Partial *next = next_reading(unfinished);
        if (next != NULL)
            begin_turn(set, next);
    }
    loop_timer_set(&unfinished->timer, loop_now(set->loop) + TURN_CHECKED);
}

static void note_change(ClientSet *set)
{
    Unfinished *unfinished = &set->unfinished;
    bool scarce = unfinished->bytes >= unfinished->most ||
                  (unfinished->scarce && unfinished->bytes >= unfinished->most / 2);
    if (scarce && !unfinished->scarce)
        log_limited(&set->log_limit, loop_now(set->loop), LOG_LEVEL_WARNING,
                    "clients have begun messages of %zu bytes and not ended them: they are read "
                    "one at a time",
                    unfinished->bytes);
    bool changes = scarce != unfinished->scarce;
    unfinished->scarce = scarce;
    if (changes || (scarce && unfinished->reading == NULL))
        loop_defer(set->loop, &unfinished->task);
}

/* The turn has gone on for a while. */
static void check_turn(void *data)
{
    ClientSet *set = data;
    Unfinished *unfinished = &set->unfinished;
    Partial *partial = unfinished->reading;
    nsec_t now = loop_now(set->loop), patience = batcher_params(set->batcher)->call_timeout;
    loop_defer(set->loop, &unfinished->task);
    if (!unfinished->scarce || partial == NULL || partial->client->stalled ||
        now < unfinished->turn + TURN_CHECKED)
        return;
    bool delivers = partial->bytes.len != unfinished->read;
    unfinished->read = partial->bytes.len;
    if (delivers && nsec_until(unfinished->turn, now) < patience)
        return;
    unfinished->reading = NULL;
    list_remove(&partial->link);
    list_append(&unfinished->partials, &partial->link);
    if (next_reading(unfinished) == partial) /* nobody waits for it */
        return;
    if (delivers || nsec_until(partial->since, now) >= patience ||
        unfinished->bytes >= 2 * unfinished->most)
        client_close_with_error(partial->client, CLIENT_ERROR_IDLE,
                                "its message does not come to an end, and memory is needed");
    else
        client_update(partial->client);
}

void unfinished_init(ClientSet *set, size_t most)
{
    Unfinished *unfinished = &set->unfinished;
    *unfinished = (Unfinished){.most = most};
    list_init(&unfinished->partials);
    loop_task_init(&unfinished->task, update, set);
    loop_timer_init(&unfinished->timer, set->loop, check_turn, set);
}

void unfinished_clear(ClientSet *set)
{
    check(list_empty(&set->unfinished.partials) && set->unfinished.bytes == 0);
    loop_timer_clear(&set->unfinished.timer);
}

void unfinished_keep(Client *client, const FrameReader *reader, Bytes bytes)
{
    ClientSet *set = client->set;
    Partial *partial = client->partial;
    if (partial == NULL) {
        partial = client->partial = g_new(Partial, 1);
        *partial = (Partial){.client = client, .reader = *reader, .since = loop_now(set->loop)};
        list_append(&set->unfinished.partials, &partial->link);
    }
    buffer_append(&partial->bytes, bytes.data, bytes.len);
    set->unfinished.bytes += bytes.len;
    note_change(set);
}

void unfinished_drop(Client *client, size_t n)
{
    Partial *partial = client->partial;
    if (n == 0)
        return;
    partial->since = loop_now(client->set->loop);
    client->set->unfinished.bytes -= n;
    buffer_drop(&partial->bytes, n);
    note_change(client->set);
}

void unfinished_free(Client *client)
{
    Partial *partial = client->partial;
    if (partial == NULL)
        return;
    Unfinished *unfinished = &client->set->unfinished;
    client->partial = NULL;
    if (unfinished->reading == partial)
        unfinished->reading = NULL;
    list_remove(&partial->link);
    unfinished->bytes -= partial->bytes.len;
    buffer_clear(&partial->bytes);
    g_free(partial);
    note_change(client->set);
}

bool unfinished_waits(const Client *client)
{
    const Unfinished *unfinished = &client->set->unfinished;
    return unfinished->scarce && client->partial != NULL && !client->stalled &&
           client->partial != unfinished->reading;
}

size_t unfinished_read_size(const Client *client)
{
    const Unfinished *unfinished = &client->set->unfinished;
    return unfinished->scarce && client->partial == NULL ? SCARCE_READ_SIZE : LOOP_READ_SIZE;
}
