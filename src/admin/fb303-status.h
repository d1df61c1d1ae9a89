/* What fb303 says about the daemon as a whole. */
#pragma once

#include "admin/stats.h"

typedef enum Fb303Status {
    FB303_STATUS_ALIVE,
    FB303_STATUS_WARNING,  /* paused, or no server is up */
    FB303_STATUS_STOPPING, /* draining */
} Fb303Status;

Fb303Status fb303_status(const Stats *stats);

/* A line of words, owned by the caller: "batching: 240 clients, 2 of 2 servers up". */
char *fb303_status_details(const Stats *stats);
