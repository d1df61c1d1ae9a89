#include "upstream-peer.h"

#include <errno.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "wire/cursor.h"
#include "wire/exception.h"
#include "wire/writer.h"

#include "../unit/wire/stream.h"

enum { MAX_REQUEST_SIZE = 1 << 20, MAX_ITEMS = 64, SEQID_OFF = 100000 };

/* Connections */

static int listener(void)
{
    static int fd = -1;
    if (fd >= 0)
        return fd;
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any.sun_family) == 0);
    check(listen(fd, 2 * PEER_CONNECTIONS) == 0);
    return fd;
}

Address peer_address(void)
{
    Address address = {.len = sizeof address.sockaddr};
    check(getsockname(listener(), (struct sockaddr *)&address.sockaddr, &address.len) == 0);
    return address;
}

void peer_init(Peer *peer, Form form)
{
    *peer = (Peer){.form = form};
}

void peer_close(Peer *peer, PeerConnection *connection)
{
    close(connection->fd);
    buffer_clear(&connection->in);
    buffer_clear(&connection->out);
    for (unsigned i = 0; i < connection->n_requests; i++)
        buffer_clear(&connection->requests[i]);
    *connection = peer->connections[--peer->n_connections];
}

void peer_clear(Peer *peer)
{
    while (peer->n_connections > 0)
        peer_close(peer, &peer->connections[0]);
    for (int fd; (fd = accept(listener(), NULL, NULL)) >= 0;)
        close(fd);
}

