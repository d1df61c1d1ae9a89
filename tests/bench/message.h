/* The calls that bench-load sends and the replies that it must get, as bytes.
 *
 * Both are made from a template, in which a call changes a few bytes, so that making one costs
 * little beside sending it, and a reply is right exactly when all its bytes are. No two calls of a
 * run are alike:
 *
 *     echo      binary echo(1: binary payload); a token that no other call has stands at the
 *               beginning of the payload and, where it is long enough, at its end
 *     getUser   User getUser(1: i64 id) of users.thrift; the id is the call's, of a million */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MESSAGE_MIN_PAYLOAD = 16 }; /* a token, in hexadecimal */

typedef struct MessageForm {
    bool buffered; /* without frames */
    bool compact;
    bool get_user;
    size_t payload; /* of echo */
} MessageForm;

/* Which call: both together are unlike every other's. */
typedef struct MessageId {
    uint32_t client, call;
} MessageId;

typedef struct Message {
    MessageForm form;
    bool is_reply;
    uint8_t *data; /* owned */
    size_t len;
    size_t seqid_at, begin_at, end_at; /* of echo; end_at is 0 where there is one token only */
} Message;

void message_init(Message *message, MessageForm form, bool is_reply);
void message_clear(Message *message);

/* Makes it the message of this call: `data` and `len`, until the next time. */
void message_make(Message *message, MessageId id);
