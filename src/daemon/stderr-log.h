/* The log's sink: one line to stderr, with a priority prefix (sd-daemon(3)) when stderr is the
 * journal, and the level in words otherwise. */
#pragma once

void stderr_log_install(void);
