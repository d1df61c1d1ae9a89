"""Calls that are passed through: side by side, each client's in order, on connections of their own."""

import dataclasses
import threading
import time

import pytest

import clients
import wire
from harness import PATIENCE, SANITIZED, eventually
from scripted import SILENCE, Holding, Scripted, answer, honest, is_batch, without_batches
from talk import framed, receive, send, served

OFF = {"batch": "off"}
SLOW = 400  # milliseconds
MARGIN = 8 if SANITIZED else 3


def test_slow_calls_run_side_by_side(bench, upstream):
    """Twenty of them take the time of one, and batches do not wait for them."""
    daemon = bench.daemon(upstream, method={"wait": OFF}, upstream={"connections": 1})
    raws = [bench.connect(daemon) for _ in range(20)]
    quick = bench.connect(daemon)
    served(quick)
    begin = time.monotonic()
    for number, raw in enumerate(raws):
        send(raw, wire.wait(b"slow-%d" % number, SLOW, number))
    for number in range(5):
        served(quick, b"quick-%d" % number, number)
    assert time.monotonic() - begin < SLOW / 1000, "batches waited behind passed-through calls"
    for number, raw in enumerate(raws):
        assert receive(raw).value(0) == b"slow-%d" % number
    assert time.monotonic() - begin < MARGIN * SLOW / 1000, "one waited behind another"


def test_passthrough_connections_are_bounded(bench, upstream):
    daemon = bench.daemon(upstream, method={"wait": OFF},
                          upstream={"connections": 1, "passthrough_connections": 2})
    raws = [bench.connect(daemon) for _ in range(6)]
    begin = time.monotonic()
    for number, raw in enumerate(raws):
        send(raw, wire.wait(b"slow-%d" % number, 100, number))
    for number, raw in enumerate(raws):
        assert receive(raw).value(0) == b"slow-%d" % number
    assert time.monotonic() - begin >= 0.3, "more than two went at once"
    assert clients.stats(upstream).connectionsMost <= 1 + 2 + 1, "and our own"


def test_pipelined_calls_follow_each_other(bench):
    """The server has all of a client's calls before it has answered the first."""
    upstream = Scripted(bench, lambda message: SILENCE)
    daemon = bench.daemon(upstream, method={"*": OFF})
    raw = bench.connect(daemon)
    for number in range(10):
        send(raw, wire.echo(b"call-%d" % number, number))
        upstream.wait_for_calls(number + 1)
    assert not upstream.batches()
    assert [call.value(1) for call in upstream.calls()] == [b"call-%d" % n for n in range(10)]


def journal(raw, count, name, methods):
    """Pipelines appends, each in one of these ways, and returns the journal's lines."""
    for number in range(count):
        method, kind = methods[number % len(methods)]
        send(raw, wire.call(method, number, (1, wire.STRING, name),
                            (2, wire.STRING, b"%d" % number), kind=kind))
    send(raw, wire.call("lines", count, (1, wire.STRING, name)))
    for number in range(count):
        assert receive(raw).seqid == number, "answered in order"
    got = receive(raw)
    assert got.seqid == count
    return got.value(0)[1]


def test_order_over_mixes(bench, upstream):
    """Off, envelope and native methods of one client, pipelined, while others keep batches busy:
    executed in the order in which they were sent."""
    daemon = bench.daemon(
        upstream, batch={"min_calls": 1, "max_calls": 3},
        method={"touch": OFF, "lines": OFF, "wait": OFF,
                "findUser": {"batch": "native", "batch_method": "findUsers", "batch_item": 1,
                             "batch_requests": 1, "batch_responses": 0}})
    raws = [bench.connect(daemon) for _ in range(4)]
    sent = 60
    for index, raw in enumerate(raws):
        for number in range(sent):
            name = b"journal-%d" % index
            send(raw, wire.call("append", 4 * number, (1, wire.STRING, name),
                                (2, wire.STRING, b"%d" % number)))
            send(raw, wire.call("findUser", 4 * number + 1, (1, wire.I64, number + 1)))
            send(raw, wire.call("touch", 4 * number + 2, (1, wire.STRING, b"t")))
            send(raw, wire.call("lines", 4 * number + 3, (1, wire.STRING, name)))
    for index, raw in enumerate(raws):
        for number in range(sent):
            answers = [receive(raw) for _ in range(4)]
            assert [answer.seqid for answer in answers] == [4 * number + n for n in range(4)]
            assert answers[0].value(0) == number, "executed before the next append"
            assert dict((n, v) for n, _, v in answers[1].value(0))[1] == number + 1
            assert answers[3].value(0)[1] == [b"%d" % n for n in range(number + 1)], \
                "executed behind its own append, before the next"


