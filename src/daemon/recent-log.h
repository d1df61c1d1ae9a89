/* The latest lines of the log, for those who look at the daemon without its log at hand. */
#pragma once

#include <glib.h>

#include "base/log.h"

enum { RECENT_LOG_LINES = 50 };

/* Keeps a line; debug lines are not. From any thread. */
void recent_log_add(LogLevel level, const char *line);

/* What is kept, the oldest first; of EventStats, owned by the caller. From any thread. */
GArray *recent_log_copy(void);
