/* The process's limit of descriptors (RLIMIT_NOFILE), which clients and connections need. */
#pragma once

#include "daemon/config.h"

/* Raises the soft limit, as far as the hard one allows, to what the configuration may need; says so
 * in the log where that is not enough. */
void descriptor_limit_raise(const Config *config);
