"""Every fault, again and again, of upstreams and of clients: the calls it strikes have their one
reply, an ordinary client is served right behind it, and connections, descriptors, memory and
whatever is pending are back where they were."""

import contextlib
import socket
from dataclasses import dataclass

import faults
import pytest
import wire
from scripted import Holding, Scripted, calls_of, honest, value_of
from talk import framed, receive, send
from watched import GROWTH, GROWTH_OF_LARGE, Watched

# --- faults of the upstream -----------------------------------------------------------------------

REPEATED = 200  # times, over all ways to travel; what waits for a timeout a few times only


@dataclass
class Way:
    """How calls travel, as the configuration below has it. Those of a strike are sent in one piece,
    so that they travel together."""
    count: int
    call: callable
    right: callable


def token(number):
    return b"token-%d" % number


WAYS = {
    "plain": Way(1, lambda number: wire.echo(token(number), number), token),
    "batch": Way(3, lambda number: wire.echo(token(number), number), token),
    "through": Way(3, lambda number: wire.wait(token(number), 0, number), token),
    "native": Way(3, lambda number: wire.call("get", number, (1, wire.I32, number)), value_of),
}
METHODS = {
    "wait": {"batch": "off"},
    "get": {"batch": "native", "batch_method": "getMany", "batch_item": 1, "batch_requests": 1,
            "batch_responses": 0},
}
ALL, ENVELOPE, TYPED = tuple(WAYS), ("batch",), ("batch", "native")
FRAMED, BOTH = (wire.FRAMED,), (wire.FRAMED, wire.BUFFERED)


def right(got, way, number):
    assert (got.type, got.seqid, got.value(0)) == (wire.REPLY, number, way.right(number))


def error(got, _way, number):
    """In words, of the daemon or of the upstream."""
    assert got.seqid == number
    kind, text = got.error()
    assert kind == wire.INTERNAL_ERROR and len(text.split()) > 2


def first_is_refused(got, way, number):
    """By the upstream, whose words the client has."""
    if number > 0:
        right(got, way, number)
    else:
        assert (got.seqid, got.error()) == (0, (wire.INTERNAL_ERROR, faults.REASON))


# What happens to a call: by which ways it travels, over which transports, what its client gets.
QUICK = [
    (faults.one_too_few, TYPED, BOTH, error),
    (faults.one_too_many, TYPED, BOTH, error),
    (faults.shuffled, ENVELOPE, BOTH, error),
    (faults.duplicated, ENVELOPE, BOTH, error),
    (faults.same_sequence_ids, ENVELOPE, BOTH, error),
    (faults.calls_for_answers, ENVELOPE, BOTH, error),
    (faults.items_of_garbage, ENVELOPE, BOTH, error),
    (faults.truncated_items, ENVELOPE, BOTH, error),
    (faults.items_too_long, ENVELOPE, BOTH, error),
    (faults.list_of_another_type, TYPED, BOTH, error),
    (faults.claims_a_huge_list, ENVELOPE, FRAMED, error),
    (faults.no_result, TYPED, BOTH, error),
    (faults.of_another_type, TYPED, BOTH, error),
    (faults.first_refused, ENVELOPE, BOTH, first_is_refused),
    (faults.an_exception, ALL, BOTH, error),
    (faults.another_sequence_id, ALL, BOTH, error),
    (faults.another_method, ALL, BOTH, error),
    (faults.a_call, ALL, BOTH, error),
    (faults.garbage, ALL, BOTH, error),
    (faults.empty_frame, ALL, FRAMED, error),
    (faults.truncated, ALL, FRAMED, error),
    (faults.behind_the_answer, ALL, FRAMED, error),
    (faults.negative_frame, ALL, FRAMED, error),
    (faults.frame_of_2_gb, ALL, FRAMED, error),
    (faults.string_of_2_gb, ALL, (wire.BUFFERED,), error),
    (faults.twice, ("plain", "batch", "native"), BOTH, right),
    (faults.close, ALL, BOTH, error),
    (faults.close_mid_answer, ALL, BOTH, error),
    (faults.close_mid_header, ALL, BOTH, error),
    (faults.reset, ALL, BOTH, error),
]
SLOW = [
    (faults.late, ALL, BOTH, right),
    (faults.byte_by_byte, ALL, BOTH, right),
]
TIMED_OUT = [
    (faults.silence, ALL, BOTH, error),
    (faults.silence_mid_answer, ALL, BOTH, error),
    (faults.reads_no_more, ALL, BOTH, error),
]


