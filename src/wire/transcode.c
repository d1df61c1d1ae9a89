#include "wire/transcode.h"

#include "wire/cursor.h"
#include "wire/scan.h"
#include "wire/writer.h"

/* An open struct or container. */
typedef struct Level {
    uint32_t left;       /* values to come in a container; a map has two an entry */
    ThriftType types[2]; /* of the value to come where `left` is even (a map's key) and odd; a
                            struct has THRIFT_STOP in both */
    int16_t saved_in, saved_out;
} Level;

typedef struct Transcoder {
    Cursor in;
    Writer out;
    unsigned depth;
    Level levels[THRIFT_MAX_DEPTH];
} Transcoder;

/* Containers are empty without a type in compact maps, and where a library writes 0; readers may
 * insist on a valid one. */
static ThriftType valid_type(ThriftType type)
{
    return type == THRIFT_STOP ? THRIFT_STRING : type;
}

static void open_level(Transcoder *transcoder, Level level)
{
    if (transcoder->depth == THRIFT_MAX_DEPTH)
        transcoder->in.failed = true;
    else
        transcoder->levels[transcoder->depth++] = level;
}

static void open_struct(Transcoder *transcoder)
{
    Level level = {
        .types = {THRIFT_STOP, THRIFT_STOP},
        .saved_in = cursor_enter_struct(&transcoder->in),
        .saved_out = writer_enter_struct(&transcoder->out),
    };
    open_level(transcoder, level);
}

static void open_list(Transcoder *transcoder)
{
    ThriftType element;
    uint32_t count = cursor_list(&transcoder->in, &element);
    element = valid_type(element);
    writer_list(&transcoder->out, element, count);
    open_level(transcoder, (Level){.left = count, .types = {element, element}});
}

static void open_map(Transcoder *transcoder)
{
    ThriftType key, value;
    uint32_t count = cursor_map(&transcoder->in, &key, &value);
    key = valid_type(key);
    value = valid_type(value);
    writer_map(&transcoder->out, key, value, count);
    open_level(transcoder, (Level){.left = count * 2, .types = {key, value}});
}

static void transcode_value(Transcoder *transcoder, ThriftType type)
{
    Cursor *in = &transcoder->in;
    Writer *out = &transcoder->out;
    switch (type) {
    case THRIFT_BOOL:
        return writer_bool(out, cursor_bool(in));
    case THRIFT_BYTE:
        return writer_byte(out, cursor_byte(in));
    case THRIFT_DOUBLE:
        return writer_double_bits(out, cursor_double_bits(in));
    case THRIFT_I16:
        return writer_i16(out, cursor_i16(in));
    case THRIFT_I32:
        return writer_i32(out, cursor_i32(in));
    case THRIFT_I64:
        return writer_i64(out, cursor_i64(in));
    case THRIFT_STRING:
        return writer_string(out, cursor_string(in));
    case THRIFT_UUID:
        return writer_uuid(out, cursor_uuid(in));
    case THRIFT_STRUCT:
        return open_struct(transcoder);
    case THRIFT_LIST:
    case THRIFT_SET:
        return open_list(transcoder);
    case THRIFT_MAP:
        return open_map(transcoder);
    case THRIFT_STOP:
        break;
    }
}

static void transcode_field(Transcoder *transcoder, const Level *level)
{
    int16_t id;
    ThriftType type = cursor_field(&transcoder->in, &id);
    if (type == THRIFT_STOP) {
        cursor_leave_struct(&transcoder->in, level->saved_in);
        writer_leave_struct(&transcoder->out, level->saved_out);
        transcoder->depth--;
        return;
    }
    writer_field(&transcoder->out, type, id);
    transcode_value(transcoder, type);
}

static void transcode_next(Transcoder *transcoder)
{
    Level *level = &transcoder->levels[transcoder->depth - 1];
    if (level->types[0] == THRIFT_STOP) {
        transcode_field(transcoder, level);
    } else if (level->left == 0) {
        transcoder->depth--;
    } else {
        ThriftType type = level->types[level->left & 1];
        level->left--;
        transcode_value(transcoder, type);
    }
}

/* `out` may end up longer than `max_size` by one value, which stands in `body` too. */
static TranscodeStatus rewrite(Protocol from, Protocol to, Bytes body, size_t max_size, Buffer *out)
{
    size_t start = out->len;
    Transcoder transcoder;
    transcoder.in = cursor_init(from, body);
    transcoder.out = writer_init(to, out);
    transcoder.depth = 0;
    open_struct(&transcoder);
    while (transcoder.depth > 0) {
        transcode_next(&transcoder);
        if (transcoder.in.failed)
            return TRANSCODE_E_INVALID;
        if (out->len - start > max_size)
            return TRANSCODE_E_LIMIT;
    }
    return transcoder.in.at == transcoder.in.end ? TRANSCODE_OK : TRANSCODE_E_INVALID;
}

static TranscodeStatus copy(Protocol protocol, Bytes body, size_t max_size, Buffer *out)
{
    size_t taken;
    if (scan_struct(protocol, body, THRIFT_MAX_DEPTH, &taken) != SCAN_DONE || taken != body.len)
        return TRANSCODE_E_INVALID;
    if (body.len > max_size)
        return TRANSCODE_E_LIMIT;
    buffer_append(out, body.data, body.len);
    return TRANSCODE_OK;
}

TranscodeStatus transcode_struct(Protocol from, Protocol to, Bytes body, size_t max_size,
                                 Buffer *out)
{
    if (from == to)
        return copy(from, body, max_size, out);
    size_t start = out->len;
    TranscodeStatus status = rewrite(from, to, body, max_size, out);
    if (status != TRANSCODE_OK)
        out->len = start;
    return status;
}
