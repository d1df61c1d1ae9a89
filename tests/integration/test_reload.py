"""SIGHUP: another configuration takes effect, and no client and no call is lost for it."""

import itertools
import signal
import threading
import time

import pytest

import wire
from clients import Thrift
from harness import PATIENCE, Raw, crowd, eventually, ini
from scripted import Holding, Scripted, calls_of, honest, is_batch
from talk import all_right, call_all, internal_error, introduce, receive, send, served

RELOADS = 100


def names(upstream):
    """What has arrived, by method."""
    return [message.name for message in upstream.received]


# --- what takes effect ----------------------------------------------------------------------------

def test_servers(bench):
    """Calls go to the new server; the connections to the one before are closed."""
    before, after = Scripted(bench), Scripted(bench)
    daemon = bench.daemon(before)
    raw = bench.connect(daemon)
    served(raw, b"one")
    assert daemon.reload(after)
    after_all = len(before.received)
    daemon.log.wait_for(r"server \S+:%d is up" % after.port)
    served(raw, b"two")
    assert [call.value(1) for call in after.calls()] == [b"two"]
    assert len(before.received) == after_all
    eventually(lambda: before.n_connections() == 0)


def test_a_call_in_flight_to_a_server_that_is_no_longer_configured(bench):
    before, after = Holding(bench), Scripted(bench)
    daemon = bench.daemon(before)
    first, second = bench.connect(daemon), bench.connect(daemon)
    send(first, wire.wait(b"slow", 0, 1))
    before.wait_for_calls(1)
    assert daemon.reload(after)
    served(second, b"meanwhile")
    before.let_go.set()
    assert receive(first).value(0) == b"slow"
    eventually(lambda: before.n_connections() == 0)


def test_window_and_flush(bench):
    """A window that never ends, then the adaptive flush that does not wait for it."""
    upstream = Scripted(bench)
    window = {"flush": "window", "window": "4s"}
    daemon = bench.daemon(upstream, batch=window, daemon={"workers": 1})
    idle, raw = bench.connect(daemon), bench.connect(daemon)
    introduce(idle)
    send(raw, wire.echo(b"waits", 1))
    introduce(idle)
    assert not upstream.received
    assert daemon.reload(upstream, batch={"flush": "adaptive"}, daemon={"workers": 1})
    assert receive(raw).value(0) == b"waits"


def test_max_calls(bench):
    upstream = Holding(bench)
    settings = {"daemon": {"workers": 1}, "upstream": {"connections": 1}}
    daemon = bench.daemon(upstream, batch={"min_calls": 1}, **settings)
    raws = [bench.connect(daemon) for _ in range(9)]
    for size in (3, 8):
        upstream.forget()
        upstream.let_go.clear()
        assert daemon.reload(upstream, batch={"min_calls": 1, "max_calls": size}, **settings)
        send(raws[0], wire.wait(b"first", 0, 7))
        upstream.wait_for_calls(1)
        call_all(raws[1:])
        introduce(bench.connect(daemon))
        upstream.let_go.set()
        assert receive(raws[0]).value(0) == b"first"
        all_right(raws[1:])
        assert max(upstream.batches()) == size


@pytest.mark.parametrize("batch", ["envelope", "off"])
def test_fewer_connections(bench, batch):
    """Also where all of them are always busy."""
    meeting = threading.Barrier(4)

    def answer_together(message):
        meeting.wait(PATIENCE)
        return honest(message)

    upstream = Scripted(bench, answer_together)
    settings = {"daemon": {"workers": 1}, "batch": {"max_calls": 1, "min_calls": 1},
                "method": {"echo": {"batch": batch}}}
    daemon = bench.daemon(upstream, upstream={"connections": 4, "passthrough_connections": 4},
                          **settings)
    raws = [bench.connect(daemon) for _ in range(8)]
    call_all(raws)
    all_right(raws)
    upstream.script = honest
    call_all(raws)
    assert daemon.reload(upstream, upstream={"connections": 1, "passthrough_connections": 1},
                         **settings)
    all_right(raws)
    eventually(lambda: upstream.n_connections() <= 2)  # one for batches and one for the others
    call_all(raws)
    all_right(raws)


