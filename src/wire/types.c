#include "wire/types.h"

const uint8_t type_least_size[2][256] = {
    [PROTOCOL_BINARY] =
        {
            [THRIFT_BOOL] = 1,
            [THRIFT_BYTE] = 1,
            [THRIFT_DOUBLE] = 8,
            [THRIFT_I16] = 2,
            [THRIFT_I32] = 4,
            [THRIFT_I64] = 8,
            [THRIFT_STRING] = 4,
            [THRIFT_STRUCT] = 1,
            [THRIFT_MAP] = 6,
            [THRIFT_SET] = 5,
            [THRIFT_LIST] = 5,
            [THRIFT_UUID] = 16,
        },
    [PROTOCOL_COMPACT] =
        {
            [THRIFT_BOOL] = 1,
            [THRIFT_BYTE] = 1,
            [THRIFT_DOUBLE] = 8,
            [THRIFT_I16] = 1,
            [THRIFT_I32] = 1,
            [THRIFT_I64] = 1,
            [THRIFT_STRING] = 1,
            [THRIFT_STRUCT] = 1,
            [THRIFT_MAP] = 1,
            [THRIFT_SET] = 1,
            [THRIFT_LIST] = 1,
            [THRIFT_UUID] = 16,
        },
};

const uint8_t type_fixed_size[2][256] = {
    [PROTOCOL_BINARY] =
        {
            [THRIFT_BOOL] = 1,
            [THRIFT_BYTE] = 1,
            [THRIFT_DOUBLE] = 8,
            [THRIFT_I16] = 2,
            [THRIFT_I32] = 4,
            [THRIFT_I64] = 8,
            [THRIFT_UUID] = 16,
        },
    [PROTOCOL_COMPACT] =
        {
            [THRIFT_BOOL] = 1,
            [THRIFT_BYTE] = 1,
            [THRIFT_DOUBLE] = 8,
            [THRIFT_UUID] = 16,
        },
};

const uint8_t type_from_compact[16] = {
    [0] = THRIFT_STOP,
    [COMPACT_TRUE] = THRIFT_BOOL,
    [COMPACT_FALSE] = THRIFT_BOOL,
    [3] = THRIFT_BYTE,
    [4] = THRIFT_I16,
    [5] = THRIFT_I32,
    [6] = THRIFT_I64,
    [7] = THRIFT_DOUBLE,
    [8] = THRIFT_STRING,
    [9] = THRIFT_LIST,
    [10] = THRIFT_SET,
    [11] = THRIFT_MAP,
    [12] = THRIFT_STRUCT,
    [13] = THRIFT_UUID,
    [14] = TYPE_UNKNOWN,
    [15] = TYPE_UNKNOWN,
};

const uint8_t type_to_compact[THRIFT_UUID + 1] = {
    [THRIFT_BOOL] = COMPACT_TRUE,
    [THRIFT_BYTE] = 3,
    [THRIFT_I16] = 4,
    [THRIFT_I32] = 5,
    [THRIFT_I64] = 6,
    [THRIFT_DOUBLE] = 7,
    [THRIFT_STRING] = 8,
    [THRIFT_LIST] = 9,
    [THRIFT_SET] = 10,
    [THRIFT_MAP] = 11,
    [THRIFT_STRUCT] = 12,
    [THRIFT_UUID] = 13,
};
