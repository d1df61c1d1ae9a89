/* What reaches the Config: defaults, every key, methods, the shipped file. */
#include "daemon/config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "config-text.h"
#include "daemon/config-keys.h"

#define SERVERS "[upstream]\nservers = 127.0.0.1:9091\n"

static Config *load(const char *text)
{
    g_autofree char *errors = NULL;
    Config *config = config_text_load(text, &errors);
    cr_assert_not_null(config, "%s\n%s", text, errors);
    return config;
}

static char *join_names(const GArray *names)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < names->len; i++)
        g_string_append_printf(text, "%s|", g_array_index(names, AddressName, i).text);
    return g_string_free(text, FALSE);
}

static char *describe_address(const AddressName *name)
{
    return g_strdup(name ? name->text : "off");
}

/* Everything but path and methods, so that two can be compared and a failure shows where. */
static char *describe(const Config *c)
{
    g_autofree char *listen = join_names(c->daemon.listen);
    g_autofree char *servers = join_names(c->upstream.servers);
    g_autofree char *http = describe_address(c->admin.http);
    g_autofree char *fb303 = describe_address(c->admin.fb303);
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "daemon %s %u %d %zu %o\n", listen, c->daemon.workers,
                           (int)c->daemon.log_level, (size_t)c->daemon.drain_timeout,
                           (unsigned)c->daemon.socket_mode);
    g_string_append_printf(text, "client %u %zu %u %zu %zu %d\n", c->client.max_clients,
                           c->client.max_message_size, c->client.max_client_calls,
                           c->client.max_client_output, (size_t)c->client.idle_timeout,
                           (int)c->client.ordering);
    g_string_append_printf(text, "batch %s %d %zu %u %zu %u %zu\n", c->batch.method,
                           (int)c->batch.flush, (size_t)c->batch.window, c->batch.max_calls,
                           c->batch.max_bytes, c->batch.min_calls,
                           (size_t)c->batch.batch_retry_interval);
    g_string_append_printf(text, "upstream %s %d %d %u %u %zu %zu %zu %zu %u %u %u %zu\n", servers,
                           (int)c->upstream.transport, (int)c->upstream.protocol,
                           c->upstream.connections, c->upstream.passthrough_connections,
                           (size_t)c->upstream.connect_timeout, (size_t)c->upstream.call_timeout,
                           (size_t)c->upstream.idle_timeout, (size_t)c->upstream.resolve_interval,
                           c->upstream.max_failures, c->upstream.retries,
                           c->upstream.max_pending_calls, c->upstream.max_pending_bytes);
    g_string_append_printf(text, "admin %s %s\n", http, fb303);
    return g_string_free(text, FALSE);
}

static const char defaults[] =
    "daemon 127.0.0.1:9090| 1 2 10000000000 660\n"
    "client 10000 16777216 1000 16777216 0 0\n"
    "batch executeBatch 0 500000 64 1048576 2 30000000000\n"
    "upstream 127.0.0.1:9091| 1 0 4 64 1000000000 5000000000 30000000000 30000000000 3 1 100000 "
    "268435456\n"
    "admin off off\n";

Test(config, defaults)
{
    Config *config = load(SERVERS);
    g_autofree char *text = describe(config);

    cr_expect_str_eq(text, defaults);
    cr_expect_str_eq(config->path, "t.ini");
    cr_expect_eq(config->methods->len, 0);
    config_unref(config);
}

