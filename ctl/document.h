/* The daemon's statistics: the JSON document of /stats.json, read. */
#pragma once

#include <json-glib/json-glib.h>

#include "remote.h"

/* Asks the daemon. The root object, to be unreferenced; NULL: see *error. */
JsonObject *document_fetch(Remote *remote, GError **error);
JsonObject *document_parse(const char *json, GError **error);

/* By a path of members, "calls.ok". What a daemon of another version does not have is 0, "", false,
 * an empty list, an empty object; all borrowed from `object`, or constant. */
double document_number(JsonObject *object, const char *path);
const char *document_text(JsonObject *object, const char *path);
gboolean document_flag(JsonObject *object, const char *path);
guint document_length(JsonObject *object, const char *path);                  /* of a list */
JsonObject *document_element(JsonObject *object, const char *path, guint at); /* at < length */
