/* Written by hand because generated code would build a GObject for each call and would hold the
 * whole list before anybody could look at its size. Memory grows with the bytes that have come: a
 * length is believed only as far as the transport's own limit goes. */

#include "envelope.h"

enum {
    MAX_LEVELS = 64,
};

static gboolean fail_broken(GError **error, const char *text)
{
    g_set_error_literal(error, THRIFT_PROTOCOL_ERROR, THRIFT_PROTOCOL_ERROR_INVALID_DATA, text);
    return FALSE;
}

static gboolean skip_elements(ThriftProtocol *in, ThriftType key, ThriftType value, guint32 size,
                              guint level, GError **error)
{
    for (guint32 i = 0; i < size; i++) {
        if (key != T_STOP && !envelope_skip(in, key, level + 1, error))
            return FALSE;
        if (!envelope_skip(in, value, level + 1, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean skip_container(ThriftProtocol *in, ThriftType type, guint level, GError **error)
{
    ThriftType key = T_STOP, value = T_STOP;
    guint32 size = 0;

    if (type == T_MAP)
        return thrift_protocol_read_map_begin(in, &key, &value, &size, error) >= 0 &&
               (size == 0 || skip_elements(in, key, value, size, level, error)) &&
               thrift_protocol_read_map_end(in, error) >= 0;
    if (type == T_SET)
        return thrift_protocol_read_set_begin(in, &value, &size, error) >= 0 &&
               skip_elements(in, T_STOP, value, size, level, error) &&
               thrift_protocol_read_set_end(in, error) >= 0;
    return thrift_protocol_read_list_begin(in, &value, &size, error) >= 0 &&
           skip_elements(in, T_STOP, value, size, level, error) &&
           thrift_protocol_read_list_end(in, error) >= 0;
}

static gboolean skip_struct(ThriftProtocol *in, guint level, GError **error)
{
    char *name = NULL;

    if (thrift_protocol_read_struct_begin(in, &name, error) < 0)
        return FALSE;
    for (;;) {
        ThriftType type = T_STOP;
        gint16 id = 0;

        if (thrift_protocol_read_field_begin(in, &name, &type, &id, error) < 0)
            return FALSE;
        if (type == T_STOP)
            return thrift_protocol_read_struct_end(in, error) >= 0;
        if (!envelope_skip(in, type, level + 1, error) ||
            thrift_protocol_read_field_end(in, error) < 0)
            return FALSE;
    }
}

gboolean envelope_skip(ThriftProtocol *in, ThriftType type, guint level, GError **error)
{
    if (type != T_STRUCT && type != T_MAP && type != T_SET && type != T_LIST)
        return thrift_protocol_skip(in, type, error) >= 0;
    if (level > MAX_LEVELS)
        return fail_broken(error, "values nest deeper than 64 levels");
    if (type == T_STRUCT)
        return skip_struct(in, level, error);
    return skip_container(in, type, level, error);
}

/* Where the reader stands: the structs around a Request, from the outside in. */
enum {
    LEVEL_ARGUMENTS = 1,
    LEVEL_BATCH,
    LEVEL_REQUESTS,
    LEVEL_REQUEST,
};

static void envelope_call_clear(gpointer data)
{
    EnvelopeCall *call = data;

    g_free(call->message);
}

/* One field of a Request; a field of another type than declared is read over, as everywhere in
 * Thrift. */
static gboolean read_request_field(ThriftProtocol *in, ThriftType type, gint16 id,
                                   EnvelopeCall *call, gboolean *has_message, GError **error)
{
    gpointer bytes = NULL;

    if (id == 1 && type == T_STRING) {
        g_clear_pointer(&call->message, g_free);
        if (thrift_protocol_read_binary(in, &bytes, &call->len, error) < 0)
            return FALSE;
        call->message = bytes;
        *has_message = TRUE;
        return TRUE;
    }
    if (id == 2 && type == T_I32) {
        call->has_timeout = TRUE;
        return thrift_protocol_read_i32(in, &call->timeout_ms, error) >= 0;
    }
    /* `lane` too: calls run in order here, which is right for every lane. */
    return envelope_skip(in, type, LEVEL_REQUEST + 1, error);
}

static gboolean read_request_fields(ThriftProtocol *in, EnvelopeCall *call, gboolean *has_message,
                                    GError **error)
{
    char *name = NULL;

    for (;;) {
        ThriftType type = T_STOP;
        gint16 id = 0;

        if (thrift_protocol_read_field_begin(in, &name, &type, &id, error) < 0)
            return FALSE;
        if (type == T_STOP)
            return TRUE;
        if (!read_request_field(in, type, id, call, has_message, error) ||
            thrift_protocol_read_field_end(in, error) < 0)
            return FALSE;
    }
}

/* A struct that was begun is ended on failure too: the compact protocol keeps memory for it. */
static gboolean end_struct(ThriftProtocol *in, gboolean ok, GError **error)
{
    gboolean ended = thrift_protocol_read_struct_end(in, ok ? error : NULL) >= 0;

    return ok && ended;
}

static gboolean read_request(ThriftProtocol *in, EnvelopeCall *call, GError **error)
{
    gboolean has_message = FALSE;
    char *name = NULL;

    if (thrift_protocol_read_struct_begin(in, &name, error) < 0 ||
        !end_struct(in, read_request_fields(in, call, &has_message, error), error))
        return FALSE;
    return has_message || fail_broken(error, "a request of the batch has no message");
}

static gboolean read_requests(ThriftProtocol *in, const EnvelopeLimits *limits, GArray *calls,
                              GError **error, GError **ret_limit)
{
    ThriftType type = T_STOP;
    guint32 size = 0;
    gsize bytes = 0;

    if (thrift_protocol_read_list_begin(in, &type, &size, error) < 0)
        return FALSE;
    if (size > 0 && type != T_STRUCT)
        return fail_broken(error, "the requests of the batch are no structs");
    if (size > limits->max_calls && *ret_limit == NULL)
        g_set_error(ret_limit, THRIFT_PROTOCOL_ERROR, THRIFT_PROTOCOL_ERROR_SIZE_LIMIT,
                    "the batch has %u calls; this server takes at most %u", size,
                    limits->max_calls);
    g_array_set_size(calls, 0); /* a field that comes twice: the last one counts, as in Thrift */
    for (guint32 i = 0; i < size; i++) {
        EnvelopeCall call = {0};
        gboolean ok = read_request(in, &call, error);

        bytes += call.len;
        if (ok && bytes > limits->max_bytes && *ret_limit == NULL)
            g_set_error(ret_limit, THRIFT_PROTOCOL_ERROR, THRIFT_PROTOCOL_ERROR_SIZE_LIMIT,
                        "the calls of the batch are larger than the %" G_GSIZE_FORMAT
                        " bytes that this server takes",
                        limits->max_bytes);
        if (ok && *ret_limit == NULL)
            g_array_append_val(calls, call);
        else
            envelope_call_clear(&call);
        if (!ok)
            return FALSE;
    }
    return thrift_protocol_read_list_end(in, error) >= 0;
}

static gboolean read_wrapper(ThriftProtocol *in, guint level, const EnvelopeLimits *limits,
                             GArray *calls, gboolean *found, GError **error, GError **ret_limit);

static gboolean read_wrapper_fields(ThriftProtocol *in, guint level, const EnvelopeLimits *limits,
                                    GArray *calls, gboolean *found, GError **error,
                                    GError **ret_limit)
{
    char *name = NULL;

    for (;;) {
        ThriftType type = T_STOP;
        gint16 id = 0;
        gboolean ok;

        if (thrift_protocol_read_field_begin(in, &name, &type, &id, error) < 0)
            return FALSE;
        if (type == T_STOP)
            return TRUE;
        if (level == LEVEL_ARGUMENTS && id == 1 && type == T_STRUCT) {
            ok = read_wrapper(in, LEVEL_BATCH, limits, calls, found, error, ret_limit);
        } else if (level == LEVEL_BATCH && id == 1 && type == T_LIST) {
            *found = TRUE;
            ok = read_requests(in, limits, calls, error, ret_limit);
        } else {
            ok = envelope_skip(in, type, level + 1, error);
        }
        if (!ok || thrift_protocol_read_field_end(in, error) < 0)
            return FALSE;
    }
}

/* A struct of which only field 1 is known: the arguments of executeBatch, around a BatchRequest. */
static gboolean read_wrapper(ThriftProtocol *in, guint level, const EnvelopeLimits *limits,
                             GArray *calls, gboolean *found, GError **error, GError **ret_limit)
{
    char *name = NULL;

    if (thrift_protocol_read_struct_begin(in, &name, error) < 0)
        return FALSE;
    return end_struct(in, read_wrapper_fields(in, level, limits, calls, found, error, ret_limit),
                      error);
}

EnvelopeStatus envelope_read(ThriftProtocol *in, const EnvelopeLimits *limits, GArray **ret_calls,
                             GError **error)
{
    g_autoptr(GArray) calls = g_array_new(FALSE, FALSE, sizeof(EnvelopeCall));
    GError *limit = NULL;
    gboolean found = FALSE;

    g_array_set_clear_func(calls, envelope_call_clear);
    if (!read_wrapper(in, LEVEL_ARGUMENTS, limits, calls, &found, error, &limit) ||
        thrift_protocol_read_message_end(in, error) < 0) {
        g_clear_error(&limit);
        return ENVELOPE_E_BROKEN;
    }
    if (!found) {
        fail_broken(error, "the batch has no list of requests");
        return ENVELOPE_E_BROKEN;
    }
    if (limit != NULL) {
        g_propagate_error(error, limit);
        return ENVELOPE_E_LIMIT;
    }
    *ret_calls = g_steal_pointer(&calls);
    return ENVELOPE_OK;
}

static gboolean write_response(ThriftProtocol *out, const guint8 *message, gsize len,
                               GError **error)
{
    if (thrift_protocol_write_struct_begin(out, "Response", error) < 0)
        return FALSE;
    if (len > 0 && (thrift_protocol_write_field_begin(out, "message", T_STRING, 1, error) < 0 ||
                    thrift_protocol_write_binary(out, (gpointer)message, (guint32)len, error) < 0 ||
                    thrift_protocol_write_field_end(out, error) < 0))
        return FALSE;
    return thrift_protocol_write_field_stop(out, error) >= 0 &&
           thrift_protocol_write_struct_end(out, error) >= 0;
}

static gboolean write_struct_close(ThriftProtocol *out, GError **error)
{
    return thrift_protocol_write_field_end(out, error) >= 0 &&
           thrift_protocol_write_field_stop(out, error) >= 0 &&
           thrift_protocol_write_struct_end(out, error) >= 0;
}

gboolean envelope_write(ThriftProtocol *out, gint32 seqid, const guint8 *output, const gsize *ends,
                        guint n_replies, GError **error)
{
    gsize begin = 0;

    if (thrift_protocol_write_message_begin(out, "executeBatch", T_REPLY, seqid, error) < 0 ||
        thrift_protocol_write_struct_begin(out, "executeBatch_result", error) < 0 ||
        thrift_protocol_write_field_begin(out, "success", T_STRUCT, 0, error) < 0 ||
        thrift_protocol_write_struct_begin(out, "BatchResponse", error) < 0 ||
        thrift_protocol_write_field_begin(out, "responses", T_LIST, 1, error) < 0 ||
        thrift_protocol_write_list_begin(out, T_STRUCT, n_replies, error) < 0)
        return FALSE;
    for (guint i = 0; i < n_replies; i++) {
        if (!write_response(out, output + begin, ends[i] - begin, error))
            return FALSE;
        begin = ends[i];
    }
    return thrift_protocol_write_list_end(out, error) >= 0 && write_struct_close(out, error) &&
           write_struct_close(out, error) && thrift_protocol_write_message_end(out, error) >= 0;
}
