#include <criterion/criterion.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "admin/stats-json.h"
#include "made-stats.h"

static JsonParser *parser;
static char *text;

static void set_up(void)
{
    Stats *stats = made_stats();
    text = stats_json(stats);
    stats_free(stats);
    parser = json_parser_new();
    cr_assert(json_parser_load_from_data(parser, text, -1, NULL), "%s", text);
}

static void tear_down(void)
{
    g_clear_object(&parser);
    g_free(text);
}

TestSuite(stats_json, .init = set_up, .fini = tear_down);

/* What is at a JSONPath, as JSON. */
static void assert_at(const char *path, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) found = json_path_query(path, json_parser_get_root(parser), &error);
    cr_assert(found != NULL, "%s: %s", path, error != NULL ? error->message : "nothing");
    JsonArray *matches = json_node_get_array(found);
    cr_assert_eq(json_array_get_length(matches), 1, "%s", path);
    g_autofree char *json = json_to_string(json_array_get_element(matches, 0), FALSE);
    cr_assert_str_eq(json, expected, "%s is %s", path, json);
}

static double double_at(const char *path)
{
    g_autoptr(JsonNode) found = json_path_query(path, json_parser_get_root(parser), NULL);
    cr_assert(found != NULL && json_array_get_length(json_node_get_array(found)) == 1, "%s", path);
    return json_array_get_double_element(json_node_get_array(found), 0);
}

Test(stats_json, the_daemon)
{
    assert_at("$.version", "\"" PACKAGE_VERSION "\"");
    cr_assert_eq(double_at("$.time"), 1790000000.123456);
    cr_assert_eq(double_at("$.started"), 1780000000.5);
    assert_at("$.state", "\"running\"");
    assert_at("$.ready", "true");
    assert_at("$.workers", "2");
}

Test(stats_json, calls_and_methods)
{
    assert_at("$.calls",
              "{\"ok\":11,\"exception\":13,\"error\":15,\"timeout\":17,\"withdrawn\":19}");
    assert_at("$.methods[0]", "{\"name\":\"getUser\",\"ok\":10,\"exception\":11,\"error\":12,"
                              "\"timeout\":13,\"withdrawn\":14}");
    assert_at("$.methods[1].name", "\"say \\\"hi\\\"\\\\\\n\"");
}

Test(stats_json, batches_and_other_ways)
{
    assert_at("$.batches", "{\"full_calls\":20,\"full_bytes\":21,\"slot\":22,\"window\":23,"
                           "\"nobody_left\":24}");
    assert_at("$.calls_saved", "2072"); /* 2,079 callers in 7 batches */
    assert_at("$.plain_calls", "41");
    assert_at("$.passthrough_calls", "42");
    assert_at("$.fallback_calls", "43");
    assert_at("$.deduped_calls", "44");
    assert_at("$.transcoded_calls", "45");
    assert_at("$.retries", "46");
}

Test(stats_json, clients_and_limits)
{
    assert_at("$.clients_total", "47");
    assert_at("$.clients", "48");
    assert_at("$.pending_calls", "49");
    assert_at("$.pending_bytes", "5000000000");
    assert_at("$.client_errors",
              "{\"not_thrift\":30,\"message_too_large\":31,\"nesting\":32,\"protocol\":33,"
              "\"message_type\":34,\"output\":35,\"max_clients\":36,\"idle\":37}");
    assert_at("$.limits", "{\"max_clients\":10000,\"max_pending_calls\":100000,"
                          "\"max_pending_bytes\":268435456}");
}

Test(stats_json, histograms)
{
    assert_at("$.batch_calls", "{\"count\":7,\"sum\":2079,\"max\":2000,\"p50\":4,\"p99\":2000,"
                               "\"buckets\":[[1,1],[2,1],[3,1],[4,1],[5,1],[64,1],[2048,1]]}");
    assert_at("$.batch_wait_seconds.count", "5");
    cr_assert_eq(double_at("$.batch_wait_seconds.sum"), 3.000004097);
    cr_assert_eq(double_at("$.batch_wait_seconds.max"), 3.0);
    cr_assert_eq(double_at("$.batch_wait_seconds.p50"), 0.00000128);
    cr_assert_eq(double_at("$.batch_wait_seconds.buckets[0][0]"), 1e-9);
    assert_at("$.batch_wait_seconds.buckets[0][1]", "1");
    cr_assert_eq(double_at("$.call_seconds.p99"), 100.0);
    cr_assert_eq(double_at("$.upstream_seconds.sum"), 0.13694304);
    cr_assert_eq(double_at("$.upstream_seconds.p50"), 0.001048576);
    cr_assert_eq(double_at("$.upstream_seconds.p99"), 0.008388608);
}

Test(stats_json, servers)
{
    assert_at("$.servers[0]", "{\"name\":\"127.0.0.1:9091\",\"up\":true,\"state\":\"up\","
                              "\"batching\":\"yes\",\"inflight\":7,\"failures\":{\"connect\":50,"
                              "\"lost\":51,\"timeout\":52,\"broken\":53}}");
    assert_at("$.servers[1].state", "\"out\"");
    assert_at("$.servers[1].up", "false");
    assert_at("$.servers[1].batching", "\"unknown\"");
}

Test(stats_json, events_with_the_latest_last)
{
    cr_assert_eq(double_at("$.events[0].time"), 1789999999.25);
    assert_at("$.events[0].level", "\"warning\"");
    assert_at("$.events[0].text", "\"server users is out: \\\"refused\\\"\"");
    assert_at("$.events[1].text", "\"reloaded\"");
}

Test(stats_json, the_configuration_by_sections)
{
    assert_at("$.config",
              "{\"path\":\"/etc/thrift-batchd/thrift-batchd.ini\",\"reload_failed\":false,"
              "\"sections\":{"
              "\"batch\":{\"window\":{\"value\":\"500us\",\"given\":true,\"live\":false},"
              "\"max_calls\":{\"value\":\"64\",\"given\":false,\"live\":true}},"
              "\"method.getUser\":{\"batch\":{\"value\":\"off\",\"given\":true,\"live\":false}}}}");
}

Test(stats_json, the_largest_bucket_ends_with_the_largest_value)
{
    Stats *stats = stats_new();
    stats->state = DAEMON_STATE_DRAINING;
    stats->config_path = g_strdup("x.ini");
    histogram_record(&stats->counters.batch_calls, UINT64_MAX);
    g_autofree char *json = stats_json(stats);
    cr_assert(strstr(json, "\"buckets\":[[9223372036854775807,1]]") != NULL, "%s", json);
    cr_assert(strstr(json, "\"methods\":[]") != NULL, "%s", json);
    cr_assert(strstr(json, "\"state\":\"draining\"") != NULL, "%s", json);
    stats_free(stats);
}
