#include "daemon/config-live.h"

#include <string.h>

#include "admin/stats.h"
#include "daemon/config-keys.h"
#include "daemon/ini-file.h"

/* NULL: it has none. */
static const char *value_of(const IniSection *section, const ConfigKey *key)
{
    const IniKey *given = ini_section_find(section, key->name);
    return given ? given->value : key->fallback;
}

static const ConfigSection *find_known(const char *name)
{
    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        if (strcmp(config_sections[i].name, name) == 0)
            return &config_sections[i];
    return NULL;
}

/* So that the message is about the value alone, and not about a place in the file. */
static bool check_value(const ConfigKey *key, const char *value, GError **error)
{
    g_autofree Config *scratch = g_new0(Config, 1);
    ValueRule rule = key->rule;

    if (!rule.example)
        rule.example = key->fallback;
    return key->parse(value, &rule, (char *)scratch + key->offset, error);
}

Config *config_with(const Config *config, const char *section, const char *key, const char *value,
                    GError **error)
{
    const ConfigKey *known = config_section_find(find_known(section), key);
    if (!check_value(known, value, error))
        return NULL;

    IniFile *file = ini_file_copy(config->file);
    ini_file_set(file, section, key, value);
    return config_from_file(config->path, file, error);
}

static bool differs(const Config *a, const Config *b, const char *section, const ConfigKey *key)
{
    return g_strcmp0(value_of(ini_file_find(a->file, section), key),
                     value_of(ini_file_find(b->file, section), key)) != 0;
}

static void keep_key(IniFile *file, const Config *running, const char *section, const char *key)
{
    const IniKey *given = ini_section_find(ini_file_find(running->file, section), key);
    ini_file_set(file, section, key, given ? given->value : NULL);
}

Config *config_keep_running(const Config *config, const Config *running, GPtrArray *changed,
                            GError **error)
{
    IniFile *file = ini_file_copy(config->file);

    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++) {
        const ConfigSection *section = &config_sections[i];
        for (size_t j = 0; j < section->n_keys; j++) {
            const ConfigKey *key = &section->keys[j];
            if (!key->needs_restart || !differs(config, running, section->name, key))
                continue;
            keep_key(file, running, section->name, key->name);
            g_ptr_array_add(changed, g_strdup_printf("[%s] %s", section->name, key->name));
        }
    }
    return config_from_file(config->path, file, error);
}

static void add_changes(GPtrArray *changes, const Config *before, const Config *after,
                        const char *name, const ConfigSection *known)
{
    for (size_t i = 0; i < known->n_keys; i++)
        if (differs(before, after, name, &known->keys[i]))
            g_ptr_array_add(changes, g_strdup_printf("[%s] %s", name, known->keys[i].name));
}

static bool is_method(const char *section)
{
    return g_str_has_prefix(section, CONFIG_METHOD_PREFIX);
}

/* Of the methods that `one` names; what both name is only looked at where `with_keys`. */
static void add_method_changes(GPtrArray *changes, const Config *one, const Config *other,
                               bool with_keys)
{
    for (guint i = 0; i < one->file->sections->len; i++) {
        const IniSection *section = g_ptr_array_index(one->file->sections, i);
        if (!is_method(section->name))
            continue;
        if (!ini_file_find(other->file, section->name))
            g_ptr_array_add(changes, g_strdup_printf("[%s]", section->name));
        else if (with_keys)
            add_changes(changes, one, other, section->name, &config_method_section);
    }
}

GPtrArray *config_changes(const Config *before, const Config *after)
{
    GPtrArray *changes = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        add_changes(changes, before, after, config_sections[i].name, &config_sections[i]);
    add_method_changes(changes, before, after, true);
    add_method_changes(changes, after, before, false);
    return changes;
}

bool config_calls_differ(const Config *a, const Config *b)
{
    g_autoptr(GPtrArray) methods = g_ptr_array_new_with_free_func(g_free);

    add_method_changes(methods, a, b, true);
    add_method_changes(methods, b, a, false);
    return methods->len > 0 || strcmp(a->batch.method, b->batch.method) != 0 ||
           a->upstream.transport != b->upstream.transport ||
           a->upstream.protocol != b->upstream.protocol || a->client.ordering != b->client.ordering;
}

static void add_settings(GArray *settings, const ConfigSection *known, const char *name,
                         const IniSection *section)
{
    for (size_t i = 0; i < known->n_keys; i++) {
        const ConfigKey *key = &known->keys[i];
        const IniKey *given = ini_section_find(section, key->name);
        const char *value = value_of(section, key);
        if (!value)
            continue;
        SettingStats setting = {
            .section = g_strdup(name),
            .key = g_strdup(key->name),
            .value = g_strdup(value),
            .is_given = given != NULL,
            .is_live = given != NULL && given->line == 0,
        };
        g_array_append_val(settings, setting);
    }
}

GArray *config_settings(const Config *config)
{
    GArray *settings = setting_array_new();

    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++) {
        const char *name = config_sections[i].name;
        add_settings(settings, &config_sections[i], name, ini_file_find(config->file, name));
    }
    for (guint i = 0; i < config->file->sections->len; i++) {
        const IniSection *section = g_ptr_array_index(config->file->sections, i);
        if (is_method(section->name))
            add_settings(settings, &config_method_section, section->name, section);
    }
    return settings;
}
