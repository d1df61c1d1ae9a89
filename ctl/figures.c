#include "figures.h"

#include <math.h>

char *figure_count(double number)
{
    g_autofree char *digits = g_strdup_printf("%.0f", fmax(number, 0));
    GString *text = g_string_new(NULL);
    size_t len = strlen(digits);
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            g_string_append_c(text, ',');
        g_string_append_c(text, digits[i]);
    }
    return g_string_free(text, FALSE);
}

char *figure_one(double number)
{
    return number < 99.95 ? g_strdup_printf("%.1f", number) : figure_count(number);
}

char *figure_bytes(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    while (bytes >= 1024 && i + 1 < G_N_ELEMENTS(units)) {
        bytes /= 1024;
        i++;
    }
    return g_strdup_printf(i == 0 ? "%.0f %s" : "%.1f %s", bytes, units[i]);
}

char *figure_time(double seconds)
{
    if (isnan(seconds))
        return g_strdup("-");
    if (seconds < 0.9995e-3)
        return g_strdup_printf("%.0f us", seconds * 1e6);
    if (seconds < 0.09995)
        return g_strdup_printf("%.1f ms", seconds * 1e3);
    if (seconds < 0.9995)
        return g_strdup_printf("%.0f ms", seconds * 1e3);
    return g_strdup_printf("%.2f s", seconds);
}

char *figure_span(double seconds)
{
    gint64 s = (gint64)fmax(seconds, 0);
    if (s < 60)
        return g_strdup_printf("%d s", (int)s);
    if (s < 3600)
        return g_strdup_printf("%d min %d s", (int)(s / 60), (int)(s % 60));
    if (s < 86400)
        return g_strdup_printf("%d h %d min", (int)(s / 3600), (int)(s / 60 % 60));
    return g_strdup_printf("%d d %d h", (int)(s / 86400), (int)(s / 3600 % 24));
}

char *figure_date(double unix_seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local((gint64)unix_seconds);
    return time != NULL ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : g_strdup("");
}

char *figure_text(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *clean = g_string_new(NULL);
    for (const char *at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar letter = g_utf8_get_char(at);
        g_string_append_unichar(clean, g_unichar_isprint(letter) ? letter : '?');
    }
    return g_string_free(clean, FALSE);
}
