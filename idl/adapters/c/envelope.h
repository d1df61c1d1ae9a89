/* Reads and writes what batch.thrift declares, with limits that generated code does not have. */
#pragma once

#include <thrift/c_glib/protocol/thrift_protocol.h>

/* One Request. */
typedef struct EnvelopeCall {
    guint8 *message; /* owned by the array */
    guint32 len;
    gint32 timeout_ms;
    gboolean has_timeout;
} EnvelopeCall;

typedef struct EnvelopeLimits {
    guint max_calls;
    gsize max_bytes;
} EnvelopeLimits;

typedef enum EnvelopeStatus {
    ENVELOPE_OK,
    ENVELOPE_E_LIMIT,  /* above a limit; read to its end, so that the connection can go on */
    ENVELOPE_E_BROKEN, /* does not parse; who knows where it ends */
} EnvelopeStatus;

/* Reads the argument struct of executeBatch. On ENVELOPE_OK *ret_calls is an array of EnvelopeCall
 * that the caller unrefs; else it is untouched and *error says what is wrong. */
EnvelopeStatus envelope_read(ThriftProtocol *in, const EnvelopeLimits *limits, GArray **ret_calls,
                             GError **error) __attribute__((warn_unused_result));

/* Writes the whole reply to executeBatch. Reply i is what `output` holds from ends[i - 1] (the
 * first: from 0) to ends[i]; an empty range is a Response without message. */
gboolean envelope_write(ThriftProtocol *out, gint32 seqid, const guint8 *output, const gsize *ends,
                        guint n_replies, GError **error) __attribute__((warn_unused_result));

/* Reads over a value, which may not nest deeper than 64 levels; it is at `level` itself (the
 * argument struct of a message: 1). */
gboolean envelope_skip(ThriftProtocol *in, ThriftType type, guint level, GError **error)
    __attribute__((warn_unused_result));