Test(config, every_key_reaches_its_member)
{
    Config *config = load("[daemon]\n"
                          "listen = [::1]:0, unix:/run/a.sock\n"
                          "workers = 3\n"
                          "log_level = debug\n"
                          "drain_timeout = 4s\n"
                          "socket_mode = 0600\n"
                          "[client]\n"
                          "max_clients = 5\n"
                          "max_message_size = 6KiB\n"
                          "max_client_calls = 7\n"
                          "max_client_output = 8KiB\n"
                          "idle_timeout = 9s\n"
                          "ordering = relaxed\n"
                          "[batch]\n"
                          "method = Batch:run\n"
                          "flush = window\n"
                          "window = 10us\n"
                          "max_calls = 11\n"
                          "max_bytes = 12KiB\n"
                          "min_calls = 13\n"
                          "batch_retry_interval = 14s\n"
                          "[upstream]\n"
                          "servers = a:1, unix:/b, [::1]:2\n"
                          "transport = buffered\n"
                          "protocol = compact\n"
                          "connections = 15\n"
                          "passthrough_connections = 16\n"
                          "connect_timeout = 17ms\n"
                          "call_timeout = 18ms\n"
                          "idle_timeout = 19ms\n"
                          "resolve_interval = 20ms\n"
                          "max_failures = 21\n"
                          "retries = 22\n"
                          "max_pending_calls = 23\n"
                          "max_pending_bytes = 24KiB\n"
                          "[admin]\n"
                          "http = 127.0.0.1:25\n"
                          "fb303 = unix:/run/26.sock\n");
    g_autofree char *text = describe(config);

    cr_expect_str_eq(text, "daemon [::1]:0|unix:/run/a.sock| 3 3 4000000000 600\n"
                           "client 5 6144 7 8192 9000000000 1\n"
                           "batch Batch:run 1 10000 11 12288 13 14000000000\n"
                           "upstream a:1|unix:/b|[::1]:2| 2 1 15 16 17000000 18000000 19000000 "
                           "20000000 21 22 23 24576\n"
                           "admin 127.0.0.1:25 unix:/run/26.sock\n");
    config_unref(config);
}

Test(config, methods)
{
    Config *config = load(SERVERS "[method.getUser]\n"
                                  "batch = native\n"
                                  "batch_method = getUsers\n"
                                  "batch_item = 2\n"
                                  "batch_requests = 3.4\n"
                                  "batch_responses = 0.5\n"
                                  "batch_response_item = result\n"
                                  "[method.Users:get*]\n"
                                  "batch = off\n"
                                  "group = slow\n"
                                  "dedupe = yes\n"
                                  "oneway = yes\n"
                                  "idempotent = yes\n"
                                  "[method.*]\n");
    cr_assert_eq(config->methods->len, 3);

    const MethodPolicy *native = g_ptr_array_index(config->methods, 0);
    cr_expect_str_eq(native->name, "getUser");
    cr_expect_eq(native->batch, BATCH_MODE_NATIVE);
    cr_expect_str_eq(native->batch_method, "getUsers");
    cr_expect_not(native->item_is_arguments);
    cr_expect_eq(native->batch_item, 2);
    cr_expect_eq(native->batch_requests.len, 2);
    cr_expect_eq(native->batch_requests.ids[0], 3);
    cr_expect_eq(native->batch_requests.ids[1], 4);
    cr_expect_eq(native->batch_responses.len, 2);
    cr_expect_eq(native->batch_responses.ids[0], 0);
    cr_expect_eq(native->batch_responses.ids[1], 5);
    cr_expect_eq(native->batch_response_item, RESPONSE_ITEM_RESULT);

    const MethodPolicy *prefix = g_ptr_array_index(config->methods, 1);
    cr_expect_str_eq(prefix->name, "Users:get*");
    cr_expect_eq(prefix->batch, BATCH_MODE_OFF);
    cr_expect_str_eq(prefix->group, "slow");
    cr_expect(prefix->dedupe);
    cr_expect(prefix->oneway);
    cr_expect(prefix->idempotent);

    const MethodPolicy *any = g_ptr_array_index(config->methods, 2);
    cr_expect_str_eq(any->name, "*");
    cr_expect_eq(any->batch, BATCH_MODE_ENVELOPE);
    cr_expect_null(any->group);
    cr_expect_not(any->dedupe || any->oneway || any->idempotent);
    config_unref(config);
}

