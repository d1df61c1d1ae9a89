/* The finalize functions of these classes do not call their parent's, and so leave behind what
 * GObject keeps beside an object: 48 bytes for each exception that is answered and each connection.
 * Their class structures are given a function that frees it. Should a later c_glib do that itself,
 * there is nothing left to free here. */

#include "c-glib-mend.h"

#include <thrift/c_glib/thrift_application_exception.h>
#include <thrift/c_glib/transport/thrift_buffered_transport.h>
#include <thrift/c_glib/transport/thrift_framed_transport.h>
#include <thrift/c_glib/transport/thrift_memory_buffer.h>
#include <thrift/c_glib/transport/thrift_socket.h>

typedef struct Mended {
    GType (*get_type)(void);
    void (*finalize)(GObject *object); /* the class's own */
} Mended;

static Mended mended[] = {
    {thrift_application_exception_get_type, NULL},
    {thrift_buffered_transport_get_type, NULL},
    {thrift_framed_transport_get_type, NULL},
    {thrift_memory_buffer_get_type, NULL},
    {thrift_socket_get_type, NULL},
};

static void finalize(GObject *object)
{
    for (gsize i = 0; i < G_N_ELEMENTS(mended); i++) {
        if (g_type_is_a(G_OBJECT_TYPE(object), mended[i].get_type())) {
            mended[i].finalize(object);
            break;
        }
    }
    g_datalist_clear(&object->qdata);
}

void c_glib_mend(void)
{
    if (mended[0].finalize != NULL)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(mended); i++) {
        GObjectClass *class = g_type_class_ref(mended[i].get_type());

        mended[i].finalize = class->finalize;
        class->finalize = finalize;
    }
}