def each_with_transport(table):
    return [pytest.param(fault, [WAYS[way] for way in ways], outcome, transport,
                         id=f"{fault.__name__}-{transport}")
            for fault, ways, transports, outcome in table for transport in transports]


class Victim:
    """A client whose calls the fault strikes."""

    def __init__(self, bench, watched):
        self.calls = 0
        self._raw = bench.connect(watched.daemon)
        self._upstream = watched.upstream

    def strike(self, fault, way, outcome):
        self._upstream.script = fault
        send(self._raw, *map(way.call, range(way.count)))
        for number in range(way.count):
            outcome(receive(self._raw), way, number)
        self._upstream.script = honest
        self.calls += way.count


def strike_again_and_again(bench, watched, fault, ways, outcome, times):
    victim = Victim(bench, watched)
    for round_ in range(-1, times // len(ways)):
        for way in ways:
            victim.strike(fault, way, outcome)
            watched.ordinary_is_served()
        if round_ < 0:
            watched.remember()
    watched.is_as_before(clients=1)
    return victim.calls


@pytest.mark.parametrize("fault,ways,outcome,transport", each_with_transport(QUICK))
def test_a_fault_of_the_upstream(bench, fault, ways, outcome, transport):
    watched = Watched(bench, Scripted(bench, transport=transport), method=METHODS)
    calls = strike_again_and_again(bench, watched, fault, ways, outcome, REPEATED)
    ended = watched.end()
    assert sum(ended.values()) == calls and not {"timeout", "withdrawn"} & ended.keys()


@pytest.mark.parametrize("fault,ways,outcome,transport", each_with_transport(SLOW))
def test_a_slow_upstream(bench, fault, ways, outcome, transport):
    watched = Watched(bench, Scripted(bench, transport=transport), method=METHODS)
    calls = strike_again_and_again(bench, watched, fault, ways, outcome, 8)
    assert watched.end() == {"ok": calls}


@pytest.mark.parametrize("fault,ways,outcome,transport", each_with_transport(TIMED_OUT))
def test_an_upstream_that_hangs(bench, fault, ways, outcome, transport):
    watched = Watched(bench, Scripted(bench, transport=transport), method=METHODS,
                      upstream={"call_timeout": "100ms"})
    calls = strike_again_and_again(bench, watched, fault, ways, outcome, 8)
    ended = watched.end()
    assert sum(ended.values()) == calls and "timeout" in ended and ended.keys() <= {
        "timeout", "error"}, "pipelined halves of answers are broken ones"


def test_an_upstream_that_hangs_from_the_beginning(bench):
    """It accepts the connection and answers nothing, not even the question whether it batches."""
    upstream = Scripted(bench)
    watched = Watched(bench, upstream, method=METHODS, batch={"batch_retry_interval": "100ms"},
                      upstream={"call_timeout": "100ms", "connect_timeout": "100ms"})
    victim = Victim(bench, watched)
    for round_ in range(3):
        upstream.probe = faults.silence
        with upstream.refusing():
            for way in WAYS.values():
                victim.strike(faults.silence, way, error)
        watched.daemon.log.wait_for("does not serve executeBatch", 1 + round_)
        for way in WAYS.values():
            victim.strike(faults.silence, way, error)
        upstream.probe = honest
        watched.daemon.log.wait_for(": calls to it are batched", 2 + round_)
        watched.ordinary_is_served()
        if round_ == 0:
            watched.remember()
    watched.is_as_before(clients=1)
    ended = watched.end()
    assert sum(ended.values()) == victim.calls and ended.keys() == {"error", "timeout"}


@pytest.mark.parametrize("transport", BOTH)
def test_an_upstream_that_refuses(bench, transport):
    """Errors at once while nobody listens, and service when somebody does again."""
    upstream = Scripted(bench, transport=transport)
    watched = Watched(bench, upstream, method=METHODS)
    victim = Victim(bench, watched)
    for round_ in range(3):
        with upstream.refusing():
            for _ in range(REPEATED // len(WAYS) // 2):
                for way in WAYS.values():
                    victim.strike(honest, way, error)
        watched.daemon.log.wait_for(": calls to it are batched", 2 + round_)
        watched.ordinary_is_served()
        if round_ == 0:
            watched.remember()
    watched.is_as_before(clients=1)
    assert watched.end() == {"error": victim.calls}


# --- hostile clients ------------------------------------------------------------------------------

def leaves_before_dispatch(watched, leave):
    """Its calls still wait: the only connection is taken by another's."""
    upstream = watched.upstream
    with watched.client() as taker, watched.client() as gone:
        upstream.forget()
        upstream.let_go.clear()
        send(taker, wire.wait(b"takes the connection", 0, 1))
        upstream.wait_for_calls(1)
        send(gone, *(wire.echo(token(number), number) for number in range(3)))
        watched.has_read_everything()
        getattr(gone, leave)()
        watched.has_read_everything()
        upstream.let_go.set()
        assert receive(taker).seqid == 1
    return {"ok": 1, "withdrawn": 3}


def leaves_after_dispatch(watched, leave):
    upstream = watched.upstream
    with watched.client() as gone:
        upstream.forget()
        upstream.let_go.clear()
        send(gone, *(wire.wait(token(number), 0, number) for number in range(3)))
        upstream.wait_for_calls(3)
        getattr(gone, leave)()
        watched.has_read_everything()
        upstream.let_go.set()
    return {"ok": 3}


def leaves_mid_message(watched, leave):
    """Of a large one, most of which the daemon holds."""
    with watched.client() as gone:
        gone.send(framed(wire.echo(bytes(1 << 20)))[:700_000])
        getattr(gone, leave)()
    return {}


def slow_loris(watched, leave):
    """Many clients that send a byte now and then, and never a whole message."""
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(watched.client()) for _ in range(50)]
        for byte in framed(wire.echo(b"never whole"))[:-1]:
            for raw in raws:
                raw.send(bytes([byte]))
            watched.ordinary_is_served()
        watched.connections_are_as_before(clients=len(raws))
        for raw in raws:
            getattr(raw, leave)()
    return {}


def floods(watched, leave):
    """Far more calls than max_client_calls, which are not read before others have ended; it stays
    for the first ones only."""
    with watched.client() as greedy:
        greedy.socket.send(b"".join(
            framed(wire.echo(token(number), number)) for number in range(5_000)),
            socket.MSG_DONTWAIT)
        for number in range(20):
            right(receive(greedy), WAYS["plain"], number)
            watched.ordinary_is_served()
        getattr(greedy, leave)()
    return None  # as many as there have been till then


def never_reads(watched, leave):
    """Its replies are far larger than its calls: the daemon drops it, though it stays."""
    def large(message):
        return faults.changed(message, lambda answers: [
            wire.reply(call, (0, wire.STRING, bytes(100_000))) for call in calls_of(message)])

    watched.upstream.script = large
    with watched.client() as lazy:
        send(lazy, *(wire.call("large", number) for number in range(200)))
        watched.connections_are_as_before()
        getattr(lazy, leave)()
    watched.upstream.script = honest
    return None


LEAVE = ("close", "reset", "half_close")
HOSTILE = [
    (leaves_before_dispatch, LEAVE, 200, GROWTH),
    (leaves_after_dispatch, LEAVE, 400, GROWTH),
    (leaves_mid_message, LEAVE, 100, GROWTH_OF_LARGE),
    (slow_loris, LEAVE, 4, GROWTH),
    (floods, LEAVE, 10, GROWTH_OF_LARGE),
    (never_reads, ("close",), 12, 2 * GROWTH_OF_LARGE),
]


@pytest.mark.parametrize("hostility,leave,times,growth", [
    pytest.param(hostility, leave, times, growth, id=f"{hostility.__name__}-{leave}")
    for hostility, leaves, times, growth in HOSTILE for leave in leaves])
def test_a_hostile_client(bench, hostility, leave, times, growth):
    watched = Watched(bench, Holding(bench), batch={"max_calls": 20},
                      client={"max_client_calls": 20, "max_client_output": "1MiB"})
    expected = {}
    for round_ in range(-1, times):
        ended = hostility(watched, leave)
        watched.ordinary_is_served()
        if round_ < 0:
            watched.remember()
        expected = None if ended is None else {
            name: expected.get(name, 0) + count for name, count in ended.items()}
    watched.is_as_before(growth=growth)
    ended = watched.end()
    if expected is not None:
        assert ended == expected
