#include "table.h"

#include "figures.h"

struct Table {
    const char *alignment; /* borrowed */
    guint n_columns;
    GPtrArray *cells; /* row by row */
};

Table *table_new(const char *alignment, const char *const *headers)
{
    Table *table = g_new0(Table, 1);
    table->alignment = alignment;
    table->n_columns = (guint)strlen(alignment);
    table->cells = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; headers != NULL && i < table->n_columns; i++)
        table_add(table, headers[i]);
    return table;
}

void table_free(Table *table)
{
    g_ptr_array_unref(table->cells);
    g_free(table);
}

void table_add(Table *table, const char *text)
{
    g_ptr_array_add(table->cells, figure_text(text));
}

void table_take(Table *table, char *text)
{
    table_add(table, text);
    g_free(text);
}

static guint width_of(const Table *table, guint column)
{
    glong width = 0;
    for (guint i = column; i < table->cells->len; i += table->n_columns)
        width = MAX(width, g_utf8_strlen(g_ptr_array_index(table->cells, i), -1));
    return (guint)width;
}

static void append_cell(const Table *table, guint cell, GString *to)
{
    guint column = cell % table->n_columns;
    const char *text = g_ptr_array_index(table->cells, cell);
    int padding = (int)width_of(table, column) - (int)g_utf8_strlen(text, -1);
    bool last = column + 1 == table->n_columns;
    g_string_append(to, "  ");
    if (table->alignment[column] == 'r')
        g_string_append_printf(to, "%*s%s", padding, "", text);
    else
        g_string_append_printf(to, "%s%*s", text, last ? 0 : padding, "");
    if (last)
        g_string_append_c(to, '\n');
}

void table_append(const Table *table, GString *to)
{
    for (guint i = 0; i < table->cells->len; i++)
        append_cell(table, i, to);
}
