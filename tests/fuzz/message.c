#include "message.h"

#include "base/check.h"
#include "wire/header.h"

Message message_make(Form form, MessageType type, int32_t seqid, const char *name, Bytes body,
                     Buffer *bytes)
{
    Bytes name_bytes = bytes_from_string(name);
    size_t size = header_size(form.protocol, form.strict, name_bytes, seqid), read_size;
    uint8_t *to = buffer_reserve(bytes, size);
    header_write(to, form.protocol, form.strict, type, name_bytes, seqid);
    bytes->len = size;
    if (body.len > 0)
        buffer_append(bytes, body.data, body.len);
    Message message = {.whole = {bytes->data, bytes->len}};
    check(header_read(form.protocol, message.whole, name_bytes.len, &message, &read_size) ==
          HEADER_OK);
    message.body = (Bytes){bytes->data + size, body.len};
    return message;
}
