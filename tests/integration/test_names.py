"""Names of the upstream: looked up again and again, each address a server; the resolver is the
test's own (tests/shim)."""

import contextlib
import os
import signal
import threading
import time

import pytest
import wire
from harness import PATIENCE, SANITIZED, eventually, program, refused_address
from scripted import Holding, Scripted
from talk import all_read, all_right, call_all, internal_error, receive, send, served

NAME = "users.test"
QUICK = {"resolve_interval": "20ms"}
ALONE = {"max_calls": 1, "min_calls": 1}  # each call is a batch


class Names:
    """What the resolver of a daemon with `environment` says."""

    def __init__(self, directory):
        self._path = directory / "names"
        self._words = {}
        # the shim is loaded before AddressSanitizer
        asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.environment = {"LD_PRELOAD": program("RESOLVER_SHIM"), "ASAN_OPTIONS": asan,
                            "RESOLVER_SHIM_FILE": str(self._path)}

    def say(self, *words, name=NAME):
        """The name's addresses (or upstreams), or another word of the shim."""
        self._words[name] = [getattr(word, "address", word).split(":")[0] for word in words]
        new = self._path.with_suffix(".new")
        new.write_text("".join(f"{each} {' '.join(said)}\n" for each, said in self._words.items()))
        new.rename(self._path)


@pytest.fixture
def names(tmp_path):
    return Names(tmp_path)


@pytest.fixture
def start(bench, names):
    """A daemon in front of the servers that the name has at this port."""
    def start(port, **sections):
        sections["upstream"] = QUICK | sections.get("upstream", {})
        return bench.daemon(f"{NAME}:{port}", environment=names.environment, **sections)
    return start


def two(bench, kind=Scripted):
    """Two upstreams at the same port of different addresses."""
    while True:
        first = kind(bench)
        with contextlib.suppress(OSError):  # the other one's port may be taken
            return first, kind(bench, port=first.port, host="127.0.0.2")


def both_up(daemon):
    daemon.log.wait_for(r"server .*: calls to it are batched", 2)


def tokens(upstream):
    return [call.value(1) for call in upstream.calls()]


# --- several addresses ----------------------------------------------------------------------------

def test_two_addresses_share_the_load(bench, names, start):
    """Each call goes where fewer are in flight."""
    both = two(bench, Holding)
    names.say(*both)
    daemon = start(both[0].port, batch=ALONE, daemon={"workers": 1})
    both_up(daemon)
    raws = [bench.connect(daemon) for _ in range(6)]
    for number, raw in enumerate(raws):
        send(raw, wire.wait(b"%d" % number, 0))
        eventually(lambda: sum(len(each.calls()) for each in both) > number)  # pylint: disable=W0640
    assert [len(each.calls()) for each in both] == [3, 3]
    for each in both:
        each.let_go.set()
    for number, raw in enumerate(raws):
        assert receive(raw).value(0) == b"%d" % number
    daemon.log.wait_for(f"server {NAME}:{both[0].port}/127.0.0.2:{both[0].port} is up")


def test_what_names_and_addresses_share_is_one_server(bench, names):
    first, second = two(bench)
    port = first.port
    names.say(first)
    names.say(first, second, name="both.test")
    daemon = bench.daemon(f"{NAME}:{port}", f"127.0.0.1:{port}", f"both.test:{port}",
                          environment=names.environment, upstream=QUICK,
                          daemon={"log_level": "debug", "workers": 1})
    daemon.log.wait_for(f"server both.test:{port}/127.0.0.2:{port} is up")
    served(bench.connect(daemon))
    daemon.end()
    assert len(daemon.log.matching("trying -> up")) == 2
    assert not daemon.log.matching("vanished")


# --- changes --------------------------------------------------------------------------------------

