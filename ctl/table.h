/* Columns of text, aligned. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Table Table;

/* A column a letter of `alignment`: 'l' or 'r'. `headers` (that many) may be NULL: no header. */
Table *table_new(const char *alignment, const char *const *headers);
void table_free(Table *table);

/* A cell of the row that is being filled; the row ends with its last column. */
void table_add(Table *table, const char *text);
void table_take(Table *table, char *text); /* frees it */

/* Indented by two. */
void table_append(const Table *table, GString *to);
