"""Many clients, few messages: what batching is for, with every reply checked against its call."""

import threading
import time

import clients
import pytest
import wire
from clients import Thrift
from harness import PATIENCE, SANITIZED, crowd
from scripted import Scripted, calls_of, is_batch
from talk import all_right, call_all, introduce, receive, send

CONNECTIONS = 200
CALLS = 20_000  # of all of them

WINDOW = {"flush": "window", "window": "2ms"}
ADAPTIVE = {"flush": "adaptive"}


def spent(upstream, load):
    """Runs `load` and returns what the upstream's counters say about it."""
    before = clients.stats(upstream)
    result = load()
    after = clients.stats(upstream)
    return result, {
        "messages": after.messages - before.messages - 1,  # without the second question itself
        "calls": after.calls - before.calls - 1,
        "connections_most": after.connectionsMost,
        "connections_total": after.connectionsTotal - before.connectionsTotal - 1,
    }


@pytest.mark.parametrize("batch,cost", ((WINDOW, 0), (ADAPTIVE, 1000)), ids=("window", "adaptive"))
@pytest.mark.parametrize("servers", (1, 2))
def test_a_tenth_of_the_messages(bench, batch, cost, servers, figure):
    """The daemon's promise, from the issue: right replies, few connections, few messages."""
    connections = 4
    upstreams = [bench.upstream("--message-cost-us", str(cost)) for _ in range(servers)]
    daemon = bench.daemon(*upstreams, batch=batch, upstream={"connections": connections})
    before = [clients.stats(upstream) for upstream in upstreams]
    result = crowd(daemon, CONNECTIONS, CALLS)
    after = [clients.stats(upstream) for upstream in upstreams]
    assert replies(result) == (CALLS, 0, 0)
    messages = sum(b.messages - a.messages - 1 for a, b in zip(before, after))
    calls = sum(b.calls - a.calls - 1 for a, b in zip(before, after))
    assert calls == CALLS
    figure(f"{CALLS} calls of {CONNECTIONS} clients in {messages} messages; replies (right, wrong,"
           f" missing) {replies(result)}")
    assert messages <= CALLS / 10, f"{messages} messages for {CALLS} calls"
    for counters in after:
        assert counters.connectionsMost <= connections + 1, "and our own that asks for them"


def replies(result):
    return result["right"], result["wrong"], result["missing"]


@pytest.mark.parametrize("flush", (WINDOW, ADAPTIVE), ids=("window", "adaptive"))
@pytest.mark.parametrize("workers", (1, 2))
def test_200_python_clients(bench, flush, workers):
    """python3-thrift clients in threads, in four forms, each checking its replies."""
    upstream = bench.upstream()
    daemon = bench.daemon(upstream, batch=flush, daemon={"workers": workers},
                          upstream={"connections": 4})
    forms = [(protocol, transport) for protocol in ("binary-accelerated", "compact-accelerated")
             for transport in clients.TRANSPORTS]
    barrier = threading.Barrier(CONNECTIONS)
    wrong, done = [], []

    def one(number):
        try:
            with Thrift(daemon, *forms[number % len(forms)]) as client:
                barrier.wait(PATIENCE)
                for call in range(20):
                    token = f"client-{number}-call-{call}"
                    if client.echo(token) != token:
                        wrong.append(token)
                    if client.getUser(token, number + 1).token != token:
                        wrong.append(token)
                    done.append(token)
        except Exception as problem:  # pylint: disable=broad-except
            wrong.append(repr(problem))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(CONNECTIONS)]
    _, counters = spent(upstream, lambda: run_all(threads))
    assert not wrong
    assert len(done) == CONNECTIONS * 20
    assert counters["calls"] == CONNECTIONS * 40
    assert counters["connections_most"] <= 4 * workers + 1


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("transport,protocol", (
    ("framed", "binary"), ("buffered", "binary"), ("framed", "compact"), ("buffered", "compact")))
def test_c_clients(bench, upstream, transport, protocol):
    """thrift c_glib's own clients, in each form that it knows."""
    daemon = bench.daemon(upstream)
    result = crowd(daemon, 20, 2000, "--transport", transport, "--protocol", protocol)
    assert replies(result) == (2000, 0, 0)


# --- batches that can be counted ------------------------------------------------------------------

LONG = {"flush": "window", "window": "1min"}  # nothing goes because it is over
PATIENT = {"call_timeout": "2min"}


def introduced(bench, daemon, count):
    """That many clients, all of which the daemon knows of."""
    raws = [bench.connect(daemon) for _ in range(count)]
    introduce(*raws)
    return raws


def test_nobody_left_to_wait_for(bench):
    """All clients have called: the batch goes, though its window is far from over."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch=LONG | {"min_calls": 1}, upstream=PATIENT)
    raws = introduced(bench, daemon, 10)
    call_all(raws)
    all_right(raws)
    assert upstream.batches() == [10]


def test_full_batches(bench):
    """max_calls: 64 waiting calls travel as 16 and 16 and 16 and 16."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch=LONG | {"max_calls": 16}, upstream=PATIENT)
    raws = introduced(bench, daemon, 64)
    call_all(raws)
    all_right(raws)
    assert upstream.batches() == [16] * 4


def test_the_window(bench):
    """One client stays silent: the others' batch goes when the window is over, and not before."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "300ms", "min_calls": 1})
    raws = introduced(bench, daemon, 5)
    call_all(raws[:4])
    assert raws[0].nothing_comes(0.15), "answered before the window was over"
    all_right(raws[:4])
    assert upstream.batches() == [4]


def test_sequence_ids_and_lanes(bench):
    """Inside a batch: positions as sequence ids, what is left of the time, a lane a client."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch=LONG | {"min_calls": 1}, upstream=PATIENT)
    raws = introduced(bench, daemon, 2)
    send(raws[0], *(wire.echo(b"a%d" % number, 900 + number) for number in range(3)))
    introduce(raws[1])
    send(raws[1], wire.echo(b"b", 55))
    assert [receive(raws[0]).seqid for _ in range(3)] == [900, 901, 902]
    assert receive(raws[1]).seqid == 55
    batch, = upstream.received
    assert [call.seqid for call in calls_of(batch)] == [0, 1, 2, 3]
    _, requests = dict((number, value) for number, _, value in batch.value(1))[1]
    fields = [{number: value for number, _, value in request} for request in requests]
    assert all(0 < request[2] <= 120_000 for request in fields), "timeoutMs"
    lanes = [request.get(3) for request in fields]
    assert lanes[0] is not None and lanes[:3] == [lanes[0]] * 3
    assert lanes[3] is None


def test_a_lone_call_travels_plain(bench):
    """Once its method is known to answer; its first call goes in an envelope."""
    upstream = Scripted(bench)
    raw = bench.connect(bench.daemon(upstream))
    for number in range(3):
        call_all([raw], b"lone-%d" % number)
        all_right([raw], b"lone-%d" % number)
    assert [is_batch(message) for message in upstream.received] == [True, False, False]


def test_sub_millisecond_window(bench, upstream):
    """A window of 500 us is one: two of three clients call, and are answered in about that time."""
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "500us"})
    raws = introduced(bench, daemon, 3)
    took = []
    for _ in range(50):
        begin = time.perf_counter()
        call_all(raws[:2])
        all_right(raws[:2])
        took.append(time.perf_counter() - begin)
    assert min(took) >= 0.0005, "sent before the window was over"
    assert sorted(took)[len(took) // 4] < (0.02 if SANITIZED else 0.003), "late by milliseconds"
