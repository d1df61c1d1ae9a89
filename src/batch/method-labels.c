#include "batch/method-labels.h"

#include <glib.h>
#include <pthread.h>

static const char other[] = "other";

struct MethodLabels {
    pthread_mutex_t mutex;
    GHashTable *labels;         /* name as on the wire (GBytes) -> label */
    char *names[METHOD_LABELS]; /* written once each */
    unsigned n;
};

MethodLabels *method_labels_new(void)
{
    MethodLabels *labels = g_new0(MethodLabels, 1);
    pthread_mutex_init(&labels->mutex, NULL);
    labels->labels =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    labels->names[METHOD_LABEL_OTHER] = g_strdup(other);
    labels->n = METHOD_LABEL_OTHER + 1;
    return labels;
}

void method_labels_free(MethodLabels *labels)
{
    if (labels == NULL)
        return;
    g_hash_table_unref(labels->labels);
    for (unsigned i = 0; i < labels->n; i++)
        g_free(labels->names[i]);
    pthread_mutex_destroy(&labels->mutex);
    g_free(labels);
}

static unsigned get_or_add(MethodLabels *labels, Bytes name)
{
    if (!g_utf8_validate_len((const char *)name.data, name.len, NULL) ||
        bytes_equal(name, bytes_from_string(other)))
        return METHOD_LABEL_OTHER;
    g_autoptr(GBytes) key = g_bytes_new(name.data, name.len);
    gpointer known = g_hash_table_lookup(labels->labels, key);
    if (known != NULL || labels->n == METHOD_LABELS)
        return GPOINTER_TO_UINT(known); /* NULL is METHOD_LABEL_OTHER */
    labels->names[labels->n] = g_strndup((const char *)name.data, name.len);
    g_hash_table_insert(labels->labels, g_steal_pointer(&key), GUINT_TO_POINTER(labels->n));
    return labels->n++;
}

unsigned method_labels_get(MethodLabels *labels, Bytes name)
{
    if (labels == NULL)
        return METHOD_LABEL_OTHER;
    pthread_mutex_lock(&labels->mutex);
    unsigned label = get_or_add(labels, name);
    pthread_mutex_unlock(&labels->mutex);
    return label;
}

const char *method_labels_name(MethodLabels *labels, unsigned label)
{
    pthread_mutex_lock(&labels->mutex);
    const char *name = label < labels->n ? labels->names[label] : NULL;
    pthread_mutex_unlock(&labels->mutex);
    return name;
}
