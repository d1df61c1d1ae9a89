/* Apache's c_glib library as the opinion to agree with. Its headers declare a ThriftType of their
 * own, so they stay in oracle.c, and no type of the wire layer appears here. */
#pragma once

#include "value.h"

typedef enum OracleProtocol {
    ORACLE_BINARY,
    ORACLE_COMPACT,
} OracleProtocol;

/* Append what c_glib writes. Binary headers are strict: it writes no others. */
void oracle_write_struct(OracleProtocol protocol, const Value *value, Buffer *out);
void oracle_write_header(OracleProtocol protocol, int type, const char *name, int32_t seqid,
                         Buffer *out);

typedef struct OracleException {
    int message_type;
    int32_t seqid;
    char *name, *text; /* owned: g_free() */
    int32_t code;
} OracleException;

/* Reads a message without frame header; false when c_glib does not accept it, or not all of it. */
bool oracle_read_exception(OracleProtocol protocol, Bytes message, OracleException *ret);
