/* Which servers the names stand for: duplicates, names, and what a new list has of the one before.
 */
#include "net/server-list.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../base/expect.h"

/* "users 1 2, other 2 3": names, each with the last bytes of its addresses. */
static ServerList *list_of(const char *text, const ServerList *before)
{
    ServerList *list = server_list_new();
    g_auto(GStrv) names = g_strsplit(text, ", ", -1);
    for (char **name = names; *name != NULL; name++) {
        g_auto(GStrv) words = g_strsplit(*name, " ", -1);
        g_autoptr(GArray) addresses = g_array_new(FALSE, FALSE, sizeof(Address));
        for (char **word = words + 1; *word != NULL; word++) {
            g_autofree char *written = g_strdup_printf("127.0.0.%s:9", *word);
            AddressName parsed;
            cr_assert(address_name_parse(written, false, &parsed, NULL));
            g_autoptr(GArray) resolved = address_resolve(&parsed, NULL);
            g_array_append_vals(addresses, resolved->data, resolved->len);
            address_name_clear(&parsed);
        }
        server_list_add(list, words[0], addresses, before);
    }
    return list;
}

static void assert_names(const ServerList *list, const char *expected)
{
    g_autoptr(GString) names = g_string_new("");
    for (guint i = 0; i < list->entries->len; i++)
        g_string_append_printf(names, "%s%s", i > 0 ? " " : "",
                               g_array_index(list->entries, ServerEntry, i).name);
    expect_str_eq(names->str, expected, "%s instead of %s", names->str, expected);
}

Test(server_list, each_address_is_one_server_and_named_after_the_first_that_has_it)
{
    static const struct {
        const char *names, *servers;
    } rows[] = {
        {"users 1", "users"},
        {"users 1 2", "users/127.0.0.1:9 users/127.0.0.2:9"},
        {"users 1, other 2", "users other"},
        {"users 1, other 1", "users"},
        {"users 1, other 1 2", "users other/127.0.0.2:9"},
        {"users 1 2, other 2", "users/127.0.0.1:9 users/127.0.0.2:9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ServerList *list = list_of(rows[i].names, NULL);
        assert_names(list, rows[i].servers);
        server_list_unref(list);
    }
}

Test(server_list, endpoints_outlive_their_list)
{
    ServerList *before = list_of("users 1 2", NULL);
    ServerList *after = list_of("users 2 3", before);
    Endpoint *first = g_array_index(before->entries, ServerEntry, 0).endpoint;
    Endpoint *second = g_array_index(before->entries, ServerEntry, 1).endpoint;
    expect(server_list_find(after, first) == NULL);
    expect(server_list_find(after, second) != NULL);
    expect(endpoint_tell(second, ENDPOINT_NEWS_UP));
    server_list_unref(before);
    expect(!endpoint_tell(second, ENDPOINT_NEWS_UP), "it has been said");
    expect(endpoint_tell(second, ENDPOINT_NEWS_OUT));
    expect(endpoint_tell(second, ENDPOINT_NEWS_UP));
    server_list_unref(after);
}

Test(server_list, is_the_same_in_another_order)
{
    static const struct {
        const char *before, *after;
        bool equal;
    } rows[] = {
        {"users 1 2", "users 1 2", true},
        {"users 1 2", "users 2 1", true},
        {"users 1 2", "users 1", false},
        {"users 1", "users 1 2", false},
        {"users 1", "users 2", false},
        {"users 1, b 2", "users 1, c 2", false},
        {"users 1, b 2", "users 1, b 2 3", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ServerList *before = list_of(rows[i].before, NULL);
        ServerList *after = list_of(rows[i].after, before);
        cr_expect_eq(server_list_equal(before, after), rows[i].equal, "%s -> %s", rows[i].before,
                     rows[i].after);
        server_list_unref(before);
        server_list_unref(after);
    }
}

Test(server_list, what_is_known_of_the_names_counts)
{
    ServerList *one = list_of("users 1", NULL), *other = list_of("users 1", one);
    other->complete = true;
    expect(!server_list_equal(one, other));
    one->complete = true;
    other->problem = g_strdup("'x' cannot be resolved");
    expect(!server_list_equal(one, other));
    one->problem = g_strdup(other->problem);
    expect(server_list_equal(one, other));
    server_list_unref(one);
    server_list_unref(other);
}
