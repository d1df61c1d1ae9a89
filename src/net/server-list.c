#include "net/server-list.h"

#include <string.h>

#include "base/log.h"

static Endpoint *endpoint_new(const Address *address)
{
    Endpoint *endpoint = g_new0(Endpoint, 1);
    endpoint->address = *address;
    atomic_init(&endpoint->n_refs, 1);
    return endpoint;
}

Endpoint *endpoint_ref(Endpoint *endpoint)
{
    atomic_fetch_add(&endpoint->n_refs, 1);
    return endpoint;
}

void endpoint_unref(Endpoint *endpoint)
{
    if (endpoint == NULL || atomic_fetch_sub(&endpoint->n_refs, 1) > 1)
        return;
    char text[ADDRESS_TEXT_SIZE];
    address_format(&endpoint->address.sockaddr, endpoint->address.len, text);
    if (atomic_load(&endpoint->vanished))
        log_info("%s is drained: the connections from before it vanished are closed", text);
    g_free(endpoint);
}

bool endpoint_tell(Endpoint *endpoint, EndpointNews news)
{
    return atomic_exchange(&endpoint->news, news) != news;
}

static void clear_entry(gpointer data)
{
    ServerEntry *entry = data;
    g_free(entry->name);
    endpoint_unref(entry->endpoint);
}

ServerList *server_list_new(void)
{
    ServerList *list = g_new0(ServerList, 1);
    atomic_init(&list->n_refs, 1);
    list->entries = g_array_new(FALSE, FALSE, sizeof(ServerEntry));
    g_array_set_clear_func(list->entries, clear_entry);
    return list;
}

ServerList *server_list_ref(ServerList *list)
{
    atomic_fetch_add(&list->n_refs, 1);
    return list;
}

void server_list_unref(ServerList *list)
{
    if (list == NULL || atomic_fetch_sub(&list->n_refs, 1) > 1)
        return;
    g_array_unref(list->entries);
    g_free(list->problem);
    g_free(list);
}

static const ServerEntry *entry_at(const ServerList *list, guint i)
{
    return &g_array_index(list->entries, ServerEntry, i);
}

static Endpoint *find_address(const ServerList *list, const Address *address)
{
    for (guint i = 0; list != NULL && i < list->entries->len; i++) {
        Endpoint *endpoint = entry_at(list, i)->endpoint;
        if (address_equal(&endpoint->address, address))
            return endpoint;
    }
    return NULL;
}

static char *name_of(const char *name, const GArray *addresses, const Address *address)
{
    if (addresses->len == 1)
        return g_strdup(name);
    char text[ADDRESS_TEXT_SIZE];
    address_format(&address->sockaddr, address->len, text);
    return g_strdup_printf("%s/%s", name, text);
}

void server_list_add(ServerList *list, const char *name, const GArray *addresses,
                     const ServerList *before)
{
    for (guint i = 0; i < addresses->len; i++) {
        const Address *address = &g_array_index(addresses, Address, i);
        if (find_address(list, address) != NULL)
            continue;
        Endpoint *known = find_address(before, address);
        ServerEntry entry = {
            .name = name_of(name, addresses, address),
            .endpoint = known != NULL ? endpoint_ref(known) : endpoint_new(address),
        };
        g_array_append_val(list->entries, entry);
    }
}

const ServerEntry *server_list_find(const ServerList *list, const Endpoint *endpoint)
{
    for (guint i = 0; i < list->entries->len; i++) {
        if (entry_at(list, i)->endpoint == endpoint)
            return entry_at(list, i);
    }
    return NULL;
}

bool server_list_equal(const ServerList *a, const ServerList *b)
{
    if (a->entries->len != b->entries->len || a->complete != b->complete ||
        g_strcmp0(a->problem, b->problem) != 0)
        return false;
    for (guint i = 0; i < a->entries->len; i++) {
        const ServerEntry *entry = entry_at(a, i), *other = server_list_find(b, entry->endpoint);
        if (other == NULL || strcmp(entry->name, other->name) != 0)
            return false;
    }
    return true;
}
