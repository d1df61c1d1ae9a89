"""The life of a connection: order, leaving, clients that do not read, and the bounds on it all."""

import functools
import socket
import threading
import time

import pytest
import wire
from clients import Thrift
from harness import PATIENCE, SANITIZED, eventually
from scripted import CLOSE, SILENCE, Holding, Scripted, calls_of, honest
from talk import framed, introduce, receive, send, served


# --- order ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("flush", ("adaptive", "window"))
def test_pipelined_calls_execute_and_are_answered_in_order(bench, upstream, flush):
    """The journal returns how many lines it had: the order of execution shows in every reply."""
    daemon = bench.daemon(upstream, batch={"flush": flush})
    raws = [bench.connect(daemon) for _ in range(4)]
    count = 500
    for journal, raw in enumerate(raws):
        raw.send(b"".join(
            framed(wire.call("append", line, (1, wire.STRING, b"journal-%d" % journal),
                             (2, wire.STRING, b"line-%d" % line))) for line in range(count)))
    for raw in raws:
        for line in range(count):
            got = receive(raw)
            assert (got.seqid, got.value(0)) == (line, line)
    with Thrift(daemon) as client:
        for journal in range(len(raws)):
            assert client.lines(f"journal-{journal}") == [f"line-{line}" for line in range(count)]


def test_oneway_keeps_its_place(bench, upstream):
    """log, logged, log, logged ... in one segment: each logged() sees the log() before it."""
    daemon = bench.daemon(upstream)
    raw = bench.connect(daemon)
    kinds = (wire.ONEWAY, wire.CALL)
    for round_ in range(3):
        raw.send(b"".join(
            framed(wire.call("log", 0, (1, wire.STRING, b"line"), kind=kinds[number % 2]))
            + framed(wire.call("logged", number)) for number in range(50)))
        for number in range(50):
            got = receive(raw)
            assert (got.seqid, got.value(0)) == (number, round_ * 50 + number + 1)


def test_strict_clients_wait_for_their_earlier_calls(bench):
    upstream = Holding(bench)
    raw = bench.connect(bench.daemon(upstream))
    send(raw, wire.wait(b"first", 0, 1))
    upstream.wait_for_calls(1)
    send(raw, wire.echo(b"second", 2))
    assert raw.nothing_comes(0.2)
    assert len(upstream.calls()) == 1, "sent while an earlier call of the client was in flight"
    upstream.let_go.set()
    assert [receive(raw).seqid for _ in range(2)] == [1, 2]


def test_relaxed_clients_do_not(bench):
    upstream = Holding(bench)
    raw = bench.connect(bench.daemon(upstream, client={"ordering": "relaxed"}))
    send(raw, wire.wait(b"first", 0, 1))
    upstream.wait_for_calls(1)
    send(raw, wire.echo(b"second", 2))
    assert receive(raw).seqid == 2
    upstream.let_go.set()
    assert receive(raw).seqid == 1


def test_relaxed_pipelines_are_matched_by_sequence_id(bench, upstream):
    raw = bench.connect(bench.daemon(upstream, client={"ordering": "relaxed"}))
    raw.send(b"".join(framed(wire.echo(b"token-%d" % seqid, seqid)) for seqid in range(1000)))
    got = {message.seqid: message.value(0) for message in (receive(raw) for _ in range(1000))}
    assert got == {seqid: b"token-%d" % seqid for seqid in range(1000)}


# --- leaving --------------------------------------------------------------------------------------

@pytest.mark.parametrize("leave", ("close", "reset", "half_close"))
def test_leaving_before_the_reply(bench, leave):
    """The answer is dropped, and the next one goes to the next client."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream)
    gone, stays = bench.connect(daemon), bench.connect(daemon)
    send(gone, wire.wait(b"gone", 0, 1))
    upstream.wait_for_calls(1)
    getattr(gone, leave)()
    served(stays, b"meanwhile", 5)
    upstream.let_go.set()
    for number in range(10):
        served(stays, b"after-%d" % number, number)
    if leave == "half_close":
        assert gone.until_closed() == b"", "half-closed is gone"


@pytest.mark.parametrize("leave", ("close", "reset", "half_close"))
def test_waiting_calls_of_a_leaver_are_withdrawn(bench, leave):
    """A CALL that still waits in the window is never sent; a ONEWAY that arrived whole is."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "500ms"})
    idle, gone = bench.connect(daemon), bench.connect(daemon)
    introduce(idle, gone)
    send(gone, wire.echo(b"withdrawn", 1))
    send(gone, wire.call("log", 2, (1, wire.STRING, b"sent"), kind=wire.ONEWAY))
    if leave == "reset":
        assert gone.nothing_comes(0.05), "a RST would overtake what has not been read"
    getattr(gone, leave)()
    upstream.wait_for_calls(1)
    served(idle, b"idle", 3)
    assert [call.name for call in upstream.calls()] == [b"log", b"echo"]
    assert [call.value(1) for call in upstream.calls()] == [b"sent", b"idle"]


