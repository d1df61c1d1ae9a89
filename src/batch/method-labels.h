/* Which methods are counted by name, over all workers: the first METHOD_LABELS - 1 that are called;
 * whatever clients make up, the figures stay few. Asked once for each method that a worker gets to
 * know, from any thread. */
#pragma once

#include "base/bytes.h"
#include "base/counters.h"

typedef struct MethodLabels MethodLabels;

MethodLabels *method_labels_new(void);
void method_labels_free(MethodLabels *labels);

/* The index of `name` in Counters.calls; METHOD_LABEL_OTHER where there is no room for it, where it
 * is no UTF-8, and where `labels` is NULL. */
unsigned method_labels_get(MethodLabels *labels, Bytes name);

/* The name of an index, UTF-8, borrowed for the life of `labels`; NULL where there is none yet.
 * Other methods are "other", and so is one of that name. */
const char *method_labels_name(MethodLabels *labels, unsigned label);
