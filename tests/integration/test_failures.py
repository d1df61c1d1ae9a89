"""Upstreams that fail: every call gets its one reply, in words, in time; and nobody another's."""

import contextlib
import functools
import os
import socket
import struct
import threading
import time

import faults
import pytest
import wire
from clients import Thrift
from faults import close, close_mid_answer, negative_frame
from harness import PATIENCE, Upstream, eventually, refused_address
from scripted import CLOSE, SILENCE, UNKNOWN_WORDS, Holding, Scripted, answer, calls_of, honest
from talk import all_right, call_all, internal_error, introduce, receive, send, served
from thrift.Thrift import TApplicationException

FORGIVING = {"max_failures": "1000"}  # a server that fails on purpose stays in


# --- gone, and back -------------------------------------------------------------------------------

def test_killed_and_started_again(bench, upstream):
    daemon = bench.daemon(upstream)
    with Thrift(daemon) as client:
        assert client.echo("before") == "before"
        upstream.kill()
        with pytest.raises(TApplicationException) as error:
            client.echo("while it is gone")
        assert error.value.type == TApplicationException.INTERNAL_ERROR
        assert error.value.message
        bench.on_end(Upstream(listen=upstream.address).kill)
        eventually(lambda: echoes(client, "after"))
        for number in range(50):
            assert client.echo(f"after-{number}") == f"after-{number}"


def echoes(client, token):
    try:
        return client.echo(token) == token
    except TApplicationException as error:
        assert error.type == TApplicationException.INTERNAL_ERROR
        return False


def test_killed_under_load(bench, upstream):
    """Each call is answered, rightly or with the error, while the server dies and comes back."""
    daemon = bench.daemon(upstream)
    stop, problems, seen = threading.Event(), [], []

    def call(number):
        try:
            with Thrift(daemon) as client:
                count = 0
                while not stop.is_set():
                    count += 1
                    if echoes(client, f"load-{number}-{count}"):
                        seen.append(number)
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(seen) > 200)
    upstream.kill()
    bench.on_end(Upstream(listen=upstream.address).kill)
    seen.clear()
    eventually(lambda: set(seen) == set(range(20)))
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems


def test_nobody_listens(bench):
    """Refused: an error at once, for calls that waited for the first attempt and for later ones."""
    _held, address = refused_address()
    raw = bench.connect(bench.daemon(address))
    for seqid in range(5):
        begin = time.monotonic()
        send(raw, wire.echo(b"refused", seqid))
        internal_error(raw, seqid)
        assert time.monotonic() - begin < 2


def test_connecting_hangs(bench):
    """A full backlog swallows the SYN: calls wait for connect_timeout, no longer."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    raw = bench.connect(bench.daemon("127.0.0.1:%d" % listener.getsockname()[1],
                                     upstream={"connect_timeout": "400ms"}))
    begin = time.monotonic()
    send(raw, wire.echo(b"x", 1))
    internal_error(raw, 1)
    assert time.monotonic() - begin < 3
    for sock in (listener, *fillers):
        sock.close()


@pytest.fixture
def narrow(directory):
    """A unix socket that listens with the smallest backlog."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/up.sock")
        listener.listen(0)
        listener.settimeout(PATIENCE)
        yield listener


def test_connecting_finds_a_full_backlog(bench, narrow):
    """A unix socket says so at once: an error for the call, and no trying all the time."""
    with contextlib.ExitStack() as backlog:
        fill(narrow, backlog)
        daemon = bench.daemon("unix:" + narrow.getsockname())
        raw = bench.connect(daemon)
        send(raw, wire.echo(b"x", 1))
        internal_error(raw, 1)
        before = daemon.cpu_seconds()
        time.sleep(0.3)
        assert daemon.cpu_seconds() - before < 0.1


