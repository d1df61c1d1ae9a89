"""The oracle of the soak sees what is wrong: clients talk to an upstream that lies."""

import random
import socket

import faulty
import pytest
import sessions
import wire
from faulty import FaultyUpstream, right
from oracle import Oracle
from sessions import Session

COUNT = 2  # calls of a session


class Lying(FaultyUpstream):
    """Answers with `lie(exchange)`, and says that it has executed each call so many times. Like the
    daemon it refuses what only a server may send."""

    def __init__(self, bench, oracle, lie=right, times=1):
        def took_down(numbers):
            for number in numbers * times:
                oracle.executed(number)

        super().__init__(took_down)
        self._lie = lie
        bench.on_end(self.stop)

    def take(self, sock, message):
        if message.type == wire.REPLY:
            sock.sendall(wire.encode(wire.exception(message, wire.INVALID_MESSAGE_TYPE, "no call"),
                                     transport=wire.FRAMED))
        else:
            super().take(sock, message)

    def answer(self, fault, exchange):
        self._lie(exchange)


def altered(alter):
    """A lie that changes each reply."""
    def lie(exchange):
        for answer in exchange.answers:
            alter(answer)
        right(exchange)
    return lie


def together(alter):
    """A lie that waits for all replies of a session, and sends what alter() makes of them."""
    held = []

    def lie(exchange):
        held.extend(exchange.answers)
        if len(held) == COUNT:
            exchange.say(alter(held))
    return lie


def tell_another_value(reply):
    reply.body = [(0, wire.STRING, b"surprise")]


def tell_a_number(reply):
    reply.body = [(0, wire.I32, 1)]


def tell_nothing(reply):
    reply.body = []


def tell_another_name(reply):
    reply.name = b"other"


def tell_another_sequence_id(reply):
    reply.seqid += 100


def refuse(reply, kind=wire.INTERNAL_ERROR, text=b"in words"):
    reply.type, reply.body = wire.EXCEPTION, [(1, wire.STRING, text), (2, wire.I32, kind)]


def swap_values(replies):
    first, second = replies
    first.body, second.body = second.body, first.body
    return replies


def swap_sequence_ids(replies):
    first, second = replies
    first.seqid, second.seqid = second.seqid, first.seqid
    return replies


LIES = {
    "none": (right, 1, {}),
    "an error": (altered(refuse), 1, {}),
    "an error of a call that was not executed": (altered(refuse), 0, {}),
    "executed twice": (right, 2, {"doubled": 2}),
    "an error of a call that was executed twice": (altered(refuse), 2, {"doubled": 2}),
    "never executed": (right, 0, {"wrong": 2}),
    "silence": (faulty.silent, 1, {"missing": 2}),
    "closed": (faulty.closed, 1, {"missing": 2}),
    "cut": (faulty.cut, 1, {"missing": 2}),
    "garbage": (faulty.garbage, 1, {"missing": 2}),
    "answered twice": (faulty.twice, 1, {"wrong": 2}),
    "swapped values": (together(swap_values), 1, {"crossed": 2}),
    "swapped sequence ids": (together(swap_sequence_ids), 1, {"crossed": 2, "wrong": 1}),
    "another order": (together(lambda replies: replies[::-1]), 1, {"wrong": 1}),
    "another value": (altered(tell_another_value), 1, {"wrong": 2}),
    "another type": (altered(tell_a_number), 1, {"wrong": 2}),
    "no value": (altered(tell_nothing), 1, {"wrong": 2}),
    "another name": (altered(tell_another_name), 1, {"wrong": 2}),
    "another sequence id": (altered(tell_another_sequence_id), 1, {"wrong": 2, "missing": 2}),
    "another message type": (faulty.wrong_message_type, 1, {"wrong": 2}),
    "another error": (altered(lambda reply: refuse(reply, wire.UNKNOWN_METHOD)), 1, {"wrong": 2}),
    "no words": (altered(lambda reply: refuse(reply, text=b"")), 1, {"wrong": 2}),
}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(sessions, "LONGEST", 0.3)


def found(oracle):
    oracle.finish()
    return {verdict: count for verdict, count in oracle.found().items() if count}


def talk(upstream, oracle, *call, ordered=True):
    with Session(upstream.address, oracle, random.Random(1), ordered) as session:
        session.send([session.new_call(*call) for _ in range(COUNT)])
        session.take_all()
        session.nothing_is_left()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("lie,times,expected", LIES.values(), ids=LIES)
def test_lies(bench, lie, times, expected):
    oracle = Oracle()
    talk(Lying(bench, oracle, lie, times), oracle)
    assert found(oracle) == expected, oracle.examples
    assert oracle.examples or not expected


def test_without_order(bench):
    oracle = Oracle()
    upstream = Lying(bench, oracle, together(lambda replies: replies[::-1]))
    talk(upstream, oracle, ordered=False)
    assert not found(oracle)


def answer_all(exchange):
    exchange.say([wire.reply(exchange.message)])


@pytest.mark.parametrize("lie,times,expected", (
    (right, 1, {}), (right, 0, {}), (right, 2, {"doubled": COUNT}), (answer_all, 1, {"wrong": 1})),
    ids=("once", "never", "twice", "answered"))
@pytest.mark.parametrize("kind", (wire.ONEWAY, wire.CALL))
def test_oneway(bench, kind, lie, times, expected):
    oracle = Oracle()
    talk(Lying(bench, oracle, lie, times), oracle, "log", kind, False)
    assert found(oracle) == expected


@pytest.mark.parametrize("times,expected", ((2, {}), (3, {"doubled": COUNT})))
def test_a_method_that_may_be_repeated(bench, times, expected):
    oracle = Oracle({"repeat": 2})
    talk(Lying(bench, oracle, times=times), oracle, "repeat")
    assert found(oracle) == expected
    talk(Lying(bench, oracle, times=2), oracle, "echo")
    assert found(oracle)["doubled"] >= COUNT, "another method may not"


def test_crossed_inside_a_batch(bench):
    """What no proxy can see shows through it: the values of two clients, swapped in their batch."""
    oracle = Oracle()

    def lie(exchange):
        if len(exchange.answers) == 2:
            swap_values(exchange.answers)
        right(exchange)

    upstream = Lying(bench, oracle, lie)
    daemon = bench.daemon(upstream, batch={"flush": "window", "window": "1min"},
                          upstream={"call_timeout": "2min"})
    with Session(daemon.address, oracle, random.Random(1)) as one, \
            Session(daemon.address, oracle, random.Random(2)) as other:
        for session in (one, other):
            session.nothing_is_left()  # so the daemon knows of both
        for session in (one, other):
            session.send([session.new_call()])
        for session in (one, other):
            session.take_all()
    assert found(oracle) == {"crossed": 2}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer,closes,expected", (
    (b"", True, {}), (b"x", True, {"wrong": 1}), (b"", False, {"wrong": 1})))
def test_junk(answer, closes, expected):
    """It has to be closed without a word."""
    oracle = Oracle()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "127.0.0.1:%d" % listener.getsockname()[1]
        with Session(address, oracle, random.Random(1)) as session, listener.accept()[0] as peer:
            peer.sendall(answer)
            if closes:
                peer.shutdown(socket.SHUT_WR)
            sessions.sending_junk(session)
    assert found(oracle) == expected
