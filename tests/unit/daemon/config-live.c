/* One configuration made from another, and how two differ. */
#include "daemon/config-live.h"

#include <criterion/criterion.h>
#include <string.h>

#include "admin/stats.h"
#include "config-text.h"

#define SERVERS "[upstream]\nservers = a:1\n"

static Config *load(const char *text)
{
    char *errors = NULL;
    Config *config = config_text_load(text, &errors);
    cr_assert_not_null(config, "%s", errors);
    return config;
}

static void expect_changes(const char *before_text, const char *after_text, const char *changes,
                           bool calls_differ)
{
    Config *before = load(before_text), *after = load(after_text);
    g_autofree char *text = config_describe_changes(before, after);
    cr_expect_str_eq(text, changes);
    cr_expect_eq(config_calls_differ(before, after), calls_differ, "%s", changes);
    config_unref(before);
    config_unref(after);
}

Test(config_live, changes_are_named_with_their_values)
{
    expect_changes(SERVERS, SERVERS, "", false);
    expect_changes(SERVERS, SERVERS "[batch]\nwindow = 500us\n", "", false);
    expect_changes(SERVERS, SERVERS "[batch]\nwindow = 1ms\nmax_calls = 9\n",
                   "[batch] window = 1ms; [batch] max_calls = 9", false);
    expect_changes(SERVERS "[batch]\nwindow = 1ms\n", SERVERS, "[batch] window = 500us", false);
    expect_changes(SERVERS "[admin]\nhttp = b:2\n", SERVERS, "[admin] http is not set", false);
}

/* What calls carry with them. */
Test(config_live, some_changes_concern_calls_that_are_under_way)
{
    expect_changes(SERVERS, SERVERS "transport = buffered\n", "[upstream] transport = buffered",
                   true);
    expect_changes(SERVERS, SERVERS "protocol = compact\n", "[upstream] protocol = compact", true);
    expect_changes(SERVERS, SERVERS "[client]\nordering = relaxed\n", "[client] ordering = relaxed",
                   true);
    expect_changes(SERVERS, SERVERS "[batch]\nmethod = other\n", "[batch] method = other", true);
    expect_changes(SERVERS, SERVERS "[method.a]\n", "[method.a] is new", true);
    expect_changes(SERVERS "[method.a]\n", SERVERS "[method.b]\n",
                   "[method.b] is new; [method.a] is gone", true);
    expect_changes(SERVERS "[method.a]\n", SERVERS "[method.a]\ndedupe = yes\n",
                   "[method.a] dedupe = yes", true);
    expect_changes(SERVERS "[method.a]\n[method.b]\n", SERVERS "[method.b]\n[method.a]\n", "",
                   false);
}

Test(config_live, one_value_is_set_and_the_rest_stays)
{
    Config *config = load(SERVERS "[batch]\nwindow = 1ms\nmax_calls = 9\n");
    Config *other = config_with(config, "batch", "window", "2ms", NULL);
    cr_assert_not_null(other);
    cr_expect_eq(other->batch.window, 2 * NSEC_PER_MSEC);
    cr_expect_eq(other->batch.max_calls, 9);
    cr_expect_eq(config->batch.window, NSEC_PER_MSEC);
    cr_expect(config_is_live(other) && !config_is_live(config));
    config_unref(config);
    config_unref(other);
}

static void expect_refused(const char *key, const char *value, const char *words)
{
    Config *config = load(SERVERS);
    g_autoptr(GError) error = NULL;
    cr_assert_null(config_with(config, "batch", key, value, &error));
    cr_expect_not_null(strstr(error->message, words), "%s", error->message);
    config_unref(config);
}

Test(config_live, a_bad_value_is_refused_in_words)
{
    expect_refused("window", "5", "'5' has no unit; write a duration");
    expect_refused("max_calls", "0", "'0'");
    expect_refused("flush", "often", "adaptive");
    expect_refused("window", "30s", "is longer than [upstream] call_timeout");
}

Test(config_live, what_needs_a_restart_stays_as_it_runs)
{
    Config *running = load("[daemon]\nlisten = a:9\nworkers = 2\n[admin]\nhttp = b:1\n" SERVERS);
    Config *loaded = load("[daemon]\nworkers = 3\nlog_level = debug\n[admin]\nfb303 = c:1\n"
                          "http = b:1\n" SERVERS);
    g_autoptr(GPtrArray) changed = g_ptr_array_new_with_free_func(g_free);
    Config *config = config_keep_running(loaded, running, changed, NULL);
    cr_assert_not_null(config);
    cr_expect_eq(config->daemon.workers, 2);
    cr_expect_eq(config->daemon.log_level, LOG_LEVEL_DEBUG);
    cr_expect_null(config->admin.fb303);
    cr_expect_str_eq(config->admin.http->text, "b:1");
    cr_expect_str_eq(g_array_index(config->daemon.listen, AddressName, 0).text, "a:9");
    cr_assert_eq(changed->len, 3);
    cr_expect_str_eq(g_ptr_array_index(changed, 0), "[daemon] listen");
    cr_expect_str_eq(g_ptr_array_index(changed, 1), "[daemon] workers");
    cr_expect_str_eq(g_ptr_array_index(changed, 2), "[admin] fb303");
    cr_expect_not(config_is_live(config));
    config_unref(running);
    config_unref(loaded);
    config_unref(config);
}

/* The new servers may be where the daemon listens until it is restarted. */
Test(config_live, what_does_not_go_together_is_refused)
{
    Config *running = load("[daemon]\nlisten = a:9\n" SERVERS);
    Config *loaded = load("[daemon]\nlisten = a:8\n[upstream]\nservers = a:9\n");
    g_autoptr(GPtrArray) changed = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    cr_assert_null(config_keep_running(loaded, running, changed, &error));
    cr_expect_not_null(strstr(error->message, "'a:9' is where this daemon listens"));
    config_unref(running);
    config_unref(loaded);
}

Test(config_live, settings_say_where_they_come_from)
{
    Config *config = load(SERVERS "[batch]\nmax_calls = 9\n[method.a]\ngroup = slow\n");
    Config *other = config_with(config, "batch", "window", "2ms", NULL);
    Stats *stats = stats_new();
    g_array_unref(stats->settings);
    stats->settings = config_settings(other);
    const SettingStats *setting = stats_setting(stats, "batch", "window");
    cr_expect(setting->is_given && setting->is_live && strcmp(setting->value, "2ms") == 0);
    setting = stats_setting(stats, "batch", "max_calls");
    cr_expect(setting->is_given && !setting->is_live && strcmp(setting->value, "9") == 0);
    setting = stats_setting(stats, "batch", "flush");
    cr_expect(!setting->is_given && !setting->is_live);
    cr_expect_str_eq(setting->value, "adaptive");
    cr_expect_str_eq(stats_setting(stats, "method.a", "group")->value, "slow");
    cr_expect_null(stats_setting(stats, "admin", "http"));
    stats_free(stats);
    config_unref(other);
    config_unref(config);
}
