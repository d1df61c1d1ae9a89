"""The metrics of the real daemon agree with what was sent to it, whatever happens."""

import contextlib
import random
import socket
import threading
from pathlib import Path

import faults
import pytest
import wire
from harness import WORKERS, connect, crowd, eventually, refused_address
from scrape import ANY_PORT, Http, promtool
from scripted import Holding, Scripted, honest, is_batch, without_batches
from talk import introduce, receive, send

ADMIN = {"http": ANY_PORT}
HOSTILE = ('say "hi"', "back\\slash", "two\nlines", "tab\t", "{}", 'x",outcome="ok"} 7', "Grüße",
           "<img onerror=alert(1)>", "")


def all_ended(http):
    """The metrics once no call is pending any more."""
    found = []

    def nothing_pending():
        found[:] = [http.metrics()]
        return found[0]["pending_calls"] == 0

    eventually(nothing_pending)
    return found[0]


# --- what Prometheus makes of it ------------------------------------------------------------------

def test_prometheus_accepts_it(bench, upstream):
    daemon = bench.daemon(upstream, admin=ADMIN)
    raw = bench.connect(daemon)
    for seqid, name in enumerate(HOSTILE):
        send(raw, wire.call(name, seqid))
        receive(raw)
    crowd(daemon, 8, 80)
    http = Http(daemon)
    metrics = all_ended(http)
    assert metrics.calls() == len(HOSTILE) + 80
    assert promtool("check", "metrics", text=metrics.text) == (0, "")
    names = {method["name"] for method in http.stats()["methods"]}
    assert names >= {name for name in HOSTILE if name.isprintable() and name}


def test_the_latest_reload(bench, upstream):
    daemon = bench.daemon(upstream, admin=ADMIN)
    http = Http(daemon)
    good = daemon.config.read_text()
    assert http.metrics()["config_last_reload_successful"] == 1
    daemon.config.write_text("nonsense")
    assert not daemon.reload_file()
    assert http.metrics()["config_last_reload_successful"] == 0
    assert http.stats()["config"]["reload_failed"]
    daemon.config.write_text(good)
    assert daemon.reload_file()
    assert http.metrics()["config_last_reload_successful"] == 1


def test_promtool_would_complain(bench, upstream):
    """What the test before relies on."""
    text = Http(bench.daemon(upstream, admin=ADMIN)).text("/metrics")
    status, words = promtool("check", "metrics", text=text.replace("retries_total", "retries"))
    assert status != 0 and "retries" in words


def test_counters_never_fall(bench, upstream):
    daemon = bench.daemon(upstream, admin=ADMIN)
    http = Http(daemon)
    load = threading.Thread(target=crowd, args=(daemon, 20, 20000))
    load.start()
    seen, calls = {}, set()
    while load.is_alive():
        metrics = http.metrics()
        now = metrics.never_fall()
        assert now.keys() >= seen.keys()
        fallen = {key for key, value in seen.items() if now[key] < value}
        assert not fallen
        seen = now
        calls.add(metrics.calls())
    load.join()
    assert len(calls) > 2, "it was looked at while it worked"
    assert all_ended(http).calls() == 20000


# --- consistency ----------------------------------------------------------------------------------

def test_every_call_is_counted_by_the_way_it_went(bench):
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, admin=ADMIN, upstream={"connections": 1},
                          method={"touch": {"batch": "off"}, "get": {"dedupe": "yes"}})
    raws = [bench.connect(daemon) for _ in range(20)]
    sent = 0
    for turn in range(30):
        for seqid, raw in enumerate(raws):
            calls = [wire.echo(b"x", seqid)] * (turn % 3) + [
                wire.call("touch", seqid), wire.call("get", seqid, (1, wire.I32, 7))][:turn % 4]
            send(raw, *calls)
            sent += len(calls)
        for raw in raws:
            for _ in range(turn % 3 + min(turn % 4, 2)):
                assert receive(raw).type == wire.REPLY
    metrics = all_ended(Http(daemon))
    assert metrics.outcomes() == {"ok": sent, "exception": 0, "error": 0, "timeout": 0,
                                  "withdrawn": 0}
    ways = [metrics["batch_calls_sum"], metrics["plain_calls_total"],
            metrics["passthrough_calls_total"]]
    assert sum(ways) == sent and min(ways) > 0
    assert metrics["batch_calls_count"] == metrics.of("batches_total")
    assert metrics["call_seconds_count"] == sent
    assert metrics.of("calls_total", method="touch") == metrics["passthrough_calls_total"]
    assert metrics["deduped_calls_total"] > 0
    # What arrived are those, less the ones that travelled in an equal one.
    assert len(upstream.calls()) == sent - metrics["deduped_calls_total"]
    assert len(upstream.batches()) == metrics["batch_calls_count"]
    assert max(upstream.batches()) > 1


