"""batch = native: an upstream's own batch methods serve single calls."""

import threading

import clients
import pytest
import wire
from clients import Thrift
from harness import PATIENCE
from scripted import Scripted
from talk import internal_error, introduce, receive, send
from thrift_batch_demo.ttypes import NotFound

WINDOW = {"flush": "window", "window": "20ms"}
LONG = {"flush": "window", "window": "1min"}
PATIENT = {"call_timeout": "2min"}
FIND = {"batch": "native", "batch_method": "findUsers", "batch_item": 1, "batch_requests": 1,
        "batch_responses": 0}
GET = {"batch": "native", "batch_method": "getUserBatch", "batch_item": "arguments",
       "batch_requests": 1, "batch_responses": 0, "batch_response_item": "result"}
COUNT = 100


def ask(client, number):
    """What a client gets for that user in both ways; user 0 and negative ones do not exist."""
    answers = []
    for call in (lambda: client.findUser(number), lambda: client.getUser(f"t{number}", number)):
        try:
            answers.append(call())
        except NotFound as problem:
            answers.append(problem)
        except Exception as problem:  # pylint: disable=broad-except
            answers.append((type(problem).__name__, getattr(problem, "type", None)))
    return answers


@pytest.mark.parametrize("protocol", ("binary", "compact"))
@pytest.mark.parametrize("transport", ("framed", "buffered"))
def test_a_hundred_clients(bench, protocol, transport):
    upstream = bench.upstream("--protocol", protocol, "--transport", transport)
    daemon = bench.daemon(upstream, batch=WINDOW, method={"findUser": FIND, "getUser": GET},
                          upstream={"protocol": protocol, "transport": transport})
    with Thrift(upstream, protocol, transport) as direct:
        expected = {number: ask(direct, number) for number in range(-3, COUNT - 3)}
    forms = [(form, way) for form in clients.PROTOCOLS for way in clients.TRANSPORTS]
    before = clients.stats(upstream, protocol, transport)
    barrier = threading.Barrier(COUNT)
    got = {}

    def one(number):
        with Thrift(daemon, *forms[number % len(forms)]) as client:
            barrier.wait(PATIENCE)
            got[number] = ask(client, number)

    threads = [threading.Thread(target=one, args=(number,)) for number in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = clients.stats(upstream, protocol, transport)
    for number, answers in expected.items():
        assert got[number][1] == answers[1], number
        if number > 0:
            assert got[number][0] == answers[0], number
        else:  # a map has no entry for it, and cannot say why
            assert got[number][0] == ("TApplicationException", 5), number
    assert isinstance(expected[0][1], NotFound)
    assert after.messages - before.messages - 1 <= 2 * COUNT / 4
    assert after.batches == before.batches, "no envelope"


# --- shapes ---------------------------------------------------------------------------------------

def shape(**keys):
    return {"batch": "native", "batch_method": "getMany", "batch_item": 1, "batch_requests": 1,
            "batch_responses": 0} | keys


def together(bench, daemon, count, method="get", value=lambda number: (wire.I32, number), *others):
    raws = [bench.connect(daemon) for _ in range(count)]
    introduce(*raws)
    for number, raw in enumerate(raws):
        send(raw, wire.call(method, number, (1, *value(number)), *others))
    return raws


def answering(*fields):
    return lambda message: wire.encode(wire.reply(message, *fields))


WRONG = {
    "number": ((0, wire.I32, 5), {}),
    "short": ((0, wire.LIST, (wire.I32, [1])), {}),
    "keys": ((0, wire.MAP, (wire.STRING, wire.I32, [(b"a", 1)])), {}),
    "unwrapped": ((0, wire.LIST, (wire.I32, [1, 2, 3])), {"batch_responses": "0.1"}),
    "other field": ((0, wire.STRUCT, [(2, wire.LIST, (wire.I32, [1, 2, 3]))]),
                    {"batch_responses": "0.1"}),
    "no results": ((0, wire.LIST, (wire.I32, [1, 2, 3])), {"batch_response_item": "result"}),
    "nothing": (None, {}),
}


@pytest.mark.parametrize("field,keys", WRONG.values(), ids=WRONG)
def test_wrong_shapes(bench, field, keys):
    """Words for each caller, and one line in the log with a hint at the configuration."""
    upstream = Scripted(bench, answering(*([field] if field else [])))
    daemon = bench.daemon(upstream, batch=LONG, upstream=PATIENT, method={"get": shape(**keys)})
    for _ in range(3):
        for number, raw in enumerate(together(bench, daemon, 3)):
            text = internal_error(raw, number)
            assert "getMany" in text and "answered" in text
            raw.close()
    hint = r"warning: .*getMany.*batch_responses.*\[method\.get\]"
    daemon.log.wait_for(hint)
    assert len(daemon.log.matching(hint)) == 1, "said once"
    assert not daemon.log.matching("is out"), "the server is not to blame"


def test_declared_exceptions_reach_every_caller(bench):
    upstream = Scripted(bench, answering((1, wire.STRUCT, [(1, wire.STRING, b"not today")])))
    daemon = bench.daemon(upstream, batch=LONG, upstream=PATIENT, method={"get": shape()})
    for number, raw in enumerate(together(bench, daemon, 3)):
        got = receive(raw)
        assert (got.type, got.seqid, got.name) == (wire.REPLY, number, b"get")
        assert got.body == [(1, wire.STRUCT, [(1, wire.STRING, b"not today")])]


def test_unknown_batch_method(bench):
    """Nothing was executed: the calls are passed through, and nobody sees anything."""
    def script(message):
        if message.name == b"getMany":
            return wire.encode(wire.exception(message, wire.UNKNOWN_METHOD, "what?"))
        return wire.encode(wire.reply(message, (0, wire.I32, message.value(1))))
    upstream = Scripted(bench, script)
    daemon = bench.daemon(upstream, batch=LONG, upstream=PATIENT, method={"get": shape()})
    for _ in range(2):
        for number, raw in enumerate(raws := together(bench, daemon, 3)):
            assert receive(raw).value(0) == number
        for raw in raws:
            raw.close()
    assert [m.name for m in upstream.received].count(b"getMany") == 1, "it is remembered"
    daemon.log.wait_for("does not serve getMany")


def test_other_arguments_are_carried_and_keep_groups_apart(bench):
    def script(message):
        _, items = message.value(1)
        other = message.value(4)
        return wire.encode(wire.reply(
            message, (0, wire.LIST, (wire.STRING, [other + b"-%d" % item for item in items]))))
    upstream = Scripted(bench, script)
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "300ms"},
                          method={"get": shape()})
    raws = [bench.connect(daemon) for _ in range(30)]
    introduce(*raws)
    for number, raw in enumerate(raws):
        send(raw, wire.call("get", number, (1, wire.I32, number),
                            (4, wire.STRING, b"other%d" % (number % 3))))
    for number, raw in enumerate(raws):
        assert receive(raw).value(0) == b"other%d-%d" % (number % 3, number)
    assert len(upstream.received) == 3


@pytest.mark.parametrize("fields,kind", (
    ([(2, wire.I32, 5)], wire.CALL), ([(1, wire.I32, 5), (7, wire.I32, 1)], wire.CALL)),
    ids=("no item", "the list's id is taken"))
def test_what_cannot_be_batched_is_passed_through(bench, fields, kind):
    upstream = Scripted(bench, answering((0, wire.I32, 1)))
    daemon = bench.daemon(upstream, method={"get": shape(batch_requests=7)})
    raw = bench.connect(daemon)
    send(raw, wire.call("get", 3, *fields, kind=kind))
    assert receive(raw).value(0) == 1
    assert [message.name for message in upstream.received] == [b"get"]
