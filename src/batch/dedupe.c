#include "batch/dedupe.h"

#include <glib.h>

static guint call_hash(gconstpointer key)
{
    Bytes arguments = call_arguments(key);
    guint hash = 5381;
    for (size_t i = 0; i < arguments.len; i++)
        hash = hash * 33 + arguments.data[i];
    return hash;
}

static gboolean call_equal(gconstpointer a, gconstpointer b)
{
    return bytes_equal(call_name(a), call_name(b)) &&
           bytes_equal(call_arguments(a), call_arguments(b));
}

static void follow(Batch *batch, Call *call, Call *leader)
{
    call->leader = leader;
    leader->answer_by = nsec_max(leader->answer_by, call->deadline);
    list_remove(&call->batch_link);
    list_append(&batch->followers, &call->batch_link);
    batch->n_followers++;
}

static bool may_be_deduped(const Call *call)
{
    return call->method->policy->dedupe && !call->oneway;
}

/* The callers of which the batch has other calls too: these may be writes. Only of those that keep
 * an order, that is, have a lane. */
static void note_mixed_callers(const Batch *batch)
{
    LIST_EACH (&batch->calls, link)
        LIST_OWNER(link, Call, batch_link)->caller->mixed = false;
    LIST_EACH (&batch->calls, link) {
        const Call *call = LIST_OWNER(link, Call, batch_link);
        if (!may_be_deduped(call) && call->caller->lane > 0)
            call->caller->mixed = true;
    }
}

/* A follower is answered as of when its leader is executed. Where its own caller's other calls may
 * be writes, that would be out of their order. */
void dedupe_calls(Batch *batch)
{
    g_autoptr(GHashTable) leaders = NULL;
    LIST_EACH_SAFE (&batch->calls, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (!may_be_deduped(call))
            continue;
        if (leaders == NULL) {
            leaders = g_hash_table_new(call_hash, call_equal);
            note_mixed_callers(batch);
        }
        Call *leader = g_hash_table_lookup(leaders, call);
        if (leader == NULL)
            g_hash_table_add(leaders, call);
        else if (!call->caller->mixed)
            follow(batch, call, leader);
    }
}

static bool is_copied(const CallAnswer *answer, size_t max_size)
{
    return answer->data != NULL && answer->len <= max_size;
}

void dedupe_answers(Batch *batch, const Call *leader, size_t max_size)
{
    size_t size = 0;
    LIST_EACH (&batch->followers, link) {
        const Call *call = LIST_OWNER(link, Call, batch_link);
        if ((leader == NULL || call->leader == leader) &&
            is_copied(&call->leader->answer, max_size))
            size += FRAME_HEADER_SIZE + call->leader->answer.len;
    }
    uint8_t *at = buffer_reserve(&batch->follower_answers, size);
    LIST_EACH (&batch->followers, link) {
        Call *call = LIST_OWNER(link, Call, batch_link);
        if (leader != NULL && call->leader != leader)
            continue;
        call->answer = call->leader->answer;
        if (!is_copied(&call->answer, max_size))
            continue;
        store_be32(at, (uint32_t)call->answer.len);
        at += FRAME_HEADER_SIZE;
        memcpy(at, call->answer.data, call->answer.len);
        call->answer.data = at;
        call->answer.prefixed = true;
        at += call->answer.len;
    }
}

void dedupe_undo(Batch *batch)
{
    ListLink *position = list_first(&batch->calls), *link;
    while ((link = list_first(&batch->followers)) != NULL) {
        Call *follower = LIST_OWNER(link, Call, batch_link);
        while (position != NULL &&
               LIST_OWNER(position, Call, batch_link)->position < follower->position)
            position = list_next(&batch->calls, position);
        list_remove(link);
        list_insert_after(position != NULL ? position->prev : batch->calls.head.prev, link);
        follower->leader = NULL;
    }
    batch->n_followers = 0;
}
