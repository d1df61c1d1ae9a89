/* What checks compare and build. What is allocated stays: the process is short. */
#pragma once

#include "demo_directory.h"
#include <glib.h>

#define UNICODE "aé€𝄞 日本語 \n\t"

/* Why a check failed; of the comparisons NULL: it did not. */
char *wrong(const char *format, ...) G_GNUC_PRINTF(1, 2);
char *because(const GError *error);
char *same_text(const char *got, const char *wanted);
char *same_number(gint64 got, gint64 wanted);
char *same_bytes(const GByteArray *got, const GByteArray *wanted);

GByteArray *bytes(const void *data, guint size);
GByteArray *counting_bytes(guint size);
DemoPoint *point(double x, double y);
GHashTable *strings(void);
void map_set(GHashTable *map, const char *key, gint64 value);
