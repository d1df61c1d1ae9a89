/* TApplicationException, as every Thrift library writes it: an EXCEPTION message whose struct is
 * { 1: string message, 2: i32 type }. */
#pragma once

#include "wire/thrift.h"

/* Appends the message in `form`, frame header included where framed. `name` is the bare name;
 * it must not lie in `out`. */
void exception_append(Buffer *out, Form form, Bytes name, int32_t seqid, ExceptionCode code,
                      const char *text);

/* Reads the struct of an EXCEPTION message. False when it does not parse; missing fields read as ""
 * and EXCEPTION_UNKNOWN. *ret_text is borrowed from `body`. */
bool exception_read(Protocol protocol, Bytes body, Bytes *ret_text, int32_t *ret_code)
    __attribute__((warn_unused_result));

/* "INTERNAL_ERROR" and so on, for logs; "UNKNOWN" for other numbers. */
const char *exception_code_name(int32_t code);