ANY_MESSAGE = (faults.close, faults.close_mid_answer, faults.close_mid_header, faults.reset,
               faults.silence, faults.garbage, faults.truncated, faults.another_sequence_id,
               faults.another_method, faults.an_exception, faults.behind_the_answer, faults.twice)
OF_A_BATCH = (faults.one_too_few, faults.one_too_many, faults.shuffled, faults.first_refused,
              faults.items_of_garbage, faults.truncated_items, faults.no_result)


def outcome_of(reply):
    """As which the daemon has to count the call that got this reply."""
    if reply.type == wire.REPLY:
        return "ok"
    words = reply.error()[1]
    if words == faults.REASON:
        return "exception"
    return "timeout" if "call_timeout" in words else "error"


def faulty(seed):
    chance = random.Random(seed)

    def script(message):
        fault = honest
        if chance.random() < 0.4:
            fault = chance.choice(ANY_MESSAGE + OF_A_BATCH * is_batch(message))
        return fault(message)

    return script


@pytest.mark.parametrize("seed", range(3))
def test_outcomes_are_the_calls_sent_whatever_fails(bench, seed):
    """Two servers that fail in every way; each call is counted once, as its client was answered."""
    upstreams = [Scripted(bench) for _ in range(2)]
    daemon = bench.daemon(*upstreams, admin=ADMIN,
                          upstream={"call_timeout": "300ms", "connections": 2, "max_failures": 5},
                          method={"touch": {"batch": "off"}})
    http = Http(daemon)
    chance = random.Random(seed)
    raws = [bench.connect(daemon) for _ in range(12)]
    seen = dict.fromkeys(("ok", "exception", "error", "timeout"), 0)
    for raw in raws:  # a method that has answered is not taken for a oneway one when it is silent
        send(raw, wire.echo(b"token", 1), wire.call("touch", 2))
        for _ in range(2):
            seen[outcome_of(receive(raw))] += 1
    for number, upstream in enumerate(upstreams):
        upstream.script = faulty(f"{seed}-{number}")
    for _ in range(40):
        numbers = [chance.randrange(4) for _ in raws]
        for raw, count in zip(raws, numbers):
            send(raw, *(chance.choice((wire.echo(b"token", seqid), wire.call("touch", seqid)))
                        for seqid in range(count)))
        for raw, count in zip(raws, numbers):
            for _ in range(count):
                seen[outcome_of(receive(raw))] += 1
    metrics = all_ended(http)
    outcomes = metrics.outcomes()
    assert outcomes.pop("withdrawn") == 0
    assert outcomes == seen and min(seen.values()) > 0
    assert metrics["call_seconds_count"] == metrics.calls() == sum(seen.values())
    assert metrics["pending_bytes"] == 0
    assert metrics.of("server_inflight") == 0
    assert metrics.of("server_failures_total") > 0
    stats = http.stats()
    assert stats["calls"] == seen | {"withdrawn": 0}