def test_idle_timeout_of_connections(bench):
    """It counts for those that are idle already."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, daemon={"workers": 1},
                          upstream={"connect_timeout": "200ms", "idle_timeout": "1min"})
    served(bench.connect(daemon))
    time.sleep(0.25)  # until then the timer of connect_timeout would have helped
    assert upstream.n_connections() > 0
    assert daemon.reload(upstream, daemon={"workers": 1}, upstream={"idle_timeout": "20ms"})
    eventually(lambda: upstream.n_connections() == 0)


def test_call_timeout(bench, held):
    daemon = bench.daemon(held)
    assert daemon.reload(held, upstream={"call_timeout": "50ms"}, batch={"window": "1ms"})
    raw = bench.connect(daemon)
    send(raw, wire.echo(b"late", 1))
    assert "call_timeout (0.05 s)" in internal_error(raw, 1)


def test_method_sections(bench):
    """A method is no longer batched, then it is again, natively."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, batch={"min_calls": 1})
    raw = bench.connect(daemon)
    send(raw, wire.call("get", 1, (1, wire.I32, 5)))
    assert receive(raw).value(0) == b"value-5"
    assert daemon.reload(upstream, batch={"min_calls": 1}, method={"get": {"batch": "off"}})
    send(raw, wire.call("get", 2, (1, wire.I32, 6)))
    assert receive(raw).value(0) == b"value-6"
    native = {"batch": "native", "batch_method": "getMany", "batch_item": "1",
              "batch_requests": "1", "batch_responses": "0"}
    assert daemon.reload(upstream, batch={"min_calls": 1}, method={"get": native})
    send(raw, wire.call("get", 3, (1, wire.I32, 7)))
    assert receive(raw).value(0) == b"value-7"
    assert names(upstream) == [b"executeBatch", b"get", b"getMany"]


def test_form_of_the_upstream(bench):
    """From framed binary to buffered compact, in front of another server."""
    framed = bench.upstream()
    buffered = bench.upstream("--transport", "buffered", "--protocol", "compact")
    daemon = bench.daemon(framed)
    raw = bench.connect(daemon)
    served(raw, b"framed")
    assert daemon.reload(buffered, upstream={"transport": "buffered", "protocol": "compact"})
    served(raw, b"buffered")
    with Thrift(buffered, "compact", "buffered") as client:
        assert client.stats().calls > 0


def test_calls_that_wait_when_the_form_changes(bench):
    """They were read for the server of before, and are still sent there."""
    before = Holding(bench)
    after = bench.upstream("--transport", "buffered", "--protocol", "compact")
    settings = {"daemon": {"workers": 1}}
    daemon = bench.daemon(before, upstream={"connections": 1}, **settings)
    busy, waiting = bench.connect(daemon), bench.connect(daemon)
    send(busy, wire.wait(b"in flight", 0, 1))
    before.wait_for_calls(1)
    send(waiting, wire.echo(b"waits", 2))
    introduce(bench.connect(daemon))
    assert daemon.reload(after, upstream={"transport": "buffered", "protocol": "compact"},
                         **settings)
    served(bench.connect(daemon), b"meanwhile")
    before.let_go.set()
    assert receive(busy).value(0) == b"in flight"
    assert receive(waiting).value(0) == b"waits"
    served(waiting, b"afterwards")
    assert [call.value(1) for call in before.calls()] == [b"in flight", b"waits"]
    eventually(lambda: before.n_connections() == 0)


@pytest.mark.parametrize("limit, words", [
    ({"client": {"max_message_size": "100"}}, "larger than max_message_size"),
    ({"client": {"idle_timeout": "20ms"}}, None)])
def test_limits_of_clients(bench, upstream, limit, words):
    daemon = bench.daemon(upstream)
    raw = bench.connect(daemon)
    served(raw)
    assert daemon.reload(upstream, **limit)
    if words:
        send(raw, wire.echo(b"x" * 200))
    assert raw.until_closed() == b""
    if words:
        daemon.log.wait_for(words)


