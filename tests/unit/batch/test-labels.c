/* Which methods are counted by name. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "batch/method.h"

static unsigned label_of(MethodLabels *labels, const char *name)
{
    return method_labels_get(labels, bytes_from_string(name));
}

Test(labels, each_name_has_its_own_and_keeps_it)
{
    MethodLabels *labels = method_labels_new();
    unsigned echo = label_of(labels, "echo"), get = label_of(labels, "get");
    cr_assert_neq(echo, get);
    cr_assert_eq(label_of(labels, "echo"), echo);
    cr_assert_str_eq(method_labels_name(labels, echo), "echo");
    cr_assert_str_eq(method_labels_name(labels, get), "get");
    cr_assert_null(method_labels_name(labels, METHOD_LABELS - 1));
    method_labels_free(labels);
}

Test(labels, all_behind_the_first_hundred_share_one)
{
    MethodLabels *labels = method_labels_new();
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "m%d", i);
        cr_assert_neq(label_of(labels, name), METHOD_LABEL_OTHER);
    }
    cr_assert_eq(label_of(labels, "late"), METHOD_LABEL_OTHER);
    cr_assert_neq(label_of(labels, "m99"), METHOD_LABEL_OTHER);
    cr_assert_str_eq(method_labels_name(labels, METHOD_LABEL_OTHER), "other");
    method_labels_free(labels);
}

/* Two series of one name are an error to Prometheus. */
Test(labels, names_are_utf8_and_none_is_there_twice)
{
    MethodLabels *labels = method_labels_new();
    cr_assert_eq(label_of(labels, "\xff\xfe"), METHOD_LABEL_OTHER);
    cr_assert_eq(label_of(labels, "other"), METHOD_LABEL_OTHER);
    cr_assert_eq(method_labels_get(labels, (Bytes){(const uint8_t *)"a\0b", 3}),
                 METHOD_LABEL_OTHER);
    cr_assert_neq(label_of(labels, "gr\xc3\xb6\xc3\x9f"
                                   "e"),
                  METHOD_LABEL_OTHER);
    method_labels_free(labels);
}

Test(labels, the_tables_of_all_workers_agree)
{
    MethodLabels *labels = method_labels_new();
    MethodTable *first = method_table_new(NULL, 0, labels);
    MethodTable *second = method_table_new(NULL, 0, labels);
    Bytes echo = bytes_from_string("echo"), get = bytes_from_string("get");
    method_table_get(first, echo, NULL);
    unsigned label = method_table_get(first, get, NULL)->label;
    cr_assert_eq(method_table_get(second, get, NULL)->label, label);
    cr_assert_neq(method_table_get(second, echo, NULL)->label, label);
    method_table_free(first);
    method_table_free(second);
    method_labels_free(labels);
}
