"""Bytes that are no calls: their connection is closed, and nobody else notices.

While a connection misbehaves, an ordinary client on another one is served; and what a length claims
is never believed before its bytes have come.
"""

import functools
import itertools
import random
import struct
import threading

import pytest
import wire
from harness import SANITIZED
from scripted import Holding
from talk import all_right, call_all, introduce, receive, send
from wire import BINARY, BUFFERED, COMPACT, FRAMED, OLD

GROWTH = (96 if SANITIZED else 8) << 20  # no claim below is smaller than the limit it would break
ANY_FORM = list(itertools.product((FRAMED, BUFFERED), (BINARY, OLD, COMPACT)))


class Neighbour:
    """An ordinary client that is served right before, during and after."""

    def __init__(self, raw):
        self.raw = raw
        self.count = 0

    def is_served(self):
        self.count += 1
        token = b"neighbour-%d" % self.count
        self.raw.send(wire.encode(wire.echo(token, self.count), BINARY, FRAMED))
        got = self.raw.receive(functools.partial(wire.take, protocol=BINARY, transport=FRAMED))
        assert (got.type, got.seqid, got.value(0)) == (wire.REPLY, self.count, token)


@pytest.fixture
def neighbour(bench, daemon):
    neighbour = Neighbour(bench.connect(daemon))
    neighbour.is_served()
    return neighbour


def nested(levels):
    """A call whose argument struct is the first of that many levels."""
    value = []
    for _ in range(levels - 1):
        value = [(1, wire.STRUCT, value)]
    return wire.call("echo", 1, *value)


def nested_lists(levels):
    value = (wire.I32, [])
    for _ in range(levels - 2):
        value = (wire.LIST, [value])
    return wire.call("echo", 1, (1, wire.LIST, value))


def compact_header(name=b"echo"):
    return b"\x82\x21\x01" + wire.varint(len(name)) + name


def binary_header(name=b"echo", kind=wire.CALL):
    return struct.pack(">Ii", 0x80010000 | kind, len(name)) + name + struct.pack(">i", 1)


GOOD = wire.encode(wire.echo(b"x", 1))

# Bytes after which the connection is closed without a word.
CLOSED = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/7.88.1\r\n\r\n",
    "http-post": b"POST /service HTTP/1.1\r\nContent-Type: application/x-thrift\r\n\r\n",
    "tls-hello": bytes.fromhex("16030100c2010000be0303") + bytes(range(180)),
    "json": b'[1,"echo",1,0,{"1":{"str":"x"}}]',
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2\r\n",
    "zeros": bytes(64),
    "frame-length-negative": b"\xff\xff\xff\xff" + GOOD,
    "frame-length-most-negative": b"\x80\x00\x00\x00" + GOOD,
    "frame-length-2GB": b"\x7f\xff\xff\xff" + GOOD,
    "frame-length-zero": b"\x00\x00\x00\x00",
    "frame-length-over-limit": struct.pack(">I", (16 << 20) + 1) + GOOD,
    "frames-of-garbage": wire.frame(b"\xde\xad\xbe\xef" * 8) * 2,
    "frame-too-short-for-a-message": wire.frame(b"\x80"),
    "bytes-behind-the-message": wire.frame(GOOD + b"\0"),
    "message-behind-the-message": wire.frame(GOOD + GOOD),
    "version-2": wire.frame(struct.pack(">I", 0x80020001) + GOOD[4:]),
    "unframed-version-2": struct.pack(">I", 0x80020001) + GOOD[4:],
    "compact-version-2": wire.frame(b"\x82\x22" + compact_header()[2:] + b"\0"),
    "message-type-0": wire.frame(binary_header(kind=0) + b"\0"),
    "message-type-5": wire.frame(binary_header(kind=5) + b"\0"),
    "unframed-message-type-5": binary_header(kind=5) + b"\0",
    "compact-message-type-7": b"\x82\xe1" + compact_header()[2:] + b"\0",
    "name-length-negative": wire.frame(struct.pack(">Ii", 0x80010001, -1) + b"echo"),
    "unframed-name-length-negative": struct.pack(">Ii", 0x80010001, -1) + b"echo",
    "unframed-name-length-2GB": struct.pack(">Ii", 0x80010001, 2**31 - 1) + b"echo",
    "unframed-string-length-2GB": binary_header() + struct.pack(">bhi", wire.STRING, 1, 2**31 - 1),
    "unframed-string-length-over-limit":
        binary_header() + struct.pack(">bhi", wire.STRING, 1, 16 << 20),
    "unframed-list-count-2G":
        binary_header() + struct.pack(">bhbi", wire.LIST, 1, wire.I32, 2**31 - 1),
    "unframed-map-count-2G":
        binary_header() + struct.pack(">bhbbi", wire.MAP, 1, wire.I64, wire.I64, 2**31 - 1),
    "unframed-compact-string-length-over-limit":
        compact_header() + b"\x18" + wire.varint(2**31 - 1),
    "unframed-compact-list-count-over-limit":
        compact_header() + b"\x19\xf5" + wire.varint(2**31 - 1),
    **{f"nesting-65-{transport}-{protocol}": wire.encode(nested(65), protocol, transport)
       for transport, protocol in ANY_FORM},
    "nesting-65-lists": wire.encode(nested_lists(65), BINARY, FRAMED),
    "nesting-100000": wire.frame(binary_header() + b"\x0c\0\1" * 100_000),
    "unframed-nesting-100000": binary_header() + b"\x0c\0\1" * 100_000,
}


