#include "daemon/descriptor-limit.h"

#include <sys/resource.h>

#include "base/log.h"

/* Descriptors besides those of clients and upstream connections: log, listeners, connections for
 * what is passed through; of the admin interfaces, with their connections; and of a worker: two
 * epoll sets, libevent's pipe, timer and mailbox. */
enum { SPARE_DESCRIPTORS = 64, ADMIN_DESCRIPTORS = 160, WORKER_DESCRIPTORS = 6 };

/* The soft limit of descriptors is often 1024; the hard one is the administrator's word. */
void descriptor_limit_raise(const Config *config)
{
    const UpstreamConfig *upstream = &config->upstream;
    rlim_t need = config->client.max_clients + SPARE_DESCRIPTORS + ADMIN_DESCRIPTORS +
                  config->daemon.workers *
                      (WORKER_DESCRIPTORS + (rlim_t)upstream->servers->len * upstream->connections);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
        return;
    limit.rlim_cur = MIN(need, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < need)
        log_warning("max_clients = %u needs %llu descriptors, the limit is %llu (LimitNOFILE=)",
                    config->client.max_clients, (unsigned long long)need,
                    (unsigned long long)limit.rlim_cur);
}
