/* Commands that change the daemon. They say what they have done. */
#pragma once

#include "options.h"
#include "remote.h"

bool change_option(Remote *remote, const Options *options, char *const *arguments, GError **error);
bool change_reload(Remote *remote, const Options *options, char *const *arguments, GError **error);
bool change_pause(Remote *remote, const Options *options, char *const *arguments, GError **error);
bool change_resume(Remote *remote, const Options *options, char *const *arguments, GError **error);
bool change_drain(Remote *remote, const Options *options, char *const *arguments, GError **error);
