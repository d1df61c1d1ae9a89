/* From the ini file to a Config: the table in config-keys.c says what there is, this file walks it.
 *
 *   ini_file_load() ─> sections and keys ─┬─> load_section(): each table key from file or default
 *                                         ├─> load_method(): the same for every [method.NAME]
 *                                         └─> report_unknown(): what no table knows
 *
 * Nothing stops at the first error; what was wrong stays zero in the Config, which is then dropped.
 */
#include "daemon/config.h"

#include <string.h>

#include "base/check.h"
#include "daemon/config-check.h"
#include "daemon/config-keys.h"
#include "daemon/config-report.h"
#include "daemon/ini-file.h"

static G_DEFINE_QUARK(config - error, config_error)

    typedef struct Load {
    const IniFile *file;
    ConfigReport errors;
} Load;

static bool parse_value(const ConfigKey *key, const char *text, void *base, GError **error)
{
    ValueRule rule = key->rule;

    if (!rule.example)
        rule.example = key->fallback;
    return key->parse(text, &rule, (char *)base + key->offset, error);
}

/* `base` is what the key's offset counts from. False with the error reported. */
static bool load_given(Load *load, const char *section, const ConfigKey *key, const IniKey *given,
                       void *base)
{
    g_autoptr(GError) error = NULL;

    if (!parse_value(key, given->value, base, &error)) {
        config_report_add(&load->errors, given->line, section, key->name, "%s", error->message);
        return false;
    }
    return true;
}

static bool load_key(Load *load, const char *name, const IniSection *section, const ConfigKey *key,
                     void *base)
{
    const IniKey *given = ini_section_find(section, key->name);

    if (given)
        return load_given(load, name, key, given, base);
    if (key->fallback)
        check(parse_value(key, key->fallback, base, NULL));
    return true;
}

static void report_unknown_keys(Load *load, const ConfigSection *known, const IniSection *section)
{
    for (guint i = 0; i < section->keys->len; i++) {
        const IniKey *key = g_ptr_array_index(section->keys, i);
        if (config_section_find(known, key->name))
            continue;
        g_autofree char *suggestion = config_suggest_key(known, key->name);
        config_report_add(&load->errors, key->line, section->name, key->name,
                          "unknown key '%s'; %s", key->name, suggestion);
    }
}

/* A section that the file does not have consists of defaults. */
static void load_section(Load *load, const ConfigSection *known, Config *config)
{
    const IniSection *section = ini_file_find(load->file, known->name);

    for (size_t i = 0; i < known->n_keys; i++) {
        const ConfigKey *key = &known->keys[i];
        load_key(load, known->name, section, key, config);
        if (key->need == CONFIG_NEED_REQUIRED && !ini_section_find(section, key->name))
            config_report_add(&load->errors, section ? section->line : 0, known->name, key->name,
                              "missing; write for example %s = %s", key->name, key->rule.example);
    }
    if (section)
        report_unknown_keys(load, known, section);
}

/* What a native key's presence or absence means depends on `batch`. */
static void check_native_key(Load *load, const IniSection *section, const ConfigKey *key,
                             bool is_native)
{
    const IniKey *given = ini_section_find(section, key->name);

    if (given && !is_native)
        config_report_add(&load->errors, given->line, section->name, key->name,
                          "belongs to batch = native; add that or remove this");
    if (!given && is_native && key->need == CONFIG_NEED_NATIVE_REQUIRED)
        config_report_add(&load->errors, ini_section_find(section, "batch")->line, section->name,
                          key->name, "missing for batch = native; write for example %s = %s",
                          key->name, key->rule.example);
}

static void load_method_keys(Load *load, const IniSection *section, MethodPolicy *policy)
{
    bool batch_is_valid = false;

    for (size_t i = 0; i < config_method_section.n_keys; i++) {
        const ConfigKey *key = &config_method_section.keys[i];
        bool ok = load_key(load, section->name, section, key, policy);
        if (i == 0)
            batch_is_valid = ok;
        if (batch_is_valid && key->need != CONFIG_NEED_OPTIONAL)
            check_native_key(load, section, key, policy->batch == BATCH_MODE_NATIVE);
    }
    report_unknown_keys(load, &config_method_section, section);
}

