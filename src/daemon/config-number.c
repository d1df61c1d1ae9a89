/* Numbers with and without units: whole numbers only, so that nothing is rounded. */
#include <string.h>
#include <sys/types.h>

#include "base/nsec.h"
#include "daemon/config-value.h"

typedef struct Unit {
    const char *name; /* "" for none */
    uint64_t factor;
} Unit;

/* Both from small to large. */
static const Unit duration_units[] = {
    {"us", NSEC_PER_USEC},      {"ms", NSEC_PER_MSEC},      {"s", NSEC_PER_SEC},
    {"min", 60 * NSEC_PER_SEC}, {"h", 3600 * NSEC_PER_SEC},
};
static const Unit size_units[] = {
    {"", 1},
    {"KiB", 1 << 10},
    {"MiB", 1 << 20},
    {"GiB", 1 << 30},
};
static const Unit no_units[] = {{"", 1}};

/* What a number may look like; `form` names it in errors. */
typedef struct Kind {
    const char *form;
    const char *units_text;
    const Unit *units;
    size_t n_units;
} Kind;

static const Kind duration = {"a duration", "us, ms, s, min or h", duration_units,
                              G_N_ELEMENTS(duration_units)};
static const Kind size = {"a size", "KiB, MiB, GiB or none for bytes", size_units,
                          G_N_ELEMENTS(size_units)};
static const Kind count = {"a whole number", NULL, no_units, G_N_ELEMENTS(no_units)};

/* NULL where there is no such unit. A number of zero needs none. */
static const Unit *find_unit(const Kind *kind, const char *name, uint64_t number)
{
    for (size_t i = 0; i < kind->n_units; i++)
        if (strcmp(kind->units[i].name, name) == 0)
            return &kind->units[i];
    return number == 0 && name[0] == '\0' ? &kind->units[0] : NULL;
}

/* The largest unit that needs no fraction. */
static char *format_number(const Kind *kind, uint64_t value)
{
    const Unit *unit = &kind->units[0];

    for (size_t i = 0; i < kind->n_units; i++)
        if (value >= kind->units[i].factor && value % kind->units[i].factor == 0)
            unit = &kind->units[i];
    return g_strdup_printf("%" G_GUINT64_FORMAT "%s", value / unit->factor, unit->name);
}

char *value_format_duration(uint64_t value)
{
    return format_number(&duration, value);
}

static bool reject_number(GError **error, const char *text, const Kind *kind, const ValueRule *rule,
                          const char *wrong)
{
    g_autofree char *min = format_number(kind, rule->min);
    g_autofree char *max = format_number(kind, rule->max);

    return value_reject(error, text, wrong, "write %s%s from %s to %s, for example %s",
                        rule->zero ? "0 or " : "", kind->form, min, max, rule->example);
}

/* NULL, or what is wrong with `text`. */
static const char *scan_number(const char *text, const Kind *kind, uint64_t *ret_value)
{
    uint64_t number = 0;
    const char *at = text;

    for (; g_ascii_isdigit(*at); at++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return "is out of range";
    if (at == text || (*at && !g_ascii_isalpha(*at)))
        return "is no whole number";

    const Unit *unit = find_unit(kind, at, number);
    if (!unit && *at == '\0')
        return "has no unit";
    if (!unit)
        return kind->units_text ? "has an unknown unit" : "is no whole number";
    if (__builtin_mul_overflow(number, unit->factor, ret_value))
        return "is out of range";
    return NULL;
}

static bool parse_number(const char *text, const Kind *kind, const ValueRule *rule,
                         uint64_t *ret_value, GError **error)
{
    uint64_t value = 0;
    const char *wrong = scan_number(text, kind, &value);

    if (!wrong && !(rule->zero && value == 0) && (value < rule->min || value > rule->max))
        wrong = "is out of range";
    if (wrong)
        return reject_number(error, text, kind, rule, wrong);
    *ret_value = value;
    return true;
}

bool value_parse_duration(const char *text, const ValueRule *rule, void *target, GError **error)
{
    return parse_number(text, &duration, rule, (nsec_t *)target, error);
}

bool value_parse_size(const char *text, const ValueRule *rule, void *target, GError **error)
{
    uint64_t value = 0;

    if (!parse_number(text, &size, rule, &value, error))
        return false;
    if (value > SIZE_MAX)
        return value_reject(error, text, "is out of range", "this machine counts to %zu", SIZE_MAX);
    *(size_t *)target = (size_t)value;
    return true;
}

bool value_parse_count(const char *text, const ValueRule *rule, void *target, GError **error)
{
    uint64_t value = 0;

    if (!parse_number(text, &count, rule, &value, error))
        return false;
    *(uint32_t *)target = (uint32_t)value;
    return true;
}

bool value_parse_mode(const char *text, const ValueRule *rule, void *target, GError **error)
{
    guint64 value;

    if (strlen(text) > 4 || !g_ascii_string_to_unsigned(text, 8, 0, 0777, &value, NULL))
        return value_reject(error, text, "is no file mode",
                            "write an octal number from 0000 to 0777, for example %s",
                            rule->example);
    *(mode_t *)target = (mode_t)value;
    return true;
}
