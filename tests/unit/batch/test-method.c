#include <criterion/criterion.h>
#include <glib.h>
#include <stdio.h>

#include "batch/batch.h"
#include "batch/method.h"

#include "../base/expect.h"

static Method *get(MethodTable *table, const char *name)
{
    return method_table_get(table, bytes_from_string(name), NULL);
}

Test(method, the_exact_name_wins_then_the_longest_prefix)
{
    static MethodPolicy policies[] = {
        {.name = (char *)"get*", .group = (char *)"get"},
        {.name = (char *)"*", .group = (char *)"any"},
        {.name = (char *)"getUser", .group = (char *)"user"},
        {.name = (char *)"getUser*", .group = (char *)"users"},
        {.name = (char *)"Users:*", .group = (char *)"service"},
        {.name = (char *)"g", .group = (char *)"g"},
    };
    static const struct {
        const char *name, *group;
    } table[] = {
        {"getUser", "user"},
        {"getUsers", "users"},
        {"getUser*", "users"},
        {"getUse", "get"},
        {"get", "get"},
        {"ge", "any"},
        {"", "any"},
        {"g", "g"},
        {"Users:", "service"},
        {"Users:getUser", "service"},
        {"User:getUser", "any"},
        {"GetUser", "any"},
    };
    /* Whatever the order of the sections. */
    for (size_t turn = 0; turn < G_N_ELEMENTS(policies); turn++) {
        MethodPolicy *order[G_N_ELEMENTS(policies)];
        for (size_t i = 0; i < G_N_ELEMENTS(policies); i++)
            order[i] = &policies[(i + turn) % G_N_ELEMENTS(policies)];
        MethodTable *methods = method_table_new(order, G_N_ELEMENTS(order), NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
            Method *method = get(methods, table[i].name);
            cr_assert_str_eq(method->policy->group, table[i].group, "'%s'", table[i].name);
            cr_assert_str_eq(method->group->name, table[i].group, "'%s'", table[i].name);
        }
        method_table_free(methods);
    }
}

Test(method, without_a_section_has_the_defaults_and_the_default_group)
{
    static MethodPolicy quick = {.name = (char *)"quick"};
    static MethodPolicy slow = {.name = (char *)"slow", .group = (char *)"slow"};
    static MethodPolicy slower = {.name = (char *)"slower", .group = (char *)"slow"};
    MethodPolicy *policies[] = {&quick, &slow, &slower};
    MethodTable *table = method_table_new(policies, G_N_ELEMENTS(policies), NULL);
    Method *other = get(table, "other");
    cr_assert_eq(other->policy->batch, BATCH_MODE_ENVELOPE);
    cr_assert(!other->policy->oneway && !other->policy->idempotent && !other->policy->dedupe);
    cr_assert_null(other->group->name);
    cr_assert_eq(get(table, "quick")->group, other->group);
    cr_assert_eq(get(table, "slow")->group, get(table, "slower")->group);
    cr_assert_neq(get(table, "slow")->group, other->group);
    method_table_free(table);
}

Test(method, is_the_same_at_every_call_and_keeps_its_name)
{
    MethodTable *table = method_table_new(NULL, 0, NULL);
    char name[] = "getUser";
    Method *method = get(table, name);
    name[0] = 'x';
    cr_assert_neq(get(table, name), method);
    cr_assert_eq(get(table, "getUser"), method);
    cr_assert(bytes_equal(method->name, BYTES_LITERAL("getUser")));
    cr_assert_eq(method_table_get(table, BYTES_LITERAL("getUser"), get(table, "other")), method);
    cr_assert_eq(method_table_get(table, BYTES_LITERAL("getUser"), method), method);
    cr_assert_neq(method_table_get(table, BYTES_LITERAL("a\0b"), NULL),
                  method_table_get(table, BYTES_LITERAL("a\0c"), NULL));
    method_table_free(table);
}

