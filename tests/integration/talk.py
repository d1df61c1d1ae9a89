"""Conversations in framed binary, for the tests in which the form does not matter."""

import functools

import wire
from harness import WORKERS

take = functools.partial(wire.take, protocol=wire.BINARY, transport=wire.FRAMED)


def framed(message):
    return wire.encode(message, transport=wire.FRAMED)


def send(raw, *messages):
    raw.send(b"".join(map(framed, messages)))


def receive(raw):
    return raw.receive(take)


def introduce(*raws):
    """Makes sure that the daemon knows of these clients and has read all that they sent so far: it
    refuses a message that only a server may send, by itself and at once."""
    for raw in raws:
        send(raw, wire.Message(b"introduce", wire.REPLY, 0))
    for raw in raws:
        assert receive(raw).error()[0] == wire.INVALID_MESSAGE_TYPE


def all_read(bench, daemon, workers=WORKERS):
    """Makes sure that each worker has read what was sent so far: each gets one of these clients."""
    introduce(*(bench.connect(daemon) for _ in range(workers)))


def served(raw, token=b"served", seqid=0):
    """One call, rightly answered."""
    send(raw, wire.echo(token, seqid))
    got = receive(raw)
    assert (got.type, got.seqid) == (wire.REPLY, seqid), got
    assert got.value(0) == token


def call_all(raws, name=b"token"):
    """One call of each, with a token of its own ..."""
    for number, raw in enumerate(raws):
        send(raw, wire.echo(b"%s-%d" % (name, number), number))


def all_right(raws, name=b"token"):
    """... and the answers to them."""
    for number, raw in enumerate(raws):
        got = receive(raw)
        assert (got.type, got.seqid) == (wire.REPLY, number), got
        assert got.value(0) == b"%s-%d" % (name, number)


def internal_error(raw, seqid):
    """The words of the INTERNAL_ERROR that this call got."""
    got = receive(raw)
    assert got.seqid == seqid
    kind, text = got.error()
    assert kind == wire.INTERNAL_ERROR
    assert len(text.split()) > 2, f"no words an application developer understands: {text!r}"
    return text
