"""Start and end: signals and draining."""

import signal
import threading
import time

import pytest
import wire
from clients import Thrift
from harness import eventually, refuses
from scripted import SILENCE, Holding, Scripted, calls_of
from talk import all_read, framed, internal_error, receive, send, served
from thrift.Thrift import TApplicationException
from thrift.transport.TTransport import TTransportException

@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT), ids=("TERM", "INT"))
def test_ends_at_once_when_idle(bench, upstream, number):
    daemon = bench.daemon(upstream, daemon={"drain_timeout": "30s"})
    raw = bench.connect(daemon)
    send(raw, wire.echo(b"x", 1))
    assert receive(raw).value(0) == b"x"
    begin = time.monotonic()
    daemon.signal(number)
    assert raw.until_closed() == b"", "idle clients are closed"
    assert daemon.wait() == 0
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("flush", ("adaptive", "window"))
def test_drain_finishes_what_was_accepted(bench, held, flush):
    """Calls in flight and waiting are answered; later ones are told; then it ends with 0."""
    daemon = bench.daemon(held, daemon={"drain_timeout": "30s"}, batch={"flush": flush},
                          upstream={"connections": "1"})
    raws = [bench.connect(daemon) for _ in range(20)]
    send(raws[0], wire.echo(b"drain-0", 0))
    held.wait_for_calls(1)
    for number, raw in enumerate(raws[1:], 1):
        send(raw, wire.echo(b"drain-%d" % number, number))
    all_read(bench, daemon)
    daemon.signal(signal.SIGTERM)
    eventually(lambda: refuses(daemon))
    send(raws[0], wire.echo(b"too late", 77))
    held.let_go.set()
    for number, raw in enumerate(raws):
        got = receive(raw)
        assert (got.type, got.seqid, got.value(0)) == (wire.REPLY, number, b"drain-%d" % number)
    late = receive(raws[0])
    assert late.seqid == 77
    assert late.error()[0] == wire.INTERNAL_ERROR and "shutting down" in late.error()[1]
    assert daemon.wait() == 0


