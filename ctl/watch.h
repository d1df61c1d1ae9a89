/* stats --watch. */
#pragma once

#include "options.h"
#include "remote.h"

/* A screen that is drawn anew every second, or, where the output is no terminal, a line a second.
 * Ends, with success, on SIGINT and SIGTERM. A daemon that is gone is waited for on a terminal, and
 * an error elsewhere. */
bool watch(Remote *remote, const Options *options, GError **error);
