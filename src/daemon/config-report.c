#include "daemon/config-report.h"

typedef struct Remark {
    unsigned line;
    char *text;
} Remark;

static void clear_remark(void *remark)
{
    g_free(((Remark *)remark)->text);
}

void config_report_init(ConfigReport *report, const char *path)
{
    *report = (ConfigReport){
        .path = path,
        .remarks = g_array_new(FALSE, FALSE, sizeof(Remark)),
    };
    g_array_set_clear_func(report->remarks, clear_remark);
}

void config_report_clear(ConfigReport *report)
{
    g_clear_pointer(&report->remarks, g_array_unref);
}

void config_report_add(ConfigReport *report, unsigned line, const char *section, const char *key,
                       const char *format, ...)
{
    GString *text = g_string_new(report->path);
    va_list args;

    if (line > 0)
        g_string_append_printf(text, ":%u", line);
    g_string_append(text, ": ");
    if (section)
        g_string_append_printf(text, key ? "[%s] " : "[%s]: ", section);
    if (key)
        g_string_append_printf(text, "%s: ", key);

    va_start(args, format);
    g_string_append_vprintf(text, format, args);
    va_end(args);

    Remark remark = {.line = line, .text = g_string_free(text, FALSE)};
    g_array_append_val(report->remarks, remark);
}

bool config_report_empty(const ConfigReport *report)
{
    return report->remarks->len == 0;
}

static int compare_lines(const void *a, const void *b)
{
    unsigned x = ((const Remark *)a)->line, y = ((const Remark *)b)->line;
    return x < y ? -1 : x > y;
}

char **config_report_lines(const ConfigReport *report)
{
    char **lines = g_new0(char *, report->remarks->len + 1);

    /* Stable, as GLib promises. */
    g_array_sort(report->remarks, compare_lines);
    for (guint i = 0; i < report->remarks->len; i++)
        lines[i] = g_strdup(g_array_index(report->remarks, Remark, i).text);
    return lines;
}
