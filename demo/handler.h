/* The Directory service of demo.thrift. Any number of threads may be in it at once. */
#pragma once

#include "counts.h"
#include "demo_directory.h"

typedef struct Directory Directory;

GType directory_get_type(void);

/* Every call takes `call_cost_us` of sleep. `counts` is borrowed for the directory's life. */
Directory *directory_new(Counts *counts, guint64 call_cost_us);

/* Ends the waiting of wait(), now and from now on. */
void directory_stop(Directory *directory);
