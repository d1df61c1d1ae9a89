/* An adapter in front of the demo's generated processor, and the bytes on both sides of it:
 * messages are written and replies read by c_glib's own code over its ThriftMemoryBuffer. */
#pragma once

#include "memory-transport.h"
#include "thrift-batch-adapter.h"
#include <stdbool.h>

typedef struct Conversation {
    GType protocol_type;
    GPtrArray *executed; /* what the service has executed: "echo a" */
    gint batches;        /* how often batch_begins was called, and with how many calls last */
    guint last_calls;

    ThriftDispatchProcessor *directory;
    ThriftProcessor *adapter;
    MemoryTransport *to_server;
    ThriftTransport *to_client;
    ThriftProtocol *server_in, *server_out; /* over the two, at the server's ends */
} Conversation;

/* `params` may be NULL; its hook is replaced by the conversation's own. */
void conversation_init(Conversation *conversation, GType protocol_type,
                       const BatchAdapterParams *params);
void conversation_clear(Conversation *conversation);

/* Puts bytes before the server and lets the adapter process one message: to its end, if that
 * succeeds. */
bool conversation_process(Conversation *conversation, const GByteArray *message);

/* What the server has written since the last call; the caller unrefs it. */
GByteArray *conversation_take(Conversation *conversation);

/* --- messages; what is returned is the caller's --------------------------------------------- */

GByteArray *message_new(GType protocol_type, const char *name, ThriftMessageType type, gint32 seqid,
                        gpointer arguments);
GByteArray *echo_new(GType protocol_type, gint32 seqid, const char *token);
GByteArray *log_new(GType protocol_type, ThriftMessageType type, gint32 seqid, const char *line);
GByteArray *batch_new(GType protocol_type, gint32 seqid, GPtrArray *calls, gint32 timeout_ms);

enum {
    NO_TIMEOUT = -1,
};

/* A list of calls that owns them. */
GPtrArray *calls_new(void);

/* --- replies --------------------------------------------------------------------------------- */

typedef struct Reply {
    char *name;
    ThriftMessageType type;
    gint32 seqid;
    gint32 code; /* of an exception */
    char *text;  /* of an exception, or what echo returned */
} Reply;

void reply_read(Reply *reply, GType protocol_type, const GByteArray *message);
void reply_clear(Reply *reply);

/* The messages of a batch's answer: GByteArrays, NULL where a Response had none. */
GPtrArray *responses_read(GType protocol_type, const GByteArray *message, gint32 seqid);
