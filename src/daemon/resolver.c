#include "daemon/resolver.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/log.h"

#define BACKOFF_FIRST (100 * NSEC_PER_MSEC)
#define BACKOFF_MAX   (5 * NSEC_PER_SEC)

typedef struct Name {
    unsigned n_refs; /* the resolver's, and that of a lookup under way */
    AddressName name;
    GArray *addresses; /* of Address; NULL: none are known */
    char *problem;     /* with the latest lookup; NULL: none */
    unsigned n_failures;
    nsec_t backoff; /* before the latest lookup without any address known */
    nsec_t due;     /* NSEC_NEVER: it is no name to be looked up */
} Name;

struct Resolver {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* closed, or there are other names */
    unsigned n_refs;        /* the owner's and the thread's; with `mutex`, like the next four */
    bool closed;
    bool looking; /* the thread is in a lookup, without `mutex` */
    ServerList *servers;
    GPtrArray *names; /* of Name */
    nsec_t interval;
    pthread_t thread;
    bool started;
    void (*on_change)(void *data);
    void *data;
};

static nsec_t read_clock(void)
{
    struct timespec time;
    check(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (nsec_t)time.tv_sec * NSEC_PER_SEC + (nsec_t)time.tv_nsec;
}

/* The list */

static bool is_looked_up(const Name *name)
{
    return name->addresses != NULL || name->problem != NULL;
}

static void note_problem(ServerList *list, const Name *name)
{
    if (list->problem != NULL || name->addresses != NULL)
        return;
    list->problem = name->problem != NULL
                        ? g_strdup(name->problem)
                        : g_strdup_printf("'%s' is still being looked up", name->name.text);
}

static ServerList *list_servers(const Resolver *resolver)
{
    ServerList *list = server_list_new();
    list->complete = true;
    for (guint i = 0; i < resolver->names->len; i++) {
        const Name *name = g_ptr_array_index(resolver->names, i);
        if (name->addresses != NULL)
            server_list_add(list, name->name.text, name->addresses, resolver->servers);
        note_problem(list, name);
        list->complete = list->complete && is_looked_up(name);
    }
    return list;
}

static void log_differences(const ServerList *before, const ServerList *after)
{
    for (guint i = 0; i < after->entries->len; i++) {
        const ServerEntry *entry = &g_array_index(after->entries, ServerEntry, i);
        if (server_list_find(before, entry->endpoint) != NULL)
            continue;
        char text[ADDRESS_TEXT_SIZE];
        address_format(&entry->endpoint->address.sockaddr, entry->endpoint->address.len, text);
        log_info("%s has joined: server %s", text, entry->name);
    }
    for (guint i = 0; i < before->entries->len; i++) {
        const ServerEntry *entry = &g_array_index(before->entries, ServerEntry, i);
        if (server_list_find(after, entry->endpoint) != NULL)
            continue;
        char text[ADDRESS_TEXT_SIZE];
        address_format(&entry->endpoint->address.sockaddr, entry->endpoint->address.len, text);
        log_info("%s has vanished: server %s is drained", text, entry->name);
        atomic_store(&entry->endpoint->vanished, true);
    }
}

/* Whether the list has changed. */
static bool renew_list(Resolver *resolver)
{
    ServerList *list = list_servers(resolver);
    const ServerList *before = resolver->servers;
    bool awaits_names = before->complete && !list->complete;
    bool loses_all = before->entries->len > 0 && list->entries->len == 0;
    if (awaits_names || loses_all || server_list_equal(resolver->servers, list)) {
        server_list_unref(list);
        return false;
    }
    log_differences(resolver->servers, list);
    server_list_unref(resolver->servers);
    resolver->servers = list;
    return true;
}

/* Lookups */

static void note_failure(const Resolver *resolver, Name *name, const char *why)
{
    bool is_news = g_strcmp0(name->problem, why) != 0;
    name->n_failures++;
    g_free(name->problem);
    name->problem = g_strdup(why);
    nsec_t delay = resolver->interval;
    if (name->addresses == NULL) {
        name->backoff =
            name->backoff == 0 ? BACKOFF_FIRST : nsec_min(2 * name->backoff, BACKOFF_MAX);
        delay = nsec_min(delay, name->backoff);
    }
    name->due = read_clock() + delay;
    log_write(is_news ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "%s; %s", why,
              name->addresses != NULL ? "the addresses that it had are kept"
                                      : "it is tried again with backoff");
}

static void take_addresses(const Resolver *resolver, Name *name, GArray *addresses)
{
    if (name->n_failures > 0)
        log_info("'%s' is resolved, after %u failures", name->name.text, name->n_failures);
    g_clear_pointer(&name->problem, g_free);
    name->n_failures = 0;
    name->backoff = 0;
    name->due = read_clock() + resolver->interval;
    g_clear_pointer(&name->addresses, g_array_unref);
    name->addresses = g_array_ref(addresses);
}

static void unref_name(gpointer pointer)
{
    Name *name = pointer;
    if (--name->n_refs > 0)
        return;
    address_name_clear(&name->name);
    g_clear_pointer(&name->addresses, g_array_unref);
    g_free(name->problem);
    g_free(name);
}

static void look_up(Resolver *resolver, Name *name)
{
    resolver->looking = true;
    name->n_refs++;
    pthread_mutex_unlock(&resolver->mutex);
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) addresses = address_resolve(&name->name, &error);
    pthread_mutex_lock(&resolver->mutex);
    resolver->looking = false;
    bool is_wanted = name->n_refs > 1 && !resolver->closed;
    unref_name(name);
    if (!is_wanted)
        return;
    if (addresses != NULL)
        take_addresses(resolver, name, addresses);
    else
        note_failure(resolver, name, error->message);
    if (renew_list(resolver))
        resolver->on_change(resolver->data);
}

