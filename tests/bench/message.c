/* Building calls and replies. Sequence ids have 31 bits, of which the highest is always set: so
 * they take five bytes in the compact protocol too, and everything in an echo keeps its place. */

#include "message.h"

#include "base/bytes.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

enum {
    FRAME = 4,
    ROOM_BESIDE_PAYLOAD = 128,
    USERS = 1000000,
    INACTIVE = 10, /* every so manieth user */
    TYPE_CALL = 1,
    TYPE_REPLY = 2,
    /* Types of the binary protocol, and of the compact one. */
    BINARY_BOOL = 2,
    BINARY_I64 = 10,
    BINARY_STRING = 11,
    BINARY_STRUCT = 12,
    COMPACT_TRUE = 1,
    COMPACT_FALSE = 2,
    COMPACT_I64 = 6,
    COMPACT_BINARY = 8,
    COMPACT_STRUCT = 12,
};

static uint32_t seqid_of(MessageId id)
{
    return UINT32_C(0x40000000) | ((id.client * UINT32_C(1000003) + id.call) & 0x3fffffff);
}

static uint32_t user_of(MessageId id)
{
    uint64_t mixed = ((uint64_t)id.client << 32 | id.call) * UINT64_C(0x9e3779b97f4a7c15);

    return 1 + (uint32_t)(mixed >> 33) % USERS;
}

/* --- appending to a message whose room is enough -----------------------------------------------
 */

static void put_byte(Message *message, unsigned byte)
{
    message->data[message->len++] = (uint8_t)byte;
}

static void put_u16(Message *message, unsigned value)
{
    store_be16(message->data + message->len, (uint16_t)value);
    message->len += 2;
}

static void put_u32(Message *message, uint32_t value)
{
    store_be32(message->data + message->len, value);
    message->len += 4;
}

static void put_u64(Message *message, uint64_t value)
{
    store_be64(message->data + message->len, value);
    message->len += 8;
}

static void put_varint(Message *message, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        put_byte(message, (unsigned)(value & 0x7f) | 0x80);
    put_byte(message, (unsigned)value);
}

static void put_bytes(Message *message, const void *bytes, size_t len)
{
    memcpy(message->data + message->len, bytes, len);
    message->len += len;
}

static void put_length(Message *message, size_t len)
{
    if (message->form.compact)
        put_varint(message, len);
    else
        put_u32(message, (uint32_t)len);
}

static void put_header(Message *message, const char *name, uint32_t seqid)
{
    unsigned type = message->is_reply ? TYPE_REPLY : TYPE_CALL;

    message->len = message->form.buffered ? 0 : FRAME;
    if (message->form.compact) {
        put_byte(message, 0x82);
        put_byte(message, type << 5 | 1);
        message->seqid_at = message->len;
        put_varint(message, seqid);
        put_length(message, strlen(name));
        put_bytes(message, name, strlen(name));
    } else {
        put_u32(message, UINT32_C(0x80010000) | type);
        put_length(message, strlen(name));
        put_bytes(message, name, strlen(name));
        message->seqid_at = message->len;
        put_u32(message, seqid);
    }
}

/* A field of the first level: 1 of the arguments, 0 of the result. Compact cannot say 0 in short.
 */
static void put_field(Message *message, unsigned binary_type, unsigned compact_type)
{
    if (!message->form.compact) {
        put_byte(message, binary_type);
        put_u16(message, message->is_reply ? 0 : 1);
    } else if (message->is_reply) {
        put_byte(message, compact_type);
        put_byte(message, 0);
    } else {
        put_byte(message, 1 << 4 | compact_type);
    }
}

static void put_end(Message *message)
{
    put_byte(message, 0);
    if (!message->form.buffered)
        store_be32(message->data, (uint32_t)(message->len - FRAME));
}

/* --- echo ---------------------------------------------------------------------------------------
 */

