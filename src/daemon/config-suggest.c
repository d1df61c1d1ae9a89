/* "did you mean": for somebody who edits the file and has mistyped or misplaced a name. */
#include <string.h>

#include "base/nearest.h"
#include "daemon/config-keys.h"

static const ConfigSection *find_owner(const char *key)
{
    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        if (config_section_find(&config_sections[i], key))
            return &config_sections[i];
    return config_section_find(&config_method_section, key) ? &config_method_section : NULL;
}

static const char *title(const ConfigSection *section)
{
    return section == &config_method_section ? CONFIG_METHOD_PREFIX "NAME" : section->name;
}

char *config_suggest_key(const ConfigSection *section, const char *name)
{
    GString *text = g_string_new(NULL);
    const ConfigSection *owner = find_owner(name);
    Nearest nearest = {0};

    for (size_t i = 0; i < section->n_keys; i++)
        nearest_consider(&nearest, section->keys[i].name, name);
    if (owner)
        g_string_append_printf(text, "it belongs in [%s]; ", title(owner));
    else if (nearest.name)
        g_string_append_printf(text, "did you mean '%s'? ", nearest.name);

    g_string_append_printf(text, "valid in [%s]:", title(section));
    for (size_t i = 0; i < section->n_keys; i++)
        g_string_append_printf(text, "%s %s", i > 0 ? "," : "", section->keys[i].name);
    return g_string_free(text, FALSE);
}

char *config_suggest_section(const char *name)
{
    GString *text = g_string_new(NULL);
    g_autofree char *word = g_strndup(name, strcspn(name, "."));
    Nearest nearest = {0};

    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        nearest_consider(&nearest, config_sections[i].name, name);
    if (nearest.name)
        g_string_append_printf(text, "did you mean [%s]? ", nearest.name);
    else if (nearest_distance(word, "method") <= 2)
        g_string_append(text, "did you mean [" CONFIG_METHOD_PREFIX "NAME]? ");

    g_string_append(text, "valid sections:");
    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        g_string_append_printf(text, " [%s],", config_sections[i].name);
    g_string_append(text, " [" CONFIG_METHOD_PREFIX "NAME]");
    return g_string_free(text, FALSE);
}