static Name *next_due(const Resolver *resolver)
{
    Name *next = NULL;
    for (guint i = 0; i < resolver->names->len; i++) {
        Name *name = g_ptr_array_index(resolver->names, i);
        if (next == NULL || name->due < next->due)
            next = name;
    }
    return next;
}

static void unref_locked(Resolver *resolver)
{
    bool last = --resolver->n_refs == 0;
    pthread_mutex_unlock(&resolver->mutex);
    if (!last)
        return;
    g_ptr_array_unref(resolver->names);
    server_list_unref(resolver->servers);
    pthread_cond_destroy(&resolver->changed);
    pthread_mutex_destroy(&resolver->mutex);
    g_free(resolver);
}

static void *thread_main(void *argument)
{
    Resolver *resolver = argument;
    log_set_origin("resolver");
    pthread_mutex_lock(&resolver->mutex);
    while (!resolver->closed) {
        Name *name = next_due(resolver);
        if (name->due <= read_clock()) {
            look_up(resolver, name);
            continue;
        }
        struct timespec until = {(time_t)(name->due / NSEC_PER_SEC),
                                 (long)(name->due % NSEC_PER_SEC)};
        pthread_cond_timedwait(&resolver->changed, &resolver->mutex, &until);
    }
    unref_locked(resolver);
    return NULL;
}

/* Setting up */

static Name *name_new(const AddressName *configured)
{
    Name *name = g_new0(Name, 1);
    name->n_refs = 1;
    name->name = (AddressName){
        .text = g_strdup(configured->text),
        .host = g_strdup(configured->host),
        .port = configured->port,
        .path = g_strdup(configured->path),
    };
    if (address_name_is_fixed(configured)) {
        name->addresses = address_resolve(configured, NULL);
        check(name->addresses != NULL);
        name->due = NSEC_NEVER;
    }
    return name;
}

static void init_changed(Resolver *resolver)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&resolver->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

