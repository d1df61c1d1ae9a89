/* What is to be said about a configuration file, each remark with its place, handed out sorted by
 * line: all errors at once, in the order in which somebody would mend them. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct ConfigReport {
    const char *path; /* borrowed for the report's life */
    GArray *remarks;  /* of Remark */
} ConfigReport;

void config_report_init(ConfigReport *report, const char *path);
void config_report_clear(ConfigReport *report);

/* "FILE:LINE: [section] key: FORMAT...". `line` 0, `section` or `key` NULL: that part is left out.
 */
void config_report_add(ConfigReport *report, unsigned line, const char *section, const char *key,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));

bool config_report_empty(const ConfigReport *report);

/* Sorted by line, remarks on the same line in the order in which they came. Owned by the caller;
 * NULL-terminated. */
char **config_report_lines(const ConfigReport *report);
