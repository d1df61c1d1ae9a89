/* The ini file (thrift-batchd.ini), parsed, checked and complete with defaults. All errors of a
 * file are found and reported at once; there is no half-valid Config. It does not change: what
 * changes live is another Config. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/nsec.h"
#include "batch/method.h"
#include "batch/params.h"
#include "net/address.h"
#include "wire/thrift.h"

typedef struct DaemonConfig {
    GArray *listen; /* of AddressName; port 0 lets the kernel choose */
    uint32_t workers;
    LogLevel log_level;
    nsec_t drain_timeout;
    mode_t socket_mode;
} DaemonConfig;

typedef struct ClientConfig {
    uint32_t max_clients;
    size_t max_message_size;
    uint32_t max_client_calls;
    size_t max_client_output;
    nsec_t idle_timeout; /* 0: never */
    Ordering ordering;
} ClientConfig;

typedef struct BatchConfig {
    char *method; /* executeBatch, as on the wire */
    Flush flush;
    nsec_t window;
    uint32_t max_calls;
    size_t max_bytes;
    uint32_t min_calls;
    nsec_t batch_retry_interval;
} BatchConfig;

typedef struct UpstreamConfig {
    GArray *servers; /* of AddressName */
    Transport transport;
    Protocol protocol;
    uint32_t connections;
    uint32_t passthrough_connections;
    nsec_t connect_timeout;
    nsec_t call_timeout;
    nsec_t idle_timeout; /* 0: never */
    nsec_t resolve_interval;
    uint32_t max_failures;
    uint32_t retries;
    uint32_t max_pending_calls;
    size_t max_pending_bytes;
} UpstreamConfig;

typedef struct AdminConfig {
    AddressName *http;  /* NULL: off */
    AddressName *fb303; /* NULL: off */
} AdminConfig;

typedef struct Config {
    char *path;
    DaemonConfig daemon;
    ClientConfig client;
    BatchConfig batch;
    UpstreamConfig upstream;
    AdminConfig admin;
    GPtrArray *methods;   /* of MethodPolicy *, owned; in the file's order */
    struct IniFile *file; /* that it was made from */
    int n_refs;
} Config;

/* Reads and checks a file. NULL with *error set, one line an error, each "FILE:LINE: [section] key:
 * what is wrong; what would be right". */
Config *config_load(const char *path, GError **error);
Config *config_ref(Config *config); /* from any thread, like the next */
void config_unref(Config *config);

/* The same from a file that was read before, whose values may have been set since. Takes `file`
 * over. */
Config *config_from_file(const char *path, struct IniFile *file, GError **error);