@pytest.mark.parametrize("leave", ("close", "half_close"))
@pytest.mark.parametrize("size", (100, 100_000, 1_000_000))
def test_leaving_behind_a_long_message(bench, leave, size):
    """The end of the connection is told once, with the first of the reads that the message takes."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, upstream={"connections": "1"})
    stays = bench.connect(daemon)
    served(stays)
    before = daemon.descriptors()
    for _ in range(20):
        gone = bench.connect(daemon)
        send(gone, wire.call("log", 2, (1, wire.STRING, b"x" * size), kind=wire.ONEWAY))
        getattr(gone, leave)()
    upstream.wait_for_calls(21)
    served(stays)
    eventually(lambda: daemon.descriptors() <= before)


def test_a_leaver_at_the_bound_does_not_spin(bench):
    """Its ONEWAYs wait for room that another client takes again and again."""
    let_go = {name: threading.Event() for name in (b"slow", b"oneway", b"other")}

    def held(message):
        for call in calls_of(message):
            if call.value(1) in let_go:
                let_go[call.value(1)].wait(PATIENCE)
        return honest(message)

    upstream = Scripted(bench, held)
    daemon = bench.daemon(upstream, upstream={"max_pending_calls": 3, "call_timeout": "30s"},
                          batch={"max_calls": 2, "min_calls": 1})
    leaver, other = bench.connect(daemon), bench.connect(daemon)
    introduce(leaver, other)
    send(leaver, wire.wait(b"slow", 0, 1))
    upstream.wait_for_calls(1)
    leaver.send(b"".join(framed(wire.call("log", number, (1, wire.STRING, b"oneway"),
                                          kind=wire.ONEWAY)) for number in range(8)))
    assert leaver.nothing_comes(0.1)
    other.send(b"".join(framed(wire.wait(b"other", 0, number)) for number in range(10)))
    assert other.nothing_comes(0.1)
    leaver.half_close()
    let_go[b"slow"].set()
    assert other.nothing_comes(0.1)
    let_go[b"oneway"].set()
    assert other.nothing_comes(0.2)
    before = daemon.cpu_seconds()
    assert other.nothing_comes(0.5)
    assert daemon.cpu_seconds() - before < 0.1
    let_go[b"other"].set()
    assert [receive(other).seqid for _ in range(10)] == list(range(10))


@pytest.mark.parametrize("kind", (wire.ONEWAY, wire.CALL), ids=("oneway", "as-call"))
@pytest.mark.parametrize("lost", (False, True), ids=("answered", "lost"))
@pytest.mark.parametrize("leave", ("close", "reset", "half_close"))
def test_oneway_calls_of_a_paused_leaver_are_sent(bench, leave, lost, kind):
    """They had arrived whole, though the client left while most of them were not taken yet. Some
    libraries send the calls of a oneway method as CALL."""
    let_go = threading.Event()

    def first_held(message):
        if upstream.received[0] is message:
            let_go.wait(PATIENCE)
            if lost:
                return CLOSE
        return honest(message)

    upstream = Scripted(bench, first_held)
    bench.on_end(let_go.set)
    daemon = bench.daemon(upstream, daemon={"log_level": "debug"}, client={"max_client_calls": "2"},
                          upstream={"connections": "1"}, batch={"min_calls": "1"})
    raw = bench.connect(daemon)
    send(raw, *(wire.call("log", number, (1, wire.STRING, b"%d" % number),
                          kind=kind if number else wire.ONEWAY) for number in range(20)))
    upstream.wait_for_calls(1)
    getattr(raw, leave)()
    daemon.log.wait_for("client .* -> leaving")
    let_go.set()
    upstream.wait_for_calls(20)
    assert [call.value(1) for call in upstream.calls()] == [b"%d" % number for number in range(20)]
    daemon.log.wait_for("client .* leaving -> closed")
    if leave == "half_close":
        assert raw.until_closed() == b""


@pytest.mark.parametrize("leave", ("close", "reset"))
def test_oneway_calls_behind_a_reply_that_is_not_read_are_sent(bench, leave):
    """Whoever leaves without reading it resets the connection, and writing on fails."""
    def enlarged(message):
        large = [wire.reply(call, (0, wire.STRING, b"x" * (7 << 20))) if call.name == b"echo"
                 else None for call in calls_of(message)]
        return wire.encode(wire.batch_reply(message, large))

    upstream = Scripted(bench, enlarged)
    daemon = bench.daemon(upstream, daemon={"log_level": "debug"},
                          client={"max_client_output": "64KiB"}, batch={"min_calls": "1"})
    raw = bench.connect(daemon)
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    send(raw, wire.echo(b"large", 0))
    daemon.log.wait_for("client .* open -> paused")
    send(raw, *(wire.call("log", number, (1, wire.STRING, b"%d" % number), kind=wire.ONEWAY)
                for number in range(1, 6)))
    getattr(raw, leave)()
    upstream.wait_for_calls(6)
    assert [call.value(1) for call in upstream.calls()[1:]] == [b"%d" % n for n in range(1, 6)]
    daemon.log.wait_for("client .* leaving -> closed")


def test_clients_come_and_go(bench, upstream):
    """Connections that leave at every stage cost nothing that stays."""
    daemon = bench.daemon(upstream)
    stays = bench.connect(daemon)
    call = framed(wire.echo(b"come and go", 1))
    before = 0
    for round_ in range(600):
        if round_ == 100:
            before = daemon.memory()
        raw = bench.connect(daemon)
        raw.send(call[:round_ % (len(call) + 1)] if round_ % 2 else call * 3)
        if round_ % 3 == 0:
            raw.reset()
        raw.close()
        if round_ % 50 == 0:
            served(stays, b"stays-%d" % round_, round_)
    served(stays)
    assert daemon.memory() - before < (64 if SANITIZED else 4) << 20


# --- clients that do not read ---------------------------------------------------------------------

BLOB = 256 << 10
BLOBS = 400  # 100 MiB of replies


def blob_call(seqid):
    return framed(wire.call("blob", seqid, (1, wire.STRING, b"%06d" % seqid), (2, wire.I32, BLOB)))


def is_blob(message, seqid):
    data = message.value(0)
    return message.seqid == seqid and data == (b"%06d" % seqid * (BLOB // 6 + 1))[:BLOB]


def test_a_client_that_does_not_read(bench, upstream):
    """Its replies stay bounded in the daemon, others are served, and it gets all of them right."""
    daemon = bench.daemon(upstream, client={"max_client_output": "4MiB", "max_client_calls": "4"})
    other, lazy = bench.connect(daemon), bench.connect(daemon)
    served(other)
    before = daemon.memory()
    writer = threading.Thread(target=lambda: lazy.send(b"".join(map(blob_call, range(BLOBS)))))
    writer.start()
    wait_until_it_stops_working(daemon)
    for number in range(100):
        served(other, b"other-%d" % number, number)
    assert daemon.memory() - before < (160 if SANITIZED else 32) << 20
    for seqid in range(BLOBS):
        assert is_blob(receive(lazy), seqid)
    writer.join()


def wait_until_it_stops_working(daemon):
    """Until the daemon has used no CPU for a while: everything that can move has moved."""
    state = {"cpu": -1.0, "since": time.monotonic()}

    def quiet():
        cpu = daemon.cpu_seconds()
        if cpu != state["cpu"]:
            state.update(cpu=cpu, since=time.monotonic())
        return time.monotonic() - state["since"] > 0.3

    eventually(quiet, pause=0.05)


class OneByOne(Scripted):
    """Answers the call with that token when it is let go, and says nothing to the one behind it."""

    def __init__(self, bench, token, behind):
        self.let_go = threading.Event()
        bench.on_end(self.let_go.set)
        self._token, self._behind = token, behind
        super().__init__(bench, self._script)

    def _script(self, message):
        tokens = [call.value(1) for call in calls_of(message)]
        if self._token in tokens:
            self.let_go.wait(PATIENCE)
        return SILENCE if self._behind in tokens else honest(message)


def first_reply_blocked(raw, upstream, first, second):
    """Calls twice, and returns when the first reply is the daemon's, which has written what the
    kernel takes, and the second call is the upstream's."""
    before = len(upstream.calls())
    send(raw, wire.echo(first, 1))
    upstream.wait_for_calls(before + 1)
    send(raw, wire.echo(second, 2))
    upstream.let_go.set()
    upstream.wait_for_calls(before + 2)


