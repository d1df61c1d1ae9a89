#include <criterion/criterion.h>
#include <glib.h>

#include "base/list.h"

typedef struct Item {
    int number;
    ListLink link;
} Item;

static int number_at(ListLink *link)
{
    return link != NULL ? LIST_OWNER(link, Item, link)->number : -1;
}

/* Forwards; the way back must say the same. */
static void assert_list(const List *list, const char *expected)
{
    GString *forwards = g_string_new(""), *backwards = g_string_new("");
    LIST_EACH (list, link)
        g_string_append_printf(forwards, "%d", number_at(link));
    for (ListLink *link = list->head.prev; link != &list->head; link = link->prev)
        g_string_prepend(backwards, (char[]){(char)('0' + number_at(link)), '\0'});
    cr_assert_str_eq(forwards->str, expected);
    cr_assert_str_eq(backwards->str, expected);
    g_string_free(forwards, TRUE);
    g_string_free(backwards, TRUE);
}

static void make(List *list, Item *items, int n)
{
    list_init(list);
    for (int i = 0; i < n; i++) {
        items[i].number = i;
        list_link_init(&items[i].link);
        list_append(list, &items[i].link);
    }
}

Test(list, keeps_order_whatever_is_inserted_and_removed)
{
    List list;
    Item items[4];
    make(&list, items, 0);
    cr_assert(list_empty(&list) && list_first(&list) == NULL && list_last(&list) == NULL);
    assert_list(&list, "");

    make(&list, items, 4);
    assert_list(&list, "0123");
    cr_assert(!list_empty(&list));
    cr_assert_eq(number_at(list_first(&list)), 0);
    cr_assert_eq(number_at(list_last(&list)), 3);
    cr_assert_eq(number_at(list_next(&list, &items[1].link)), 2);
    cr_assert_null(list_next(&list, &items[3].link));

    list_remove(&items[1].link);
    assert_list(&list, "023");
    list_insert_after(&items[2].link, &items[1].link);
    assert_list(&list, "0213");
    list_remove(&items[0].link);
    list_insert_after(&list.head, &items[0].link);
    list_remove(&items[3].link);
    assert_list(&list, "021");
}

Test(list, a_removed_link_is_in_no_list_and_may_be_removed_again)
{
    List list;
    Item items[2];
    make(&list, items, 2);
    cr_assert(list_linked(&items[0].link));
    for (int i = 0; i < 2; i++) {
        list_remove(&items[0].link);
        cr_assert(!list_linked(&items[0].link));
        assert_list(&list, "1");
    }
    list_remove(&items[1].link);
    cr_assert(list_empty(&list));
    list_append(&list, &items[0].link);
    assert_list(&list, "0");
}

Test(list, the_element_at_hand_may_be_removed_and_freed_on_the_way)
{
    List list;
    list_init(&list);
    for (int i = 0; i < 9; i++) {
        Item *item = g_new0(Item, 1);
        item->number = i;
        list_append(&list, &item->link);
    }
    LIST_EACH_SAFE (&list, link) {
        Item *item = LIST_OWNER(link, Item, link);
        if (item->number % 3 == 1)
            continue;
        list_remove(link);
        g_free(item);
    }
    assert_list(&list, "147");
    LIST_EACH_SAFE (&list, link) {
        list_remove(link);
        g_free(LIST_OWNER(link, Item, link));
    }
    cr_assert(list_empty(&list));
}

Test(list, all_of_one_is_taken_over_by_another)
{
    for (int n = 0; n < 4; n++) {
        List from, to;
        Item items[4];
        make(&from, items, n);
        list_take_all(&from, &to);
        cr_assert(list_empty(&from));
        assert_list(&from, "");
        char expected[] = "0123";
        expected[n] = '\0';
        assert_list(&to, expected);
        for (int i = 0; i < n; i++)
            list_remove(&items[i].link);
        cr_assert(list_empty(&to));
    }
}
