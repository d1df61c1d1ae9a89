#include "net/server.h"

#include "base/check.h"
#include "net/pool.h"

#define BACKOFF_FIRST (100 * NSEC_PER_MSEC)
#define BACKOFF_MAX   (5 * NSEC_PER_SEC)

static const char *state_name(ServerState state)
{
    static const char *const names[] = {
        [SERVER_STATE_TRYING] = "trying",
        [SERVER_STATE_UP] = "up",
        [SERVER_STATE_OUT] = "out",
    };
    return names[state];
}

static void set_state(Server *server, ServerState state)
{
    log_debug("server %s: %s -> %s", server->name, state_name(server->state), state_name(state));
    server->state = state;
}

static void on_probe(void *data)
{
    Server *server = data;
    if (server->state == SERVER_STATE_OUT)
        server_open_slot(server);
}

void server_new(Pool *pool, const Address *address, const char *name)
{
    Server *server = g_new0(Server, 1);
    server->pool = pool;
    server->address = *address;
    server->name = g_strdup(name);
    list_init(&server->idle);
    list_init(&server->other);
    list_append(&pool->servers, &server->pool_link);
    loop_timer_init(&server->probe, pool->loop, on_probe, server);
}

void server_free(Server *server)
{
    if (server == NULL)
        return;
    check(server->n_slots == 0);
    loop_timer_clear(&server->probe);
    list_remove(&server->pool_link);
    g_free(server->name);
    g_free(server);
}

void server_open_slot(Server *server)
{
    if (server->n_slots < server->pool->params.connections)
        slot_new(server);
}

static void close_slots(List *slots, const char *text)
{
    ListLink *link;
    while ((link = list_first(slots)) != NULL)
        slot_close(LIST_OWNER(link, Slot, server_link), text);
}

void server_close_slots(Server *server, const char *text)
{
    close_slots(&server->idle, text);
    close_slots(&server->other, text);
}

void server_connected(Server *server)
{
    if (server->state == SERVER_STATE_UP)
        return;
    log_info("server %s is up", server->name);
    set_state(server, SERVER_STATE_UP);
    server->n_failures = 0;
    loop_timer_clear(&server->probe);
}

void server_answered(Server *server)
{
    server->n_failures = 0;
    server->backoff = 0;
}

/* Exponential, from BACKOFF_FIRST to BACKOFF_MAX, with jitter so that many daemons do not probe in
 * step. */
static void schedule_probe(Server *server)
{
    if (server->probe.at != NSEC_NEVER || server->n_connecting > 0)
        return;
    server->backoff =
        server->backoff == 0 ? BACKOFF_FIRST : nsec_min(2 * server->backoff, BACKOFF_MAX);
    nsec_t delay = (nsec_t)((double)server->backoff * g_random_double_range(0.75, 1.0));
    loop_timer_set(&server->probe, loop_now(server->pool->loop) + delay);
}

static void take_out(Server *server, const char *why)
{
    set_state(server, SERVER_STATE_OUT);
    log_warning("server %s is out: %s; it is tried again with backoff", server->name, why);
    close_slots(&server->idle, "the server is out");
}

void server_failed(Server *server, ServerFailure failure, const char *why)
{
    Pool *pool = server->pool;
    server->failures[failure]++;
    server->n_failures++;
    g_snprintf(pool->latest_failure, sizeof pool->latest_failure, "%s: %s", server->name, why);
    bool is_out =
        server->state == SERVER_STATE_TRYING ||
        (server->state == SERVER_STATE_UP && server->n_failures >= pool->params.max_failures);
    if (is_out)
        take_out(server, why);
    else
        log_limited(&server->log_limit, loop_now(pool->loop),
                    server->state == SERVER_STATE_OUT ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
                    "server %s: %s", server->name, why);
    if (server->state == SERVER_STATE_OUT)
        schedule_probe(server);
    loop_defer(pool->loop, pool->dispatch);
}
