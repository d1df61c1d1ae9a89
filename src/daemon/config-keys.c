#include "daemon/config-keys.h"

#include <string.h>

#include "daemon/config.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

#define NSEC_PER_MIN  (60 * NSEC_PER_SEC)
#define NSEC_PER_HOUR (60 * NSEC_PER_MIN)

#define AT(member)        offsetof(Config, member)
#define AT_METHOD(member) offsetof(MethodPolicy, member)
#define RANGE(low, high)  .rule = {.min = (low), .max = (high)}
#define RANGE_OR_ZERO(low, high, text)                                                             \
    .rule = {.min = (low), .max = (high), .zero = true, .example = (text)}
#define ANY           .rule = {0}
#define CHOICE(list)  .rule = {.choices = (list)}
#define EXAMPLE(text) .rule = {.example = (text)}

/* What value_parse_choice() stores is an int. */
#define HAS_INT_SIZE(Type) _Static_assert(sizeof(Type) == sizeof(int), #Type " is not stored right")
HAS_INT_SIZE(LogLevel);
HAS_INT_SIZE(Ordering);
HAS_INT_SIZE(Flush);
HAS_INT_SIZE(Transport);
HAS_INT_SIZE(Protocol);
HAS_INT_SIZE(BatchMode);
HAS_INT_SIZE(ResponseItem);

static const ValueChoice log_levels[] = {
    {"error", LOG_LEVEL_ERROR},
    {"warning", LOG_LEVEL_WARNING},
    {"info", LOG_LEVEL_INFO},
    {"debug", LOG_LEVEL_DEBUG},
    {NULL, 0},
};
static const ValueChoice orderings[] = {
    {"strict", ORDERING_STRICT},
    {"relaxed", ORDERING_RELAXED},
    {NULL, 0},
};
static const ValueChoice flushes[] = {
    {"adaptive", FLUSH_ADAPTIVE},
    {"window", FLUSH_WINDOW},
    {NULL, 0},
};
static const ValueChoice transports[] = {
    {"framed", TRANSPORT_FRAMED},
    {"buffered", TRANSPORT_BUFFERED},
    {NULL, 0},
};
static const ValueChoice protocols[] = {
    {"binary", PROTOCOL_BINARY},
    {"compact", PROTOCOL_COMPACT},
    {NULL, 0},
};
static const ValueChoice batch_modes[] = {
    {"envelope", BATCH_MODE_ENVELOPE},
    {"native", BATCH_MODE_NATIVE},
    {"off", BATCH_MODE_OFF},
    {NULL, 0},
};
static const ValueChoice response_items[] = {
    {"value", RESPONSE_ITEM_VALUE},
    {"result", RESPONSE_ITEM_RESULT},
    {NULL, 0},
};

static const ConfigKey daemon_keys[] = {
    {"listen", "127.0.0.1:9090", value_parse_listen_addresses, AT(daemon.listen), ANY,
     .needs_restart = true},
    {"workers", "1", value_parse_count, AT(daemon.workers), RANGE(1, 256), .needs_restart = true},
    {"log_level", "info", value_parse_choice, AT(daemon.log_level), CHOICE(log_levels)},
    {"drain_timeout", "10s", value_parse_duration, AT(daemon.drain_timeout),
     RANGE_OR_ZERO(NSEC_PER_MSEC, NSEC_PER_HOUR, NULL)},
    {"socket_mode", "0660", value_parse_mode, AT(daemon.socket_mode), ANY},
};

/* A message and its envelope must stay below 2 GiB, the most that a frame's header and a string's
 * length can say. */
static const ConfigKey client_keys[] = {
    {"max_clients", "10000", value_parse_count, AT(client.max_clients), RANGE(1, 1000000)},
    {"max_message_size", "16MiB", value_parse_size, AT(client.max_message_size), RANGE(64, GIB)},
    {"max_client_calls", "1000", value_parse_count, AT(client.max_client_calls), RANGE(1, 1000000)},
    {"max_client_output", "16MiB", value_parse_size, AT(client.max_client_output),
     RANGE(KIB, 16 * GIB)},
    {"idle_timeout", "0", value_parse_duration, AT(client.idle_timeout),
     RANGE_OR_ZERO(NSEC_PER_MSEC, 24 * NSEC_PER_HOUR, "5min")},
    {"ordering", "strict", value_parse_choice, AT(client.ordering), CHOICE(orderings)},
};

static const ConfigKey batch_keys[] = {
    {"method", "executeBatch", value_parse_method, AT(batch.method), ANY},
    {"flush", "adaptive", value_parse_choice, AT(batch.flush), CHOICE(flushes)},
    {"window", "500us", value_parse_duration, AT(batch.window), RANGE(NSEC_PER_USEC, NSEC_PER_MIN)},
    {"max_calls", "64", value_parse_count, AT(batch.max_calls), RANGE(1, 65536)},
    {"max_bytes", "1MiB", value_parse_size, AT(batch.max_bytes), RANGE(64, GIB)},
    {"min_calls", "2", value_parse_count, AT(batch.min_calls), RANGE(1, 65536)},
    {"batch_retry_interval", "30s", value_parse_duration, AT(batch.batch_retry_interval),
     RANGE(10 * NSEC_PER_MSEC, 24 * NSEC_PER_HOUR)},
};

