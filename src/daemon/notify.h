/* What the service manager is told (sd_notify(3)). Where there is none, nothing happens, and
 * notify_enabled() spares what only it would read. */
#pragma once

#include <stdbool.h>

#include "base/nsec.h"

bool notify_enabled(void);

void notify_ready(void);
void notify_reloading(void); /* notify_ready() follows */

/* The daemon ends within `timeout`, however short TimeoutStopSec= is. */
void notify_stopping(nsec_t timeout);

/* A line about how it is. */
void notify_status(const char *line);

/* How often notify_alive() is expected at least (WatchdogSec=); 0: not at all. */
nsec_t notify_watchdog_interval(void);
void notify_alive(void);