def room_for_a_reply(bench):
    """How much of a reply the kernel takes before its client reads."""
    first = bytes(12_000_000)
    upstream = OneByOne(bench, first, b"behind")
    daemon = bench.daemon(upstream, upstream={"connections": "1", "call_timeout": "2min"},
                          daemon={"drain_timeout": "0"})
    raw = bench.connect(daemon)
    first_reply_blocked(raw, upstream, first, b"behind")
    with daemon.frozen():
        raw.take_what_comes()
        return raw.kept()


def test_a_reply_that_comes_while_an_earlier_one_drains(bench):
    """In one turn the socket takes the rest of the first reply, and the second reply comes. It is
    written though the client sends nothing more."""
    first, second = b"1" * (room_for_a_reply(bench) * 17 // 16), b"2" * 3000
    upstream = OneByOne(bench, first, second)
    daemon = bench.daemon(upstream, upstream={"connections": "1", "call_timeout": "2min"},
                          client={"max_client_output": "4KiB"})  # paused by the second reply alone
    raw = bench.connect(daemon)
    first_reply_blocked(raw, upstream, first, second)
    with daemon.frozen():
        raw.take_what_comes()
        assert raw.kept() < len(first), "the daemon has not yet written all of the first reply"
        upstream.say(honest(upstream.received[-1]))
    assert receive(raw).value(0) == first
    assert receive(raw).value(0) == second


def test_a_client_over_its_output_is_dropped(bench, upstream):
    """1000 pipelined calls whose replies cannot be held: that client is dropped, nobody else."""
    daemon = bench.daemon(upstream, client={"max_client_output": "1MiB"})
    other, greedy = bench.connect(daemon), bench.connect(daemon)
    before = daemon.memory()
    greedy.send(b"".join(map(blob_call, range(BLOBS))))
    eventually(lambda: len(daemon.log.matching("output|dropped|does not read")) > 0)
    served(other)
    assert daemon.memory() - before < (256 if SANITIZED else 128) << 20
    greedy.until_closed()
    served(other)


def test_5000_pipelined_calls(bench, upstream):
    """Far more than max_client_calls: read no faster than they are answered, all answered."""
    daemon = bench.daemon(upstream, client={"max_client_calls": "10"})
    raw = bench.connect(daemon)
    writer = threading.Thread(target=lambda: raw.send(
        b"".join(framed(wire.echo(b"token-%d" % seqid, seqid)) for seqid in range(5000))))
    writer.start()
    for seqid in range(5000):
        got = receive(raw)
        assert (got.seqid, got.value(0)) == (seqid, b"token-%d" % seqid)
    writer.join()


def test_leaving_is_noticed_while_not_read(bench):
    """At max_client_calls the daemon stops reading, yet learns that the client has gone."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, client={"max_client_calls": "1", "max_clients": "1"})
    raw = bench.connect(daemon)
    raw.send(framed(wire.wait(b"held", 0, 1)) + framed(wire.echo(b"not read", 2)) * 1000)
    upstream.wait_for_calls(1)
    raw.reset()
    eventually(lambda: accepted(bench, daemon))
    upstream.let_go.set()


def accepted(bench, daemon):
    """True where a new client is not closed at once; it stays silent, so nothing is asked of it."""
    raw = bench.connect(daemon)
    stays = raw.nothing_comes(0.05)
    raw.close()
    return stays


def test_max_pending_calls(bench):
    """At the bound clients are not read; when there is room again, all are answered."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, upstream={"max_pending_calls": "50", "connections": "1"},
                          client={"ordering": "relaxed"})
    raws = [bench.connect(daemon) for _ in range(5)]
    raws[0].send(framed(wire.wait(b"holds the slot", 0, 1000)))
    upstream.wait_for_calls(1)
    for raw in raws:
        raw.send(b"".join(framed(wire.echo(b"pending-%d" % seqid, seqid)) for seqid in range(100)))
    wait_until_it_stops_working(daemon)
    upstream.let_go.set()
    for raw in raws:
        expected = set(range(100)) | ({1000} if raw is raws[0] else set())
        assert {receive(raw).seqid for _ in expected} == expected


