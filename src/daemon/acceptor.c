#include "daemon/acceptor.h"

#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "net/listener.h"

struct Acceptor {
    const Config *config;
    GPtrArray *workers;
    uint64_t *n_given;    /* clients, to each worker */
    guint latest;         /* who got one */
    GPtrArray *listeners; /* of Listener */
};

static Worker *worker_at(const Acceptor *acceptor, guint i)
{
    return g_ptr_array_index(acceptor->workers, i);
}

/* Those on their way to the worker count; one that has just left may still. */
static uint64_t n_clients_of(const Acceptor *acceptor, guint i)
{
    return acceptor->n_given[i] - client_set_n_gone(worker_clients(worker_at(acceptor, i)));
}

/* The one with the fewest clients; among equals, in turn. */
static guint choose_worker(const Acceptor *acceptor, uint64_t *ret_n_clients)
{
    guint n = acceptor->workers->len, best = 0;
    uint64_t fewest = UINT64_MAX, total = 0;
    for (guint step = 1; step <= n; step++) {
        guint i = (acceptor->latest + step) % n;
        uint64_t n_clients = n_clients_of(acceptor, i);
        total += n_clients;
        if (n_clients < fewest) {
            fewest = n_clients;
            best = i;
        }
    }
    *ret_n_clients = total;
    return best;
}

static void read_client_letter(void *data, int value)
{
    worker_accept(data, value);
}

static void on_accept(void *data, int fd)
{
    Acceptor *acceptor = data;
    Worker *own = worker_at(acceptor, 0);
    client_set_publish(worker_clients(own)); /* who has left in this turn */
    uint64_t n_clients;
    guint chosen = choose_worker(acceptor, &n_clients);
    if (n_clients >= acceptor->config->client.max_clients) {
        client_set_turn_away(worker_clients(own), fd, acceptor->config->client.max_clients);
        return;
    }
    acceptor->n_given[chosen]++;
    acceptor->latest = chosen;
    Worker *worker = worker_at(acceptor, chosen);
    if (worker == own)
        worker_accept(own, fd);
    else
        mailbox_post(worker_mailbox(worker), read_client_letter, worker, fd);
}

static bool add_listener(Acceptor *acceptor, Listener *listener, const char *remark)
{
    if (listener == NULL)
        return false;
    g_ptr_array_add(acceptor->listeners, listener);
    char text[ADDRESS_TEXT_SIZE];
    listener_format(listener, text);
    log_info("listening on %s%s", text, remark);
    return true;
}

static bool open_listener(Acceptor *acceptor, const Address *address, GError **error)
{
    Loop *loop = worker_loop(worker_at(acceptor, 0));
    mode_t mode = acceptor->config->daemon.socket_mode;
    return add_listener(acceptor, listener_new(loop, address, mode, on_accept, acceptor, error),
                        "");
}

static bool open_listeners(Acceptor *acceptor, GError **error)
{
    const GArray *names = acceptor->config->daemon.listen;
    for (guint i = 0; i < names->len; i++) {
        const AddressName *name = &g_array_index(names, AddressName, i);
        g_autoptr(GArray) addresses = address_resolve(name, error);
        if (addresses == NULL)
            return false;
        for (guint j = 0; j < addresses->len; j++) {
            if (!open_listener(acceptor, &g_array_index(addresses, Address, j), error))
                return false;
        }
    }
    return true;
}

static bool adopt_listeners(Acceptor *acceptor, int n_passed, GError **error)
{
    Loop *loop = worker_loop(worker_at(acceptor, 0));
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n_passed; fd++) {
        if (!add_listener(acceptor, listener_adopt(loop, fd, on_accept, acceptor, error),
                          " (passed by systemd)"))
            return false;
    }
    return true;
}

static bool add_listeners(Acceptor *acceptor, GError **error)
{
    int n_passed = sd_listen_fds(true); /* what this daemon starts is not to take them, too */
    if (n_passed < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "cannot take the sockets that were passed (LISTEN_FDS): %s",
                    g_strerror(-n_passed));
        return false;
    }
    return n_passed > 0 ? adopt_listeners(acceptor, n_passed, error)
                        : open_listeners(acceptor, error);
}

static void free_listener(gpointer listener)
{
    listener_free(listener);
}

Acceptor *acceptor_new(const Config *config, GPtrArray *workers, GError **error)
{
    Acceptor *acceptor = g_new0(Acceptor, 1);
    acceptor->config = config;
    acceptor->workers = workers;
    acceptor->n_given = g_new0(uint64_t, workers->len);
    acceptor->latest = workers->len - 1;
    acceptor->listeners = g_ptr_array_new_with_free_func(free_listener);
    if (!add_listeners(acceptor, error)) {
        acceptor_free(acceptor);
        return NULL;
    }
    return acceptor;
}

void acceptor_set_config(Acceptor *acceptor, const Config *config)
{
    bool mode_differs = config->daemon.socket_mode != acceptor->config->daemon.socket_mode;
    acceptor->config = config;
    for (guint i = 0; mode_differs && i < acceptor->listeners->len; i++)
        listener_set_mode(g_ptr_array_index(acceptor->listeners, i), config->daemon.socket_mode);
}

void acceptor_free(Acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    g_ptr_array_unref(acceptor->listeners);
    g_free(acceptor->n_given);
    g_free(acceptor);
}
