/* Commands that read: they print to the standard output. */
#pragma once

#include "options.h"
#include "remote.h"

bool show_status(Remote *remote, const Options *options, char *const *arguments, GError **error);
bool show_stats(Remote *remote, const Options *options, char *const *arguments, GError **error);
bool show_servers(Remote *remote, const Options *options, char *const *arguments, GError **error);
bool show_methods(Remote *remote, const Options *options, char *const *arguments, GError **error);
bool show_options(Remote *remote, const Options *options, char *const *arguments, GError **error);