Test(method, that_has_answered_is_never_oneway_again)
{
    MethodTable *table = method_table_new(NULL, 0, NULL);
    Method *method = get(table, "echo");
    cr_assert(!method->answers && !method->oneway);
    method_learn_oneway(method);
    cr_assert(method->oneway);
    method_learn_answers(method);
    cr_assert(method->answers && !method->oneway);
    method_learn_oneway(method);
    cr_assert(!method->oneway);
    method_table_free(table);
}

static void assert_learns_nothing(Method *method)
{
    cr_assert_eq(method->name.len, 0);
    method_learn_oneway(method);
    method_learn_answers(method);
    cr_assert(!method->answers && !method->oneway);
}

Test(method, whose_name_is_too_long_is_not_kept)
{
    static MethodPolicy slow = {.name = (char *)"xx*", .group = (char *)"slow"};
    MethodPolicy *policies[] = {&slow};
    MethodTable *table = method_table_new(policies, 1, NULL);
    char *name = g_strnfill(METHOD_NAME_MAX + 1, 'x');
    Method *method = get(table, name);
    assert_learns_nothing(method);
    cr_assert_str_eq(method->group->name, "slow");
    name[0] = 'y';
    Method *other = method_table_get(table, bytes_from_string(name), method);
    cr_assert_neq(other, method);
    cr_assert_null(other->group->name);
    assert_learns_nothing(other);
    cr_assert_null(method_table_get(table, BYTES_LITERAL(""), method)->group->name);

    name[METHOD_NAME_MAX] = '\0';
    Method *kept = get(table, name);
    cr_assert_eq(kept->name.len, METHOD_NAME_MAX);
    method_learn_oneway(kept);
    cr_assert(get(table, name)->oneway);
    g_free(name);
    method_table_free(table);
}

Test(method, is_not_kept_when_the_table_is_full)
{
    static MethodPolicy slow = {.name = (char *)"slow*", .group = (char *)"slow"};
    static MethodPolicy quiet = {.name = (char *)"quiet", .oneway = true};
    MethodPolicy *policies[] = {&slow, &quiet};
    MethodTable *table = method_table_new(policies, G_N_ELEMENTS(policies), NULL);
    char name[32];
    for (int i = 0; i < METHOD_TABLE_MAX; i++) {
        snprintf(name, sizeof name, "method%d", i);
        Method *method = get(table, name);
        expect(bytes_equal(method->name, bytes_from_string(name)), "name %d", i);
        method_learn_answers(method);
    }
    Method *late = get(table, "late");
    assert_learns_nothing(late);
    cr_assert_eq(get(table, "later"), late);
    cr_assert_eq(method_table_get(table, BYTES_LITERAL("later"), late), late);
    assert_learns_nothing(get(table, "slowLate"));
    cr_assert_str_eq(get(table, "slowLate")->group->name, "slow");
    cr_assert(get(table, "quiet")->policy->oneway);
    cr_assert(get(table, name)->answers, "those that are known stay known");
    method_table_free(table);
}

Test(method, without_a_name_learns_nothing)
{
    MethodTable *table = method_table_new(NULL, 0, NULL);
    assert_learns_nothing(get(table, ""));
    assert_learns_nothing(method_table_get(table, (Bytes){0}, get(table, "echo")));
    method_table_free(table);
}

Test(method, another_table_inherits_what_was_learnt)
{
    MethodTable *before = method_table_new(NULL, 0, NULL);
    method_learn_answers(get(before, "echo"));
    method_learn_oneway(get(before, "log"));
    static MethodPolicy slow = {.name = (char *)"e*", .group = (char *)"slow"};
    MethodPolicy *policies[] = {&slow};
    MethodTable *after = method_table_new(policies, 1, NULL);
    method_table_inherit(after, before);
    method_table_free(before);
    cr_assert(get(after, "echo")->answers && !get(after, "echo")->oneway);
    cr_assert_eq(get(after, "echo")->policy, &slow);
    cr_assert(get(after, "log")->oneway && !get(after, "log")->answers);
    cr_assert(!get(after, "other")->oneway && !get(after, "other")->answers);
    method_table_free(after);
}
