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
    if (key->parse(value, &rule, (char *)scratch + key->offset, error))
        return true;
    g_prefix_error(error, "%s: ", key->name);
    return false;
}

Config *config_with(const Config *config, const char *section, const char *key, const char *value,
                    GError **error)
{
    const ConfigKey *known = config_section_find(find_known(section), key);
    if (!check_value(known, value, error))
        return NULL;

    IniFile *file = ini_file_copy(config->file);
    ini_file_set(file, section, key, value, 0);
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
    ini_file_set(file, section, key, given ? given->value : NULL, given ? given->line : 0);
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

static bool is_method(const char *section)
{
    return g_str_has_prefix(section, CONFIG_METHOD_PREFIX);
}

static void describe_keys(GString *text, const Config *before, const Config *after,
                          const char *name, const ConfigSection *known)
{
    for (size_t i = 0; i < known->n_keys; i++) {
        const ConfigKey *key = &known->keys[i];
        const char *value = value_of(ini_file_find(after->file, name), key);
        if (!differs(before, after, name, key))
            continue;
        g_string_append_printf(text, "%s[%s] %s", text->len > 0 ? "; " : "", name, key->name);
        g_string_append_printf(text, value ? " = %s" : " is not set", value);
    }
}

/* The sections of methods that `one` has and the other has not. */
static void describe_lacking(GString *text, const Config *one, const Config *other,
                             const char *what)
{
    for (guint i = 0; i < one->file->sections->len; i++) {
        const IniSection *section = g_ptr_array_index(one->file->sections, i);
        if (is_method(section->name) && !ini_file_find(other->file, section->name))
            g_string_append_printf(text, "%s[%s] %s", text->len > 0 ? "; " : "", section->name,
                                   what);
    }
}

static void describe_methods(GString *text, const Config *before, const Config *after)
{
    for (guint i = 0; i < after->file->sections->len; i++) {
        const IniSection *section = g_ptr_array_index(after->file->sections, i);
        if (is_method(section->name) && ini_file_find(before->file, section->name))
            describe_keys(text, before, after, section->name, &config_method_section);
    }
    describe_lacking(text, after, before, "is new");
    describe_lacking(text, before, after, "is gone");
}

char *config_describe_changes(const Config *before, const Config *after)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        describe_keys(text, before, after, config_sections[i].name, &config_sections[i]);
    describe_methods(text, before, after);
    return g_string_free(text, FALSE);
}

bool config_is_live(const Config *config)
{
    for (guint i = 0; i < config->file->sections->len; i++) {
        const IniSection *section = g_ptr_array_index(config->file->sections, i);
        for (guint j = 0; j < section->keys->len; j++)
            if (((const IniKey *)g_ptr_array_index(section->keys, j))->line == 0)
                return true;
    }
    return false;
}

bool config_calls_differ(const Config *a, const Config *b)
{
    g_autoptr(GString) methods = g_string_new(NULL);

    describe_methods(methods, a, b);
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