def test_a_client_at_its_limit(bench):
    """It is read on at once, though nothing of it has ended."""
    upstream = Holding(bench)
    settings = {"daemon": {"workers": 1}, "batch": {"min_calls": 1}}
    daemon = bench.daemon(upstream, client={"max_client_calls": 1, "ordering": "relaxed"},
                          **settings)
    raw = bench.connect(daemon)
    send(raw, wire.wait(b"one", 0, 1), wire.wait(b"two", 0, 2))
    upstream.wait_for_calls(1)
    assert daemon.reload(upstream, client={"ordering": "relaxed"}, **settings)
    upstream.wait_for_calls(2)


def test_max_clients(bench, upstream):
    daemon = bench.daemon(upstream)
    raws = [bench.connect(daemon) for _ in range(3)]
    introduce(*raws)
    assert daemon.reload(upstream, client={"max_clients": 3})
    assert bench.connect(daemon).until_closed() == b""
    served(raws[0])
    assert daemon.reload(upstream, client={"max_clients": 4})
    served(bench.connect(daemon))


def test_max_pending_calls(bench):
    """Lowered, clients are not read; raised again, they are."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, daemon={"workers": 1})
    assert daemon.reload(upstream, daemon={"workers": 1}, upstream={"max_pending_calls": 2})
    raws = [bench.connect(daemon) for _ in range(4)]
    for number, raw in enumerate(raws):
        send(raw, wire.wait(b"%d" % number, 0, number))
    upstream.wait_for_calls(2)
    time.sleep(0.05)
    assert len(upstream.calls()) == 2
    assert daemon.reload(upstream, daemon={"workers": 1})
    upstream.wait_for_calls(4)
    upstream.let_go.set()
    for raw in raws:
        assert receive(raw).type == wire.REPLY


def test_log_level(bench, upstream):
    daemon = bench.daemon(upstream)
    assert daemon.reload(upstream, daemon={"log_level": "debug"})
    bench.connect(daemon).close()
    daemon.log.wait_for(r"debug: client \S+: open -> closed")


def test_socket_mode(bench, upstream, directory):
    path = directory / "calls.sock"
    daemon = bench.daemon(upstream, daemon={"listen": f"unix:{path}"})
    assert path.stat().st_mode & 0o777 == 0o660
    assert daemon.reload(upstream, daemon={"listen": f"unix:{path}", "socket_mode": "0600"})
    eventually(lambda: path.stat().st_mode & 0o777 == 0o600)


# --- what does not --------------------------------------------------------------------------------

def test_what_needs_a_restart_is_named(bench, upstream):
    """... and stays as it is, while the rest takes effect."""
    daemon = bench.daemon(upstream, daemon={"workers": 1})
    assert daemon.reload(upstream, batch={"max_calls": 7},
                         daemon={"workers": 3, "listen": "127.0.0.1:1"},
                         admin={"http": "127.0.0.1:0"})
    for key in (r"\[daemon\] listen", r"\[daemon\] workers", r"\[admin\] http"):
        daemon.log.wait_for(key + " has changed in .*: it needs a restart")
    daemon.log.wait_for(r"reloaded \S+: \[batch\] max_calls = 7$")
    served(bench.connect(daemon))


@pytest.mark.parametrize("text, words", [
    ("[batch]\nmax_calls = none\n[bach]\n", [r":2: \[batch\] max_calls: 'none'", r"\[bach\]"]),
    ("", [r"\[upstream\] servers: missing"])])
def test_a_bad_file_changes_nothing(bench, upstream, text, words):
    daemon = bench.daemon(upstream)
    raw = bench.connect(daemon)
    served(raw)
    daemon.config.write_text(text)
    assert not daemon.reload_file()
    for line in words:
        daemon.log.wait_for("error: .*" + line)
    served(raw)


def test_no_file(bench, upstream):
    daemon = bench.daemon(upstream)
    daemon.config.unlink()
    assert not daemon.reload_file()
    daemon.log.wait_for("cannot be read: No such file")
    served(bench.connect(daemon))


def test_an_unchanged_file(bench, upstream):
    daemon = bench.daemon(upstream)
    assert daemon.reload_file()
    daemon.log.wait_for("nothing changes")
    served(bench.connect(daemon))


def test_while_draining_nothing_is_reloaded(bench):
    upstream = Holding(bench)
    daemon = bench.daemon(upstream)
    raw = bench.connect(daemon)
    send(raw, wire.wait(b"last", 0, 1))
    upstream.wait_for_calls(1)
    daemon.signal(signal.SIGTERM)
    daemon.log.wait_for("draining")
    daemon.config.write_text("nonsense")
    daemon.signal(signal.SIGHUP)
    upstream.let_go.set()
    assert receive(raw).value(0) == b"last"
    daemon.wait()
    assert "reloaded" not in daemon.log.text()


# --- calls that are under way ---------------------------------------------------------------------

ORDERINGS = {"strict": "relaxed", "relaxed": "strict"}


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_calls_under_way(bench, ordering):
    """What calls carry with them changes: who has calls in flight gets their answers, and then the
    calls that it has sent meanwhile are answered; who has none is served at once."""
    upstream = Holding(bench)
    settings = {"daemon": {"workers": 1}, "batch": {"min_calls": 1}}
    daemon = bench.daemon(upstream, client={"ordering": ordering}, **settings)
    busy, idle = bench.connect(daemon), bench.connect(daemon)
    introduce(idle)
    send(busy, wire.wait(b"a", 0, 1))
    upstream.wait_for_calls(1)
    assert daemon.reload(upstream, client={"ordering": ORDERINGS[ordering]}, **settings)
    send(busy, wire.echo(b"b", 2), wire.echo(b"c", 3))
    served(idle, b"meanwhile")
    introduce(bench.connect(daemon))
    assert [call.value(1) for call in upstream.calls()] == [b"a", b"meanwhile"]
    upstream.let_go.set()
    assert [receive(busy).value(0) for _ in range(3)] == [b"a", b"b", b"c"]


def test_connections_of_before_are_closed(bench):
    """Also those of a server that stays, since they speak another form."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, daemon={"workers": 1})
    raw = bench.connect(daemon)
    served(raw)
    for number in range(3):
        assert daemon.reload(upstream, daemon={"workers": 1},
                             method={"echo": {"group": f"g{number}"}})
        served(raw)
    eventually(lambda: upstream.n_connections() <= 2)  # those of the latest: asked, and called


