/* Intrusive, doubly linked, circular lists. A link that is in no list points to itself, so that
 * removing it again is harmless and list_linked() can tell. Links are named after the list
 * (`batch_link`), and an element never outlives its links: unlink before freeing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct ListLink {
    struct ListLink *prev, *next;
} ListLink;

typedef struct List {
    ListLink head;
} List;

#define LIST_OWNER(link, Type, member) ((Type *)((char *)(link)-offsetof(Type, member)))

#define LIST_EACH(list, link)                                                                      \
    for (ListLink *link = (list)->head.next; link != &(list)->head; link = link->next)

/* The element at `link` may be removed by the body; its neighbours may not. */
#define LIST_EACH_SAFE(list, link)                                                                 \
    for (ListLink *link = (list)->head.next, *link##_next = link->next; link != &(list)->head;     \
         link = link##_next, link##_next = link->next)

static inline void list_link_init(ListLink *link)
{
    link->prev = link->next = link;
}

static inline void list_init(List *list)
{
    list_link_init(&list->head);
}

static inline bool list_linked(const ListLink *link)
{
    return link->next != link;
}

static inline bool list_empty(const List *list)
{
    return list->head.next == &list->head;
}

static inline void list_insert_after(ListLink *position, ListLink *link)
{
    link->prev = position;
    link->next = position->next;
    position->next->prev = link;
    position->next = link;
}

static inline void list_append(List *list, ListLink *link)
{
    list_insert_after(list->head.prev, link);
}

static inline void list_remove(ListLink *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_link_init(link);
}

/* NULL when the list is empty. */
static inline ListLink *list_first(const List *list)
{
    return list_empty(list) ? NULL : list->head.next;
}

static inline ListLink *list_last(const List *list)
{
    return list_empty(list) ? NULL : list->head.prev;
}

/* NULL when `link` is the last. */
static inline ListLink *list_next(const List *list, const ListLink *link)
{
    return link->next == &list->head ? NULL : link->next;
}

/* Moves everything in `from` to `to`, which is initialised by this. */
static inline void list_take_all(List *from, List *to)
{
    list_init(to);
    if (list_empty(from))
        return;
    to->head = from->head;
    to->head.prev->next = to->head.next->prev = &to->head;
    list_init(from);
}
