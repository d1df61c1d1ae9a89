#include "net/unfinished.h"

#include "base/check.h"
#include "net/client-internal.h"

enum {
    LARGE = 64 * 1024,      /* a message of more takes turns while memory is scarce */
    SHORT_READ_SIZE = 2048, /* of a client that has begun none */
    IDLE_TURNS = 3,         /* in which nothing came, and it is closed */
};

#define TURN_CHECKED (50 * NSEC_PER_MSEC)
#define STOPPED      (250 * NSEC_PER_MSEC) /* in the middle of a turn */

static bool is_large(const Partial *partial)
{
    return partial->bytes.len > LARGE || frame_reader_wanted(&partial->reader) > LARGE;
}

/* Whether it is read only in its turn. Those that the daemon itself holds up have none. */
static bool takes_turns(const Unfinished *unfinished, const Partial *partial)
{
    return !partial->client->stalled &&
           (unfinished->scarcity == SCARCITY_SHORT || is_large(partial));
}

static Partial *next_reading(const Unfinished *unfinished)
{
    const List *const lists[] = {&unfinished->fresh, &unfinished->idle};
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        LIST_EACH (lists[i], link) {
            Partial *partial = LIST_OWNER(link, Partial, link);
            if (takes_turns(unfinished, partial))
                return partial;
        }
    }
    return NULL;
}

static Scarcity scarcity_of(const Unfinished *unfinished)
{
    size_t others = unfinished->bytes;
    if (unfinished->reading != NULL)
        others -= unfinished->reading->bytes.len;
    if (others >= 2 * unfinished->most)
        return SCARCITY_SHORT;
    bool was_scarce = unfinished->scarcity != SCARCITY_PLENTY;
    return others >= (was_scarce ? unfinished->most / 2 : unfinished->most) ? SCARCITY_SCARCE
                                                                            : SCARCITY_PLENTY;
}

/* What is read in this turn of the loop already keeps to it. */
static void note_change(ClientSet *set)
{
    Unfinished *unfinished = &set->unfinished;
    Scarcity scarcity = scarcity_of(unfinished);
    if (unfinished->scarcity == SCARCITY_PLENTY && scarcity != SCARCITY_PLENTY)
        unfinished->turn = unfinished->progress = loop_now(set->loop); /* of who has it still */
    unfinished->changed = unfinished->changed || scarcity != unfinished->scarcity;
    unfinished->scarcity = scarcity;
    if (unfinished->changed || (scarcity != SCARCITY_PLENTY && unfinished->reading == NULL))
        loop_defer(set->loop, &unfinished->task);
}

static void begin_turn(ClientSet *set, Partial *partial)
{
    Unfinished *unfinished = &set->unfinished;
    unfinished->reading = partial;
    unfinished->delivers = false;
    unfinished->turn = unfinished->progress = loop_now(set->loop);
    note_change(set); /* its bytes do not count any more */
    client_update(partial->client);
}

/* The next one has the turn; it comes again after the others. */
static void end_turn(Unfinished *unfinished)
{
    Partial *partial = unfinished->reading;
    unfinished->reading = NULL;
    partial->n_idle = unfinished->delivers ? 0 : partial->n_idle + 1;
    list_remove(&partial->link);
    list_append(partial->n_idle > 0 ? &unfinished->idle : &unfinished->fresh, &partial->link);
}

static void update_clients(const List *partials)
{
    LIST_EACH_SAFE (partials, link)
        client_update(LIST_OWNER(link, Partial, link)->client);
}

/* Brings who is read in line with what is kept. */
static void update(void *data)
{
    ClientSet *set = data;
    Unfinished *unfinished = &set->unfinished;
    if (unfinished->changed) {
        unfinished->changed = false;
        update_clients(&unfinished->fresh);
        update_clients(&unfinished->idle);
    }
    bool idle = unfinished->reading == NULL || unfinished->reading->client->stalled;
    Partial *next =
        unfinished->scarcity != SCARCITY_PLENTY && idle ? next_reading(unfinished) : NULL;
    if (next != NULL)
        begin_turn(set, next);
    if (unfinished->scarcity == SCARCITY_PLENTY) {
        unfinished->told = false;
        loop_timer_clear(&unfinished->timer);
        return;
    }
    if (!unfinished->told)
        log_limited(&set->log_limit, loop_now(set->loop), LOG_LEVEL_WARNING,
                    "clients have begun messages of %zu bytes and not ended them: those clients "
                    "are read one at a time",
                    unfinished->bytes);
    unfinished->told = true;
    loop_timer_set(&unfinished->timer, loop_now(set->loop) + TURN_CHECKED);
}

