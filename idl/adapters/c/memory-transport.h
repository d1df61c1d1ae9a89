/* A ThriftTransport in memory: reads from bytes that somebody else owns, writes behind what it has
 * written already. Both in linear time, unlike ThriftMemoryBuffer, which moves what is left in it
 * at each read. */
#pragma once

#include <thrift/c_glib/transport/thrift_transport.h>

typedef struct MemoryTransport MemoryTransport;

#define BATCH_TYPE_MEMORY_TRANSPORT (batch_memory_transport_get_type())

GType batch_memory_transport_get_type(void);

/* Writing above `max_output` bytes fails with THRIFT_TRANSPORT_ERROR_SEND. */
MemoryTransport *memory_transport_new(gsize max_output);

/* What the next reads get: borrowed until the next call of this, or the transport's end. Reading
 * behind its end fails with THRIFT_TRANSPORT_ERROR_RECEIVE. */
void memory_transport_set_input(MemoryTransport *memory, const guint8 *data, gsize len);

/* The position in the input, to come back to. */
gsize memory_transport_tell(MemoryTransport *memory);
void memory_transport_seek(MemoryTransport *memory, gsize position);

/* What has been written so far: borrowed until the next write. */
const guint8 *memory_transport_output(MemoryTransport *memory, gsize *ret_len);

/* Takes back what was written behind the first `len` bytes. */
void memory_transport_truncate_output(MemoryTransport *memory, gsize len);
void memory_transport_set_max_output(MemoryTransport *memory, gsize max_output);
