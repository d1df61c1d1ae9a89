/* The methods of AdminService (idl/admin.thrift), as the handler that thrift c_glib's generated
 * processor calls. They answer from statistics that were collected before, so that none waits. */
#pragma once

#include "admin/admin.h"

/* A GObject: ended by g_object_unref(). */
typedef struct Fb303Methods Fb303Methods;

/* `ops` and `ops_data` are borrowed for its life. */
Fb303Methods *fb303_methods_new(const AdminOps *ops, void *ops_data);

/* What the next call is answered from; both are borrowed until it has been. `refusal`: why it may
 * not change anything, or NULL. */
void fb303_methods_prepare(Fb303Methods *methods, const Stats *stats, const char *refusal);

/* Whether the call since then changes the daemon, which has still to take effect. Not told of a
 * drain, which may be over before anybody could say so. */
bool fb303_methods_change(const Fb303Methods *methods);