Test(config, native_short_forms)
{
    Config *config = load(SERVERS "[method.getUser]\n"
                                  "batch = native\n"
                                  "batch_method = getUsers\n"
                                  "batch_item = arguments\n"
                                  "batch_requests = 1\n"
                                  "batch_responses = 0\n");
    const MethodPolicy *policy = g_ptr_array_index(config->methods, 0);

    cr_expect(policy->item_is_arguments);
    cr_expect_eq(policy->batch_requests.len, 1);
    cr_expect_eq(policy->batch_requests.ids[0], 1);
    cr_expect_eq(policy->batch_responses.len, 1);
    cr_expect_eq(policy->batch_responses.ids[0], 0);
    cr_expect_eq(policy->batch_response_item, RESPONSE_ITEM_VALUE);
    config_unref(config);
}

/* inih alone would cut a section's name at 49 bytes. */
Test(config, a_method_name_may_be_long)
{
    g_autofree char *name = g_strnfill(300, 'm');
    g_autofree char *text = g_strdup_printf(SERVERS "[method.%s]\n", name);
    Config *config = load(text);
    const MethodPolicy *policy = g_ptr_array_index(config->methods, 0);

    cr_expect_str_eq(policy->name, name);
    config_unref(config);
}

Test(config, comments_begin_only_behind_a_blank)
{
    Config *config = load(SERVERS "[batch]\nmethod = a;b#c=d:e\t# f\n");

    cr_expect_str_eq(config->batch.method, "a;b#c=d:e");
    config_unref(config);
}

/* Removes the ';' of every `;key = value` line. */
static char *uncomment(const char *text)
{
    GRegex *regex = g_regex_new("^;(?=[a-z0-9_]+ = )", G_REGEX_MULTILINE, 0, NULL);
    char *uncommented = g_regex_replace_literal(regex, text, -1, 0, "", 0, NULL);
    g_regex_unref(regex);
    return uncommented;
}

static void drop_admin(Config *config)
{
    address_name_clear(config->admin.http);
    address_name_clear(config->admin.fb303);
    g_clear_pointer(&config->admin.http, g_free);
    g_clear_pointer(&config->admin.fb303, g_free);
}

Test(config, the_shipped_file_says_the_defaults)
{
    g_autofree char *shipped = NULL;
    cr_assert(g_file_get_contents(SHIPPED_CONFIG, &shipped, NULL, NULL));
    g_autofree char *uncommented = uncomment(shipped);
    const char *const texts[] = {shipped, uncommented};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        Config *config = load(texts[i]);
        cr_assert_str_eq(config->admin.http->text, "127.0.0.1:9901");
        cr_assert_str_eq(config->admin.fb303->text, "unix:/run/thrift-batchd/fb303.sock");
        cr_expect_eq(config->methods->len, 0);
        drop_admin(config);
        g_autofree char *text = describe(config);
        cr_expect_str_eq(text, defaults);
        config_unref(config);
    }
}

Test(config, the_shipped_file_has_every_key)
{
    g_autofree char *shipped = NULL;
    cr_assert(g_file_get_contents(SHIPPED_CONFIG, &shipped, NULL, NULL));
    g_autofree char *uncommented = uncomment(shipped);

    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++) {
        const ConfigSection *section = &config_sections[i];
        g_autofree char *header = g_strdup_printf("\n[%s]\n", section->name);
        const char *start = strstr(uncommented, header);
        cr_assert_not_null(start, "%s", section->name);
        const char *end = strstr(start + strlen(header), "\n[");
        g_autofree char *body = end ? g_strndup(start, (size_t)(end - start)) : g_strdup(start);
        for (size_t j = 0; j < section->n_keys; j++) {
            g_autofree char *line = g_strdup_printf("\n%s = ", section->keys[j].name);
            cr_expect_not_null(strstr(body, line), "[%s] %s", section->name, section->keys[j].name);
        }
    }
}