def test_calls_of_those_who_leave(bench):
    """In flight or waiting, one way or the other they end."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, admin=ADMIN, daemon={"workers": 1},
                          upstream={"connections": 1})
    http = Http(daemon)
    raws = [bench.connect(daemon) for _ in range(10)]
    send(raws[0], wire.wait(b"held", 0, 1))
    upstream.wait_for_calls(1)
    for raw in raws[1:]:
        send(raw, wire.echo(b"waits", 2))
    eventually(lambda: http.metrics()["pending_calls"] == len(raws))
    assert http.metrics().of("server_inflight") == 1
    for raw in raws[5:]:
        raw.close()
    eventually(lambda: http.metrics().of("calls_total", outcome="withdrawn") == 5)
    upstream.let_go.set()
    for raw in raws[:5]:
        assert receive(raw).type == wire.REPLY
    metrics = all_ended(http)
    assert (metrics.of("calls_total", outcome="ok"), metrics.calls()) == (5, 10)
    eventually(lambda: http.metrics()["clients"] == 5)
    assert http.metrics()["clients_total"] == 10


def test_method_labels_are_bounded(bench, upstream):
    daemon = bench.daemon(upstream, admin=ADMIN)
    raw = bench.connect(daemon)
    for seqid in range(150):
        send(raw, wire.call("method%d" % seqid, seqid))
        receive(raw)
    metrics = all_ended(Http(daemon))
    labels = {labels for name, labels in metrics.samples if name == "calls_total"}
    assert len({label.split('",')[0] for label in labels}) == 101
    assert metrics.of("calls_total", method="other") == 50
    assert metrics.of("calls_total", method="method99") == 1
    assert metrics.calls() == 150


def test_client_errors(bench, upstream):
    daemon = bench.daemon(upstream, admin=ADMIN)
    http = Http(daemon)
    introduce(bench.connect(daemon))
    for _ in range(3):
        raw = bench.connect(daemon)
        raw.send(b"GET / HTTP/1.1\r\n\r\n")
        raw.until_closed()
    metrics = http.metrics()
    assert metrics.of("client_errors_total", reason="not_thrift") == 3
    assert metrics.of("client_errors_total", reason="message_type") == 1
    assert metrics.of("client_errors_total") == 4


# --- servers --------------------------------------------------------------------------------------

def test_server_up_follows_the_server(bench):
    place, never = refused_address()
    upstream = Scripted(bench)
    with place:
        daemon = bench.daemon(upstream, never, admin=ADMIN)
        http = Http(daemon)
        raws = [bench.connect(daemon) for _ in range(WORKERS)]

        def up():
            for raw in raws:
                send(raw, wire.echo(b"x", 1))
                receive(raw)
            metrics = http.metrics()
            return [metrics.of("server_up", server=server) for server in (upstream.address, never)]

        eventually(lambda: up() == [1, 0])
        assert http.metrics().of("server_failures_total", server=upstream.address) == 0
        with upstream.refusing():
            eventually(lambda: up() == [0, 0])
        assert http.metrics().of("server_failures_total", server=upstream.address) > 0
        eventually(lambda: up() == [1, 0])


def test_server_batching(bench):
    batching = Scripted(bench)
    other = Scripted(bench, without_batches, probe=without_batches)
    http = Http(bench.daemon(batching, other, admin=ADMIN))
    eventually(lambda: [server["batching"] for server in http.stats()["servers"]] == ["yes", "no"])
    metrics = http.metrics()
    assert [metrics.of("server_batching", server=each.address)
            for each in (batching, other)] == [1, 0]


# --- what it costs the calls ----------------------------------------------------------------------

@contextlib.contextmanager
def scraping(http):
    """Somebody asks for everything all the time: requests are pipelined, so that the next one is
    always there already."""
    request = b"".join(b"GET %s HTTP/1.1\r\n\r\n" % path
                       for path in (b"/metrics", b"/stats.json", b"/"))
    came = [0]

    def ask(sock):
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(request)

    def read(sock):
        with contextlib.suppress(OSError):
            while data := sock.recv(1 << 20):
                came[0] += len(data)

    with connect(http.address) as sock:
        threads = [threading.Thread(target=run, args=(sock,)) for run in (ask, read)]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: came[0])
            yield
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def with_much_to_show(bench, upstream):
    daemon = bench.daemon(upstream, admin=ADMIN)
    raw = bench.connect(daemon)
    for number in range(99):
        send(raw, wire.call("method%d" % number, 0))
        receive(raw)
    return daemon


def cpu_of_threads(daemon):
    """Nanoseconds that each has run, by the thread's name."""
    return {(task / "comm").read_text().strip(): int((task / "schedstat").read_text().split()[0])
            for task in Path(f"/proc/{daemon.pid}/task").iterdir()}


def test_scraping_is_no_work_for_those_who_serve_calls(bench, upstream, figure):
    daemon = with_much_to_show(bench, upstream)
    http = Http(daemon)
    before = cpu_of_threads(daemon)
    for _ in range(100):
        for path in ("/metrics", "/stats.json", "/"):
            http.text(path)
    spent = {name: time - before[name] for name, time in cpu_of_threads(daemon).items()}
    admin = spent.pop("admin")
    text = "of 100 scrapes: admin thread %.1f ms, others %.1f ms" % (
        admin / 1e6, sum(spent.values()) / 1e6)
    figure(text)
    assert sum(spent.values()) < admin / 10, text


def test_scraping_delays_no_call(bench, upstream, figure):
    """A lone client's calls, in rounds with and without; other programs disturb both, so the best
    rounds count."""
    daemon = with_much_to_show(bench, upstream)
    http = Http(daemon)
    crowd(daemon, 1, 200)  # warm, and the method known to answer
    alone, beside = [], []
    for _ in range(6):
        alone.append(crowd(daemon, 1, 1000)["p50_us"])
        with scraping(http):
            beside.append(crowd(daemon, 1, 1000)["p50_us"])
    text = f"p50 {min(alone)} us, while it is scraped {min(beside)} us"
    figure(text)
    assert min(beside) < 1.5 * min(alone) + 100, text
