"""Several workers: clients spread evenly, limits over all of them, and one end for all."""

import signal
import socket
import threading
import time
from pathlib import Path

import clients
import pytest
import wire
from harness import PATIENCE, SANITIZED, Daemon, connect, crowd, eventually, refuses
from scripted import SILENCE, Holding, Scripted, honest
from talk import all_read, all_right, call_all, framed, introduce, receive, send, served

several = pytest.mark.parametrize("workers", (2, 4))


def spread(daemon):
    """The clients that each worker has had, from its own counters: logged at the end."""
    daemon.end()
    return [int(found[1]) for found in
            daemon.log.matching(r"worker \d+: \d+ calls of (\d+) clients")]


# --- serving --------------------------------------------------------------------------------------

@several
def test_200_clients(bench, upstream, workers):
    """Every reply right; connections upstream for each worker, no more."""
    daemon = bench.daemon(upstream, daemon={"workers": workers, "log_level": "debug"},
                          upstream={"connections": 4})
    calls = 4_000 if SANITIZED else 20_000
    result = crowd(daemon, 200, calls)
    assert (result["right"], result["wrong"], result["missing"]) == (calls, 0, 0)
    assert workers < clients.stats(upstream).connectionsMost <= 4 * workers + 1
    daemon.end()
    found = daemon.log.wait_for(r"stopped: (\d+) calls of (\d+) clients \(ok (\d+),")[0]
    assert [int(number) for number in found.groups()] == [calls, 200, calls], "the sum of all"


@several
def test_as_many_threads_as_workers(bench, upstream, workers):
    daemon = bench.daemon(upstream, daemon={"workers": workers})
    served(bench.connect(daemon))
    extra = 1 if SANITIZED else 0  # ThreadSanitizer has one of its own
    threads = len(list(Path(f"/proc/{daemon.pid}/task").iterdir()))
    assert workers <= threads <= workers + extra


@several
def test_strict_order_of_each_client(bench, upstream, workers):
    """The journal returns how many lines it had: the order of execution shows in every reply."""
    daemon = bench.daemon(upstream, daemon={"workers": workers})
    raws = [bench.connect(daemon) for _ in range(2 * workers)]
    count = 300
    for journal, raw in enumerate(raws):
        raw.send(b"".join(
            framed(wire.call("append", line, (1, wire.STRING, b"journal-%d" % journal),
                             (2, wire.STRING, b"line-%d" % line))) for line in range(count)))
    for raw in raws:
        for line in range(count):
            got = receive(raw)
            assert (got.seqid, got.value(0)) == (line, line)


# --- spreading ------------------------------------------------------------------------------------

@several
def test_clients_spread_evenly(bench, upstream, workers):
    daemon = bench.daemon(upstream, daemon={"workers": workers, "log_level": "debug"})
    raws = [bench.connect(daemon) for _ in range(10 * workers)]
    call_all(raws)
    all_right(raws)
    assert spread(daemon) == [10] * workers


def test_clients_on_unix_sockets_do_too(bench, upstream, directory):
    daemon = bench.daemon(upstream, daemon={"workers": 3, "log_level": "debug",
                                            "listen": f"unix:{directory}/s"})
    raws = [bench.connect(daemon) for _ in range(30)]
    call_all(raws)
    all_right(raws)
    assert spread(daemon) == [10] * 3
    assert not (directory / "s").exists()


def test_new_clients_go_where_others_have_left(bench, upstream):
    """In turn would not do: whoever has lost its clients gets the next ones."""
    daemon = bench.daemon(upstream, daemon={"workers": 2, "log_level": "debug"})
    raws = [bench.connect(daemon) for _ in range(12)]
    introduce(*raws)
    stays, *leave = raws[1::2]
    for raw in leave:
        raw.close()
    daemon.log.wait_for("worker 2: client .* -> closed", len(leave))
    introduce(stays)  # so the turn in which they left is over
    late = [bench.connect(daemon) for _ in range(len(leave))]
    call_all(late)
    all_right(late)
    assert spread(daemon) == [6, 6 + len(late)]


