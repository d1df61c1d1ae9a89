/* What is valid for every key, and what the errors say. */
#include <criterion/criterion.h>
#include <string.h>

#include "config-text.h"
#include "daemon/config-keys.h"

/* A file with this one key, and what else it needs. */
static char *file_with(const char *section, const char *key, const char *value)
{
    bool is_servers = strcmp(section, "upstream") == 0 && strcmp(key, "servers") == 0;
    bool is_native = g_str_has_prefix(key, "batch_") && g_str_has_prefix(section, "method.");
    GString *text = g_string_new(is_servers ? "" : "[upstream]\nservers = upstream:1\n");

    if (strcmp(section, "upstream") != 0 || is_servers)
        g_string_append_printf(text, "[%s]\n", section);
    g_string_append_printf(text, "%s = %s\n", key, value);
    if (is_native)
        g_string_append(text, "batch = native\n");
    if (is_native && strcmp(key, "batch_method") != 0)
        g_string_append(text, "batch_method = m\n");
    if (is_native && strcmp(key, "batch_item") != 0)
        g_string_append(text, "batch_item = 1\n");
    if (is_native && strcmp(key, "batch_requests") != 0)
        g_string_append(text, "batch_requests = 1\n");
    if (is_native && strcmp(key, "batch_responses") != 0)
        g_string_append(text, "batch_responses = 0\n");
    return g_string_free(text, FALSE);
}

typedef struct Row {
    const char *section, *key;
    const char *valid;   /* values with '|' between two */
    const char *invalid; /* the same */
    const char *right;   /* what the error says would be right; NULL: differs from value to value */
} Row;

static const Row rows[] = {
    {"daemon", "listen", "a:1|a:0|[::]:1,0.0.0.0:1 , unix:/a|a:0,a:0",
     "|a|a:1,|,a:1|a:1,,b:1|a:1,a:1|unix:a|a:65536", NULL},
    {"daemon", "workers", "1|256", "0|257|-1|+1|1.0|two|1KiB||1 2|0x1",
     "write a whole number from 1 to 256, for example 1"},
    {"daemon", "log_level", "error|warning|info|debug", "Info|warn||2",
     "write error, warning, info or debug"},
    {"daemon", "drain_timeout", "0|0s|1ms|60min|1h", "999us|3601s|61min|10|1.5s|-1s|1sec|1 s|s|",
     "write 0 or a duration from 1ms to 1h, for example 10s"},
    {"daemon", "socket_mode", "0000|0777|660|0", "0800|1777|00660|-1|rw|",
     "write an octal number from 0000 to 0777, for example 0660"},
    {"client", "max_clients", "1|1000000",
     "0|1000001|4294967297|18446744073709551617|92233720368547758085",
     "write a whole number from 1 to 1000000, for example 10000"},
    {"client", "max_message_size", "64|64KiB|1GiB|1073741824",
     "63|1073741825|2GiB|16MB|16M|1.5MiB|16 MiB|0|-1|17179869185GiB",
     "write a size from 64 to 1GiB, for example 16MiB"},
    {"client", "max_client_calls", "1|1000000", "0|1000001",
     "write a whole number from 1 to 1000000, for example 1000"},
    {"client", "max_client_output", "1024|16GiB", "1023|0|17GiB",
     "write a size from 1KiB to 16GiB, for example 16MiB"},
    {"client", "idle_timeout", "0|1ms|24h|1440min", "1|1us|25h|never",
     "write 0 or a duration from 1ms to 24h, for example 5min"},
    {"client", "ordering", "strict|relaxed", "Strict|none", "write strict or relaxed"},
    {"batch", "method", "executeBatch|A:b", "|a b|a*|*",
     "write it as on the wire, without blanks and '*', for example executeBatch"},
    {"batch", "flush", "adaptive|window", "never", "write adaptive or window"},
    {"batch", "window", "1us|5000ms", "0|0us|500|500ns|61s|2min|18446744073709552h",
     "write a duration from 1us to 1min, for example 500us"},
    {"batch", "max_calls", "1|65536", "0|65537",
     "write a whole number from 1 to 65536, for example 64"},
    {"batch", "max_bytes", "64|1GiB", "63|2GiB", "write a size from 64 to 1GiB, for example 1MiB"},
    {"batch", "min_calls", "1|65536", "0|65537",
     "write a whole number from 1 to 65536, for example 2"},
    {"batch", "batch_retry_interval", "10ms|24h", "9ms|0|25h",
     "write a duration from 10ms to 24h, for example 30s"},
    {"upstream", "servers", "a:1|a:1,b:1|unix:/a", "|a:0|a|a:1,a:1|A:1,a:1|[::1]:1,[0::1]:1", NULL},
    {"upstream", "transport", "framed|buffered", "unframed|http", "write framed or buffered"},
    {"upstream", "protocol", "binary|compact", "json", "write binary or compact"},
    {"upstream", "connections", "1|1024", "0|1025",
     "write a whole number from 1 to 1024, for example 4"},
    {"upstream", "passthrough_connections", "1|10000", "0|10001",
     "write a whole number from 1 to 10000, for example 64"},
    {"upstream", "connect_timeout", "1ms|10min", "0|999us|11min",
     "write a duration from 1ms to 10min, for example 1s"},
    {"upstream", "call_timeout", "1ms|24h", "0|999us|25h",
     "write a duration from 1ms to 24h, for example 5s"},
    {"upstream", "idle_timeout", "0|1ms|24h", "999us|25h|no",
     "write 0 or a duration from 1ms to 24h, for example 30s"},
    {"upstream", "resolve_interval", "10ms|24h", "0|9ms|25h",
     "write a duration from 10ms to 24h, for example 30s"},
    {"upstream", "max_failures", "1|1000", "0|1001",
     "write a whole number from 1 to 1000, for example 3"},
    {"upstream", "retries", "0|1|100", "101|-1",
     "write 0 or a whole number from 1 to 100, for example 1"},
    {"upstream", "max_pending_calls", "1|10000000", "0|10000001",
     "write a whole number from 1 to 10000000, for example 100000"},
    {"upstream", "max_pending_bytes", "1KiB|1024GiB", "1023|1025GiB",
     "write a size from 1KiB to 1024GiB, for example 256MiB"},
    {"admin", "http", "a:1|a:0|unix:/a", "|a|a:1,b:1|off", NULL},
    {"admin", "fb303", "a:1|a:0|unix:/a", "|a|unix:a", NULL},
    {"method.x", "batch", "envelope|off", "on|no", "write envelope, native or off"},
    {"method.x", "group", "slow|a-b_c.1", "|a b|a,b",
     "write letters, digits, '.', '_' and '-', for example slow"},
    {"method.x", "dedupe", "yes|no", "true|1|Yes|", "write yes or no"},
    {"method.x", "oneway", "yes|no", "on", "write yes or no"},
    {"method.x", "idempotent", "yes|no", "0", "write yes or no"},
    {"method.x", "batch_method", "getUsers", "|get*",
     "write it as on the wire, without blanks and '*', for example getUsers"},
    {"method.x", "batch_item", "1|32767|arguments", "0|32768|-1|argument|1.1",
     "write the argument's field id from 1 to 32767 or 'arguments', for example 1"},
    {"method.x", "batch_requests", "1|32767.1", "0|1.0|1.1.1|1.|.1|1,1||32768",
     "write the argument's field id, or its and the list's in it with a dot, for example 1 or 1.1"},
    {"method.x", "batch_responses", "0|0.1|0.32767", "1|1.1|0.0|0.1.1|",
     "write 0, or 0.1 where the result is a struct with the answers in field 1"},
    {"method.x", "batch_response_item", "value|result", "struct", "write value or result"},
};