def test_the_bound_is_shared(bench):
    """At max_pending_calls a client that pipelines deeply is one of those who wait for room."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, upstream={"max_pending_calls": "4", "connections": "1"},
                          daemon={"log_level": "debug"})
    deep, *others = [bench.connect(daemon) for _ in range(4)]
    introduce(deep, *others)
    send(deep, wire.wait(b"holds the slot", 0), *(wire.echo(b"deep", seqid)
                                                  for seqid in range(1, 500)))
    upstream.wait_for_calls(1)
    daemon.log.wait_for("client .* open -> paused")
    for raw in others:
        send(raw, wire.echo(b"other", 1))
    daemon.log.wait_for("client .* open -> paused", 1 + len(others))
    upstream.let_go.set()
    for raw in others:
        assert receive(raw).value(0) == b"other"
    assert [receive(deep).seqid for _ in range(500)] == list(range(500))
    tokens = [call.value(1) for call in upstream.calls()]
    late = [place for place, token in enumerate(tokens) if token == b"other"]
    assert len(late) == len(others) and max(late) < 50, f"places {late} of {len(tokens)}"


def test_a_refused_oneway_call_gets_no_reply(bench, upstream):
    """Its arguments fit, but not in the upstream's protocol; nobody would read an answer."""
    daemon = bench.daemon(upstream, upstream={"max_pending_bytes": "1KiB"})
    raw = bench.connect(daemon)
    numbers = (1, wire.LIST, (wire.I64, [1] * 700))  # a byte each in compact, eight in binary
    for message in (wire.call("log", 1, numbers, kind=wire.ONEWAY),
                    wire.call("echo", 2, numbers), wire.echo(b"x", 3)):
        raw.send(wire.encode(message, wire.COMPACT, wire.FRAMED))
    compact = functools.partial(wire.take, protocol=wire.COMPACT, transport=wire.FRAMED)
    refused, right = raw.receive(compact), raw.receive(compact)
    assert refused.seqid == 2 and "too large" in refused.error()[1]
    assert (right.seqid, right.value(0)) == (3, b"x")