# --- limits over all workers ----------------------------------------------------------------------

def accepted(bench, daemon):
    """A new client, when there is room for one: it is not closed at once."""
    while not (raw := bench.connect(daemon)).nothing_comes(0.05):
        raw.close()
    return raw


@several
def test_max_clients(bench, upstream, workers):
    daemon = bench.daemon(upstream, daemon={"workers": workers}, client={"max_clients": 5})
    raws = [bench.connect(daemon) for _ in range(5)]
    introduce(*raws)
    for _ in range(3):
        assert bench.connect(daemon).until_closed() == b""
    for raw in raws[:workers]:  # one of each worker
        raw.close()
        served(accepted(bench, daemon))
        assert bench.connect(daemon).until_closed() == b""


@pytest.mark.parametrize("bound", ({"max_pending_calls": 10}, {"max_pending_bytes": "10KiB"}),
                         ids=("calls", "bytes"))
@several
def test_max_pending(bench, held, workers, bound):
    """What all workers have pending shows upstream, where each call has a connection of its own;
    afterwards all calls are answered."""
    daemon = bench.daemon(held, daemon={"workers": workers}, client={"ordering": "relaxed"},
                          batch={"max_calls": 1, "min_calls": 1},
                          upstream={"connections": 40, "call_timeout": "2min", **bound})
    raws = [bench.connect(daemon) for _ in range(workers)]
    introduce(*raws)
    count = 50
    token = b"t" * (1024 - len(framed(wire.echo(b""))) + 4)
    for raw in raws:
        raw.send(b"".join(framed(wire.echo(token, seqid)) for seqid in range(count)))
    held.wait_for_calls(10)
    time.sleep(0.3)
    most = 10 if "max_pending_calls" in bound else 10 + workers  # each was reading one
    assert 10 <= len(held.calls()) <= most
    before = daemon.cpu_seconds()
    time.sleep(0.3)
    assert daemon.cpu_seconds() - before < 0.1, "who waits for room does not spin"
    held.let_go.set()
    for raw in raws:
        assert {receive(raw).seqid for _ in range(count)} == set(range(count))


def test_a_worker_without_calls_gets_room(bench):
    """One client has all the room and would have it for long; another worker's client gets its
    share, though nothing that ends there would wake it."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, daemon={"workers": 2, "log_level": "debug"},
                          upstream={"max_pending_calls": 4, "connections": 1})
    deep, other = bench.connect(daemon), bench.connect(daemon)
    introduce(deep, other)
    count = 1000
    send(deep, wire.wait(b"holds the slot", 0),
         *(wire.echo(b"deep", seqid) for seqid in range(1, count)))
    upstream.wait_for_calls(1)
    daemon.log.wait_for("^debug: client .* open -> paused")
    send(other, wire.echo(b"one", 1), wire.echo(b"other", 2))  # for one there may be room
    daemon.log.wait_for("worker 2: client .* open -> paused")
    upstream.let_go.set()
    assert [receive(other).value(0) for _ in range(2)] == [b"one", b"other"]
    assert [receive(deep).seqid for _ in range(count)] == list(range(count))
    place = [call.value(1) for call in upstream.calls()].index(b"other")
    assert place < 100, f"place {place} of {count}"


def test_as_many_calls_as_workers(bench, upstream):
    """What may be pending is nobody's for long."""
    daemon = bench.daemon(upstream, daemon={"workers": 4}, upstream={"max_pending_calls": 4})
    raws = [bench.connect(daemon) for _ in range(8)]
    for _ in range(20):
        introduce(*raws)
        call_all(raws)
        all_right(raws)


# --- start and end --------------------------------------------------------------------------------

