/* A picture of the whole daemon at one moment: what metrics, statistics, status page and fb303
 * show. The daemon makes it and gives it away; nothing in it is shared with anybody. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counters.h"
#include "base/log.h"
#include "net/server.h"

typedef enum DaemonState {
    DAEMON_STATE_RUNNING,
    DAEMON_STATE_PAUSED, /* calls are held, nothing new is sent */
    DAEMON_STATE_DRAINING,
} DaemonState;

/* The calls of one method that have ended. */
typedef struct MethodStats {
    char *name; /* as a label: UTF-8; "other" stands for all that came after the first hundred */
    uint64_t calls[CALL_OUTCOMES];
} MethodStats;

/* A server over all workers. */
typedef struct ServerStats {
    char *name;              /* as configured, with its address where the name has several */
    bool up;                 /* a worker uses it, and none has found it out since */
    const char *state;       /* of the worker to which it looks best: server_state_name() */
    ServerBatching batching; /* SERVER_BATCHING_YES: it has said so to at least one */
    uint32_t inflight;       /* calls */
    uint64_t failures[SERVER_FAILURES];
} ServerStats;

/* A line of the log. */
typedef struct EventStats {
    int64_t time; /* CLOCK_REALTIME, us */
    LogLevel level;
    char *text; /* UTF-8 */
} EventStats;

/* A key of the configuration in force. */
typedef struct SettingStats {
    char *section; /* "batch", "method.getUser" */
    char *key;
    char *value;   /* as in the file */
    bool is_given; /* in the file; else it is the default */
    bool is_live;  /* set by setOption since the file was read */
} SettingStats;

typedef struct Stats {
    int64_t time, started; /* CLOCK_REALTIME, us */
    DaemonState state;
    bool is_ready; /* a server is up and it is not draining */
    uint32_t workers;
    Counters counters; /* of all workers; `method_calls` is in `methods` */
    GArray *methods;   /* of MethodStats: those that have ended calls, by their number */
    GArray *servers;   /* of ServerStats, in the configuration's order */
    GArray *events;    /* of EventStats, the latest last */
    GArray *settings;  /* of SettingStats, in the order of the manual */
    char *config_path;
    bool reload_failed; /* the file is not what is in force: see the log */
    uint32_t max_clients, max_pending_calls;
    uint64_t max_pending_bytes;
} Stats;

/* Empty, with the arrays. */
Stats *stats_new(void);
void stats_free(Stats *stats);

/* The sum of all outcomes of all methods, and of one of them. */
uint64_t stats_n_calls(const Stats *stats);
uint64_t stats_n_outcome(const Stats *stats, CallOutcome outcome);

/* Upstream messages that batching has saved: callers in batches, less the batches. */
uint64_t stats_calls_saved(const Stats *stats);

GArray *event_array_new(void);   /* of EventStats */
GArray *setting_array_new(void); /* of SettingStats */

/* NULL where there is no such setting; borrowed. */
const SettingStats *stats_setting(const Stats *stats, const char *section, const char *key);

/* The names of DESIGN's labels; batch_reason_name() is in batch/batch.h. */
const char *call_outcome_name(CallOutcome outcome);
const char *client_error_name(ClientError error);
const char *server_failure_name(ServerFailure failure);
const char *server_batching_name(ServerBatching batching); /* "yes", "no", "unknown" */
const char *daemon_state_name(DaemonState state);          /* "running", "paused", "draining" */
