/* The admin interfaces: http and fb303, on a thread and a loop of their own, so that whatever they
 * do no call waits for it.
 *
 *   admin thread   AdminHttp, AdminFb303 --collect--> main thread --> each worker copies its
 * figures ^                                                  |
 *                            +------------ Stats, by the admin's mailbox -------+
 *
 * What changes the daemon goes through AdminOps: checked on the admin thread, carried out on the
 * others by their mailboxes, in order: who collects afterwards sees the change. */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include "admin/stats.h"
#include "net/address.h"
#include "net/mailbox.h"

/* Who waits for statistics. Embedded in a bigger object, which lives until `done` was called. */
typedef struct StatsRequest {
    Mailbox *mailbox; /* of the thread on which `done` is called; borrowed */
    void (*done)(struct StatsRequest *request, Stats *stats); /* owns `stats` */
} StatsRequest;

/* What the daemon does for its admin interfaces. All may be called from the admin thread. */
typedef struct AdminOps {
    /* Calls request->done once, soon, by its mailbox; not at all once the daemon ends. */
    void (*collect)(void *data, StatsRequest *request);

    /* Reads the configuration file again. *ret_remarks, owned by the caller, says what of it only a
     * restart changes, one line a key; empty where there is nothing. False: nothing has changed,
     * and *error says why, one line an error. */
    bool (*reload)(void *data, char **ret_remarks, GError **error);

    /* `name` is one of admin_options; `value` as in the file. False: *error says what is wrong and
     * what would be right. */
    bool (*set_option)(void *data, const char *name, const char *value, GError **error);

    void (*set_paused)(void *data, bool paused); /* nothing happens where it already is so */
    void (*drain)(void *data);
} AdminOps;

/* What set_option() takes and where the configuration has it; ends with a NULL name. */
typedef struct AdminOption {
    const char *name; /* and the key */
    const char *section;
} AdminOption;

extern const AdminOption admin_options[];

/* Addresses are borrowed; NULL: that interface is off. */
typedef struct AdminParams {
    const AddressName *http;
    const AddressName *fb303;
    mode_t socket_mode; /* of unix sockets */
    const AdminOps *ops;
    void *ops_data;
} AdminParams;

typedef struct Admin Admin;

/* Opens the sockets and starts the thread. */
Admin *admin_new(const AdminParams *params, GError **error);

/* Ends the thread and closes everything. What was collected for it must not arrive any more, or be
 * dropped with its mailbox. */
void admin_free(Admin *admin);