@several
def test_an_address_in_use(bench, upstream, workers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        daemon = Daemon(bench.config(upstream, daemon={"workers": workers, "listen": address}), 0)
        bench.on_end(daemon.kill)
        assert daemon.wait() == 1
        assert address in daemon.log.text() and "is ready" not in daemon.log.text()


@several
def test_drain_finishes_the_calls_of_all(bench, held, workers):
    daemon = bench.daemon(held, daemon={"workers": workers, "drain_timeout": "30s"})
    raws = [bench.connect(daemon) for _ in range(5 * workers)]
    introduce(*raws)
    call_all(raws)
    all_read(bench, daemon, workers)
    daemon.signal(signal.SIGTERM)
    eventually(lambda: refuses(daemon))
    held.let_go.set()
    all_right(raws)
    for raw in raws:
        assert raw.until_closed() == b""
    assert daemon.wait() == 0


def test_a_worker_with_nothing_to_do_drains_as_long_as_the_others(bench, held):
    """Its clients are told why a call is refused; they are closed at the end, not before."""
    daemon = bench.daemon(held, daemon={"workers": 3, "drain_timeout": "30s"})
    raws = [bench.connect(daemon) for _ in range(3)]
    introduce(*raws)
    send(raws[1], wire.echo(b"accepted", 1))
    held.wait_for_calls(1)
    daemon.signal(signal.SIGTERM)
    eventually(lambda: refuses(daemon))
    for late in raws[0], raws[2]:
        assert late.nothing_comes(0.1)
        send(late, wire.echo(b"late", 2))
        assert "shutting down" in receive(late).error()[1]
        assert late.nothing_comes(0.1)
    held.let_go.set()
    assert receive(raws[1]).value(0) == b"accepted"
    for raw in raws:
        assert raw.until_closed() == b""
    assert daemon.wait() == 0


@pytest.mark.parametrize("timeout", ("300ms", "0"))
@several
def test_drain_timeout(bench, workers, timeout):
    upstream = Scripted(bench, lambda message: SILENCE)
    daemon = bench.daemon(upstream, daemon={"workers": workers, "drain_timeout": timeout})
    raws = [bench.connect(daemon) for _ in range(2 * workers)]
    introduce(*raws)
    call_all(raws)
    upstream.wait_for_calls(len(raws))
    begin = time.monotonic()
    daemon.signal(signal.SIGTERM)
    for number, raw in enumerate(raws):
        got = receive(raw)
        assert got.seqid == number and "shutting down" in got.error()[1]
        assert raw.until_closed() == b""
    assert daemon.wait() == 0
    assert (0.25 if timeout != "0" else 0) < time.monotonic() - begin < 5
    daemon.log.wait_for("drain_timeout has passed: 2 calls", workers)


@several
def test_a_second_signal_ends_it_at_once(bench, workers):
    upstream = Scripted(bench, lambda message: SILENCE)
    daemon = bench.daemon(upstream, daemon={"workers": workers, "drain_timeout": "1min"})
    raws = [bench.connect(daemon) for _ in range(workers)]
    call_all(raws)
    upstream.wait_for_calls(len(raws))
    daemon.signal(signal.SIGTERM)
    eventually(lambda: refuses(daemon))
    daemon.expected_status = 1
    daemon.signal(signal.SIGINT)
    assert daemon.wait(5) == 1


@pytest.mark.parametrize("_chance", range(3))
@several
def test_drain_under_load(bench, upstream, workers, _chance):
    """Clients that go on calling get replies, then 'shutting down', then the end."""
    daemon = bench.daemon(upstream, daemon={"workers": workers, "drain_timeout": "10s"})
    raws = [bench.connect(daemon) for _ in range(16)]
    counts, problems = [0] * len(raws), []

    def call(number, raw):
        try:
            while True:
                send(raw, *(wire.echo(b"load", seqid) for seqid in range(10)))
                for seqid in range(10):
                    got = receive(raw)
                    assert got.seqid == seqid
                    assert got.type == wire.REPLY or "shutting down" in got.error()[1]
                counts[number] += 1
        except (EOFError, ConnectionError):
            pass
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)

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
    assert not problems
    assert not daemon.log.matching("drain_timeout has passed")