@pytest.mark.parametrize("garbage", CLOSED.values(), ids=CLOSED.keys())
def test_closed(bench, daemon, neighbour, garbage):
    before = daemon.memory()
    raw = bench.connect(daemon)
    send_what_is_taken(raw, garbage)
    neighbour.is_served()
    assert raw.until_closed() == b"", "closed without a reply"
    neighbour.is_served()
    assert daemon.memory() - before < GROWTH


def send_what_is_taken(raw, data):
    """The daemon may close before the last byte has been sent."""
    try:
        raw.send(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


# Arguments that do not parse, in a frame that says where they end: the call can be answered.
PROTOCOL_ERRORS = {
    "string-longer-than-frame":
        binary_header() + struct.pack(">bhi", wire.STRING, 1, 2**31 - 1) + b"x",
    "string-length-negative": binary_header() + struct.pack(">bhi", wire.STRING, 1, -5) + b"x",
    "list-longer-than-frame":
        binary_header() + struct.pack(">bhbi", wire.LIST, 1, wire.I32, 2**31 - 1) + bytes(8),
    "list-count-negative":
        binary_header() + struct.pack(">bhbi", wire.LIST, 1, wire.I32, -1) + bytes(8),
    "map-longer-than-frame":
        binary_header() + struct.pack(">bhbbi", wire.MAP, 1, 11, 11, 2**30) + bytes(8),
    "type-99": binary_header() + struct.pack(">bhi", 99, 1, 0) + bytes(8),
    "no-end": binary_header() + struct.pack(">bhi", wire.I32, 1, 5),
    "compact-string-longer-than-frame": compact_header() + b"\x18" + wire.varint(2**31) + b"x",
    "compact-list-longer-than-frame":
        compact_header() + b"\x19\xf5" + wire.varint(2**31 - 1) + b"x",
    "compact-map-longer-than-frame": compact_header() + b"\x1b" + wire.varint(2**31 - 1) + b"\x88x",
    "compact-endless-varint": compact_header() + b"\x15" + b"\xff" * 20,
    "compact-type-15": compact_header() + b"\x1f\x00\x00",
}


@pytest.mark.parametrize("garbage", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS.keys())
def test_protocol_error(bench, daemon, neighbour, garbage):
    """Earlier calls are answered, then this one with PROTOCOL_ERROR, then the end."""
    before = daemon.memory()
    protocol = COMPACT if garbage[0] == 0x82 else BINARY
    take = functools.partial(wire.take, protocol=protocol, transport=FRAMED)
    raw = bench.connect(daemon)
    raw.send(wire.encode(wire.echo(b"earlier", 70), protocol, FRAMED) + wire.frame(garbage))
    neighbour.is_served()
    first = raw.receive(take)
    assert (first.seqid, first.value(0)) == (70, b"earlier")
    second = raw.receive(take)
    kind, text = second.error()
    assert (second.name, second.seqid, kind) == (b"echo", 1, wire.PROTOCOL_ERROR)
    assert text
    assert raw.until_closed() == b""
    neighbour.is_served()
    assert daemon.memory() - before < GROWTH


def test_a_oneway_call_that_does_not_parse(bench, daemon, neighbour):
    """Nobody reads a reply to it, so there is none: earlier calls are answered, then the end."""
    raw = bench.connect(daemon)
    send(raw, wire.echo(b"earlier", 70))
    raw.send(wire.frame(binary_header(b"log", wire.ONEWAY) + struct.pack(">bhi", 99, 1, 0)))
    assert receive(raw).seqid == 70
    assert raw.until_closed() == b""
    neighbour.is_served()


def test_bytes_behind_bad_arguments_reach_nobody(bench):
    """They are left unread while an earlier call is in flight, and thrown away when its batch is
    answered: the other replies of that batch are being written just then."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, upstream={"call_timeout": "2min"},
                          batch={"flush": "window", "window": "1min", "min_calls": 1})
    bad, *others = [bench.connect(daemon) for _ in range(6)]
    introduce(bad, *others)
    send(bad, wire.wait(b"good call", 0, 70))
    introduce(*others)  # so its call is the first of the batch
    call_all(others)
    upstream.wait_for_calls(6)
    bad.send(wire.frame(binary_header() + struct.pack(">bhi", 99, 1, 0)))
    late = bench.connect(daemon)
    introduce(late)  # so this has been read, and what follows stays unread
    bad.send(b"JUNK" * 12_000)
    upstream.let_go.set()
    all_right(others)
    got = receive(bad)
    assert (got.seqid, got.value(0)) == (70, b"good call")
    assert receive(bad).error()[0] == wire.PROTOCOL_ERROR
    assert bad.until_closed() == b""
    call_all([late, *others])
    all_right([late, *others])
    assert upstream.batches() == [6, 6]


@pytest.mark.parametrize("transport,protocol", ANY_FORM)
@pytest.mark.parametrize("kind", (wire.REPLY, wire.EXCEPTION))
def test_a_reply_from_a_client(bench, daemon, neighbour, transport, protocol, kind):
    """INVALID_MESSAGE_TYPE, and the connection goes on."""
    raw = bench.connect(daemon)
    take = functools.partial(wire.take, protocol=protocol, transport=transport)
    for data in (wire.echo(b"before", 1), wire.call("echo", 2, (1, wire.STRING, b"x"), kind=kind),
                 wire.echo(b"after", 3)):
        raw.send(wire.encode(data, protocol, transport))
    before, refused, after = (raw.receive(take) for _ in range(3))
    assert (before.seqid, before.value(0)) == (1, b"before")
    assert (refused.name, refused.seqid) == (b"echo", 2)
    assert refused.error()[0] == wire.INVALID_MESSAGE_TYPE
    assert (after.seqid, after.value(0)) == (3, b"after")
    neighbour.is_served()


@pytest.mark.parametrize("transport,protocol", ANY_FORM)
def test_64_levels_are_fine(bench, daemon, transport, protocol):
    raw = bench.connect(daemon)
    raw.send(wire.encode(nested(64), protocol, transport))
    got = raw.receive(functools.partial(wire.take, protocol=protocol, transport=transport))
    assert (got.name, got.seqid) == (b"echo", 1)


@pytest.mark.parametrize("transport,protocol", ANY_FORM)
def test_message_over_max_message_size(bench, upstream, transport, protocol):
    """The largest message allowed is served; one byte more closes the connection."""
    size = 20_000
    daemon = bench.daemon(upstream, client={"max_message_size": str(size)})
    take = functools.partial(wire.take, protocol=protocol, transport=transport)
    def touch(length, seqid):
        """A call of a method whose reply is small, as a message of that many bytes."""
        empty = len(wire.encode(wire.call("touch", seqid, (1, wire.STRING, b"x" * 1000)), protocol))
        padding = b"x" * (1000 + length - empty)
        message = wire.call("touch", seqid, (1, wire.STRING, padding))
        data = wire.encode(message, protocol)
        assert abs(len(data) - length) <= 1  # a longer varint for the length
        padding = padding[:len(padding) - (len(data) - length)]
        message = wire.call("touch", seqid, (1, wire.STRING, padding))
        return wire.encode(message, protocol, transport)

    raw = bench.connect(daemon)
    raw.send(touch(size, 1))
    got = raw.receive(take)
    assert (got.type, got.seqid) == (wire.REPLY, 1)
    send_what_is_taken(raw, touch(size + 1, 2))
    assert raw.until_closed() == b""


@pytest.mark.parametrize("start", (
    struct.pack(">I", 15 << 20),
    binary_header() + struct.pack(">bhi", wire.STRING, 1, 15 << 20),
    binary_header() + struct.pack(">bhbi", wire.LIST, 1, wire.I64, 1 << 20),
    compact_header() + b"\x18" + wire.varint(15 << 20),
), ids=("frame", "string", "list", "compact-string"))
def test_a_large_claim_allocates_nothing(bench, daemon, neighbour, start):
    """Claims within the limit are waited for, but memory comes only with the bytes."""
    before = daemon.memory()
    raws = [bench.connect(daemon) for _ in range(50)]
    for raw in raws:
        raw.send(start)
    neighbour.is_served()
    assert daemon.memory() - before < GROWTH
    for raw in raws:
        raw.close()
    neighbour.is_served()


def test_random_bytes(bench, daemon, neighbour):
    """No byte below 16 MiB as a frame's or a name's length: every one of these has to be closed."""
    chance = random.Random(20240611)
    before = daemon.memory()
    for _ in range(200):
        raw = bench.connect(daemon)
        first = chance.choice([byte for byte in range(2, 256) if byte not in (0x80, 0x82)])
        send_what_is_taken(raw, bytes([first]) + chance.randbytes(chance.randrange(3, 2000)))
        assert raw.until_closed() == b""
        raw.close()
    neighbour.is_served()
    assert daemon.memory() - before < GROWTH


@pytest.mark.parametrize("transport,protocol", ANY_FORM)
def test_damaged_calls(bench, daemon, neighbour, transport, protocol):
    """Calls with some bytes changed: answered, refused or closed, but nobody else is disturbed."""
    chance = random.Random(f"{transport}-{protocol}")
    call = wire.call("everything", 9, (1, wire.STRING, b"token"), (2, wire.BOOL, True),
                     (10, wire.LIST, (wire.I32, [1, 2, 3])),
                     (12, wire.MAP, (wire.STRING, wire.I64, [(b"k", 1)])),
                     (13, wire.STRUCT, [(1, wire.DOUBLE, 1.0)]))
    for number in range(60):
        data = bytearray(wire.encode(call, protocol, transport))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        raw = bench.connect(daemon)
        send_what_is_taken(raw, bytes(data))
        raw.half_close()
        raw.until_closed()
        raw.close()
        if number % 10 == 0:
            neighbour.is_served()
    neighbour.is_served()


def test_a_crowd_of_garbage(bench, daemon, neighbour):
    """Many bad connections at once, while the neighbour keeps calling."""
    done = threading.Event()
    problems = []

    def misbehave(name, garbage):
        try:
            for _ in range(20):
                raw = bench.connect(daemon)
                send_what_is_taken(raw, garbage)
                assert raw.until_closed() == b"", name
                raw.close()
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)

    threads = [threading.Thread(target=misbehave, args=item) for item in CLOSED.items()]
    for thread in threads:
        thread.start()
    threading.Thread(target=lambda: [thread.join() for thread in threads] and done.set()).start()
    while not done.is_set():
        neighbour.is_served()
    assert not problems
