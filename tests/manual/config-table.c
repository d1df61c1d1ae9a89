/* Prints the table of configuration keys, for the test that compares the manual with it: a line a
 * key, its columns separated by tabs:
 *
 *     section  key  kind  need  default  least  most  zero  restart
 *
 * Of a choice, `least` is the list of names, separated by blanks. The limits are nanoseconds or
 * bytes where the kind has units. What a key does not have is empty. */
#include <stdio.h>

#include "daemon/config-keys.h"

typedef struct Kind {
    ValueParser *parse;
    const char *name;
} Kind;

static const Kind kinds[] = {
    {value_parse_duration, "duration"},
    {value_parse_size, "size"},
    {value_parse_count, "number"},
    {value_parse_mode, "mode"},
    {value_parse_bool, "yes or no"},
    {value_parse_choice, "choice"},
    {value_parse_word, "name"},
    {value_parse_method, "method"},
    {value_parse_listen_address, "address"},
    {value_parse_listen_addresses, "addresses"},
    {value_parse_servers, "addresses"},
    {value_parse_batch_item, "item"},
    {value_parse_requests_path, "path"},
    {value_parse_responses_path, "path"},
};

static const char *kind_name(ValueParser *parse)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (kinds[i].parse == parse)
            return kinds[i].name;
    return "unknown";
}

static const char *need_name(ConfigNeed need)
{
    switch (need) {
    case CONFIG_NEED_OPTIONAL:
        return "optional";
    case CONFIG_NEED_REQUIRED:
        return "required";
    case CONFIG_NEED_NATIVE_OPTIONAL:
        return "native optional";
    case CONFIG_NEED_NATIVE_REQUIRED:
        return "native required";
    }
    return "unknown";
}

static void print_rule(const ValueRule *rule)
{
    for (const ValueChoice *choice = rule->choices; choice && choice->name; choice++)
        printf("%s%s", choice == rule->choices ? "" : " ", choice->name);
    if (rule->max > 0)
        printf("%" G_GUINT64_FORMAT "\t%" G_GUINT64_FORMAT "\t%s", rule->min, rule->max,
               rule->zero ? "zero" : "");
    else
        printf("\t\t");
}

static void print_section(const ConfigSection *section)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        const ConfigKey *key = &section->keys[i];
        printf("%s\t%s\t%s\t%s\t%s\t", section->name, key->name, kind_name(key->parse),
               need_name(key->need), key->fallback ? key->fallback : "");
        print_rule(&key->rule);
        printf("\t%s\n", key->needs_restart ? "restart" : "");
    }
}

int main(void)
{
    for (size_t i = 0; i < CONFIG_N_SECTIONS; i++)
        print_section(&config_sections[i]);
    print_section(&config_method_section);
    return 0;
}
