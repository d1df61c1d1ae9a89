/* The scanner: finds where a struct ends, without knowing its IDL, and whether it parses.
 *
 * Resumable: it is fed the bytes as they come, in pieces of any size, keeps what it must remember
 * and never looks at a byte twice. It never recurses: open structs and containers stand on a stack
 * of levels. Nothing is allocated, whatever a length claims. */
#pragma once

#include "wire/thrift.h"

typedef enum ScanStatus {
    SCAN_DONE,
    SCAN_MORE,      /* all bytes taken, the struct goes on */
    SCAN_E_INVALID, /* unknown type, negative length, overlong varint, ... */
    SCAN_E_LIMIT,   /* a string or container claims more bytes than `limit` leaves */
    SCAN_E_DEPTH,   /* more levels than are allowed */
} ScanStatus;

/* What has THRIFT_MAX_DEPTH levels by itself may stand in an answer to a native batch: in a list,
 * in a struct, in the result. */
enum { SCAN_MAX_DEPTH = THRIFT_MAX_DEPTH + 3 };

/* What the scanner meets next. */
typedef enum ScanStep {
    SCAN_STEP_NEXT,      /* the innermost level's next field or element, or its end */
    SCAN_STEP_VALUE,     /* a value of `type` */
    SCAN_STEP_FIELD_ID,  /* compact: the id of a field of `type`, where it is no delta */
    SCAN_STEP_COUNT,     /* compact: the count of a list or set of `type` elements */
    SCAN_STEP_MAP_TYPES, /* compact: the types of a map with `number` entries */
} ScanStep;

/* An open struct or container. */
typedef struct ScanLevel {
    uint32_t left;    /* values to come in a container; a map has two an entry */
    uint8_t types[2]; /* of the value to come where `left` is even (a map's key) and odd; a struct
                         has THRIFT_STOP in both */
} ScanLevel;

/* A plain struct that may be copied. */
typedef struct Scanner {
    Protocol protocol;
    ScanStep step;
    uint8_t type;
    uint8_t varint_size; /* bytes of a varint so far; 0 between varints */
    uint8_t depth;       /* levels in use */
    uint8_t max_depth;   /* of them; THRIFT_MAX_DEPTH, at most SCAN_MAX_DEPTH */
    uint64_t number;     /* the varint so far, or the last one */
    uint64_t skip;       /* bytes to come that are not looked at */
    ScanLevel levels[SCAN_MAX_DEPTH];
} Scanner;

void scanner_init(Scanner *scanner, Protocol protocol);

/* Scans on in `data`, the bytes behind those taken so far. `limit`: how many bytes the struct may
 * still take, counted from data[0]; at least `len`. *ret_taken is set in every case: on SCAN_DONE
 * the bytes of `data` that belong to the struct, on SCAN_MORE the bytes that need not be shown
 * again (at most a few bytes less than `len`, a token that is not complete; those come again with
 * more behind them). */
ScanStatus scanner_feed(Scanner *scanner, const uint8_t *data, size_t len, uint64_t limit,
                        size_t *ret_taken) __attribute__((warn_unused_result));

/* Scans a struct that is there completely, of at most `max_depth` levels. SCAN_MORE: it is cut
 * short. */
ScanStatus scan_struct(Protocol protocol, Bytes bytes, unsigned max_depth, size_t *ret_taken)
    __attribute__((warn_unused_result));

/* Skips a value of `type` in a container, of at most `max_depth` levels of its own; as
 * scan_struct() otherwise. */
ScanStatus scan_value(Protocol protocol, ThriftType type, Bytes bytes, unsigned max_depth,
                      size_t *ret_taken) __attribute__((warn_unused_result));
