/* Every section and key of the ini file in one table: its default, what is valid, and where the
 * value goes. Adding a key is a row here and a member of its struct. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config-value.h"

/* When a key must be in the file. */
typedef enum ConfigNeed {
    CONFIG_NEED_OPTIONAL,
    CONFIG_NEED_REQUIRED,
    CONFIG_NEED_NATIVE_OPTIONAL, /* belongs to batch = native, an error without it */
    CONFIG_NEED_NATIVE_REQUIRED,
} ConfigNeed;

typedef struct ConfigKey {
    const char *name;
    const char *fallback; /* the default as the file would say it; NULL: not set */
    ValueParser *parse;
    size_t offset;  /* in Config, for the keys of [method.NAME] in MethodPolicy */
    ValueRule rule; /* without example: the default is one */
    ConfigNeed need;
    bool needs_restart; /* a reload does not change it */
} ConfigKey;

typedef struct ConfigSection {
    const char *name;
    const ConfigKey *keys;
    size_t n_keys;
} ConfigSection;

enum { CONFIG_N_SECTIONS = 5 };

extern const ConfigSection config_sections[CONFIG_N_SECTIONS];
extern const ConfigSection config_method_section; /* its name is the prefix "method." */

#define CONFIG_METHOD_PREFIX "method."

/* NULL where the section has no such key. */
const ConfigKey *config_section_find(const ConfigSection *section, const char *key);

/* What to say of a name that does not exist: a nearby or misplaced one, and all that exist. Owned
 * by the caller. */
char *config_suggest_key(const ConfigSection *section, const char *name);
char *config_suggest_section(const char *name);
