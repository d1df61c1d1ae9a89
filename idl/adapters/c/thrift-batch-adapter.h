/* Serves executeBatch (batch.thrift) in front of a c_glib server's own processor.
 *
 *     ThriftProcessor *directory = g_object_new(DEMO_TYPE_DIRECTORY_PROCESSOR, "handler", h, NULL);
 *     ThriftProcessor *processor = batch_adapter_new(directory, NULL);
 *
 * `processor` then takes the place of `directory` in the server, which stays as it is. A message
 * named executeBatch is taken apart: each of its calls goes to the inner processor over memory, in
 * the protocol of the connection, one after another, and the replies go back together. Every other
 * message goes to the inner processor as if the adapter were not there.
 *
 * - Answers: one Response a Request, in order. It has no message where the inner processor wrote
 *   nothing (a oneway method). A call that does not parse, is no call, or on which the inner
 *   processor fails, is answered with a TApplicationException of its own; its neighbours do not
 *   notice. An empty batch answers an empty list.
 * - Refused with a TApplicationException, and nothing executed: a batch above a limit
 *   (INTERNAL_ERROR; the connection goes on), a batch that does not parse (PROTOCOL_ERROR;
 * process() then fails, because the end of the message is unknown, and the server should close).
 * - A batch inside a batch is an unknown method.
 *
 * - c_glib reads nested values by recursion without limit, so that one hostile message of some
 *   100 KiB ends a server. A call of a batch is looked through first when it is large enough for
 * that (above 4 KiB), and refused when it nests deeper than 64 levels. What comes outside of
 * batches is read by the inner processor alone.
 *
 * An adapter does not change once made: any number of threads may process with it at once, if the
 * inner processor allows that. The protocols handed to process() have to be plain ones (binary,
 * compact, ...), no decorators. */
#pragma once

#include <thrift/c_glib/processor/thrift_dispatch_processor.h>

G_BEGIN_DECLS

typedef struct BatchAdapterParams {
    /* Zero stands for the default. */
    guint max_calls;       /* calls in a batch: 10,000 */
    gsize max_bytes;       /* their messages together: 64 MiB */
    gsize max_reply_bytes; /* their replies together: 256 MiB. A reply that does not fit any more is
                            * replaced by an INTERNAL_ERROR. At most 1 GiB. */

    /* Execute calls whose timeoutMs is over before they begin. By default a CALL is then answered
     * with INTERNAL_ERROR 'deadline passed'; a ONEWAY message is executed in any case. The time
     * counts from when the adapter has read the batch. */
    gboolean ignore_deadlines;

    /* Called before a batch's first call, from the thread that processes it; also with 0 calls. */
    void (*batch_begins)(guint calls, gpointer user_data);
    gpointer user_data; /* borrowed for as long as the adapter lives */
} BatchAdapterParams;

#define BATCH_TYPE_ADAPTER (batch_adapter_get_type())

GType batch_adapter_get_type(void);

/* `inner` is any processor that the Thrift compiler made (a ThriftDispatchProcessor); the adapter
 * holds a reference to it. `params` may be NULL and need not outlive the call. The adapter is
 * returned to the caller, who gives it back with g_object_unref(). */
ThriftProcessor *batch_adapter_new(ThriftDispatchProcessor *inner,
                                   const BatchAdapterParams *params);

G_END_DECLS
