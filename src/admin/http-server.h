/* The http interface: metrics, health, statistics and the status page, served by libevent's evhttp.
 *
 *   GET /         the status page                    200
 *   GET /metrics  for Prometheus                     200
 *   GET /stats.json                                  200
 *   GET /healthz  the process lives                  200
 *   GET /readyz   a server is up, and no drain       200, or 503 and why not
 *
 * HEAD too. It only shows; nothing is changed here. */
#pragma once

#include "admin/admin.h"

typedef struct AdminHttp AdminHttp;

/* Listens on params->http, with everything on the loop's thread. All but *params is borrowed. */
AdminHttp *admin_http_new(Loop *loop, Mailbox *mailbox, const AdminParams *params, GError **error);

/* Closes everything. No statistics arrive for it any more. */
void admin_http_free(AdminHttp *http);
