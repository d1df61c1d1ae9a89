/* Statistics as Prometheus reads them: its text format, version 0.0.4. The names are DESIGN's, and
 * further: plain_calls_total, start_time_seconds, build_info, state, and the limits max_clients,
 * max_pending_calls and max_pending_bytes, for alerts that compare with them. */
#pragma once

#include "admin/stats.h"

/* Owned by the caller. */
char *metrics_text(const Stats *stats);