class Load:
    """Clients that call without a pause; every call has to be answered rightly."""

    def __init__(self, bench, daemon, count=8):
        self._stop = threading.Event()
        self.problems = []
        raws = [bench.connect(daemon) for _ in range(count)]
        self._threads = [threading.Thread(target=self._call, args=(raw,)) for raw in raws]
        for thread in self._threads:
            thread.start()
        bench.on_end(self.end)

    def _call(self, raw):
        seqid = 0
        try:
            while not self._stop.is_set():
                send(raw, *(wire.echo(b"%d" % (seqid + i), seqid + i) for i in range(3)))
                for _ in range(3):
                    got = receive(raw)
                    assert (got.type, got.seqid) == (wire.REPLY, seqid), got
                    assert got.value(0) == b"%d" % seqid
                    seqid += 1
        except Exception as problem:  # pylint: disable=broad-except
            self.problems.append(problem)

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("workers", (1, 3))
@pytest.mark.parametrize("policy", ("envelope", "off"))
def test_addresses_change_under_load(bench, names, start, policy, workers):
    """One vanishes, and ends as soon as it is drained; one joins; no call fails."""
    first, second = two(bench)
    names.say(first)
    daemon = start(first.port, daemon={"workers": workers}, method={"*": {"batch": policy}})
    load = Load(bench, daemon)
    eventually(lambda: len(first.calls()) > 100)
    for leaves, joins in ((first, second), (second, first)) * 2:
        names.say(leaves, joins)
        joins.forget()
        eventually(lambda: len(joins.calls()) > 50)  # pylint: disable=cell-var-from-loop
        before = len(daemon.log.matching("is drained: the connections"))
        names.say(joins)
        daemon.log.wait_for("is drained: the connections", before + 1)
        leaves.forget()
        joins.forget()
        eventually(lambda: len(joins.calls()) > 50)  # pylint: disable=cell-var-from-loop
        assert not leaves.calls()
    load.end()
    assert not load.problems
    assert not daemon.log.matching("warning|error")


def test_what_is_in_flight_finishes(bench, names, start):
    """The server may take its time: its name is looked up many times meanwhile."""
    first, second = two(bench, Holding)
    names.say(first)
    daemon = start(first.port, batch=ALONE)
    raws = [bench.connect(daemon) for _ in range(2)]
    send(raws[0], wire.wait(b"in flight", 0, 1))
    first.wait_for_calls(1)
    names.say(second)
    daemon.log.wait_for("server .* is up", 2)
    served(raws[1])
    assert tokens(second) == [b"served"]
    assert not daemon.log.matching("is drained: the")
    first.let_go.set()
    assert receive(raws[0]).value(0) == b"in flight"
    daemon.log.wait_for("is drained: the")


def test_calls_that_follow_one_leave_with_the_next(bench, names, start):
    """Passed through, a client's calls follow each other on a connection without waiting. They do
    not hold on to it for ever."""
    first, second = two(bench, Holding)
    names.say(first)
    daemon = start(first.port, method={"*": {"batch": "off"}})
    raw = bench.connect(daemon)
    send(raw, wire.wait(b"0", 0, 0), wire.echo(b"1", 1))
    first.wait_for_calls(1)
    names.say(second)
    daemon.log.wait_for("server .* is up", 2)
    send(raw, wire.echo(b"2", 2), wire.echo(b"3", 3))
    all_read(bench, daemon)
    first.let_go.set()
    assert [receive(raw).value(0) for _ in range(4)] == [b"0", b"1", b"2", b"3"]
    assert (tokens(first), tokens(second)) == ([b"0", b"1"], [b"2", b"3"])
    daemon.log.wait_for("is drained: the")


def test_the_call_behind_a_oneway_follows_it(bench, names, start):
    """Nobody says when the ONEWAY is over: the client's next call goes to the same connection, and
    those after it elsewhere."""
    first, second = two(bench, Holding)
    names.say(first)
    daemon = start(first.port, method={"*": {"batch": "off"}})
    raw = bench.connect(daemon)
    send(raw, wire.Message(b"log", wire.ONEWAY, 0, [(1, wire.STRING, b"oneway")]))
    first.wait_for_calls(1)
    names.say(second)
    daemon.log.wait_for("server .* is up", 2)
    send(raw, wire.wait(b"next", 0, 1))
    first.wait_for_calls(2)
    send(raw, wire.echo(b"last", 2))
    all_read(bench, daemon)
    first.let_go.set()
    assert [receive(raw).value(0) for _ in range(2)] == [b"next", b"last"]
    assert (tokens(first), tokens(second)) == ([b"oneway", b"next"], [b"last"])
    daemon.log.wait_for("is drained: the")