def test_order_of_appends_that_are_batched_and_passed_through(bench, upstream):
    """The same journal, written by an envelope method only and by a passed-through one only."""
    for name, policy in ((b"batched", {}), (b"through", {"append": OFF}), (b"all", {"*": OFF})):
        daemon = bench.daemon(upstream, batch={"max_calls": 4}, method=policy)
        raw = bench.connect(daemon)
        assert journal(raw, 100, name, [("append", wire.CALL)]) == [b"%d" % n for n in range(100)]


def test_large_oneway_is_written_to_its_end(bench):
    """More than a socket takes at once, with nothing owed behind it."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, method={"log": OFF})
    raw = bench.connect(daemon)
    line = b"x" * (12 << 20)
    send(raw, wire.call("log", 1, (1, wire.STRING, line), kind=wire.ONEWAY))
    upstream.wait_for_calls(1)
    assert len(upstream.calls()[0].value(1)) == len(line)
    served(raw)


def test_a_server_that_does_not_read_its_oneway_calls_is_waited_for(bench):
    """They are not over before they are written: the bounds hold for them, and none is lost."""
    let_go = threading.Event()

    def held(message):
        let_go.wait(PATIENCE)
        return honest(message)

    upstream = Scripted(bench, held)
    bench.on_end(let_go.set)
    daemon = bench.daemon(upstream, method={"log": OFF}, upstream={
        "max_pending_bytes": "16MiB", "idle_timeout": "100ms", "call_timeout": "1min"})
    raw = bench.connect(daemon)
    count = 400
    line = framed(wire.call("log", 1, (1, wire.STRING, b"x" * (256 << 10)), kind=wire.ONEWAY))
    left = memoryview(line * count)
    raw.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        while left:
            left = left[raw.socket.send(left):]
    let_go.set()
    raw.socket.settimeout(PATIENCE)
    raw.send(left)
    upstream.wait_for_calls(count)
    served(raw)


def test_a_call_that_expired_before_a_oneway_behind_it_was_written(bench):
    """Nobody waits for its answer any more: the connection is not kept for it, nor the client."""
    let_go = threading.Event()

    def held(message):
        let_go.wait(PATIENCE)
        return SILENCE if message.name == b"wait" else honest(message)

    upstream = Scripted(bench, held)
    bench.on_end(let_go.set)
    daemon = bench.daemon(upstream, method={"*": OFF}, upstream={"call_timeout": "1s"})
    raw = bench.connect(daemon)
    send(raw, wire.wait(b"never", 0, 1))
    upstream.wait_for_calls(1)
    assert raw.nothing_comes(0.5)
    send(raw, wire.call("log", 2, (1, wire.STRING, b"x" * (15 << 20)), kind=wire.ONEWAY))
    assert receive(raw).error()[0] == wire.INTERNAL_ERROR
    let_go.set()
    upstream.wait_for_calls(2)
    served(raw, seqid=3)


def test_an_exception_to_a_oneway_call_teaches_nothing(bench):
    """It may be of a server that does not know the method; later others send it as CALL."""
    upstream = Scripted(bench, lambda message: wire.encode(
        wire.exception(message, wire.UNKNOWN_METHOD, "log")))
    daemon = bench.daemon(upstream, method={"*": OFF})
    raw = bench.connect(daemon)
    send(raw, wire.call("log", 1, (1, wire.STRING, b"line"), kind=wire.ONEWAY))
    daemon.log.wait_for("has answered 'log'")
    upstream.script = honest
    for number in range(2, 8, 2):
        send(raw, wire.call("log", number, (1, wire.STRING, b"line")))
        served(raw, seqid=number + 1)


def test_oneway_sent_as_call(bench, upstream):
    """Passed through, it shows itself by its successor's answer; the connection goes on."""
    daemon = bench.daemon(upstream, method={"*": OFF})
    raw = bench.connect(daemon)
    for number in range(5):
        send(raw, wire.call("log", 2 * number, (1, wire.STRING, b"line")),
             wire.call("logged", 2 * number + 1))
        got = receive(raw)
        assert (got.seqid, got.value(0)) == (2 * number + 1, number + 1)


