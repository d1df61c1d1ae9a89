/* Message headers: reading, and writing in every form.
 *
 *   binary strict      80 01 00 type | length name | seqid          (integers i32, big-endian)
 *   binary non-strict  length name | type | seqid
 *   compact            82 | type << 5 | 1 | varint seqid | varint length name
 */
#pragma once

#include "wire/thrift.h"

typedef enum HeaderStatus {
    HEADER_OK,
    HEADER_MORE,      /* the bytes end inside the header */
    HEADER_E_INVALID, /* no Thrift message begins like this */
} HeaderStatus;

/* Reads the header at the start of `bytes` into type, strict, seqid and name of *ret (the rest of
 * it is left alone) and its size into *ret_size. Binary reads strict and non-strict. A name of more
 * than `max_name` bytes is invalid. *ret and *ret_size are untouched unless HEADER_OK. O(1): the
 * name's bytes are not looked at. A message type other than the four is invalid. */
HeaderStatus header_read(Protocol protocol, Bytes bytes, size_t max_name, Message *ret,
                         size_t *ret_size) __attribute__((warn_unused_result));

/* Most bytes that a header takes besides its name: those of the strict one. */
enum { HEADER_MAX_SIZE = 12 };

#define HEADER_STRICT_VERSION 0x80010000u

static inline bool header_type_valid(uint32_t type)
{
    return type - MESSAGE_CALL <= MESSAGE_ONEWAY - MESSAGE_CALL;
}

/* The usual header, binary, strict and complete, at little cost. False: ask header_read(). */
static inline bool header_read_strict(Bytes bytes, Message *ret, size_t *ret_size)
{
    if (bytes.len < HEADER_MAX_SIZE)
        return false;
    uint32_t type = load_be32(bytes.data) ^ HEADER_STRICT_VERSION;
    uint32_t name_len = load_be32(bytes.data + 4);
    if (!header_type_valid(type) || name_len > bytes.len - HEADER_MAX_SIZE)
        return false;
    const uint8_t *name = bytes.data + 8;
    ret->type = (MessageType)type;
    ret->strict = true;
    ret->seqid = (int32_t)load_be32(name + name_len);
    ret->name = (Bytes){name, name_len};
    *ret_size = HEADER_MAX_SIZE + (size_t)name_len;
    return true;
}

size_t header_size(Protocol protocol, bool strict, Bytes name, int32_t seqid);

/* Writes a header of header_size() bytes to `to` and returns the byte behind it. `name` may lie
 * anywhere, `to` included (it is moved first). `strict` is for binary only. */
uint8_t *header_write(uint8_t *to, Protocol protocol, bool strict, MessageType type, Bytes name,
                      int32_t seqid);

/* The part of a name behind its first ':' ("Service:method", TMultiplexedProtocol), or all of it:
 * what a server calls the method in its replies. */
Bytes header_bare_name(Bytes name);