def test_drain_answers_what_was_read_and_not_taken(bench):
    """max_client_calls keeps calls waiting that were read with the first one."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, client={"max_client_calls": 1})
    raw = bench.connect(daemon)
    served(raw)
    raw.send(b"".join(map(framed, (wire.wait(b"held", 0, 1), wire.echo(b"x", 2),
                                   wire.echo(b"y", 3)))))
    upstream.wait_for_calls(2)
    daemon.signal(signal.SIGTERM)
    daemon.log.wait_for("draining")
    upstream.let_go.set()
    assert receive(raw).type == wire.REPLY
    for seqid in (2, 3):
        assert "shutting down" in internal_error(raw, seqid)
    assert daemon.wait() == 0


def test_drain_under_load(bench, upstream):
    """Ordinary clients see right replies, then 'shutting down' or the end; nothing else."""
    daemon = bench.daemon(upstream)
    problems, counts = [], [0] * 30

    def call(number):
        try:
            with Thrift(daemon) as client:
                while True:
                    token = f"{number}-{counts[number]}"
                    assert client.echo(token) == token
                    counts[number] += 1
        except TApplicationException as error:
            if "shutting down" not in error.message:
                problems.append(error)
        except (TTransportException, ConnectionError):
            pass
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    eventually(lambda: min(counts) > 5)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    for thread in threads:
        thread.join()
    assert not problems


@pytest.mark.parametrize("_chance", range(5))
def test_drain_ends_under_load(bench, upstream, _chance):
    """Clients that go on calling are told so, and the end comes as soon as all is answered."""
    daemon = bench.daemon(upstream, daemon={"drain_timeout": "10s"})
    raws = [bench.connect(daemon) for _ in range(20)]
    counts, refused = [0] * len(raws), [0] * len(raws)

    def call(number, raw):
        try:
            while True:
                send(raw, *(wire.echo(b"load", seqid) for seqid in range(10)))
                for seqid in range(10):
                    got = receive(raw)
                    assert got.seqid == seqid
                    refused[number] += got.type == wire.EXCEPTION
                counts[number] += 1
        except (EOFError, ConnectionError):
            pass

    threads = [threading.Thread(target=call, args=item) for item in enumerate(raws)]
    for thread in threads:
        thread.start()
    eventually(lambda: min(counts) > 3)
    begin = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert time.monotonic() - begin < 5
    for thread in threads:
        thread.join()
    assert not daemon.log.matching("drain_timeout has passed")


def test_drain_ends_when_a_slow_reader_has_its_reply(bench, held):
    """The last bytes of it go out when there is room for them, and with them the daemon ends."""
    daemon = bench.daemon(held, daemon={"drain_timeout": "10s"})
    raw = bench.connect(daemon)
    token = b"t" * 12_000_000
    send(raw, wire.echo(token, 1))
    held.wait_for_calls(1)
    send(raw, wire.call("log", 2, (1, wire.STRING, b"x"), kind=wire.ONEWAY))
    held.let_go.set()
    held.wait_for_calls(2)  # in order: the reply is the daemon's, which cannot write all of it
    daemon.signal(signal.SIGTERM)
    eventually(lambda: refuses(daemon))
    assert daemon.running()
    begin = time.monotonic()
    assert receive(raw).value(0) == token
    assert daemon.wait() == 0
    assert time.monotonic() - begin < 5
    assert not daemon.log.matching("drain_timeout has passed")


def test_drain_timeout(bench):
    """A hanging upstream does not hold the daemon: the rest gets the error, and status 0."""
    upstream = Scripted(bench, lambda message: SILENCE)
    daemon = bench.daemon(upstream, daemon={"drain_timeout": "300ms"})
    raws = [bench.connect(daemon) for _ in range(3)]
    for number, raw in enumerate(raws):
        send(raw, wire.echo(b"x", number))
    upstream.wait_for_calls(3)
    begin = time.monotonic()
    daemon.signal(signal.SIGTERM)
    for number, raw in enumerate(raws):
        got = receive(raw)
        assert got.seqid == number
        kind, text = got.error()
        assert kind == wire.INTERNAL_ERROR and "shutting down" in text
        assert raw.until_closed() == b""
    assert daemon.wait() == 0
    assert 0.25 < time.monotonic() - begin < 5


def test_drain_timeout_zero(bench):
    upstream = Scripted(bench, lambda message: SILENCE)
    daemon = bench.daemon(upstream, daemon={"drain_timeout": "0"})
    raw = bench.connect(daemon)
    send(raw, wire.echo(b"x", 1))
    upstream.wait_for_calls(1)
    daemon.signal(signal.SIGTERM)
    assert "shutting down" in receive(raw).error()[1]
    assert daemon.wait(5) == 0


@pytest.mark.parametrize("second", (signal.SIGTERM, signal.SIGINT), ids=("TERM", "INT"))
def test_a_second_signal_ends_it_at_once(bench, second):
    upstream = Scripted(bench, lambda message: SILENCE)
    daemon = bench.daemon(upstream, daemon={"drain_timeout": "1min"})
    raw = bench.connect(daemon)
    send(raw, wire.echo(b"x", 1))
    upstream.wait_for_calls(1)
    daemon.signal(signal.SIGTERM)
    eventually(lambda: refuses(daemon))
    daemon.expected_status = 1
    daemon.signal(second)
    assert daemon.wait(5) == 1


def test_oneway_calls_are_sent_before_the_end(bench, upstream):
    """Whatever was accepted: a oneway call that has just arrived is not lost."""
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "300ms"})
    idle, raw = bench.connect(daemon), bench.connect(daemon)
    send(idle, wire.echo(b"x", 1))
    receive(idle)
    for _ in range(10):
        send(raw, wire.call("log", 0, (1, wire.STRING, b"line"), kind=wire.ONEWAY))
    all_read(bench, daemon)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    with Thrift(upstream) as client:
        assert client.logged() == 10


def test_broken_pipes_do_not_end_it(bench, upstream):
    """SIGPIPE and a log that nobody reads any more are no reason to stop."""
    daemon = bench.daemon(upstream)
    for _ in range(20):
        raw = bench.connect(daemon)
        raw.send(wire.encode(wire.echo(b"gone"), transport=wire.FRAMED) * 50)
        raw.reset()
    with Thrift(daemon) as client:
        assert client.echo("still here") == "still here"


def test_answers_are_not_lost_at_the_end(bench, held):
    """A reply written last is read by the client even where the daemon ends right behind it."""
    daemon = bench.daemon(held, daemon={"drain_timeout": "30s"})
    raw = bench.connect(daemon)
    token = b"t" * 1_000_000
    send(raw, wire.echo(token, 1))
    held.wait_for_calls(1)
    daemon.signal(signal.SIGTERM)
    eventually(lambda: refuses(daemon))
    held.let_go.set()
    got = receive(raw)
    assert got.value(0) == token
    assert [call.name for call in held.calls()] == [b"echo"] and calls_of(held.received[0])