def test_a_client_that_never_waits_leaves_after_call_timeout(bench, names, start):
    """One that sends nothing but ONEWAYs is bound all the time; the server gets rid of it."""
    first, second = two(bench)
    names.say(first)
    daemon = start(first.port, method={"*": {"batch": "off"}}, upstream={"call_timeout": "300ms"})
    raw = bench.connect(daemon)

    def sends():
        send(raw, wire.Message(b"log", wire.ONEWAY, 0, [(1, wire.STRING, b"oneway")]))
        return len(second.calls()) > 0

    sends()
    first.wait_for_calls(1)
    names.say(second)
    eventually(sends)
    daemon.log.wait_for("is drained: the")


def test_an_address_comes_back_before_it_is_drained(bench, names, start):
    first, second = two(bench, Holding)
    names.say(first, second)
    daemon = start(first.port, batch=ALONE, daemon={"workers": 1, "log_level": "debug"})
    both_up(daemon)
    raws = [bench.connect(daemon) for _ in range(2)]
    for number, raw in enumerate(raws):  # one on each
        send(raw, wire.wait(b"held", 0, number))
        eventually(lambda: len(first.calls()) + len(second.calls()) > number)  # pylint: disable=W0640
    names.say(second)
    daemon.log.wait_for("127.0.0.1.* has vanished")
    daemon.log.wait_for(f"server .*/127.0.0.2.* is called {NAME}:{first.port} from now on")
    names.say(first)
    daemon.log.wait_for("127.0.0.1.* has joined", 2)
    daemon.log.wait_for(r"server .*: calls to it are batched", 3)
    other = bench.connect(daemon)
    served(other, b"again")
    assert tokens(first) == [b"held", b"again"]
    for upstream in first, second:
        upstream.let_go.set()
    for raw in raws:
        assert receive(raw).value(0) == b"held"
    daemon.log.wait_for("is drained: the", 2)
    served(other)


# --- a resolver that fails ------------------------------------------------------------------------

def test_a_lookup_that_hangs_delays_nothing(bench, names, start):
    """Neither a call nor the end."""
    upstream = Scripted(bench)
    names.say(upstream)
    daemon = start(upstream.port)
    raw = bench.connect(daemon)
    served(raw)
    names.say("hang")
    daemon.log.wait_for("resolver-shim: .* hangs")
    begin = time.monotonic()
    for seqid in range(50):
        served(raw, b"meanwhile", seqid)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(PATIENCE) == 0
    assert time.monotonic() - begin < PATIENCE / 4


@pytest.mark.parametrize("word", ("fail", "empty"))
def test_a_lookup_that_fails_changes_nothing(bench, names, start, word):
    upstream = Scripted(bench)
    names.say(upstream)
    daemon = start(upstream.port, daemon={"log_level": "debug"})
    raw = bench.connect(daemon)
    served(raw)
    names.say(word)
    daemon.log.wait_for(f"'{NAME}.*; the addresses that it had are kept", 5)
    served(raw)
    names.say(upstream)
    daemon.log.wait_for(f"'{NAME}.*' is resolved, after")
    served(raw)
    assert len(daemon.log.matching(f"warning: .*{NAME}")) == 1, "the log is not flooded"
    assert not daemon.log.matching("vanished")


def test_unknown_at_start(bench, names, start):
    """The daemon starts all the same, says what is wrong to everybody, and tries again sooner than
    the name would be looked up otherwise."""
    upstream = Scripted(bench)
    names.say("fail")
    daemon = start(upstream.port, upstream={"resolve_interval": "1h"})
    daemon.log.wait_for(f"warning: .*'{NAME}:{upstream.port}' cannot be resolved")
    raw = bench.connect(daemon)
    begin = time.monotonic()
    send(raw, wire.echo(b"x", 1))
    assert f"{NAME}:{upstream.port}" in internal_error(raw, 1)
    assert time.monotonic() - begin < 0.9, "connect_timeout is not waited for"
    names.say(upstream)
    daemon.log.wait_for("server .* is up")
    served(raw)