def test_oneway_yes(bench):
    """What clients send as CALL travels as ONEWAY, and no reply is owed."""
    upstream = Scripted(bench)
    daemon = bench.daemon(upstream, method={"log": OFF | {"oneway": "yes"}})
    raw = bench.connect(daemon)
    send(raw, wire.call("log", 1, (1, wire.STRING, b"line")))
    served(raw, seqid=2)
    assert [(call.name, call.type) for call in upstream.calls()] == [
        (b"log", wire.ONEWAY), (b"echo", wire.CALL)]
    assert not upstream.batches(), "the echo follows the oneway call on its connection"


def answers_everything(message):
    """As generated processors do: whether they answer depends on the method, not on the message."""
    return wire.encode(answer(message)) if message.name != b"log" else SILENCE


@pytest.mark.parametrize("service", ("", "Directory:"), ids=("plain", "multiplexed"))
def test_a_call_that_is_sent_as_oneway_by_mistake(bench, service):
    """Its answer is passed over: it harms no other call, and no CALL of the method after it."""
    upstream = Scripted(bench, lambda message: answers_everything(
        dataclasses.replace(message, name=message.name.removeprefix(service.encode()))))
    daemon = bench.daemon(upstream, method={"*": OFF}, upstream={"passthrough_connections": 1})
    mistaken, right = bench.connect(daemon), bench.connect(daemon)
    touch = service + "touch"
    send(mistaken, wire.call(touch, 1, (1, wire.STRING, b"t"), kind=wire.ONEWAY))
    daemon.log.wait_for("has answered 'touch', which was sent to it as oneway: a client sends it so")
    send(right, wire.call(touch, 2, (1, wire.STRING, b"t")))
    assert receive(right).seqid == 2
    for number in range(3, 20, 2):
        send(mistaken, wire.call(touch, number, (1, wire.STRING, b"t"), kind=wire.ONEWAY),
             wire.call(service + "echo", number + 1, (1, wire.STRING, b"e")))
        send(right, wire.call(service + "echo", number, (1, wire.STRING, b"e")))
        assert receive(mistaken).seqid == number + 1
        assert receive(right).value(0) == b"e"
    assert upstream.n_connections() == 2, "none was dropped"


def test_an_answer_to_nothing_breaks_the_connection(bench):
    """What was passed through had its answer: another one is none that was left out."""
    upstream = Scripted(bench, without_batches)
    daemon = bench.daemon(upstream, method={"*": OFF})
    raw = bench.connect(daemon)
    served(raw, seqid=1)
    upstream.say(wire.encode(answer(upstream.calls()[-1])))
    daemon.log.wait_for("it sent bytes that no call is waiting for")
    served(raw, seqid=2)


def test_the_connection_is_lost(bench):
    """Only the calls on it fail; the next goes on a new one."""
    upstream = Scripted(bench, lambda message: (None, b""))
    daemon = bench.daemon(upstream, method={"*": OFF})
    raws = [bench.connect(daemon) for _ in range(3)]
    for raw in raws:
        send(raw, wire.echo(b"a", 1), wire.echo(b"b", 2))
    for raw in raws:
        assert [receive(raw).error()[0] for _ in range(2)] == [wire.INTERNAL_ERROR] * 2
    upstream.script = honest
    eventually(lambda: serves(raws[0]))
    assert not any(is_batch(message) for message in upstream.received)


def serves(raw):
    send(raw, wire.echo(b"again", 9))
    return receive(raw).type == wire.REPLY


def test_a_client_leaves(bench, upstream):
    """While its call is under way; nobody else notices, and the connection serves others."""
    daemon = bench.daemon(upstream, method={"*": OFF}, upstream={"passthrough_connections": 1})
    first, second = bench.connect(daemon), bench.connect(daemon)
    send(first, wire.wait(b"gone", 200, 1))
    time.sleep(0.05)
    first.close()
    served(second)


def test_held_calls_are_sent_when_those_before_them_are(bench):
    """Under relaxed order a client's calls are held while as many wait as a batch takes: they go on
    in the same moment."""
    upstream = Holding(bench)
    daemon = bench.daemon(upstream, client={"ordering": "relaxed"}, batch={"max_calls": "2"},
                          upstream={"call_timeout": "1min"}, method={"wait": {"batch": "off"}})
    raw = bench.connect(daemon)
    send(raw, wire.wait(b"1", 0, 1), wire.wait(b"2", 0, 2), wire.echo(b"3", 3))
    assert receive(raw).seqid == 3
    upstream.let_go.set()
    assert sorted(receive(raw).seqid for _ in range(2)) == [1, 2]
