#include "base/nearest.h"

#include <glib.h>
#include <string.h>

/* Case, and '-' for '_', are slips that cost nothing. */
static char fold(char c)
{
    return c == '-' ? '_' : g_ascii_tolower(c);
}

/* How many letters to insert, delete or replace to make `b` of `a` (Levenshtein). */
size_t nearest_distance(const char *a, const char *b)
{
    size_t len = strlen(b);
    g_autofree size_t *row = g_new(size_t, len + 1);

    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t replaced = diagonal + (fold(a[i]) != fold(b[j]));
            diagonal = row[j + 1];
            row[j + 1] = MIN(replaced, MIN(row[j], diagonal) + 1);
        }
    }
    return row[len];
}

void nearest_consider(Nearest *nearest, const char *candidate, const char *word)
{
    size_t distance = nearest_distance(word, candidate);

    if (distance > (strlen(candidate) + 1) / 3)
        return;
    if (!nearest->name || distance < nearest->distance)
        *nearest = (Nearest){candidate, distance};
}
