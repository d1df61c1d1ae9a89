#include "wire/header.h"

#include "wire/varint.h"

enum {
    STRICT_PREFIX_SIZE = 8,     /* version and type, name's length */
    NON_STRICT_PREFIX_SIZE = 4, /* name's length */
    NON_STRICT_SUFFIX_SIZE = 5, /* type, seqid */
    SEQID_SIZE = 4,
    COMPACT_ID = 0x82,
    COMPACT_VERSION = 1,
    COMPACT_VERSION_MASK = 0x1f,
    COMPACT_TYPE_SHIFT = 5,
};

/* Too few bytes for a verdict, except that they may be wrong already: a peer that sends a few bytes
 * of something else and waits is not to be waited for. */
static HeaderStatus strict_beginning(Bytes bytes)
{
    static const uint8_t version[] = {0x80, 0x01, 0x00};
    size_t len = bytes.len < sizeof version ? bytes.len : sizeof version;
    return memcmp(bytes.data, version, len) == 0 ? HEADER_MORE : HEADER_E_INVALID;
}

static HeaderStatus read_strict(Bytes bytes, size_t max_name, Message *ret, size_t *ret_size)
{
    if (bytes.len < 4)
        return strict_beginning(bytes);
    uint32_t type = load_be32(bytes.data) ^ HEADER_STRICT_VERSION;
    if (!header_type_valid(type))
        return HEADER_E_INVALID;
    if (bytes.len < STRICT_PREFIX_SIZE)
        return HEADER_MORE;
    uint32_t name_len = load_be32(bytes.data + 4);
    if (name_len > INT32_MAX || name_len > max_name)
        return HEADER_E_INVALID;
    if (bytes.len - STRICT_PREFIX_SIZE < (size_t)name_len + SEQID_SIZE)
        return HEADER_MORE;
    const uint8_t *name = bytes.data + STRICT_PREFIX_SIZE;
    ret->type = (MessageType)type;
    ret->strict = true;
    ret->name = (Bytes){name, name_len};
    ret->seqid = (int32_t)load_be32(name + name_len);
    *ret_size = STRICT_PREFIX_SIZE + (size_t)name_len + SEQID_SIZE;
    return HEADER_OK;
}

static HeaderStatus read_non_strict(Bytes bytes, size_t max_name, Message *ret, size_t *ret_size)
{
    if (bytes.len < NON_STRICT_PREFIX_SIZE)
        return HEADER_MORE;
    uint32_t name_len = load_be32(bytes.data);
    if (name_len > max_name)
        return HEADER_E_INVALID;
    const uint8_t *name = bytes.data + NON_STRICT_PREFIX_SIZE;
    size_t behind_prefix = bytes.len - NON_STRICT_PREFIX_SIZE;
    if (behind_prefix <= name_len)
        return HEADER_MORE;
    uint8_t type = name[name_len];
    if (!header_type_valid(type))
        return HEADER_E_INVALID;
    if (behind_prefix < (size_t)name_len + NON_STRICT_SUFFIX_SIZE)
        return HEADER_MORE;
    ret->type = (MessageType)type;
    ret->strict = false;
    ret->name = (Bytes){name, name_len};
    ret->seqid = (int32_t)load_be32(name + name_len + 1);
    *ret_size = NON_STRICT_PREFIX_SIZE + (size_t)name_len + NON_STRICT_SUFFIX_SIZE;
    return HEADER_OK;
}

static HeaderStatus read_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
    int size = varint_read(*at, end, ret);
    if (size <= 0)
        return size == 0 ? HEADER_MORE : HEADER_E_INVALID;
    *at += size;
    return HEADER_OK;
}

