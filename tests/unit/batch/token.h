/* Structs that carry a call's token, as fake clients and the fake upstream write and read them. */
#pragma once

#include "wire/thrift.h"

/* What the fake upstream's exceptions say before the token. */
#define TOKEN_REFUSED "upstream: no "

/* Appends a struct with the token in field `id`, and, where not 0, a string of `padding` bytes and
 * a list of `width` empty strings. */
void token_write(Buffer *out, Protocol protocol, int16_t id, const char *token, size_t padding,
                 size_t width);

/* The string in field `id` of a struct, which must be there; to be freed. */
char *token_read(Protocol protocol, Bytes body, int16_t id);

bool name_begins(Bytes name, const char *prefix);