def test_another_connection_finds_a_full_backlog(bench, narrow):
    """The calls take the connection that there is, and the server stays in."""
    daemon = bench.daemon("unix:" + narrow.getsockname(), upstream={"max_failures": "1"})
    one, other = bench.connect(daemon), bench.connect(daemon)
    with contextlib.ExitStack() as backlog:
        connection = backlog.enter_context(narrow.accept()[0])
        upstream = backlog.enter_context(connection.makefile("rwb"))
        fill(narrow, backlog)
        answer_honestly(upstream, next_message(upstream))  # whether it serves batches
        daemon.log.wait_for("serves executeBatch")
        send(one, wire.echo(b"one", 1))
        message = next_message(upstream)
        send(other, wire.echo(b"other", 2))
        daemon.log.wait_for("cannot open another connection")
        answer_honestly(upstream, message)
        assert receive(one).value(0) == b"one"
        answer_honestly(upstream, next_message(upstream))
        assert receive(other).value(0) == b"other"
    assert not daemon.log.matching("is out")


def next_message(stream):
    size, = struct.unpack(">I", stream.read(4))
    return wire.decode_whole(stream.read(size))


def answer_honestly(stream, message):
    stream.write(wire.frame(honest(message)))
    stream.flush()


def fill(listener, backlog):
    """Connects until it takes no more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sock = backlog.enter_context(socket.socket(socket.AF_UNIX))
            sock.setblocking(False)
            sock.connect(listener.getsockname())


def test_a_second_server_takes_over(bench):
    """One server dies: the calls go to the other one."""
    first, second = bench.upstream(), bench.upstream()
    daemon = bench.daemon(first, second)
    with Thrift(daemon) as client:
        for number in range(20):
            assert client.echo(f"both-{number}") == f"both-{number}"
        first.kill()
        eventually(lambda: echoes(client, "one"))
        failed = sum(not echoes(client, f"other-{number}") for number in range(50))
        assert failed <= 8, "a dead server costs the calls on its connections at most"


def test_out_while_its_only_connection_is_busy(bench):
    """It is probed again even where the first probe finds no room for a connection."""
    upstream = Holding(bench)
    hold = upstream.script
    upstream.script = lambda message: CLOSE if message.name == b"touch" else hold(message)
    daemon = bench.daemon(upstream, method={"touch": {"batch": "off"}},
                          upstream={"connections": "1", "max_failures": "1", "idle_timeout": "0",
                                    "call_timeout": "2min"})
    busy, other = bench.connect(daemon), bench.connect(daemon)
    send(busy, wire.wait(b"busy", 0, 1))
    upstream.wait_for_calls(1)
    send(other, wire.call("touch", 1))
    internal_error(other, 1)
    daemon.log.wait_for("is out: .*; none is left, calls get an error")
    time.sleep(0.3)  # the first probe is due after 0.1 s at most
    upstream.let_go.set()
    assert receive(busy).value(0) == b"busy"
    daemon.log.wait_for("is up", count=2)
    served(other, b"again", 2)


def test_idle_servers_take_turns(bench):
    """Calls one after another: none of the servers has fewer in flight."""
    servers = [Scripted(bench) for _ in range(3)]
    daemon = bench.daemon(*servers)
    daemon.log.wait_for("serves executeBatch", 3)
    raw = bench.connect(daemon)
    for number in range(9):
        served(raw, b"turn-%d" % number, number)
    assert [len(server.calls()) for server in servers] == [3, 3, 3]


@pytest.mark.parametrize("answer_to_it", (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\5junk!"))
def test_garbage_for_the_question_is_no_failure(bench, answer_to_it):
    upstream = Scripted(bench, probe=lambda _message: (CLOSE, answer_to_it))
    daemon = bench.daemon(upstream, upstream={"max_failures": "1"})
    daemon.log.wait_for("does not serve executeBatch")
    raw = bench.connect(daemon)
    for number in range(10):
        served(raw, b"single-%d" % number, number)
    assert not daemon.log.matching("is out")


def test_written_oneway_calls_are_no_success(bench):
    """Between calls that fail they keep no server in."""
    upstream = Scripted(bench, lambda message: SILENCE if message.name == b"log" else CLOSE)
    daemon = bench.daemon(upstream, upstream={"max_failures": "3"}, method={"*": {"batch": "off"}})
    daemon.log.wait_for("is up")
    for number in range(3):
        raw = bench.connect(daemon)
        log = wire.call("log", number, (1, wire.STRING, b"x"), kind=wire.ONEWAY)
        send(raw, log)
        upstream.wait_for_calls(2 * number + 1)
        send(raw, wire.echo(b"x", number))
        internal_error(raw, number)
    daemon.log.wait_for("is out")


# --- too slow -------------------------------------------------------------------------------------

def test_call_timeout(bench):
    """The call gets its error in time; the late answer reaches nobody."""
    held = threading.Event()

    def slowly(message):
        if any(call.value(1) == b"slow" for call in calls_of(message)):
            held.wait(PATIENCE)
        return honest(message)

    upstream = Scripted(bench, slowly)
    daemon = bench.daemon(upstream, upstream={"call_timeout": "400ms"} | FORGIVING)
    raw = bench.connect(daemon)
    begin = time.monotonic()
    send(raw, wire.echo(b"slow", 1))
    internal_error(raw, 1)
    assert 0.35 < time.monotonic() - begin < 2
    held.set()
    for seqid in range(2, 12):
        served(raw, b"token-%d" % seqid, seqid)


def test_an_answer_after_the_timeout_reaches_nobody(bench):
    """The server answers late on the same connection, while the next calls are under way."""
    def late(message):
        if calls_of(message)[0].value(1) == b"late":
            time.sleep(1)
        return honest(message)

    upstream = Scripted(bench, late)
    daemon = bench.daemon(upstream,
                          upstream={"call_timeout": "500ms", "connections": "1"} | FORGIVING)
    raw = bench.connect(daemon)
    send(raw, wire.echo(b"late", 1))
    internal_error(raw, 1)
    deadline = time.monotonic() + 1.5
    seqid = 1
    while time.monotonic() < deadline:
        seqid += 1
        served(raw, b"token-%d" % seqid, seqid)


def test_one_slow_call_of_many_is_no_failure_of_the_server(bench):
    """It answers the calls before it, one after another, so it is there: it stays in."""
    def script(message):
        return SILENCE if calls_of(message)[0].value(1) == b"slow" else honest(message)

    upstream = Scripted(bench, script)
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "450ms", "min_calls": "10"},
                          upstream={"call_timeout": "500ms", "max_failures": "1"})
    raws = [bench.connect(daemon) for _ in range(4)]
    introduce(*raws)
    call_all(raws)  # so that the method is known to answer
    all_right(raws)
    for seqid, raw in enumerate(raws):
        introduce(raw)  # so the calls are in this order
        send(raw, wire.echo(b"slow" if raw is raws[-1] else b"quick", seqid))
    for seqid, raw in enumerate(raws[:-1]):
        assert (got := receive(raw)).seqid == seqid and got.value(0) == b"quick"
    internal_error(raws[-1], 3)
    call_all(raws, b"at once")
    all_right(raws, b"at once")
    assert upstream.batches() == [4], "the others have travelled plain"
    assert not daemon.log.matching("is out")


def test_two_of_a_batch_time_out_with_it(bench):
    """A hanging batch: each of its calls gets its own error."""
    upstream = Scripted(bench, lambda message: SILENCE)
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "50ms"},
                          upstream={"call_timeout": "300ms"} | FORGIVING)
    raws = [bench.connect(daemon) for _ in range(5)]
    for number, raw in enumerate(raws):
        send(raw, wire.echo(b"t", number))
    for number, raw in enumerate(raws):
        internal_error(raw, number)


# --- wrong answers --------------------------------------------------------------------------------

# Every fault, and what it leaves behind, is in test_faults; here many clients share the batch.
FAULTS = (faults.one_too_few, faults.shuffled, faults.of_another_type, faults.garbage, faults.close,
          faults.an_exception)


@pytest.mark.parametrize("protocol", (wire.BINARY, wire.COMPACT))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_wrong_answer(bench, fault, protocol):
    """All calls of the broken batch get the error, and the next ones their own right answers."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, upstream=FORGIVING | {"call_timeout": "2min"},
                          batch={"flush": "window", "window": "1min", "min_calls": 1})
    taking = functools.partial(wire.take, protocol=protocol, transport=wire.FRAMED)
    raws = [bench.connect(daemon) for _ in range(4)]

    def all_call(message):
        for number, raw in enumerate(raws):
            raw.send(wire.encode(message(number), protocol, wire.FRAMED))
        return [raw.receive(taking) for raw in raws]

    all_call(lambda number: wire.Message(b"introduce", wire.REPLY, number))
    upstream.script = fault
    for number, got in enumerate(all_call(lambda number: wire.echo(b"bad-%d" % number, number))):
        assert (got.name, got.seqid) == (b"echo", number)
        assert got.error()[0] == wire.INTERNAL_ERROR
        assert got.error()[1]
    upstream.script = honest
    for number, got in enumerate(all_call(lambda number: wire.echo(b"good-%d" % number, number))):
        assert (got.type, got.seqid, got.value(0)) == (wire.REPLY, number, b"good-%d" % number)
    assert upstream.batches() == [4, 4]