static HeaderStatus read_compact(Bytes bytes, size_t max_name, Message *ret, size_t *ret_size)
{
    if (bytes.data[0] != COMPACT_ID)
        return HEADER_E_INVALID;
    if (bytes.len < 2)
        return HEADER_MORE;
    unsigned type = bytes.data[1] >> COMPACT_TYPE_SHIFT;
    if ((bytes.data[1] & COMPACT_VERSION_MASK) != COMPACT_VERSION || !header_type_valid(type))
        return HEADER_E_INVALID;

    const uint8_t *at = bytes.data + 2, *end = bytes.data + bytes.len;
    uint64_t seqid, name_len;
    HeaderStatus status = read_varint(&at, end, &seqid);
    if (status == HEADER_OK)
        status = read_varint(&at, end, &name_len);
    if (status != HEADER_OK)
        return status;
    if (name_len > INT32_MAX || name_len > max_name)
        return HEADER_E_INVALID;
    if ((size_t)(end - at) < name_len)
        return HEADER_MORE;
    ret->type = (MessageType)type;
    ret->strict = false;
    ret->name = (Bytes){at, name_len};
    ret->seqid = (int32_t)(uint32_t)seqid;
    *ret_size = (size_t)(at - bytes.data) + name_len;
    return HEADER_OK;
}

HeaderStatus header_read(Protocol protocol, Bytes bytes, size_t max_name, Message *ret,
                         size_t *ret_size)
{
    if (bytes.len == 0)
        return HEADER_MORE;
    if (protocol == PROTOCOL_COMPACT)
        return read_compact(bytes, max_name, ret, ret_size);
    if (bytes.data[0] & 0x80)
        return read_strict(bytes, max_name, ret, ret_size);
    return read_non_strict(bytes, max_name, ret, ret_size);
}

/* The bytes before the name. */
static size_t prefix_size(Protocol protocol, bool strict, Bytes name, int32_t seqid)
{
    if (protocol == PROTOCOL_COMPACT)
        return 2 + varint_size((uint32_t)seqid) + varint_size(name.len);
    return strict ? STRICT_PREFIX_SIZE : NON_STRICT_PREFIX_SIZE;
}

static size_t suffix_size(Protocol protocol, bool strict)
{
    if (protocol == PROTOCOL_COMPACT)
        return 0;
    return strict ? SEQID_SIZE : NON_STRICT_SUFFIX_SIZE;
}

size_t header_size(Protocol protocol, bool strict, Bytes name, int32_t seqid)
{
    return prefix_size(protocol, strict, name, seqid) + name.len + suffix_size(protocol, strict);
}

static uint8_t *write_binary(uint8_t *to, uint8_t *behind_name, bool strict, MessageType type,
                             size_t name_len, int32_t seqid)
{
    if (strict) {
        store_be32(to, HEADER_STRICT_VERSION | type);
        to += 4;
    } else {
        *behind_name++ = (uint8_t)type;
    }
    store_be32(to, (uint32_t)name_len);
    store_be32(behind_name, (uint32_t)seqid);
    return behind_name + SEQID_SIZE;
}

uint8_t *header_write(uint8_t *to, Protocol protocol, bool strict, MessageType type, Bytes name,
                      int32_t seqid)
{
    uint8_t *new_name = to + prefix_size(protocol, strict, name, seqid);
    if (name.len > 0)
        memmove(new_name, name.data, name.len);
    uint8_t *behind_name = new_name + name.len;
    if (protocol == PROTOCOL_BINARY)
        return write_binary(to, behind_name, strict, type, name.len, seqid);
    *to++ = COMPACT_ID;
    *to++ = (uint8_t)(type << COMPACT_TYPE_SHIFT | COMPACT_VERSION);
    to = varint_write(to, (uint32_t)seqid);
    varint_write(to, name.len);
    return behind_name;
}

Bytes header_bare_name(Bytes name)
{
    const uint8_t *colon = name.len > 0 ? memchr(name.data, ':', name.len) : NULL;
    if (!colon)
        return name;
    size_t before = (size_t)(colon - name.data) + 1;
    return (Bytes){name.data + before, name.len - before};
}
