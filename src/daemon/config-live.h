/* What changes while the daemon runs: one configuration made from another, how two differ, and
 * which values are in force. */
#pragma once

#include "daemon/config.h"

/* The same with another value of one key, as the file would say it, which counts as set live. NULL
 * with *error set: what is wrong, and what would be right. */
Config *config_with(const Config *config, const char *section, const char *key, const char *value,
                    GError **error);

/* The same with those values of `running` that only a restart changes. Adds the keys whose values
 * differ to `changed`, as "[daemon] listen", owned by it. NULL with *error set where the others do
 * not go together with them. */
Config *config_keep_running(const Config *config, const Config *running, GPtrArray *changed,
                            GError **error);

/* Whether anything differs that a call carries with it once it is read: the upstream's form, the
 * batch method, the order of calls, the methods' sections. */
bool config_calls_differ(const Config *a, const Config *b);

/* In words, for people: "[batch] window = 1ms", "[method.echo] is gone"; empty where they are
 * the same. Owned by the caller. */
char *config_describe_changes(const Config *before, const Config *after);

/* Whether a value has been set live. */
bool config_is_live(const Config *config);

/* Every key that has a value, in the order of the tables; of SettingStats, owned by the caller. */
GArray *config_settings(const Config *config);
