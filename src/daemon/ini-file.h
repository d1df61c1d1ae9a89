/* An ini file as sections of keys with the lines on which they stand; it knows nothing of what the
 * keys mean. Every section and key is there once: what is given twice is an error. */
#pragma once

#include <glib.h>

#include "daemon/config-report.h"

typedef struct IniKey {
    unsigned line; /* 0: it is on none */
    char *name;
    char *value; /* without comment and surrounding blanks; "" where there is none */
} IniKey;

typedef struct IniSection {
    unsigned line;
    char *name;      /* without brackets and surrounding blanks */
    GPtrArray *keys; /* of IniKey *, owned; in the file's order */
} IniSection;

typedef struct IniFile {
    GPtrArray *sections; /* of IniSection *, owned; in the file's order */
} IniFile;

/* What cannot be understood goes into `errors`, the rest is there. NULL where the file cannot be
 * read at all. */
IniFile *ini_file_load(const char *path, ConfigReport *errors);
IniFile *ini_file_copy(const IniFile *file);
void ini_file_free(IniFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IniFile, ini_file_free)

/* NULL where the file does not have it. Borrowed from the file. */
const IniSection *ini_file_find(const IniFile *file, const char *section);
const IniKey *ini_section_find(const IniSection *section,
                               const char *key); /* section may be NULL */

/* Gives the key a value, as on `line` (0: on none), or takes the key away where `value` is NULL. */
void ini_file_set(IniFile *file, const char *section, const char *key, const char *value,
                  unsigned line);