static void accept_all(Peer *peer)
{
    int fd;
    while ((fd = accept4(listener(), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (peer->n_connections == PEER_CONNECTIONS) {
            close(fd);
            continue;
        }
        PeerConnection *connection = &peer->connections[peer->n_connections++];
        *connection = (PeerConnection){.fd = fd};
        frame_reader_init(&connection->reader, peer->form, MAX_REQUEST_SIZE, true);
    }
    check(errno == EAGAIN);
}

static void add_request(PeerConnection *connection, Bytes message)
{
    if (connection->n_requests == PEER_REQUESTS)
        return;
    Buffer *request = &connection->requests[connection->n_requests++];
    *request = (Buffer){0};
    buffer_append(request, message.data, message.len);
}

/* Whatever was answered, what the daemon sends is Thrift. */
static void take_requests(PeerConnection *connection)
{
    Message message;
    size_t taken;
    FrameStatus status;
    while ((status = frame_reader_next(&connection->reader, buffer_bytes(&connection->in), &message,
                                       &taken)) == FRAME_MESSAGE) {
        add_request(connection, message.whole);
        buffer_drop(&connection->in, taken);
    }
    check(status == FRAME_MORE);
}

void peer_read(Peer *peer)
{
    accept_all(peer);
    for (unsigned i = 0; i < peer->n_connections; i++) {
        PeerConnection *connection = &peer->connections[i];
        uint8_t bytes[4096];
        ssize_t len;
        while ((len = recv(connection->fd, bytes, sizeof bytes, 0)) > 0)
            buffer_append(&connection->in, bytes, (size_t)len);
        take_requests(connection);
    }
}

void peer_send(PeerConnection *connection, size_t max)
{
    size_t size = MIN(max, connection->out.len);
    if (size == 0)
        return;
    ssize_t len = send(connection->fd, connection->out.data, size, MSG_NOSIGNAL);
    if (len > 0)
        buffer_drop(&connection->out, (size_t)len);
    else
        connection->out.len = 0; /* nobody reads it any more */
}

/* Answers */

typedef struct Items {
    Buffer items[MAX_ITEMS];
    unsigned order[MAX_ITEMS + 1]; /* of the items in the answer */
    unsigned n, n_order;
} Items;

static Message message_of(Protocol protocol, Bytes bytes)
{
    Message message = {.whole = bytes};
    size_t header_len = 0;
    check(header_read(protocol, bytes, bytes.len, &message, &header_len) == HEADER_OK);
    message.body = (Bytes){bytes.data + header_len, bytes.len - header_len};
    return message;
}

static bool is_named(const Message *message, const char *name)
{
    return bytes_equal(message->name, bytes_from_string(name));
}

static void append_string_result(Protocol protocol, Bytes value, Buffer *out)
{
    Writer writer = writer_init(protocol, out);
    int16_t saved = writer_enter_struct(&writer);
    writer_field(&writer, THRIFT_STRING, 0);
    writer_string(&writer, value);
    writer_leave_struct(&writer, saved);
}

/* Nothing where no reply is owed. */
static void append_single(Form form, const Message *request, Buffer *out)
{
    if (request->type == MESSAGE_ONEWAY || is_named(request, PEER_ONEWAY_METHOD))
        return;
    int16_t id;
    Cursor arguments = cursor_init(form.protocol, request->body);
    check(cursor_field(&arguments, &id) == THRIFT_STRING && id == 1);
    Buffer result = {0};
    append_string_result(form.protocol, cursor_string(&arguments), &result);
    Message reply = *request;
    reply.type = MESSAGE_REPLY;
    append_message(out, form, reply, buffer_bytes(&result));
    buffer_clear(&result);
}

static void append_exception(Form form, const Message *request, PeerTwist twist, Buffer *out)
{
    ExceptionCode code =
        twist == PEER_TWIST_UNKNOWN ? EXCEPTION_UNKNOWN_METHOD : EXCEPTION_INTERNAL_ERROR;
    exception_append(out, form, request->name, request->seqid, code, "no");
}

/* The list's first element comes next. */
static Cursor enter_list(Protocol protocol, const Message *request, bool in_struct,
                         ThriftType wanted, uint32_t *ret_count)
{
    Cursor cursor = cursor_init(protocol, request->body);
    int16_t id;
    ThriftType element;
    if (in_struct) {
        check(cursor_field(&cursor, &id) == THRIFT_STRUCT && id == 1);
        cursor_enter_struct(&cursor);
    }
    check(cursor_field(&cursor, &id) == THRIFT_LIST && id == 1);
    *ret_count = cursor_list(&cursor, &element);
    check(*ret_count <= MAX_ITEMS && (*ret_count == 0 || element == wanted));
    return cursor;
}

/* The replies to a BatchRequest's messages. */
static void take_envelope(Form form, const Message *request, Items *items)
{
    Form bare = {TRANSPORT_BUFFERED, form.protocol, true};
    uint32_t count;
    Cursor cursor = enter_list(form.protocol, request, true, THRIFT_STRUCT, &count);
    for (items->n = 0; items->n < count; items->n++) {
        int16_t id, saved = cursor_enter_struct(&cursor);
        check(cursor_field(&cursor, &id) == THRIFT_STRING && id == 1);
        Message message = message_of(form.protocol, cursor_string(&cursor));
        check(message.seqid == (int32_t)items->n);
        append_single(bare, &message, &items->items[items->n]);
        for (ThriftType type; (type = cursor_field(&cursor, &id)) != THRIFT_STOP;)
            cursor_skip(&cursor, type, false);
        cursor_leave_struct(&cursor, saved);
    }
}

static void take_strings(Protocol protocol, const Message *request, Items *items)
{
    uint32_t count;
    Cursor cursor = enter_list(protocol, request, false, THRIFT_STRING, &count);
    for (items->n = 0; items->n < count; items->n++) {
        Bytes item = cursor_string(&cursor);
        buffer_append(&items->items[items->n], item.data, item.len);
    }
}

static void order_items(Items *items, PeerTwist twist)
{
    items->n_order = items->n;
    for (unsigned i = 0; i < items->n; i++)
        items->order[i] = i;
    if (items->n > 1 && twist == PEER_TWIST_SWAP)
        items->order[0] = 1;
    if (items->n > 1 && (twist == PEER_TWIST_SWAP || twist == PEER_TWIST_OVERWRITE))
        items->order[1] = 0;
    if (items->n > 0 && twist == PEER_TWIST_DROP)
        items->n_order--;
    if (items->n > 0 && twist == PEER_TWIST_REPEAT)
        items->order[items->n_order++] = 0;
}

static Bytes item_at(const Items *items, unsigned i)
{
    return buffer_bytes(&items->items[items->order[i]]);
}

/* { 0: BatchResponse { 1: list<Response { 1: optional binary message }> } } */
static void write_envelope(Writer *writer, const Items *items)
{
    int16_t outer = writer_enter_struct(writer);
    writer_field(writer, THRIFT_STRUCT, 0);
    int16_t inner = writer_enter_struct(writer);
    writer_field(writer, THRIFT_LIST, 1);
    writer_list(writer, THRIFT_STRUCT, items->n_order);
    for (unsigned i = 0; i < items->n_order; i++) {
        int16_t saved = writer_enter_struct(writer);
        Bytes message = item_at(items, i);
        if (message.len > 0) {
            writer_field(writer, THRIFT_STRING, 1);
            writer_string(writer, message);
        }
        writer_leave_struct(writer, saved);
    }
    writer_leave_struct(writer, inner);
    writer_leave_struct(writer, outer);
}

static void write_strings(Writer *writer, const Items *items, bool map)
{
    int16_t saved = writer_enter_struct(writer);
    writer_field(writer, map ? THRIFT_MAP : THRIFT_LIST, 0);
    if (map)
        writer_map(writer, THRIFT_STRING, THRIFT_STRING, items->n_order);
    else
        writer_list(writer, THRIFT_STRING, items->n_order);
    for (unsigned i = 0; i < items->n_order; i++) {
        if (map)
            writer_string(writer, item_at(items, i));
        writer_string(writer, item_at(items, i));
    }
    writer_leave_struct(writer, saved);
}

static void append_items(Form form, const Message *request, PeerTwist twist, Buffer *out)
{
    Items items = {0};
    Buffer result = {0};
    Writer writer = writer_init(form.protocol, &result);
    bool list = is_named(request, PEER_LIST_METHOD), map = is_named(request, PEER_MAP_METHOD);
    if (list || map)
        take_strings(form.protocol, request, &items);
    else
        take_envelope(form, request, &items);
    /* A list's places are all that says whose answer is whose. */
    bool moves = twist == PEER_TWIST_SWAP || twist == PEER_TWIST_OVERWRITE;
    order_items(&items, list && moves ? PEER_TWIST_NONE : twist);
    if (list || map)
        write_strings(&writer, &items, map);
    else
        write_envelope(&writer, &items);
    Message reply = *request;
    reply.type = MESSAGE_REPLY;
    append_message(out, form, reply, buffer_bytes(&result));
    for (unsigned i = 0; i < items.n; i++)
        buffer_clear(&items.items[i]);
    buffer_clear(&result);
}

void peer_answer(Peer *peer, PeerConnection *connection, unsigned index, PeerTwist twist)
{
    if (index >= connection->n_requests)
        return;
    Buffer request = connection->requests[index];
    connection->n_requests--;
    for (unsigned i = index; i < connection->n_requests; i++)
        connection->requests[i] = connection->requests[i + 1];
    Message message = message_of(peer->form.protocol, buffer_bytes(&request));
    if (twist == PEER_TWIST_SEQID)
        message.seqid += SEQID_OFF;
    if (twist == PEER_TWIST_UNKNOWN || twist == PEER_TWIST_EXCEPTION)
        append_exception(peer->form, &message, twist, &connection->out);
    else if (is_named(&message, PEER_BATCH_METHOD) || is_named(&message, PEER_LIST_METHOD) ||
             is_named(&message, PEER_MAP_METHOD))
        append_items(peer->form, &message, twist, &connection->out);
    else
        append_single(peer->form, &message, &connection->out);
    buffer_clear(&request);
}
