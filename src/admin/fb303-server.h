/* The fb303 interface: a listener and the connections accepted on it. */
#pragma once

#include "admin/admin.h"

typedef struct AdminFb303 AdminFb303;

/* Opens params->fb303. Statistics arrive by `mailbox`, which is of the loop's thread. Everything
 * is borrowed for its life. */
AdminFb303 *admin_fb303_new(Loop *loop, Mailbox *mailbox, const AdminParams *params,
                            GError **error);

/* Closes everything; accepts NULL. Statistics that were asked for must not arrive any more. */
void admin_fb303_free(AdminFb303 *fb303);
