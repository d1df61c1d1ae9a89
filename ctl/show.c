#include "show.h"

#include <stdio.h>

#include "document.h"
#include "table.h"
#include "view.h"

static void print_json(JsonNode *node)
{
    g_autofree char *text = json_to_string(node, TRUE);
    puts(text);
}

/* The whole document, or that member of it. */
static void print_member(JsonObject *stats, const char *member)
{
    if (member != NULL) {
        print_json(json_object_get_member(stats, member));
        return;
    }
    JsonNode *node = json_node_init_object(json_node_alloc(), stats);
    print_json(node);
    json_node_unref(node);
}

typedef void View(GString *to, JsonObject *stats);

static bool show(Remote *remote, const Options *options, View *view, const char *member,
                 GError **error)
{
    g_autoptr(JsonObject) stats = document_fetch(remote, error);
    if (stats == NULL)
        return false;
    if (options->json) {
        print_member(stats, member);
        return true;
    }
    g_autoptr(GString) text = g_string_new(NULL);
    view(text, stats);
    fputs(text->str, stdout);
    return true;
}

bool show_status(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    (void)arguments;
    return show(remote, options, view_status, NULL, error);
}

bool show_stats(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    (void)arguments;
    return show(remote, options, view_stats, NULL, error);
}

bool show_servers(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    (void)arguments;
    return show(remote, options, view_servers, "servers", error);
}

bool show_methods(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    (void)arguments;
    return show(remote, options, view_methods, "methods", error);
}

/* --- live options ---------------------------------------------------------------------------- */

static void print_options_json(GHashTable *values, GList *names)
{
    JsonObject *object = json_object_new();
    JsonNode *node = json_node_init_object(json_node_alloc(), object);
    for (GList *name = names; name != NULL; name = name->next)
        json_object_set_string_member(object, name->data, g_hash_table_lookup(values, name->data));
    print_json(node);
    json_object_unref(object);
    json_node_unref(node);
}

static void print_options(GHashTable *values, GList *names)
{
    g_autoptr(GString) text = g_string_new(NULL);
    Table *table = table_new("ll", NULL);
    for (GList *name = names; name != NULL; name = name->next) {
        table_add(table, name->data);
        table_add(table, g_hash_table_lookup(values, name->data));
    }
    table_append(table, text);
    table_free(table);
    fputs(text->str, stdout);
}

static bool show_all_options(Remote *remote, const Options *options, GError **error)
{
    g_autoptr(GHashTable) values = remote_options(remote, error);
    if (values == NULL)
        return false;
    GList *names = g_list_sort(g_hash_table_get_keys(values), (GCompareFunc)g_strcmp0);
    if (options->json)
        print_options_json(values, names);
    else
        print_options(values, names);
    g_list_free(names);
    return true;
}

static bool show_option(Remote *remote, const Options *options, const char *name, GError **error)
{
    g_autofree char *value = remote_option(remote, name, error);
    if (value == NULL)
        return false;
    if (options->json) {
        JsonNode *node = json_node_init_string(json_node_alloc(), value);
        print_json(node);
        json_node_unref(node);
    } else {
        puts(value);
    }
    return true;
}

bool show_options(Remote *remote, const Options *options, char *const *arguments, GError **error)
{
    return arguments[0] != NULL ? show_option(remote, options, arguments[0], error)
                                : show_all_options(remote, options, error);
}