# --- how many -------------------------------------------------------------------------------------

def test_max_clients(bench, upstream):
    """One above is accepted and closed at once; when one leaves, the next comes in."""
    daemon = bench.daemon(upstream, client={"max_clients": "5"})
    raws = [bench.connect(daemon) for _ in range(5)]
    for number, raw in enumerate(raws):
        served(raw, b"client-%d" % number)
    for _ in range(3):
        assert bench.connect(daemon).until_closed() == b""
    for raw in raws:
        served(raw)
    raws[0].close()
    eventually(lambda: accepted(bench, daemon))


def test_out_of_descriptors(bench):
    """Clients that are connected are served over the connections that there are; the server is not
    to blame; and when others leave, there is room for new ones on both sides."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, upstream={"connections": "2", "max_failures": "1"})
    one, other, *leaving = [bench.connect(daemon) for _ in range(8)]
    introduce(one, other, *leaving)
    daemon.log.wait_for("serves executeBatch")  # the first connection is free again
    served(one)
    daemon.allow_descriptors(daemon.lowest_free_descriptor())
    late = bench.connect(daemon)
    send(late, wire.echo(b"late", 3))
    daemon.log.wait_for("cannot accept a client")
    send(one, wire.wait(b"one", 0, 1))
    upstream.wait_for_calls(2)
    send(other, wire.echo(b"other", 2))
    daemon.log.wait_for("cannot open another connection")
    upstream.let_go.set()
    assert receive(one).value(0) == b"one"
    assert receive(other).value(0) == b"other"
    for raw in leaving:
        raw.close()
    assert receive(late).value(0) == b"late"
    upstream.let_go.clear()
    send(one, wire.wait(b"held again", 0, 4))
    upstream.wait_for_calls(5)
    served(other)
    upstream.let_go.set()
    assert receive(one).value(0) == b"held again"
    assert not daemon.log.matching("is out")


def test_idle_daemon_uses_no_cpu(bench, upstream):
    """Nothing spins, with clients connected, one of them with half a message."""
    daemon = bench.daemon(upstream)
    half, other = bench.connect(daemon), bench.connect(daemon)
    half.send(framed(wire.echo(b"half"))[:10])
    served(other)
    before = daemon.cpu_seconds()
    time.sleep(0.5)
    assert daemon.cpu_seconds() - before < 0.1