@pytest.mark.parametrize("workers", (1, 3))
def test_calls_wait_for_the_first_lookup(bench, names, start, workers):
    upstream = Scripted(bench)
    names.say("hang")
    daemon = start(upstream.port, upstream={"connect_timeout": f"{PATIENCE}s"},
                   daemon={"workers": workers})
    raws = [bench.connect(daemon) for _ in range(workers)]
    call_all(raws)
    all_read(bench, daemon, workers)
    names.say(upstream)
    all_right(raws)


def test_but_not_for_long(bench, names, start):
    names.say("hang")
    daemon = start(1, upstream={"connect_timeout": "300ms"})
    raw = bench.connect(daemon)
    send(raw, wire.echo(b"x", 1))
    assert "still being looked up" in internal_error(raw, 1)


def test_a_name_that_hangs_is_not_in_the_way_of_addresses(bench, names):
    upstream = Scripted(bench)
    names.say("hang")
    daemon = bench.daemon(f"{NAME}:1", upstream, environment=names.environment)
    served(bench.connect(daemon))


# --- several workers ------------------------------------------------------------------------------

def test_workers_return_together(bench):
    """The first one that reaches the server tells the others, whatever their backoff; and the log
    says once what all of them learn."""
    held, address = refused_address()
    workers = 16  # so many that their jitter spreads them
    daemon = bench.daemon(address, daemon={"workers": workers, "log_level": "debug"})
    for worker in range(workers):
        origin = f"worker {worker + 1}: " if worker else ""
        daemon.log.wait_for(f"debug: {origin}server .*: probing -> out", 5)
    held.close()
    Scripted(bench, port=int(address.rsplit(":", 1)[1]))
    daemon.log.wait_for("probing -> up")
    begin = time.monotonic()
    daemon.log.wait_for("probing -> up", workers)
    assert time.monotonic() - begin < (1 if SANITIZED else 0.4), "about 1 s by themselves"
    assert len(daemon.log.matching(r"^warning: .*server .* is out")) == 1
    assert len(daemon.log.matching(r"^(worker \d+: )?server .* is up")) == 1


def test_a_reload_keeps_servers_until_the_new_name_is_known(bench, names, start):
    """The calls go on where they went, however long the new name takes."""
    names.say("127.0.0.1")
    before, after = two(bench)
    daemon = start(before.port)
    raw = bench.connect(daemon)
    served(raw)
    names.say("hang", name="new.test")
    assert daemon.reload(f"new.test:{after.port}", upstream=QUICK)
    served(raw)
    assert not after.received
    names.say("127.0.0.2", name="new.test")
    daemon.log.wait_for("127.0.0.2:%d has joined" % after.port)
    daemon.log.wait_for("127.0.0.1:%d is drained: " % before.port)
    served(raw)
    assert len(after.calls()) == 1


def test_a_reload_to_a_name_that_nobody_knows(bench, names, start):
    names.say("127.0.0.1")
    names.say("fail", name="misspelt.test")
    upstream = Scripted(bench)
    daemon = start(upstream.port)
    served(bench.connect(daemon))
    assert daemon.reload(f"misspelt.test:{upstream.port}", upstream=QUICK)
    daemon.log.wait_for("misspelt.test.*tried again with backoff")
    served(bench.connect(daemon))


def test_a_reload_to_the_first_name(bench, names):
    """There was none before, and so no thread that looks names up."""
    before, after = two(bench)
    names.say("127.0.0.2")
    daemon = bench.daemon(before.address, environment=names.environment)
    served(bench.connect(daemon))
    assert daemon.reload(f"{NAME}:{after.port}", upstream=QUICK)
    daemon.log.wait_for("127.0.0.1:%d is drained: " % before.port)
    served(bench.connect(daemon))
    assert len(after.calls()) == 1
