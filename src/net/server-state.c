#include "net/server-state.h"

#define LEAST_OF_BACKOFF 0.75

const char *server_state_name(ServerState state)
{
    static const char *const names[] = {
        [SERVER_STATE_TRYING] = "trying",     [SERVER_STATE_UP] = "up",
        [SERVER_STATE_OUT] = "out",           [SERVER_STATE_PROBING] = "probing",
        [SERVER_STATE_DRAINING] = "draining",
    };
    return names[state];
}

void server_health_init(ServerHealth *health)
{
    *health = (ServerHealth){.state = SERVER_STATE_TRYING, .probe_at = NSEC_NEVER};
    health->n_entered[SERVER_STATE_TRYING] = 1;
}

static ServerState next_state(const ServerHealth *health, ServerEvent event, uint32_t max_failures)
{
    ServerState state = health->state;
    if (state == SERVER_STATE_DRAINING)
        return state;
    switch (event) {
    case SERVER_EVENT_CONNECTED:
        return SERVER_STATE_UP;
    case SERVER_EVENT_NOT_CONNECTED:
        if (state == SERVER_STATE_TRYING || state == SERVER_STATE_PROBING)
            return SERVER_STATE_OUT;
        /* fall through */
    case SERVER_EVENT_CALL_FAILED:
        return state == SERVER_STATE_UP && health->n_failures >= max_failures ? SERVER_STATE_OUT
                                                                              : state;
    case SERVER_EVENT_ANSWERED:
        return state;
    case SERVER_EVENT_PROBE_DUE:
    case SERVER_EVENT_UP_ELSEWHERE:
        return state == SERVER_STATE_OUT ? SERVER_STATE_PROBING : state;
    case SERVER_EVENT_WANTED:
        return state == SERVER_STATE_UP ? state : SERVER_STATE_TRYING;
    case SERVER_EVENT_VANISHED:
        return SERVER_STATE_DRAINING;
    }
    return state;
}

static void count(ServerHealth *health, ServerEvent event)
{
    switch (event) {
    case SERVER_EVENT_NOT_CONNECTED:
    case SERVER_EVENT_CALL_FAILED:
        health->n_failures++;
        break;
    case SERVER_EVENT_ANSWERED:
        health->n_failures = 0;
        health->backoff = 0;
        break;
    case SERVER_EVENT_CONNECTED:
    case SERVER_EVENT_PROBE_DUE:
    case SERVER_EVENT_UP_ELSEWHERE:
    case SERVER_EVENT_WANTED:
    case SERVER_EVENT_VANISHED:
        break;
    }
}

/* With jitter, so that many daemons do not probe in step. */
static void schedule_probe(ServerHealth *health, nsec_t now, double chance)
{
    health->backoff = health->backoff == 0 ? SERVER_BACKOFF_FIRST
                                           : nsec_min(2 * health->backoff, SERVER_BACKOFF_MAX);
    double part = LEAST_OF_BACKOFF + (1 - LEAST_OF_BACKOFF) * chance;
    health->probe_at = now + (nsec_t)((double)health->backoff * part);
}

bool server_health_note(ServerHealth *health, ServerEvent event, uint32_t max_failures, nsec_t now,
                        double chance)
{
    count(health, event);
    ServerState next = next_state(health, event, max_failures);
    if (next == health->state)
        return false;
    health->state = next;
    health->n_entered[next]++;
    health->probe_at = NSEC_NEVER;
    if (next == SERVER_STATE_OUT)
        schedule_probe(health, now, chance);
    if (next == SERVER_STATE_UP)
        health->n_failures = 0;
    return true;
}
