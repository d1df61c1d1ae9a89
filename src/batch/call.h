/* A call: one CALL or ONEWAY message of a client, on its way to the upstream and back.
 *
 * Its request lies in `bytes` as the upstream is to get it, with room around it for what a batch
 * adds, so that it is one piece of what is written (one iovec), whatever its batch:
 *
 *   bytes:  | CALL_ROOM           | name and body                 | CALL_SUFFIX_ROOM   |
 *            item header, message   binary:  length name seqid     timeoutMs, lane,
 *            header up to the name  args; compact: length name args stop of Request
 *
 * Position and deadline are filled in when the batch is joined (join.h).
 *
 * Life: held and waiting it belongs to its caller and a batch; it ends exactly once, in
 * batcher_end_call(), with a reply in hand or none owed. It is freed when neither its caller (reply
 * written) nor a batch (finished) needs it any longer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block-cache.h"
#include "base/counters.h"
#include "base/list.h"
#include "base/nsec.h"
#include "batch/caller.h"
#include "wire/thrift.h"

typedef enum __attribute__((packed)) CallState {
    CALL_STATE_NEW,
    CALL_STATE_HELD,    /* behind its caller's earlier calls */
    CALL_STATE_WAITING, /* in a batch that is not sent */
    CALL_STATE_SENT,    /* in a batch in flight */
    CALL_STATE_ENDED,   /* reply in hand, or none owed */
} CallState;

enum {
    CALL_MAX_SIZE = 1024 * 1024 * 1024, /* of arguments, in the upstream's protocol */
    CALL_ROOM = 16,
    CALL_SUFFIX_ROOM = 16,
};

/* What the upstream answered: checked by split.h, not yet in the client's form. */
typedef struct CallAnswer {
    uint8_t *data; /* borrowed and writable: the message; NULL where it is too large anyway */
    size_t len;    /* 0: a Response without message */
    size_t header_size;
    bool misnamed; /* a reply of another method's name */
    bool strict;
    bool prefixed; /* the four bytes before it are its length: what a framed client gets */
    MessageType type;
} CallAnswer;

/* What the client is to be sent: a head in the client's form and the result struct behind it. */
typedef struct CallReply {
    Bytes head, body; /* borrowed until call_own_reply(): from the answer, `owned` or Call.bytes */
    Buffer owned;
} CallReply;

typedef struct Call Call;

struct Call {
    BlockCache *cache;      /* that the call came from; NULL: from malloc() */
    ListLink caller_link;   /* Caller.calls, or the client's replies to be written */
    ListLink batch_link;    /* Batch.calls or Caller.held */
    ListLink deadline_link; /* Batcher.deadlines */
    Caller *caller;         /* NULL once it needs nothing any more */
    Batch *batch;           /* NULL outside batches */
    Method *method;         /* NULL until it is submitted */
    struct Group *group;    /* NULL before it is submitted and once it has ended */
    uint32_t position;      /* in its batch, when it was taken: dedupe.h */
    nsec_t arrived;         /* its last byte was read */
    nsec_t deadline;
    nsec_t answer_by; /* its deadline, or the latest of those that get its answer, when taken */
    CallState state;
    Form form;        /* the client's */
    MessageType type; /* as the client sent it */
    bool oneway;      /* travels as ONEWAY */
    bool through;     /* is passed through */
    bool unbatched;   /* after it went in a batch that its server does not serve */
    uint32_t attempts;
    int32_t sent_seqid; /* of its message, when it travels by itself */
    int32_t seqid;      /* the client's */
    size_t size;        /* of the message as it came */
    uint32_t name_at;   /* the name, as the client wrote it, in `bytes` */
    uint32_t name_len;
    uint32_t bare_at;   /* in the name: what a server calls the method */
    size_t request_len; /* name and body, between the rooms */
    size_t arguments_len;
    Bytes item;   /* native: its element of the batch, in `bytes` */
    Call *leader; /* of a follower: the call whose answer it gets */
    CallAnswer answer;
    CallReply reply;
    uint8_t bytes[];
};

typedef enum CallStatus {
    CALL_OK,
    CALL_E_ARGUMENTS, /* do not parse */
    CALL_E_TOO_LARGE, /* in the upstream's protocol */
} CallStatus;

/* Of small calls: sized for CALL_BLOCK_SIZE. Outlives the calls of the callers that have it. */
void call_cache_init(BlockCache *cache);

/* A new call of `caller` from a message, which is copied (and transcoded, where the protocols
 * differ, into at most `max_size` bytes). It is the last in caller->calls. */
CallStatus call_new(Caller *caller, Form client, Form upstream, const Message *message,
                    size_t max_size, nsec_t now, Call **ret) __attribute__((warn_unused_result));

/* A call that never travels and only keeps its place until its error is written: for messages that
 * cannot be sent upstream. It has ended. */
Call *call_new_refused(Caller *caller, Form client, const Message *message, ExceptionCode code,
                       const char *text);

/* The name as the client wrote it, its part that names the method (once it was submitted), and the
 * argument struct in the upstream's protocol. Valid until the reply is set. */
static inline Bytes call_name(const Call *call)
{
    return (Bytes){call->bytes + call->name_at, call->name_len};
}

static inline Bytes call_bare_name(const Call *call)
{
    return (Bytes){call->bytes + call->name_at + call->bare_at, call->name_len - call->bare_at};
}

static inline Bytes call_arguments(const Call *call)
{
    const uint8_t *end = call->bytes + CALL_ROOM + call->request_len;
    return (Bytes){end - call->arguments_len, call->arguments_len};
}

/* What it takes of the bound on pending bytes, and at most of a batch on the wire. */
static inline size_t call_memory(const Call *call)
{
    return call->size > call->request_len ? call->size : call->request_len;
}

static inline size_t call_wire_size(const Call *call)
{
    return CALL_ROOM + call->request_len + CALL_SUFFIX_ROOM;
}

/* Renders the upstream's answer, or an error, as the reply, in the client's form. The answer's
 * bytes may be changed, and are borrowed. False when the answer cannot be transcoded into at most
 * `max_size` bytes. */
bool call_set_answer(Call *call, Protocol upstream, size_t max_size)
    __attribute__((warn_unused_result));
void call_set_error(Call *call, ExceptionCode code, const char *text);

/* Copies what the reply borrows. */
void call_own_reply(Call *call);

/* The batch or the caller is done with it; frees it when the other is too. */
void call_leave_batch(Call *call);
void call_leave_caller(Call *call);
