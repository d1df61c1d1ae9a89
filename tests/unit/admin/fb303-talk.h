/* Calls of AdminService, and replies to them, byte by byte. */
#pragma once

#include "wire/frame.h"

enum { FB303_FORMS = 6 };
extern const Form fb303_forms[FB303_FORMS];

/* Appends a call whose arguments are these strings, fields 1, 2 ... up to a NULL. */
void fb303_append_call(Buffer *to, Form form, MessageType type, const char *method, int32_t seqid,
                       const char *const *arguments);

typedef struct Fb303Reply {
    MessageType type;
    int32_t seqid;
    bool strict;
    char name[64];
    Buffer body;
} Fb303Reply;

/* Reads from the socket until it has a whole message in `form`, and only that. False: the
 * connection has ended first. */
bool fb303_receive(int fd, Form form, Fb303Reply *ret);

/* The first message in `bytes`, which has to be whole; returns how many bytes it takes. */
size_t fb303_reply_of(Bytes bytes, Form form, Fb303Reply *ret);

/* The success of a binary or compact reply; the string is the caller's. */
char *fb303_string_result(const Fb303Reply *reply, Protocol protocol);

/* The text of an exception, which has to have this code. The caller's. */
char *fb303_exception_text(const Fb303Reply *reply, Protocol protocol, ExceptionCode code);