static void load_method(Load *load, const IniSection *section, Config *config)
{
    const char *name = section->name + strlen(CONFIG_METHOD_PREFIX);
    MethodPolicy *policy = g_new0(MethodPolicy, 1);

    policy->name = g_strdup(name);
    g_ptr_array_add(config->methods, policy);
    load_method_keys(load, section, policy);

    const char *star = strchr(name, '*');
    if (name[0] == '\0')
        config_report_add(&load->errors, section->line, section->name, NULL,
                          "names no method; write for example [method.getUser] or [method.get*]");
    else if (strpbrk(name, " \t"))
        config_report_add(&load->errors, section->line, section->name, NULL,
                          "has a blank in the method's name; write it as on the wire");
    else if (star && star[1])
        config_report_add(&load->errors, section->line, section->name, NULL,
                          "has a '*' before its end; write for example [method.get*]");
}

static bool is_known(const char *section)
{
    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        if (strcmp(config_sections[i].name, section) == 0)
            return true;
    return false;
}

static void load_config(Load *load, Config *config)
{
    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        load_section(load, &config_sections[i], config);

    for (guint i = 0; i < load->file->sections->len; i++) {
        const IniSection *section = g_ptr_array_index(load->file->sections, i);
        if (g_str_has_prefix(section->name, CONFIG_METHOD_PREFIX)) {
            load_method(load, section, config);
        } else if (!is_known(section->name)) {
            g_autofree char *suggestion = config_suggest_section(section->name);
            config_report_add(&load->errors, section->line, section->name, NULL,
                              "unknown section; %s", suggestion);
        }
    }
    config_check(config, load->file, &load->errors);
}

static void free_policy(void *policy)
{
    method_policy_free(policy);
}

static Config *new_config(const char *path, IniFile *file)
{
    Config *config = g_new0(Config, 1);

    config->path = g_strdup(path);
    config->file = file;
    config->methods = g_ptr_array_new_with_free_func(free_policy);
    config->n_refs = 1;
    return config;
}

static void set_error(GError **error, const ConfigReport *report)
{
    g_auto(GStrv) lines = config_report_lines(report);
    g_autofree char *text = g_strjoinv("\n", lines);

    g_set_error_literal(error, config_error_quark(), 0, text);
}

/* Takes `file` over; NULL where `load` already says why. */
static Config *make_config(Load *load, const char *path, IniFile *file, GError **error)
{
    Config *config = new_config(path, file);

    load->file = file;
    if (file)
        load_config(load, config);
    if (!config_report_empty(&load->errors)) {
        set_error(error, &load->errors);
        g_clear_pointer(&config, config_unref);
    }
    config_report_clear(&load->errors);
    return config;
}

Config *config_load(const char *path, GError **error)
{
    Load load = {0};

    config_report_init(&load.errors, path);
    IniFile *file = ini_file_load(path, &load.errors);
    return make_config(&load, path, file, error);
}

Config *config_from_file(const char *path, IniFile *file, GError **error)
{
    Load load = {0};

    config_report_init(&load.errors, path);
    return make_config(&load, path, file, error);
}

Config *config_ref(Config *config)
{
    g_atomic_int_inc(&config->n_refs);
    return config;
}

static void free_address(AddressName *name)
{
    address_name_clear(name);
    g_free(name);
}

void config_unref(Config *config)
{
    if (!config || !g_atomic_int_dec_and_test(&config->n_refs))
        return;
    g_free(config->path);
    g_clear_pointer(&config->daemon.listen, g_array_unref);
    g_free(config->batch.method);
    g_clear_pointer(&config->upstream.servers, g_array_unref);
    free_address(config->admin.http);
    free_address(config->admin.fb303);
    g_ptr_array_unref(config->methods);
    ini_file_free(config->file);
    g_free(config);
}