def test_a_reply_larger_than_allowed(bench):
    """Fails its own call only."""
    def answers(message):
        replies = faults.right_answers(message)
        for each in replies:
            if each.body[0][2] == b"large":
                each.body[0] = (0, wire.STRING, bytes(200_000))
        return wire.encode(wire.batch_reply(message, replies))

    upstream = Scripted(bench, answers)
    daemon = bench.daemon(upstream, client={"max_message_size": "64KiB"},
                          batch={"flush": "window", "window": "100ms", "min_calls": 1})
    small, large = bench.connect(daemon), bench.connect(daemon)
    send(small, wire.echo(b"small", 1))
    send(large, wire.echo(b"large", 2))
    assert receive(small).value(0) == b"small"
    internal_error(large, 2)


def test_exceptions_of_the_server_are_passed_on_unchanged(bench):
    """UNKNOWN_METHOD for one call of a batch is that call's; its neighbours have their answers."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "100ms", "min_calls": 1})
    known, unknown = bench.connect(daemon), bench.connect(daemon)
    send(known, wire.echo(b"known", 1))
    send(unknown, wire.call("noSuchMethod", 2))
    assert receive(known).value(0) == b"known"
    assert receive(unknown).error() == (wire.UNKNOWN_METHOD, UNKNOWN_WORDS)


@pytest.mark.parametrize("sent,answered,fits", (
    (b"A:B:m", b"B:m", True),  # a multiplexed server answers with the rest of the name
    (b"A:B:m", b"A:B:m", True),
    (b"A:B:m", b"m", False),
    (b"m\xff\xfe", "m\ufffd\ufffd".encode(), False),  # it does not keep bytes that are no text
))
def test_names_that_come_back_changed(bench, sent, answered, fits):
    """The call with that name has the answer or the error; the rest of its batch has its own."""
    def answers(message):
        return wire.encode(wire.batch_reply(message, [
            answer(call) if call.name == b"echo"
            else wire.Message(answered, wire.REPLY, call.seqid, [(0, wire.STRING, b"right")])
            for call in calls_of(message)]))

    upstream = Scripted(bench, answers)
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "1min", "min_calls": 1},
                          upstream={"call_timeout": "2min"})
    named, ordinary = bench.connect(daemon), bench.connect(daemon)
    introduce(named, ordinary)
    send(named, wire.Message(sent, wire.CALL, 1))
    send(ordinary, wire.echo(b"ordinary", 2))
    assert receive(ordinary).value(0) == b"ordinary"
    if fits:
        assert (got := receive(named)).seqid == 1 and got.value(0) == b"right"
    else:
        internal_error(named, 1)
    assert upstream.batches() == [2]


NASTY = "no\n<3>error: not a line of the daemon\r\x1b[31m\0" + "\u00e9" * 40 + "\U0001f600" * 40


def test_words_of_the_server(bench):
    """What it says when it refuses a batch goes to log and clients as one line of plain text."""
    upstream = Scripted(bench, lambda message: wire.encode(
        wire.exception(message, wire.INTERNAL_ERROR, NASTY)))
    daemon = bench.daemon(upstream, batch={"min_calls": 1})
    for protocol in ("binary", "compact"):
        with Thrift(daemon, protocol) as client, pytest.raises(TApplicationException) as error:
            client.echo("x")
        assert error.value.type == TApplicationException.INTERNAL_ERROR
        assert "INTERNAL_ERROR: no" in error.value.message and error.value.message.isprintable()
    line, = daemon.log.wait_for("refused a batch.*")[:1]
    assert line.string.isascii() and line.string.isprintable()
    assert "not a line of the daemon" in line.string
    assert not daemon.log.matching("^(<3>)?error")


def test_a_call_is_not_executed_twice(bench):
    """The connection is lost behind the call: it may have been executed, so it is not repeated."""
    upstream = Scripted(bench, faults.close)
    daemon = bench.daemon(upstream, upstream=FORGIVING)
    raw = bench.connect(daemon)
    send(raw, wire.echo(b"once", 1))
    internal_error(raw, 1)
    assert [call.value(1) for call in upstream.calls()] == [b"once"]


@pytest.mark.parametrize("policy", ({}, {"batch": "off"}), ids=("batched", "passed-through"))
@pytest.mark.parametrize("fault", (close, close_mid_answer, negative_frame), ids=lambda f: f.__name__)
def test_an_idempotent_call_is_sent_again_elsewhere(bench, fault, policy):
    """Each call meets the failing server first or never, and the other one answers it."""
    failing, good = Scripted(bench, fault), Scripted(bench)
    daemon = bench.daemon(failing, good, upstream=FORGIVING,
                          method={"echo": {"idempotent": "yes"} | policy})
    daemon.log.wait_for("serves executeBatch", 2)
    raw = bench.connect(daemon)
    for seqid in range(1, 9):
        token = b"again-%d" % seqid
        send(raw, wire.echo(token, seqid))
        reply = receive(raw)
        assert (reply.type, reply.seqid, reply.value(0)) == (wire.REPLY, seqid, token)
    assert failing.calls(), "the failing server was never tried"
    assert len(good.calls()) == 8


def test_an_idempotent_call_is_sent_again_once(bench):
    """As often as `retries` says, and it gets its error then."""
    upstream = Scripted(bench, close)
    daemon = bench.daemon(upstream, upstream=FORGIVING | {"retries": "2"},
                          method={"echo": {"idempotent": "yes"}})
    raw = bench.connect(daemon)
    send(raw, wire.echo(b"thrice", 1))
    internal_error(raw, 1)
    assert [call.value(1) for call in upstream.calls()] == [b"thrice"] * 3


def test_many_failures_do_not_flood_the_log(bench):
    """A failing upstream costs a few lines a second, not one a call."""
    _held, address = refused_address()
    daemon = bench.daemon(address)
    raw = bench.connect(daemon)
    for seqid in range(2000):
        send(raw, wire.echo(b"x", seqid))
        receive(raw)
    assert len(daemon.log.matching(".")) < 200
    assert os.path.exists(f"/proc/{daemon.pid}")
