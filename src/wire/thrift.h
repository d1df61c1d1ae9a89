/* Numbers and names of the Thrift protocols, as in Apache Thrift's
 * doc/specs/thrift-binary-protocol.md, thrift-compact-protocol.md and thrift-rpc.md. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Types as the binary protocol numbers them; compact numbers are translated at the edge. */
typedef enum ThriftType {
    THRIFT_STOP = 0,
    THRIFT_BOOL = 2,
    THRIFT_BYTE = 3,
    THRIFT_DOUBLE = 4,
    THRIFT_I16 = 6,
    THRIFT_I32 = 8,
    THRIFT_I64 = 10,
    THRIFT_STRING = 11, /* and binary */
    THRIFT_STRUCT = 12,
    THRIFT_MAP = 13,
    THRIFT_SET = 14,
    THRIFT_LIST = 15,
    THRIFT_UUID = 16, /* 16 bytes */
} ThriftType;

/* A byte: one stands in every call. */
typedef enum __attribute__((packed)) MessageType {
    MESSAGE_CALL = 1,
    MESSAGE_REPLY = 2,
    MESSAGE_EXCEPTION = 3,
    MESSAGE_ONEWAY = 4,
} MessageType;

/* TApplicationException.type */
typedef enum ExceptionCode {
    EXCEPTION_UNKNOWN = 0,
    EXCEPTION_UNKNOWN_METHOD = 1,
    EXCEPTION_INVALID_MESSAGE_TYPE = 2,
    EXCEPTION_WRONG_METHOD_NAME = 3,
    EXCEPTION_BAD_SEQUENCE_ID = 4,
    EXCEPTION_MISSING_RESULT = 5,
    EXCEPTION_INTERNAL_ERROR = 6,
    EXCEPTION_PROTOCOL_ERROR = 7,
} ExceptionCode;

typedef enum Transport {
    TRANSPORT_UNKNOWN = 0, /* nothing read yet */
    TRANSPORT_FRAMED,      /* each message behind its length, four bytes, big-endian */
    TRANSPORT_BUFFERED,    /* message behind message */
} Transport;

typedef enum Protocol {
    PROTOCOL_BINARY,
    PROTOCOL_COMPACT,
} Protocol;

/* How one side of a connection writes its messages. Small: one stands in every call and client. */
typedef struct Form {
    Transport transport : 8;
    Protocol protocol : 8;
    bool strict; /* binary only: the header carries a version */
} Form;

enum {
    FRAME_HEADER_SIZE = 4,
    THRIFT_MAX_DEPTH = 64, /* struct, list, set and map levels; the argument struct is the first */
};

/* One message, header and struct; everything borrowed from the bytes that it was read from. */
typedef struct Message {
    MessageType type;
    bool strict;
    int32_t seqid;
    Bytes name;
    Bytes body;  /* the argument or result struct, up to and with its stop byte */
    Bytes whole; /* header and body, without frame header */
} Message;