def test_a_oneway_of_a_client_that_leaves(bench):
    upstream = Holding(bench)
    settings = {"daemon": {"workers": 1}, "upstream": {"connections": 1}}
    daemon = bench.daemon(upstream, **settings)
    busy, leaver = bench.connect(daemon), bench.connect(daemon)
    send(busy, wire.wait(b"slow", 0, 1))
    upstream.wait_for_calls(1)
    send(leaver, wire.call("log", 1, (1, wire.STRING, b"last words"), kind=wire.ONEWAY))
    introduce(bench.connect(daemon))
    leaver.close()
    assert daemon.reload(upstream, client={"ordering": "relaxed"}, **settings)
    upstream.let_go.set()
    upstream.wait_for_calls(2)
    assert upstream.calls()[1].value(1) == b"last words"
    eventually(lambda: upstream.n_connections() <= 2)


def test_learnt_methods_stay_known(bench):
    """A method that has answered may travel plain at once."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, daemon={"workers": 1})
    raw = bench.connect(daemon)
    served(raw)
    upstream.forget()
    assert daemon.reload(upstream, daemon={"workers": 1}, method={"other": {"batch": "off"}})
    served(raw)
    assert names(upstream) == [b"echo"]


def test_a_oneway_and_the_call_behind_it(bench):
    """A passed-through ONEWAY binds its client to a connection: the call behind it goes there."""
    upstream = Scripted(bench)
    off = {"log": {"batch": "off"}}
    daemon = bench.daemon(upstream, daemon={"workers": 1}, method=off)
    raw = bench.connect(daemon)
    send(raw, wire.call("log", 1, (1, wire.STRING, b"x"), kind=wire.ONEWAY))
    upstream.wait_for_calls(1)
    assert daemon.reload(upstream, daemon={"workers": 1},
                         method=off | {"other": {"batch": "off"}})
    served(raw)
    served(raw)
    eventually(lambda: upstream.n_connections() <= 2)


def test_a_client_that_only_sends_oneways(bench):
    """It is bound to its connection again and again, but not for ever: it follows, in order."""
    upstream = Scripted(bench)
    settings = {"daemon": {"workers": 1}, "batch": {"min_calls": 1},
                "upstream": {"call_timeout": "1s"}}
    daemon = bench.daemon(upstream, method={"log": {"batch": "off"}}, **settings)
    raw, numbers = bench.connect(daemon), itertools.count()

    def is_batched():
        number = next(numbers)
        send(raw, wire.call("log", number, (1, wire.I32, number), kind=wire.ONEWAY))
        upstream.wait_for_calls(number + 1)
        return is_batch(upstream.received[-1])

    assert not is_batched()
    assert daemon.reload(upstream, **settings)
    assert not is_batched()
    eventually(is_batched)
    eventually(lambda: upstream.n_connections() == 1)
    assert [call.value(1) for call in upstream.calls()] == list(range(next(numbers)))


# --- again and again ------------------------------------------------------------------------------

class Caller:
    """Pipelines two calls at a time and counts."""

    def __init__(self, daemon, number):
        self.n_right, self.problem = 0, None
        self._raw = Raw(daemon.address)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(number,), daemon=True)
        self._thread.start()

    def _run(self, number):
        try:
            while not self._stop.is_set():
                tokens = [b"%d-%d" % (number, self.n_right + i) for i in range(2)]
                send(self._raw, *(wire.echo(token, i) for i, token in enumerate(tokens)))
                replies = sorted((receive(self._raw) for _ in tokens), key=lambda got: got.seqid)
                assert [got.value(0) for got in replies] == tokens, replies
                self.n_right += len(tokens)
        except Exception as problem:  # pylint: disable=broad-except
            self.problem = problem

    def end(self):
        self._stop.set()
        self._thread.join()
        self._raw.close()


def variants(first, second):
    """Configurations that differ in all that a reload changes."""
    two = [first, second]
    yield two, {}
    yield [second], {"batch": {"flush": "window", "window": "200us", "max_calls": 5}}
    yield two, {"client": {"ordering": "relaxed"}, "method": {"echo": {"batch": "off"}}}
    yield [first], {"upstream": {"connections": 1, "max_pending_calls": 40},
                    "method": {"*": {"dedupe": "yes"}}}
    yield two, {"client": {"max_message_size": "1MiB"}, "batch": {"min_calls": 1}}
    yield [second, first], {"method": {"echo": {"group": "slow"}, "getUser": {"batch": "off"}}}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_reloads_under_load(bench, figure, workers):
    """Every call is answered rightly, and executed once."""
    servers = [bench.upstream() for _ in range(2)]
    daemon = bench.daemon(*servers, daemon={"workers": workers})
    callers = [Caller(daemon, number) for number in range(4)]
    results, stop = [], threading.Event()

    def run_crowd():
        while not stop.is_set():
            results.append(crowd(daemon, 20, 4000))

    thread = threading.Thread(target=run_crowd, daemon=True)
    thread.start()
    configurations = list(variants(*servers))
    for number in range(RELOADS):
        upstreams, sections = configurations[number % len(configurations)]
        assert daemon.reload(*upstreams, daemon={"workers": workers}, **sections)
    stop.set()
    thread.join()
    for caller in callers:
        caller.end()
    problems = [caller.problem for caller in callers if caller.problem]
    assert not problems, problems
    assert all(result["right"] == 4000 for result in results), results
    calls = sum(caller.n_right for caller in callers) + 4000 * len(results)
    daemon.end()
    executed = 0
    for server in servers:
        with Thrift(server) as client:
            executed += client.stats().calls - 1  # that one
    figure(f"{calls} calls during {RELOADS} reloads, {executed} executed")
    assert executed == calls
