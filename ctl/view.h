/* Statistics as text for a terminal. Each appends whole lines. */
#pragma once

#include <json-glib/json-glib.h>

void view_status(GString *to, JsonObject *stats);
void view_stats(GString *to, JsonObject *stats);
void view_servers(GString *to, JsonObject *stats);
void view_methods(GString *to, JsonObject *stats);

/* What has happened between two documents: a screen, and one line. */
void view_screen(GString *to, JsonObject *before, JsonObject *stats);
void view_line(GString *to, JsonObject *before, JsonObject *stats);