Test(config_values, valid)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(GStrv) values = g_strsplit(rows[i].valid, "|", -1);
        for (size_t j = 0; values[j]; j++) {
            g_autofree char *text = file_with(rows[i].section, rows[i].key, values[j]);
            g_autofree char *errors = config_text_errors(text);
            cr_expect_str_empty(errors, "%s%s", text, errors);
        }
    }
}

/* One error, of this key, that tells what would be right. */
static void expect_invalid(const Row *row, const char *value)
{
    g_autofree char *text = file_with(row->section, row->key, value);
    g_autofree char *errors = config_text_errors(text);
    bool is_servers = strcmp(row->key, "servers") == 0;
    unsigned line = strcmp(row->section, "upstream") != 0 ? 4 : is_servers ? 2 : 3;
    g_autofree char *prefix = g_strdup_printf("t.ini:%u: [%s] %s: ", line, row->section, row->key);
    g_autofree char *wrong =
        value[0] ? g_strdup_printf("'%s' ", value) : g_strdup("has no value; ");

    cr_expect(g_str_has_prefix(errors, prefix), "%s%s", text, errors);
    cr_expect_null(strchr(errors, '\n'), "%s%s", text, errors);
    if (!row->right)
        return;
    cr_expect(g_str_has_prefix(errors + strlen(prefix), wrong), "%s%s", text, errors);
    cr_expect(g_str_has_suffix(errors, row->right), "%s%s", text, errors);
}

Test(config_values, invalid)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(GStrv) values = g_strsplit(rows[i].invalid, "|", -1);
        for (size_t j = 0; values[j]; j++)
            expect_invalid(&rows[i], values[j]);
    }
}

static bool has_row(const char *section, const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (g_str_has_prefix(rows[i].section, section) && strcmp(rows[i].key, key) == 0)
            return true;
    return false;
}

Test(config_values, every_key_is_tested)
{
    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        for (size_t j = 0; j < config_sections[i].n_keys; j++)
            cr_expect(has_row(config_sections[i].name, config_sections[i].keys[j].name), "[%s] %s",
                      config_sections[i].name, config_sections[i].keys[j].name);
    for (size_t j = 0; j < config_method_section.n_keys; j++)
        cr_expect(has_row(CONFIG_METHOD_PREFIX, config_method_section.keys[j].name), "%s",
                  config_method_section.keys[j].name);
}

Test(config_values, what_is_wrong_with_a_number)
{
    static const struct {
        const char *value, *wrong;
    } numbers[] = {
        {"5", "has no unit"},
        {"5sec", "has an unknown unit"},
        {"1.5s", "is no whole number"},
        {"-5s", "is no whole number"},
        {"ms", "is no whole number"},
        {"0us", "is out of range"},
        {"61s", "is out of range"},
        {"18446744073709551616us", "is out of range"},
        {"18446744073709551615us", "is out of range"},
        {"5124096h", "is out of range"}, /* 2^64 ns are a little less */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_autofree char *text = file_with("batch", "window", numbers[i].value);
        g_autofree char *errors = config_text_errors(text);
        g_autofree char *expected =
            g_strdup_printf("t.ini:4: [batch] window: '%s' %s; write a duration from 1us to 1min, "
                            "for example 500us",
                            numbers[i].value, numbers[i].wrong);
        cr_expect_str_eq(errors, expected);
    }
}
