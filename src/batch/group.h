/* A group: the calls that may share a batch.
 *
 * Envelope groups are named by the configuration and live as long as their method table. A native
 * group comes with the first call of its kind, one method, one type of item, equal other arguments,
 * and goes with its last call and batch. */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "base/bytes.h"
#include "batch/method.h"
#include "batch/returning.h"
#include "wire/thrift.h"

typedef struct Batch Batch;

typedef enum BatchKind {
    BATCH_KIND_ENVELOPE,
    BATCH_KIND_NATIVE,
    BATCH_KIND_THROUGH, /* passed through: a batch is one caller's */
} BatchKind;

typedef struct Group {
    BatchKind kind;
    char *name;           /* of an envelope group; NULL: the default group */
    Batch *open;          /* the batch that takes calls, or NULL */
    Returning *returning; /* the envelope group's own, or the native method's; NULL: of calls that
                             are passed through */
    Returning own_returning;

    /* Of a native group. */
    Method *method;
    ThriftType item_type;
    Buffer others;          /* the other arguments' fields, as they follow the start of a struct */
    int16_t others_last_id; /* the id of the last of them; 0: none */
    uint32_t n_refs;        /* calls that have not ended, and batches */
    GHashTable *table;      /* NULL for groups that stay */
} Group;

/* Native groups, which the table owns. */
GHashTable *group_table_new(void);

/* The table's group equal to `like`, whose `others` is taken over or cleared. */
Group *group_table_get(GHashTable *table, Group *like);

void group_ref(Group *group);
void group_unref(Group *group);
