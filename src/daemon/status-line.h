/* How the daemon is getting on, in a line of words: for the service manager's STATUS and the log.
 */
#pragma once

#include "admin/stats.h"
#include "base/nsec.h"

/* "12 clients, 3400 calls/s, 17.2 calls a batch, 2 of 3 servers up". Rates are those since
 * `earlier`; NULL: since the daemon has started. Owned by the caller. */
char *status_line(const Stats *stats, const Stats *earlier);

/* "12 calls pending, 3 s left". Owned by the caller. */
char *status_line_draining(const Stats *stats, nsec_t left);