Resolver *resolver_new(const GArray *names, nsec_t interval)
{
    Resolver *resolver = g_new0(Resolver, 1);
    pthread_mutex_init(&resolver->mutex, NULL);
    init_changed(resolver);
    resolver->n_refs = 1;
    resolver->interval = interval;
    resolver->names = g_ptr_array_new_with_free_func(unref_name);
    for (guint i = 0; i < names->len; i++)
        g_ptr_array_add(resolver->names, name_new(&g_array_index(names, AddressName, i)));
    resolver->servers = list_servers(resolver);
    return resolver;
}

static bool needs_thread(const Resolver *resolver)
{
    for (guint i = 0; i < resolver->names->len; i++) {
        const Name *name = g_ptr_array_index(resolver->names, i);
        if (name->due != NSEC_NEVER)
            return !resolver->started;
    }
    return false;
}

static bool start_thread(Resolver *resolver, GError **error)
{
    resolver->n_refs++;
    sigset_t all, before; /* signals are the main thread's */
    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int code = pthread_create(&resolver->thread, NULL, thread_main, resolver);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    resolver->started = code == 0;
    if (code == 0) {
        pthread_setname_np(resolver->thread, "resolver");
        return true;
    }
    resolver->n_refs--;
    g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(code),
                "cannot start the resolver: %s", g_strerror(code));
    return false;
}

bool resolver_start(Resolver *resolver, void (*on_change)(void *data), void *data, GError **error)
{
    resolver->on_change = on_change;
    resolver->data = data;
    return !needs_thread(resolver) || start_thread(resolver, error);
}

static Name *find_name(const Resolver *resolver, const char *text)
{
    for (guint i = 0; i < resolver->names->len; i++) {
        Name *name = g_ptr_array_index(resolver->names, i);
        if (strcmp(name->name.text, text) == 0)
            return name;
    }
    return NULL;
}

static GPtrArray *renew_names(const Resolver *resolver, const GArray *configured)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(unref_name);
    for (guint i = 0; i < configured->len; i++) {
        const AddressName *wanted = &g_array_index(configured, AddressName, i);
        Name *known = find_name(resolver, wanted->text);
        if (known != NULL)
            known->n_refs++;
        g_ptr_array_add(names, known != NULL ? known : name_new(wanted));
    }
    return names;
}

void resolver_set_names(Resolver *resolver, const GArray *names, nsec_t interval)
{
    pthread_mutex_lock(&resolver->mutex);
    GPtrArray *renewed = renew_names(resolver, names);
    g_ptr_array_unref(resolver->names);
    resolver->names = renewed;
    for (guint i = 0; i < renewed->len; i++) {
        Name *name = g_ptr_array_index(renewed, i);
        if (name->due != NSEC_NEVER)
            name->due = nsec_min(name->due, read_clock() + interval);
    }
    resolver->interval = interval;
    renew_list(resolver);
    g_autoptr(GError) error = NULL;
    if (needs_thread(resolver) && !start_thread(resolver, &error))
        log_error("%s; names of servers are not looked up", error->message);
    pthread_cond_signal(&resolver->changed);
    pthread_mutex_unlock(&resolver->mutex);
}

void resolver_free(Resolver *resolver)
{
    if (resolver == NULL)
        return;
    pthread_t thread = resolver->thread;
    pthread_mutex_lock(&resolver->mutex);
    bool started = resolver->started, looking = resolver->looking;
    resolver->closed = true;
    pthread_cond_signal(&resolver->changed);
    unref_locked(resolver);
    if (started && looking)
        pthread_detach(thread);
    else if (started)
        check(pthread_join(thread, NULL) == 0);
}

ServerList *resolver_servers(Resolver *resolver)
{
    pthread_mutex_lock(&resolver->mutex);
    ServerList *servers = server_list_ref(resolver->servers);
    pthread_mutex_unlock(&resolver->mutex);
    return servers;
}
