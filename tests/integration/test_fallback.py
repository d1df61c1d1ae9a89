"""Servers that do not batch, or not yet: their calls are passed through, and the daemon notices when
they have learnt it."""

import resource
import threading
import time

import clients
import pytest
import wire
from clients import Thrift
from harness import eventually
from scripted import CLOSE, SILENCE, Scripted, honest, is_batch, value_of, without_batches
from talk import all_read, receive, send, served
from test_clients import CLIENT_FORMS, EXTREMES
from thrift_batch_demo.ttypes import NotFound, User

RETRY = {"batch_retry_interval": "100ms"}
NO = r"does not serve executeBatch"
YES = r"serves executeBatch: calls to it are batched"


@pytest.mark.parametrize("transport,protocol", (("framed", "binary"), ("buffered", "compact")))
def test_every_client(bench, transport, protocol):
    upstream = bench.upstream("--no-batch", "--transport", transport, "--protocol", protocol)
    daemon = bench.daemon(upstream, upstream={"transport": transport, "protocol": protocol})
    daemon.log.wait_for(NO)
    for form in CLIENT_FORMS:
        with Thrift(daemon, *form) as client:
            assert client.echo("a") == "a"
            assert client.getUser("b", 7) == User(7, "user-7", True, "b")
            assert client.touch("c") is None
            before = client.logged()
            client.log("line")
            assert client.logged() == before + 1
            for values in EXTREMES:
                through = client.everything("d", *values)
                assert through.aMap == values[10] and through.structs == values[12]
            with pytest.raises(NotFound):
                client.getUser("e", -1)
    assert clients.stats(upstream, protocol, transport).batches == 0


def exception(kind, text=""):
    return lambda message: wire.encode(wire.exception(message, kind, text))


@pytest.mark.parametrize("probe", (
    exception(wire.UNKNOWN_METHOD, "unknown"), exception(wire.PROTOCOL_ERROR),
    exception(wire.INTERNAL_ERROR), lambda message: CLOSE, lambda message: SILENCE),
    ids=("unknown", "protocol", "internal", "closed", "silent"))
def test_ways_to_say_no(bench, probe):
    upstream = Scripted(bench, without_batches, probe=probe)
    daemon = bench.daemon(upstream, upstream={"connect_timeout": "200ms"})
    raw = bench.connect(daemon)
    for number in range(3):
        served(raw, b"call-%d" % number, number)
    assert not upstream.batches(), "nobody tried a batch"
    assert len(daemon.log.wait_for(NO)) == 1
    assert not daemon.log.matching(r"is out"), "a no is no failure"


def test_native_batches_do_not_wait_for_the_answer(bench):
    """Only envelopes do, though they came first."""
    upstream = Scripted(bench, probe=lambda message: SILENCE)
    daemon = bench.daemon(upstream, upstream={"connect_timeout": "1min"}, batch={"min_calls": 1},
                          method={"get": {"batch": "native", "batch_method": "getMany",
                                          "batch_item": 1, "batch_requests": 1,
                                          "batch_responses": 0}})
    asks, gets = bench.connect(daemon), bench.connect(daemon)
    send(asks, wire.echo(b"waits", 1))
    all_read(bench, daemon)
    for key in range(3):
        send(gets, wire.call("get", key, (1, wire.I64, key)))
        assert receive(gets).value(0) == value_of(key)
    assert [message.name for message in upstream.received] == [b"getMany"] * 3


def test_unknown_method_for_a_batch(bench):
    """It said yes when it was asked, and no to the first batch: the calls are passed through."""
    upstream = Scripted(bench, without_batches)
    daemon = bench.daemon(upstream, batch={"min_calls": 1})
    raws = [bench.connect(daemon) for _ in range(10)]
    for number, raw in enumerate(raws):
        send(raw, *(wire.echo(b"%d-%d" % (number, call), call) for call in range(3)))
    for number, raw in enumerate(raws):
        assert [receive(raw).value(0) for _ in range(3)] == [
            b"%d-%d" % (number, call) for call in range(3)]
    daemon.log.wait_for(NO)


