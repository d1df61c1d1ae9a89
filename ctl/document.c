#include "document.h"

static JsonNode *find(JsonObject *object, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, ".", -1);
    JsonNode *node = NULL;
    for (char **name = names; *name != NULL; name++) {
        node = object != NULL ? json_object_get_member(object, *name) : NULL;
        object = node != NULL && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    }
    return node;
}

static JsonNode *find_value(JsonObject *object, const char *path)
{
    JsonNode *node = find(object, path);
    return node != NULL && JSON_NODE_HOLDS_VALUE(node) ? node : NULL;
}

double document_number(JsonObject *object, const char *path)
{
    JsonNode *node = find_value(object, path);
    return node != NULL ? json_node_get_double(node) : 0;
}

const char *document_text(JsonObject *object, const char *path)
{
    JsonNode *node = find_value(object, path);
    const char *text = node != NULL ? json_node_get_string(node) : NULL;
    return text != NULL ? text : "";
}

gboolean document_flag(JsonObject *object, const char *path)
{
    JsonNode *node = find_value(object, path);
    return node != NULL && json_node_get_boolean(node);
}

static JsonArray *find_list(JsonObject *object, const char *path)
{
    JsonNode *node = find(object, path);
    return node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

guint document_length(JsonObject *object, const char *path)
{
    JsonArray *list = find_list(object, path);
    return list != NULL ? json_array_get_length(list) : 0;
}

/* NULL, which has no members, where the element is no object. */
JsonObject *document_element(JsonObject *object, const char *path, guint at)
{
    JsonNode *node = json_array_get_element(find_list(object, path), at);
    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonObject *document_parse(const char *json, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(JsonNode) root = json_from_string(json, &why);
    if (root != NULL && JSON_NODE_HOLDS_OBJECT(root))
        return json_node_dup_object(root);
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "the daemon's statistics are no JSON: %s",
                why != NULL ? why->message : "no object");
    return NULL;
}

JsonObject *document_fetch(Remote *remote, GError **error)
{
    g_autofree char *json = remote_stats(remote, error);
    return json != NULL ? document_parse(json, error) : NULL;
}
