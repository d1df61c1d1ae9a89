/* Changing the daemon while it runs: reload, live options, pause, drain; for signals and for the
 * admin interfaces. */
#pragma once

#include <pthread.h>

#include "admin/admin.h"
#include "daemon/crew.h"

typedef struct Control {
    Crew *crew;
    pthread_mutex_t mutex; /* one change of the configuration after the other */
} Control;

void control_init(Control *control, Crew *crew);
void control_clear(Control *control);

/* Reads the configuration file again, from any thread. The log tells of it. The
 * results are those of AdminOps.reload. */
bool control_reload(Control *control, char **ret_remarks, GError **error);

extern const AdminOps control_ops; /* their `data` is a Control */