/* Filling that is nowhere the same for long, so that a shifted piece shows. */
static void put_filling(Message *message, size_t len)
{
    for (size_t i = 0; i < len; i++)
        put_byte(message, 'a' + (unsigned)(i / 7 + i * i) % 26);
}

static void make_echo_template(Message *message)
{
    size_t payload = message->form.payload;

    put_header(message, "echo", seqid_of((MessageId){0}));
    put_field(message, BINARY_STRING, COMPACT_BINARY);
    put_length(message, payload);
    message->begin_at = message->len;
    put_filling(message, payload);
    message->end_at =
        payload >= (size_t)2 * MESSAGE_MIN_PAYLOAD ? message->len - MESSAGE_MIN_PAYLOAD : 0;
    put_end(message);
}

static void store_hex(uint8_t *to, uint64_t value)
{
    for (int i = MESSAGE_MIN_PAYLOAD - 1; i >= 0; i--, value >>= 4)
        to[i] = (uint8_t) "0123456789abcdef"[value & 0xf];
}

static void store_seqid(Message *message, uint32_t seqid)
{
    size_t len = message->len;

    message->len = message->seqid_at;
    if (message->form.compact)
        put_varint(message, seqid);
    else
        put_u32(message, seqid);
    message->len = len;
}

static void make_echo(Message *message, MessageId id)
{
    store_seqid(message, seqid_of(id));
    store_hex(message->data + message->begin_at, (uint64_t)id.client << 32 | id.call);
    if (message->end_at > 0)
        memcpy(message->data + message->end_at, message->data + message->begin_at,
               MESSAGE_MIN_PAYLOAD);
}

/* --- getUser ------------------------------------------------------------------------------------
 */

static void put_user_compact(Message *message, uint32_t user, const char *name, size_t name_len)
{
    put_byte(message, 1 << 4 | COMPACT_I64);
    put_varint(message, (uint64_t)user * 2); /* zigzag */
    put_byte(message, 1 << 4 | COMPACT_BINARY);
    put_varint(message, name_len);
    put_bytes(message, name, name_len);
    put_byte(message, 1 << 4 | (user % INACTIVE != 0 ? COMPACT_TRUE : COMPACT_FALSE));
}

static void put_user_binary(Message *message, uint32_t user, const char *name, size_t name_len)
{
    put_byte(message, BINARY_I64);
    put_u16(message, 1);
    put_u64(message, user);
    put_byte(message, BINARY_STRING);
    put_u16(message, 2);
    put_u32(message, (uint32_t)name_len);
    put_bytes(message, name, name_len);
    put_byte(message, BINARY_BOOL);
    put_u16(message, 3);
    put_byte(message, user % INACTIVE != 0);
}

static void put_user(Message *message, uint32_t user)
{
    char name[32];
    size_t len = (size_t)snprintf(name, sizeof name, "user-%u", user);

    put_field(message, BINARY_STRUCT, COMPACT_STRUCT);
    if (message->form.compact)
        put_user_compact(message, user, name, len);
    else
        put_user_binary(message, user, name, len);
    put_byte(message, 0);
}

static void make_get_user(Message *message, MessageId id)
{
    uint32_t user = user_of(id);

    put_header(message, "getUser", seqid_of(id));
    if (message->is_reply) {
        put_user(message, user);
    } else {
        put_field(message, BINARY_I64, COMPACT_I64);
        if (message->form.compact)
            put_varint(message, (uint64_t)user * 2);
        else
            put_u64(message, user);
    }
    put_end(message);
}

/* ------------------------------------------------------------------------------------------------
 */

void message_init(Message *message, MessageForm form, bool is_reply)
{
    *message = (Message){
        .form = form,
        .is_reply = is_reply,
        .data = g_malloc(form.payload + ROOM_BESIDE_PAYLOAD),
    };
    if (!form.get_user)
        make_echo_template(message);
}

void message_clear(Message *message)
{
    g_free(message->data);
}

void message_make(Message *message, MessageId id)
{
    if (message->form.get_user)
        make_get_user(message, id);
    else
        make_echo(message, id);
}
