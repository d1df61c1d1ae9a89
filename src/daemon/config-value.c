#include "daemon/config-value.h"

#include <string.h>

#include "batch/method.h"
#include "net/address.h"

static G_DEFINE_QUARK(config - value - error, value_error)

    bool value_reject(GError **error, const char *text, const char *wrong, const char *right, ...)
{
    va_list args;

    va_start(args, right);
    g_autofree char *advice = g_strdup_vprintf(right, args);
    va_end(args);
    if (text[0])
        g_set_error(error, value_error_quark(), 0, "'%s' %s; %s", text, wrong, advice);
    else
        g_set_error(error, value_error_quark(), 0, "has no value; %s", advice);
    return false;
}

/* "a, b or c" */
static char *list_choices(const ValueChoice *choices)
{
    GString *list = g_string_new(choices[0].name);

    for (size_t i = 1; choices[i].name; i++)
        g_string_append_printf(list, choices[i + 1].name ? ", %s" : " or %s", choices[i].name);
    return g_string_free(list, FALSE);
}

static bool find_choice(const char *text, const ValueChoice *choices, int *ret, GError **error)
{
    for (size_t i = 0; choices[i].name; i++) {
        if (strcmp(choices[i].name, text) == 0) {
            *ret = choices[i].value;
            return true;
        }
    }
    g_autofree char *valid = list_choices(choices);
    return value_reject(error, text, "is not valid", "write %s", valid);
}

bool value_parse_choice(const char *text, const ValueRule *rule, void *target, GError **error)
{
    int value = 0;

    if (!find_choice(text, rule->choices, &value, error))
        return false;
    memcpy(target, &value, sizeof value); /* see config-keys.c: every such enum has an int's size */
    return true;
}

bool value_parse_bool(const char *text, const ValueRule *rule, void *target, GError **error)
{
    static const ValueChoice choices[] = {{"yes", true}, {"no", false}, {NULL, 0}};
    int value = 0;
    (void)rule;

    if (!find_choice(text, choices, &value, error))
        return false;
    *(bool *)target = value;
    return true;
}

bool value_parse_word(const char *text, const ValueRule *rule, void *target, GError **error)
{
    if (!text[0] || text[strspn(text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-")])
        return value_reject(error, text, "is no name",
                            "write letters, digits, '.', '_' and '-', for example %s",
                            rule->example);
    *(char **)target = g_strdup(text);
    return true;
}

bool value_parse_method(const char *text, const ValueRule *rule, void *target, GError **error)
{
    if (!text[0] || strpbrk(text, " \t*"))
        return value_reject(error, text, "is no method's name",
                            "write it as on the wire, without blanks and '*', for example %s",
                            rule->example);
    *(char **)target = g_strdup(text);
    return true;
}

bool value_parse_listen_address(const char *text, const ValueRule *rule, void *target,
                                GError **error)
{
    AddressName name;

    if (!text[0])
        return value_reject(error, text, "is no address",
                            "write host:port, [::1]:port or unix:/path, for example %s",
                            rule->example);
    if (!address_name_parse(text, true, &name, error))
        return false;
    *(AddressName **)target = g_memdup2(&name, sizeof name);
    return true;
}

static void clear_address(void *name)
{
    address_name_clear(name);
}

static bool contains(const GArray *names, const AddressName *name)
{
    for (guint i = 0; i < names->len; i++)
        if (address_name_equal(&g_array_index(names, AddressName, i), name))
            return true;
    return false;
}

static bool append_address(GArray *names, const char *item, bool allow_port_zero, GError **error)
{
    AddressName name;

    if (!address_name_parse(item, allow_port_zero, &name, error))
        return false;
    if (contains(names, &name)) {
        address_name_clear(&name);
        return value_reject(error, item, "is given twice", "list every address once");
    }
    g_array_append_val(names, name);
    return true;
}

static bool parse_addresses(const char *text, bool allow_port_zero, const ValueRule *rule,
                            GArray **target, GError **error)
{
    g_autoptr(GArray) names = g_array_new(FALSE, FALSE, sizeof(AddressName));
    g_auto(GStrv) items = g_strsplit(text[0] ? text : ",", ",", -1);

    g_array_set_clear_func(names, clear_address);
    for (size_t i = 0; items[i]; i++) {
        const char *item = g_strstrip(items[i]);
        if (!item[0])
            return value_reject(error, text, "has an empty item",
                                "write addresses with a comma between two, for example %s",
                                rule->example);
        if (!append_address(names, item, allow_port_zero, error))
            return false;
    }
    *target = g_steal_pointer(&names);
    return true;
}

bool value_parse_listen_addresses(const char *text, const ValueRule *rule, void *target,
                                  GError **error)
{
    return parse_addresses(text, true, rule, target, error);
}

bool value_parse_servers(const char *text, const ValueRule *rule, void *target, GError **error)
{
    return parse_addresses(text, false, rule, target, error);
}

static bool parse_field_id(const char *text, int16_t min, int16_t *ret)
{
    guint64 id;

    if (!g_ascii_string_to_unsigned(text, 10, (guint64)min, INT16_MAX, &id, NULL))
        return false;
    *ret = (int16_t)id;
    return true;
}

bool value_parse_batch_item(const char *text, const ValueRule *rule, void *target, GError **error)
{
    MethodPolicy *policy = target;

    if (strcmp(text, "arguments") == 0)
        policy->item_is_arguments = true;
    else if (!parse_field_id(text, 1, &policy->batch_item))
        return value_reject(error, text, "is no argument",
                            "write the argument's field id from 1 to 32767 or 'arguments', "
                            "for example %s",
                            rule->example);
    return true;
}

static bool parse_path(const char *text, int16_t min, int16_t max_first, FieldPath *ret)
{
    g_auto(GStrv) ids = g_strsplit(text, ".", -1);
    FieldPath path = {.len = (uint8_t)MIN(g_strv_length(ids), FIELD_PATH_MAX + 1)};

    if (path.len == 0 || path.len > FIELD_PATH_MAX)
        return false;
    for (size_t i = 0; i < path.len; i++)
        if (!parse_field_id(ids[i], i == 0 ? min : 1, &path.ids[i]))
            return false;
    if (path.ids[0] > max_first)
        return false;
    *ret = path;
    return true;
}

bool value_parse_requests_path(const char *text, const ValueRule *rule, void *target,
                               GError **error)
{
    if (parse_path(text, 1, INT16_MAX, target))
        return true;
    return value_reject(error, text, "is no path to the list of requests",
                        "write the argument's field id, or its and the list's in it with a dot, "
                        "for example %s or 1.1",
                        rule->example);
}

/* The fields of a result other than 0 are exceptions. */
bool value_parse_responses_path(const char *text, const ValueRule *rule, void *target,
                                GError **error)
{
    if (parse_path(text, 0, 0, target))
        return true;
    return value_reject(error, text, "is no path to the answers",
                        "write %s, or 0.1 where the result is a struct with the answers in field 1",
                        rule->example);
}
