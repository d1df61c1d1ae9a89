#include "batch/group.h"

#include "base/check.h"

static guint group_hash(gconstpointer key)
{
    const Group *group = key;
    guint hash = g_direct_hash(group->method) ^ (guint)group->item_type;
    for (size_t i = 0; i < group->others.len; i++)
        hash = hash * 33 + group->others.data[i];
    return hash;
}

static gboolean group_equal(gconstpointer a, gconstpointer b)
{
    const Group *one = a, *other = b;
    return one->method == other->method && one->item_type == other->item_type &&
           bytes_equal((Bytes){one->others.data, one->others.len},
                       (Bytes){other->others.data, other->others.len});
}

static void group_free(gpointer pointer)
{
    Group *group = pointer;
    check(group->open == NULL && group->n_refs == 0);
    buffer_clear(&group->others);
    g_free(group);
}

GHashTable *group_table_new(void)
{
    return g_hash_table_new_full(group_hash, group_equal, NULL, group_free);
}

Group *group_table_get(GHashTable *table, Group *like)
{
    Group *group = g_hash_table_lookup(table, like);
    if (group != NULL) {
        buffer_clear(&like->others);
        return group;
    }
    group = g_new(Group, 1);
    *group = *like;
    group->table = table;
    g_hash_table_add(table, group);
    return group;
}

void group_ref(Group *group)
{
    group->n_refs++;
}

void group_unref(Group *group)
{
    check(group->n_refs > 0);
    group->n_refs--;
    if (group->n_refs == 0 && group->table != NULL)
        g_hash_table_remove(group->table, group);
}
