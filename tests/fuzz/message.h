/* Messages as a client sends them, for fuzzers whose input is what stands in them. */
#pragma once

#include "wire/thrift.h"

/* A message that the frame reader would hand out. It is borrowed from `bytes`, which is all zero
 * before, and owned by the caller. */
Message message_make(Form form, MessageType type, int32_t seqid, const char *name, Bytes body,
                     Buffer *bytes);
