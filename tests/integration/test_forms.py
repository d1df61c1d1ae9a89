"""Every form of message, byte by byte: transport x protocol x how it is cut into segments.

No library has a hand in these bytes; the first table spells them out.
"""

import functools
import itertools

import pytest
import wire
from scripted import Scripted, answer, calls_of, is_batch
from wire import BINARY, BUFFERED, COMPACT, FRAMED, OLD

FORMS = list(itertools.product((FRAMED, BUFFERED), (BINARY, OLD, COMPACT)))

SPELLED_OUT = {  # echo("hi"), sequence id 7, and its reply
    BINARY: ("80010001 00000004 6563686f 00000007  0b 0001 00000002 6869 00",
             "80010002 00000004 6563686f 00000007  0b 0000 00000002 6869 00"),
    OLD: ("00000004 6563686f 01 00000007  0b 0001 00000002 6869 00",
          "00000004 6563686f 02 00000007  0b 0000 00000002 6869 00"),
    COMPACT: ("82 21 07 04 6563686f  18 02 6869 00",
              "82 41 07 04 6563686f  08 00 02 6869 00"),
}


def in_transport(transport, data):
    return wire.frame(data) if transport == FRAMED else data


@pytest.mark.parametrize("transport,protocol", FORMS)
def test_spelled_out(bench, daemon, transport, protocol):
    sent, expected = (in_transport(transport, bytes.fromhex(text))
                      for text in SPELLED_OUT[protocol])
    raw = bench.connect(daemon)
    raw.send(sent)

    def exactly(got):
        if len(got) < len(expected):
            raise wire.Incomplete
        return got[:len(expected)], len(expected)

    assert raw.receive(exactly).hex(" ") == expected.hex(" ")


# --- segments -------------------------------------------------------------------------------------

def whole(messages):
    yield from messages


def one_byte_at_a_time(messages):
    for data in messages:
        for at in range(len(data)):
            yield data[at:at + 1]


def all_in_one_segment(messages):
    yield b"".join(messages)


def two_halves(messages):
    for data in messages:
        yield data[:len(data) // 2]
        yield data[len(data) // 2:]


def across_messages(messages):
    """Segments that end inside one message and begin the next."""
    data = b"".join(messages)
    for at in range(0, len(data), 37):
        yield data[at:at + 37]


SEGMENTS = (whole, one_byte_at_a_time, all_in_one_segment, two_halves, across_messages)
SEQUENCE_IDS = (0, 1, -1, 2**31 - 1, -2**31, 300)


def calls():
    """(call, the reply it has to get) for calls of several shapes."""
    for number, seqid in enumerate(itertools.chain(SEQUENCE_IDS, range(1000, 1030))):
        token = f"form-{number}-{seqid}".encode()
        echo = wire.echo(token, seqid)
        yield echo, wire.reply(echo, (0, wire.STRING, token))
    touch = wire.call("touch", 41, (1, wire.STRING, b"void"))
    yield touch, wire.reply(touch)
    user = wire.call("getUser", -42, (1, wire.STRING, b"mine"), (2, wire.I64, 12))
    yield user, wire.reply(user, (0, wire.STRUCT, [
        (1, wire.I64, 12), (2, wire.STRING, b"user-12"), (3, wire.BOOL, True),
        (4, wire.STRING, b"mine")]))


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("transport,protocol", FORMS)
@pytest.mark.parametrize("upstream_protocol", (BINARY, COMPACT))
def test_every_form(bench, transport, protocol, segments, upstream_protocol):
    upstream = bench.upstream("--protocol", upstream_protocol)
    daemon = bench.daemon(upstream, upstream={"protocol": upstream_protocol})
    raw = bench.connect(daemon)
    sent, expected = zip(*calls())
    for segment in segments([wire.encode(call, protocol, transport) for call in sent]):
        raw.send(segment)
    take = functools.partial(wire.take, protocol=protocol, transport=transport)
    for reply in expected:
        got = raw.receive(take)
        assert sorted_fields(got) == sorted_fields(reply)


def sorted_fields(message):
    return message.name, message.type, message.seqid, sorted(message.body, key=lambda item: item[0])


@pytest.mark.parametrize("transport,protocol", FORMS)
def test_an_error_comes_in_the_clients_form(bench, transport, protocol):
    """What the daemon itself answers: same form, name and sequence id."""
    upstream = Scripted(bench, lambda message: wire.encode(wire.echo(b"no answer")))
    daemon = bench.daemon(upstream)
    raw = bench.connect(daemon)
    raw.send(wire.encode(wire.echo(b"x", -77), protocol, transport))
    got = raw.receive(functools.partial(wire.take, protocol=protocol, transport=transport))
    assert (got.name, got.seqid) == (b"echo", -77)
    assert got.error()[0] == wire.INTERNAL_ERROR


@pytest.mark.parametrize("transport,protocol", FORMS)
def test_forms_side_by_side(bench, daemon, transport, protocol):
    """A connection's form is its own: neighbours of all others change nothing."""
    raws = [(bench.connect(daemon), form) for form in [(transport, protocol), *FORMS]]
    for number, (raw, (its_transport, its_protocol)) in enumerate(raws):
        raw.send(wire.encode(wire.echo(b"side-%d" % number, number), its_protocol, its_transport))
    for number, (raw, (its_transport, its_protocol)) in enumerate(raws):
        got = raw.receive(functools.partial(wire.take, protocol=its_protocol,
                                            transport=its_transport))
        assert (got.seqid, got.value(0)) == (number, b"side-%d" % number)


@pytest.mark.parametrize("protocol", (BINARY, COMPACT))
@pytest.mark.parametrize("min_calls", (1, 2))
def test_multiplexed_name_is_answered_bare(bench, protocol, min_calls):
    """Multiplexed servers leave the service's name out of the reply, and clients check it."""
    upstream = Scripted(bench, answer_multiplexed)
    raw = bench.connect(bench.daemon(upstream, batch={"min_calls": min_calls}))
    take = functools.partial(wire.take, protocol=protocol, transport=FRAMED)
    for seqid in (5, 6):
        call = wire.call("Directory:echo", seqid, (1, wire.STRING, b"m"))
        raw.send(wire.encode(call, protocol, FRAMED))
        got = raw.receive(take)
        assert (got.name, got.type, got.seqid, got.value(0)) == (b"echo", wire.REPLY, seqid, b"m")
    assert {call.name for call in upstream.calls()} == {b"Directory:echo"}


def answer_multiplexed(message):
    def bare(call):
        assert call.name.startswith(b"Directory:"), call
        return answer(wire.Message(call.name.split(b":")[1], call.type, call.seqid, call.body))

    if is_batch(message):
        return wire.encode(wire.batch_reply(message, [bare(call) for call in calls_of(message)]))
    return wire.encode(bare(message))