def test_it_learns_to_batch(bench):
    """It answers the question, which is asked again and again."""
    upstream = Scripted(bench, without_batches, probe=without_batches)
    daemon = bench.daemon(upstream, batch=RETRY | {"min_calls": 1})
    raw = bench.connect(daemon)
    served(raw)
    assert not upstream.batches()
    upstream.script = upstream.probe = honest
    daemon.log.wait_for(YES)
    served(raw)
    assert upstream.batches() == [1]


class Callers:
    """Clients that call until they are told to stop, and count what went wrong."""

    def __init__(self, bench, daemon, count):
        self.wrong, self.done, self._stop = [], 0, threading.Event()
        self._raws = [bench.connect(daemon) for _ in range(count)]
        self._threads = [threading.Thread(target=self._call, args=item, daemon=True)
                         for item in enumerate(self._raws)]
        for thread in self._threads:
            thread.start()

    def _call(self, number, raw):
        call = 0
        while not self._stop.is_set():
            call += 1
            token = b"%d-%d" % (number, call)
            send(raw, wire.echo(token, call))
            got = receive(raw)
            if got.type != wire.REPLY or got.value(0) != token:
                self.wrong.append(got)
            self.done += 1

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("idle_timeout", ("0", "100ms"), ids=("it-closes", "we-close"))
def test_it_comes_back_without_batches(bench, idle_timeout):
    """An earlier version, which breaks on batches: it is asked before it gets one."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, daemon={"log_level": "debug"}, batch={"min_calls": "1"},
                          upstream={"idle_timeout": idle_timeout})
    raw = bench.connect(daemon)
    served(raw, b"before", 1)
    assert upstream.batches() == [1]
    if idle_timeout != "0":
        daemon.log.wait_for("idle -> closed")
    with upstream.refusing():
        daemon.log.wait_for("idle -> closed")
        upstream.script = upstream.probe = \
            lambda message: CLOSE if is_batch(message) else honest(message)
    upstream.forget()
    served(raw, b"after", 2)
    assert not upstream.batches()
    daemon.log.wait_for(NO)


def test_the_question_that_cannot_be_asked_is_asked_later(bench):
    """A call that is passed through was first, and there was no descriptor for another connection."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, method={"touch": {"batch": "off"}},
                          upstream={"idle_timeout": "200ms"})
    raw = bench.connect(daemon)
    served(raw, seqid=1)
    eventually(lambda: upstream.n_connections() == 0)
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE,
                     (daemon.lowest_free_descriptor() + 1, limits[1]))
    send(raw, wire.call("touch", 2, (1, wire.STRING, b"t")))
    assert receive(raw).seqid == 2
    daemon.log.wait_for("cannot open another connection")
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
    served(raw, seqid=3)


def test_rolling_upgrade(bench):
    """Two servers, neither of which batches. One after the other is stopped while nothing is under
    way on it, and comes back with batching; the daemon notices, and no call is lost."""
    old = [bench.upstream("--no-batch") for _ in range(2)]
    daemon = bench.daemon(*old, batch=RETRY)
    daemon.log.wait_for(NO, 2)
    raws = [bench.connect(daemon) for _ in range(4)]
    for number, server in enumerate(old):
        for raw in raws:
            served(raw)
        server.stop()
        time.sleep(0.5)  # several questions go unanswered
        bench.upstream(listen=server.address)
        daemon.log.wait_for(YES, number + 1)
        callers = Callers(bench, daemon, 10)
        time.sleep(0.3)
        callers.end()
        assert callers.done and not callers.wrong


def test_one_with_and_one_without(bench):
    """Both serve; batches reach only the one that knows them."""
    new, old = Scripted(bench), Scripted(bench, without_batches, probe=without_batches)
    daemon = bench.daemon(new, old, batch={"min_calls": 1})
    daemon.log.wait_for(NO)
    callers = Callers(bench, daemon, 20)
    time.sleep(0.5)
    callers.end()
    assert callers.done and not callers.wrong
    assert new.batches() and not old.batches()
    assert [message for message in old.received if not is_batch(message)], "both are used"


def test_nobody_is_asked_where_nothing_is_batched(bench):
    asked = []
    upstream = Scripted(bench, probe=lambda message: asked.append(message) or honest(message))
    daemon = bench.daemon(upstream, method={"*": {"batch": "off"}})
    served(bench.connect(daemon))
    assert not asked and not daemon.log.matching("executeBatch")
