/* What the server has seen, counted from every thread. */
#pragma once

#include <glib.h>
#include <stdatomic.h>

typedef struct Counts {
    _Atomic gint64 messages;
    _Atomic gint64 calls;
    _Atomic gint64 batches, empty_batches, batched_calls, largest_batch;
    _Atomic gint64 connections_open, connections_most, connections_total;
    _Atomic gint64 logged;
} Counts;

static inline void counts_raise(_Atomic gint64 *most, gint64 value)
{
    gint64 seen = atomic_load(most);

    while (seen < value && !atomic_compare_exchange_weak(most, &seen, value))
        ;
}
