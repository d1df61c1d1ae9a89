/* Whether a server is used: its state, and when it is probed. No I/O, no clock, no chance.
 *
 *               connected              max_failures in a row
 *     TRYING --------------> UP --------------------------------> OUT <---+
 *        |                   ^                                    ^ |     |
 *        |                   |  connected            not connected| |     | not connected
 *        |                   +------------------- PROBING --------+ |     |
 *        |                                           ^              |     |
 *        |                                           +--------------+     |
 *        |                              backoff over, or up elsewhere     |
 *        +----------------------------------------------------------------+
 *
 *     OUT, PROBING --wanted--> TRYING          any of them --vanished--> DRAINING
 *
 * The first attempt is the only one that calls wait for: where it fails, the server is out at once.
 * The backoff doubles with each probe and starts anew only after a call has succeeded: a server
 * that takes connections and fails calls is probed less and less often. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/nsec.h"

#define SERVER_BACKOFF_FIRST (100 * NSEC_PER_MSEC)
#define SERVER_BACKOFF_MAX   (5 * NSEC_PER_SEC)

typedef enum ServerState {
    SERVER_STATE_TRYING, /* the first attempt to connect is under way */
    SERVER_STATE_UP,
    SERVER_STATE_OUT,      /* waits to be probed */
    SERVER_STATE_PROBING,  /* an attempt to connect is under way */
    SERVER_STATE_DRAINING, /* no name has its address any more: it gets no new calls */
    SERVER_STATES
} ServerState;

typedef enum ServerEvent {
    SERVER_EVENT_CONNECTED,
    SERVER_EVENT_NOT_CONNECTED,
    SERVER_EVENT_CALL_FAILED, /* or a batch */
    SERVER_EVENT_ANSWERED,
    SERVER_EVENT_PROBE_DUE,    /* `probe_at` has come */
    SERVER_EVENT_UP_ELSEWHERE, /* another worker has reached it */
    SERVER_EVENT_WANTED,       /* calls that were held are to go on: they wait for an attempt */
    SERVER_EVENT_VANISHED,     /* its address */
} ServerEvent;

typedef struct ServerHealth {
    ServerState state;
    uint32_t n_failures; /* in a row */
    nsec_t backoff;      /* before the latest probe; 0: no probe since a call has succeeded */
    nsec_t probe_at;     /* OUT: when it is due; else NSEC_NEVER */
    uint64_t n_entered[SERVER_STATES];
} ServerHealth;

void server_health_init(ServerHealth *health);

/* True when that has changed the state. `chance`, from 0 to 1, makes the jitter: a probe comes
 * between three quarters of the backoff (0) and all of it (1) from `now`. */
bool server_health_note(ServerHealth *health, ServerEvent event, uint32_t max_failures, nsec_t now,
                        double chance);

const char *server_state_name(ServerState state);
