/* Messages that Apache's Python library wrote (oracle.py). */
#include <criterion/criterion.h>
#include <glib.h>

#include "wire/transcode.h"

#include "stream.h"

enum {
    FORMS_IN_FILE = 3, /* as the first three of all_forms, without frame header */
    MAX_SIZE = 1 << 20,
};

typedef struct Corpus {
    uint8_t *data;
    size_t len, at;
} Corpus;

static Corpus corpus_open(void)
{
    const char *path = g_getenv("WIRE_CORPUS");
    Corpus corpus = {0};
    cr_assert_not_null(path, "WIRE_CORPUS names no file");
    cr_assert(g_file_get_contents(path, (char **)&corpus.data, &corpus.len, NULL), "%s", path);
    return corpus;
}

/* The next message behind its length, which is a frame. */
static Bytes corpus_next(Corpus *corpus)
{
    Bytes frame = {corpus->data + corpus->at,
                   FRAME_HEADER_SIZE + load_be32(corpus->data + corpus->at)};
    corpus->at += frame.len;
    cr_assert_leq(corpus->at, corpus->len);
    return frame;
}

static Message read_message(Bytes bytes, Transport transport, Form form)
{
    FrameReader reader;
    Message message;
    size_t taken;
    frame_reader_init(&reader, (Form){0}, MAX_SIZE, true);
    FrameStatus status = frame_reader_next(&reader, bytes, &message, &taken);
    cr_assert_eq(status, FRAME_MESSAGE, "%d", status);
    cr_assert_eq(taken, bytes.len);
    cr_assert_eq(reader.form.transport, transport);
    cr_assert_eq(reader.form.protocol, form.protocol);
    cr_assert_eq(reader.form.strict, form.strict);
    return message;
}

static void assert_same_header(const Message *a, const Message *b)
{
    cr_assert_eq(a->type, b->type);
    cr_assert_eq(a->seqid, b->seqid);
    cr_assert(bytes_equal(a->name, b->name));
}

static void assert_transcodes(Protocol from, Bytes body, Protocol to, Bytes expected)
{
    Buffer out = {0};
    cr_assert_eq(transcode_struct(from, to, body, MAX_SIZE, &out), TRANSCODE_OK);
    cr_assert(bytes_equal(buffer_bytes(&out), expected));
    buffer_clear(&out);
}

Test(python, messages_are_read_and_transcoded)
{
    Corpus corpus = corpus_open();
    unsigned triples = 0;
    for (; corpus.at < corpus.len; triples++) {
        Message messages[FORMS_IN_FILE];
        for (unsigned i = 0; i < FORMS_IN_FILE; i++) {
            Bytes frame = corpus_next(&corpus);
            Bytes bare = {frame.data + FRAME_HEADER_SIZE, frame.len - FRAME_HEADER_SIZE};
            Message unframed = read_message(bare, TRANSPORT_BUFFERED, all_forms[i]);
            messages[i] = read_message(frame, TRANSPORT_FRAMED, all_forms[i]);
            assert_same_header(&messages[i], &unframed);
            assert_same_header(&messages[i], &messages[0]);
        }
        Bytes binary = messages[0].body, compact = messages[2].body;
        cr_assert(bytes_equal(messages[1].body, binary));
        assert_transcodes(PROTOCOL_BINARY, binary, PROTOCOL_COMPACT, compact);
        assert_transcodes(PROTOCOL_COMPACT, compact, PROTOCOL_BINARY, binary);
    }
    cr_assert_eq(triples, 300);
    g_free(corpus.data);
}
