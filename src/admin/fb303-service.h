/* AdminService over messages in memory: c_glib's generated processor between the wire layer's
 * messages and the methods. No I/O. */
#pragma once

#include "admin/admin.h"
#include "wire/thrift.h"

typedef struct Fb303Service Fb303Service;

/* `ops` and `ops_data` are borrowed for its life. */
Fb303Service *fb303_service_new(const AdminOps *ops, void *ops_data);
void fb303_service_free(Fb303Service *service);

/* A whole message of type CALL or ONEWAY, and what it is answered from. All borrowed. */
typedef struct Fb303Call {
    const Message *message;
    Form form; /* that it came in */
    const Stats *stats;
    const char *refusal; /* why it may not change anything, or NULL */
} Fb303Call;

/* Runs the call and appends the reply in its form, frame header included where framed; nothing
 * where none is owed. True: it changes the daemon, and is not to be answered before that has taken
 * effect. */
bool fb303_service_answer(Fb303Service *service, const Fb303Call *call, Buffer *out);
