/* Methods: what the configuration says of them, and what was learnt of them while running. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/method-labels.h"
#include "batch/returning.h"
#include "wire/thrift.h"

typedef enum BatchMode {
    BATCH_MODE_ENVELOPE,
    BATCH_MODE_NATIVE,
    BATCH_MODE_OFF,
} BatchMode;

enum { FIELD_PATH_MAX = 2 };

/* Field ids from an argument or result struct down to a list: 1, or 1.1. */
typedef struct FieldPath {
    int16_t ids[FIELD_PATH_MAX];
    uint8_t len;
} FieldPath;

typedef enum ResponseItem {
    RESPONSE_ITEM_VALUE,
    RESPONSE_ITEM_RESULT,
} ResponseItem;

/* A [method.NAME] section. Strings owned by whoever owns the policy. */
typedef struct MethodPolicy {
    char *name; /* on the wire; "getUser", "get*", "*" */
    BatchMode batch;
    char *group; /* NULL: the default group */
    bool dedupe;
    bool oneway;
    bool idempotent;

    /* batch = native */
    char *batch_method;
    bool item_is_arguments; /* batch_item = arguments */
    int16_t batch_item;
    FieldPath batch_requests;
    FieldPath batch_responses;
    ResponseItem batch_response_item;
} MethodPolicy;

void method_policy_free(MethodPolicy *policy);

/* A method that has been called. Lives as long as its table. */
typedef struct Method {
    Bytes name;
    uint32_t bare_at;           /* in the name, behind "Service:" */
    unsigned label;             /* in Counters.calls */
    const MethodPolicy *policy; /* never NULL */
    struct Group *group;        /* of its envelope batches */
    bool answers;               /* the upstream has answered a CALL of it: for good */
    bool oneway;                /* learnt, while it has never answered */
    Returning returning;        /* of its native batches */
} Method;

typedef struct MethodTable MethodTable;

enum {
    METHOD_TABLE_MAX = 10000,
    METHOD_NAME_MAX = 256, /* bytes */
};

/* `policies` of MethodPolicy and `labels` (NULL: none is counted by name) are borrowed and outlive
 * the table. */
MethodTable *method_table_new(MethodPolicy *const *policies, size_t n_policies,
                              MethodLabels *labels);
void method_table_free(MethodTable *table);

/* Takes over what `before` has learnt. */
void method_table_inherit(MethodTable *table, const MethodTable *before);

/* The method of that name, never NULL. `latest` may be NULL or any earlier result: looked at first.
 * What is kept is bounded: names that are longer than METHOD_NAME_MAX, or new when there are
 * METHOD_TABLE_MAX, share one Method for each policy, which learns nothing (`name` empty). */
Method *method_table_get(MethodTable *table, Bytes name, Method *latest);

/* What an answer, or a ONEWAY message, shows of a method. */
void method_learn_answers(Method *method);
void method_learn_oneway(Method *method);

/* The same of an answer that tells the method's bare name only. */
void method_table_learn_answers(MethodTable *table, Bytes bare_name);
