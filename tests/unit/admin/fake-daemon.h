/* The connections of the fb303 interface on a thread of their own, with operations that only take
 * down what they were asked for. */
#pragma once

#include <stdatomic.h>

#include "admin/fb303-connection.h"

typedef struct FakeDaemon {
    Loop *loop;
    Mailbox mailbox;
    Fb303Connections connections;
    pthread_t thread;
    nsec_t idle_timeout;
    atomic_bool holds;            /* statistics are held back ... */
    _Atomic(StatsRequest *) held; /* ... these */
    atomic_int n_collected, n_reloads, n_drains, n_options;
    atomic_int paused;   /* 1 or 0 as last set; -1: never */
    const char *failure; /* what reload and set_option say; NULL: they succeed */
    char option[64];     /* "name=value" as last set */
} FakeDaemon;

void fake_daemon_start(FakeDaemon *daemon, nsec_t idle_timeout);
void fake_daemon_stop(FakeDaemon *daemon);

/* A client's socket, blocking, with a connection behind it. */
int fake_daemon_connect(FakeDaemon *daemon);
int fake_daemon_connect_tcp(FakeDaemon *daemon);

/* Lets the held statistics go; waits until there are some. */
void fake_daemon_deliver(FakeDaemon *daemon);