/* Why the client that has the turn is closed; NULL: it is not. */
static const char *why_close(const Unfinished *unfinished, nsec_t now, nsec_t patience)
{
    if (unfinished->scarcity != SCARCITY_SHORT)
        return NULL;
    if (!unfinished->delivers)
        return unfinished->reading->n_idle + 1 >= IDLE_TURNS
                   ? "it does not go on with its message, and memory is needed"
                   : NULL;
    if (nsec_until(unfinished->progress, now) >= STOPPED)
        return "it stopped in the middle of its message, and memory is needed";
    if (nsec_until(unfinished->turn, now) >= patience)
        return "its message does not come to an end within call_timeout, and memory is needed";
    return NULL;
}

/* The turn has gone on for a while. */
static void check_turn(void *data)
{
    ClientSet *set = data;
    Unfinished *unfinished = &set->unfinished;
    Partial *partial = unfinished->reading;
    nsec_t now = loop_now(set->loop), patience = batcher_params(set->route->batcher)->call_timeout;
    loop_defer(set->loop, &unfinished->task);
    if (partial == NULL || partial->client->stalled)
        return;
    if (client_set_at_bound(set) || partial->client->unread) { /* it is not the client's fault */
        unfinished->turn = unfinished->progress = now;
        return;
    }
    const char *why = why_close(unfinished, now, patience);
    bool keeps_bytes = unfinished->scarcity == SCARCITY_SHORT && unfinished->delivers;
    bool goes_on = nsec_until(unfinished->progress, now) < TURN_CHECKED &&
                   nsec_until(unfinished->turn, now) < patience;
    if (why == NULL && (goes_on || keeps_bytes))
        return;
    end_turn(unfinished);
    if (next_reading(unfinished) == partial) /* nobody waits for it */
        return;
    if (why != NULL)
        client_close_with_error(partial->client, CLIENT_ERROR_IDLE, why);
    else
        client_update(partial->client);
}

void unfinished_init(ClientSet *set, size_t most)
{
    Unfinished *unfinished = &set->unfinished;
    *unfinished = (Unfinished){.most = most};
    list_init(&unfinished->fresh);
    list_init(&unfinished->idle);
    loop_task_init(&unfinished->task, update, set);
    loop_timer_init(&unfinished->timer, set->loop, check_turn, set);
}

void unfinished_clear(ClientSet *set)
{
    check(list_empty(&set->unfinished.fresh) && list_empty(&set->unfinished.idle));
    loop_timer_clear(&set->unfinished.timer);
}

void unfinished_keep(Client *client, const FrameReader *reader, Bytes bytes)
{
    ClientSet *set = client->set;
    Unfinished *unfinished = &set->unfinished;
    Partial *partial = client->partial;
    if (partial == NULL) {
        partial = client->partial = g_new(Partial, 1);
        *partial = (Partial){.client = client, .reader = *reader};
        list_append(&unfinished->fresh, &partial->link);
    }
    buffer_append(&partial->bytes, bytes.data, bytes.len);
    unfinished->bytes += bytes.len;
    if (partial == unfinished->reading) {
        unfinished->delivers = true;
        unfinished->progress = loop_now(set->loop);
    }
    note_change(set);
}

void unfinished_drop(Client *client, size_t n)
{
    Unfinished *unfinished = &client->set->unfinished;
    Partial *partial = client->partial;
    if (n == 0)
        return;
    unfinished->bytes -= n;
    buffer_drop(&partial->bytes, n);
    if (partial == unfinished->reading)
        end_turn(unfinished);
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
    return unfinished->scarcity != SCARCITY_PLENTY && client->partial != NULL &&
           client->partial != unfinished->reading && takes_turns(unfinished, client->partial);
}

size_t unfinished_read_size(const Client *client)
{
    const Unfinished *unfinished = &client->set->unfinished;
    return unfinished->scarcity == SCARCITY_SHORT && client->partial == NULL ? SHORT_READ_SIZE
                                                                             : LOOP_READ_SIZE;
}