static const ConfigKey upstream_keys[] = {
    {"servers", NULL, value_parse_servers, AT(upstream.servers),
     EXAMPLE("10.0.0.7:9091, users.internal:9091"), CONFIG_NEED_REQUIRED},
    {"transport", "framed", value_parse_choice, AT(upstream.transport), CHOICE(transports)},
    {"protocol", "binary", value_parse_choice, AT(upstream.protocol), CHOICE(protocols)},
    {"connections", "4", value_parse_count, AT(upstream.connections), RANGE(1, 1024)},
    {"passthrough_connections", "64", value_parse_count, AT(upstream.passthrough_connections),
     RANGE(1, 10000)},
    {"connect_timeout", "1s", value_parse_duration, AT(upstream.connect_timeout),
     RANGE(NSEC_PER_MSEC, 10 * NSEC_PER_MIN)},
    {"call_timeout", "5s", value_parse_duration, AT(upstream.call_timeout),
     RANGE(NSEC_PER_MSEC, 24 * NSEC_PER_HOUR)},
    {"idle_timeout", "30s", value_parse_duration, AT(upstream.idle_timeout),
     RANGE_OR_ZERO(NSEC_PER_MSEC, 24 * NSEC_PER_HOUR, NULL)},
    {"resolve_interval", "30s", value_parse_duration, AT(upstream.resolve_interval),
     RANGE(10 * NSEC_PER_MSEC, 24 * NSEC_PER_HOUR)},
    {"max_failures", "3", value_parse_count, AT(upstream.max_failures), RANGE(1, 1000)},
    {"retries", "1", value_parse_count, AT(upstream.retries), RANGE_OR_ZERO(1, 100, NULL)},
    {"max_pending_calls", "100000", value_parse_count, AT(upstream.max_pending_calls),
     RANGE(1, 10000000)},
    {"max_pending_bytes", "256MiB", value_parse_size, AT(upstream.max_pending_bytes),
     RANGE(KIB, 1024 * GIB)},
};

static const ConfigKey admin_keys[] = {
    {"http", NULL, value_parse_listen_address, AT(admin.http), EXAMPLE("127.0.0.1:9901"),
     .needs_restart = true},
    {"fb303", NULL, value_parse_listen_address, AT(admin.fb303),
     EXAMPLE("unix:/run/thrift-batchd/fb303.sock"), .needs_restart = true},
};

/* `batch` comes first: what the native keys need depends on it. */
static const ConfigKey method_keys[] = {
    {"batch", "envelope", value_parse_choice, AT_METHOD(batch), CHOICE(batch_modes)},
    {"group", NULL, value_parse_word, AT_METHOD(group), EXAMPLE("slow")},
    {"dedupe", "no", value_parse_bool, AT_METHOD(dedupe), ANY},
    {"oneway", "no", value_parse_bool, AT_METHOD(oneway), ANY},
    {"idempotent", "no", value_parse_bool, AT_METHOD(idempotent), ANY},
    {"batch_method", NULL, value_parse_method, AT_METHOD(batch_method), EXAMPLE("getUsers"),
     CONFIG_NEED_NATIVE_REQUIRED},
    {"batch_item", NULL, value_parse_batch_item, 0, EXAMPLE("1"), CONFIG_NEED_NATIVE_REQUIRED},
    {"batch_requests", NULL, value_parse_requests_path, AT_METHOD(batch_requests), EXAMPLE("1"),
     CONFIG_NEED_NATIVE_REQUIRED},
    {"batch_responses", NULL, value_parse_responses_path, AT_METHOD(batch_responses), EXAMPLE("0"),
     CONFIG_NEED_NATIVE_REQUIRED},
    {"batch_response_item", "value", value_parse_choice, AT_METHOD(batch_response_item),
     CHOICE(response_items), CONFIG_NEED_NATIVE_OPTIONAL},
};

const ConfigSection config_sections[CONFIG_N_SECTIONS] = {
    {"daemon", daemon_keys, G_N_ELEMENTS(daemon_keys)},
    {"client", client_keys, G_N_ELEMENTS(client_keys)},
    {"batch", batch_keys, G_N_ELEMENTS(batch_keys)},
    {"upstream", upstream_keys, G_N_ELEMENTS(upstream_keys)},
    {"admin", admin_keys, G_N_ELEMENTS(admin_keys)},
};

const ConfigSection config_method_section = {CONFIG_METHOD_PREFIX, method_keys,
                                             G_N_ELEMENTS(method_keys)};

const ConfigKey *config_section_find(const ConfigSection *section, const char *key)
{
    for (size_t i = 0; i < section->n_keys; i++)
        if (strcmp(section->keys[i].name, key) == 0)
            return &section->keys[i];
    return NULL;
}
