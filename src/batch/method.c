#include "batch/method.h"

#include <glib.h>

#include "batch/batch.h"
#include "wire/header.h"

/* The policy of methods that no section names. */
static const MethodPolicy default_policy = {.name = (char *)"*"};

/* A policy with what belongs to all of its methods. */
typedef struct PolicyEntry {
    const MethodPolicy *policy;
    size_t prefix_len; /* without the '*' */
    bool exact;
    Group *group;
    Method overflow; /* stands for its methods that the table has no room for */
} PolicyEntry;

struct MethodTable {
    PolicyEntry *entries; /* the last one is the default */
    size_t n_entries;
    GPtrArray *groups;   /* of Group; the first is the default group */
    GHashTable *methods; /* Method.name -> Method */
    MethodLabels *labels;
};

static guint name_hash(gconstpointer key)
{
    const Bytes *name = key;
    guint hash = 5381;
    for (size_t i = 0; i < name->len; i++)
        hash = hash * 33 + name->data[i];
    return hash;
}

static gboolean name_equal(gconstpointer a, gconstpointer b)
{
    return bytes_equal(*(const Bytes *)a, *(const Bytes *)b);
}

static void method_free(gpointer pointer)
{
    Method *method = pointer;
    g_free((void *)method->name.data);
    g_free(method);
}

static void group_free(gpointer pointer)
{
    Group *group = pointer;
    g_free(group->name);
    g_free(group);
}

static Group *table_group(MethodTable *table, const char *name)
{
    for (guint i = 0; i < table->groups->len; i++) {
        Group *group = g_ptr_array_index(table->groups, i);
        if (g_strcmp0(group->name, name) == 0)
            return group;
    }
    Group *group = g_new0(Group, 1);
    group->name = g_strdup(name);
    group->returning = &group->own_returning;
    g_ptr_array_add(table->groups, group);
    return group;
}

static void entry_init(MethodTable *table, PolicyEntry *entry, const MethodPolicy *policy)
{
    size_t len = strlen(policy->name);
    entry->policy = policy;
    entry->exact = len == 0 || policy->name[len - 1] != '*';
    entry->prefix_len = entry->exact ? len : len - 1;
    entry->group = table_group(table, policy->group);
    entry->overflow = (Method){.policy = policy, .group = entry->group};
}

MethodTable *method_table_new(MethodPolicy *const *policies, size_t n_policies,
                              MethodLabels *labels)
{
    MethodTable *table = g_new0(MethodTable, 1);
    table->labels = labels;
    table->groups = g_ptr_array_new_with_free_func(group_free);
    table->methods = g_hash_table_new_full(name_hash, name_equal, NULL, method_free);
    table->n_entries = n_policies + 1;
    table->entries = g_new0(PolicyEntry, table->n_entries);
    for (size_t i = 0; i < n_policies; i++)
        entry_init(table, &table->entries[i], policies[i]);
    entry_init(table, &table->entries[n_policies], &default_policy);
    return table;
}

void method_table_free(MethodTable *table)
{
    if (table == NULL)
        return;
    g_hash_table_unref(table->methods);
    g_ptr_array_unref(table->groups);
    g_free(table->entries);
    g_free(table);
}

static bool entry_matches(const PolicyEntry *entry, Bytes name)
{
    if (entry->exact ? name.len != entry->prefix_len : name.len < entry->prefix_len)
        return false;
    return memcmp(name.data, entry->policy->name, entry->prefix_len) == 0;
}

/* The exact name wins, then the longest prefix. */
static PolicyEntry *table_match(MethodTable *table, Bytes name)
{
    PolicyEntry *best = &table->entries[table->n_entries - 1];
    for (size_t i = 0; i + 1 < table->n_entries; i++) {
        PolicyEntry *entry = &table->entries[i];
        if (!entry_matches(entry, name))
            continue;
        if (entry->exact)
            return entry;
        if (best == &table->entries[table->n_entries - 1] || entry->prefix_len > best->prefix_len)
            best = entry;
    }
    return best;
}

Method *method_table_get(MethodTable *table, Bytes name, Method *latest)
{
    if (latest != NULL && name.len > 0 && bytes_equal(latest->name, name))
        return latest;
    Method *method = g_hash_table_lookup(table->methods, &name);
    if (method != NULL)
        return method;
    PolicyEntry *entry = table_match(table, name);
    if (name.len > METHOD_NAME_MAX || g_hash_table_size(table->methods) >= METHOD_TABLE_MAX)
        return &entry->overflow;
    method = g_new(Method, 1);
    *method = entry->overflow;
    method->name = (Bytes){g_memdup2(name.data, name.len), name.len};
    method->bare_at = (uint32_t)(name.len - header_bare_name(name).len);
    method->label = method_labels_get(table->labels, name);
    g_hash_table_insert(table->methods, &method->name, method);
    return method;
}

void method_table_inherit(MethodTable *table, const MethodTable *before)
{
    GHashTableIter iterator;
    gpointer value;
    g_hash_table_iter_init(&iterator, before->methods);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const Method *known = value;
        Method *method = method_table_get(table, known->name, NULL);
        method->answers = known->answers;
        method->oneway = known->oneway;
    }
}

void method_learn_answers(Method *method)
{
    if (method->name.len == 0)
        return;
    method->answers = true;
    method->oneway = false;
}

static bool has_bare_name(const Method *method, Bytes bare_name)
{
    Bytes name = {method->name.data + method->bare_at, method->name.len - method->bare_at};
    return bytes_equal(name, bare_name);
}

void method_table_learn_answers(MethodTable *table, Bytes bare_name)
{
    Method *exact = g_hash_table_lookup(table->methods, &bare_name);
    if (exact != NULL) {
        method_learn_answers(exact);
        return;
    }
    GHashTableIter iterator;
    gpointer value;
    g_hash_table_iter_init(&iterator, table->methods);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        if (has_bare_name(value, bare_name))
            method_learn_answers(value);
    }
}

void method_learn_oneway(Method *method)
{
    if (method->name.len > 0 && !method->answers)
        method->oneway = true;
}
