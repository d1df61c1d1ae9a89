"""One greedy client, and what it costs an ordinary one.

The upstream takes one message at a time, over one connection, and some time for each. So what a
call waits for is messages, and that is how it is measured: how many the upstream has finished from
the call's sending to its reply; other load on the machine changes seconds, not this.

An ordinary client calls, waits for its reply and calls again; when it is alone that is one message
a call. Its fair share is what it has when one other client does the same. A greedy client, which
always has 10,000 calls on their way, may raise its p99 by three times what that one does.
"""

import threading
import time

import pytest
import wire
from harness import PATIENCE
from scripted import Scripted, honest
from talk import framed, served

COST = 0.003  # seconds that a message takes
CALLS = 100  # of the ordinary client in a round
ROUNDS = 2  # the better counts
PIPELINED = 10_000
ALLOWED = 3
LEAST = 1  # message, which is in flight when the call comes: nobody can do without


class Slow(Scripted):
    def __init__(self, bench):
        self.finished = 0
        super().__init__(bench, self._slowly)

    def _slowly(self, message):
        reply = honest(message)
        time.sleep(COST)
        self.finished += 1
        return reply


def p99(raw, upstream):
    """Messages, of calls one after another."""
    took = []
    for number in range(CALLS):
        begin = upstream.finished
        served(raw, b"ordinary-%d" % number, number)
        took.append(upstream.finished - begin)
    return sorted(took)[CALLS * 99 // 100 - 1]


class Another:
    """A client that keeps calling in a thread, for a `with` statement."""

    def __init__(self, bench, daemon):
        self.raw = bench.connect(daemon)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._problem = None

    def _run(self):
        try:
            while not self._stop.is_set():
                self.call()
        except Exception as problem:  # pylint: disable=broad-except
            self._problem = problem

    def call(self):
        raise NotImplementedError

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(PATIENCE)
        self.raw.close()
        assert self._problem is None and not self._thread.is_alive(), self._problem


class Ordinary(Another):
    def call(self):
        served(self.raw, b"another", 7)


class Greedy(Another):
    """Replies are all of one size: counted in bytes, so that this client costs next to nothing."""

    CALL = framed(wire.echo(b"greedy", 7))
    SIZE = len(framed(wire.reply(wire.echo(b"greedy", 7), (0, wire.STRING, b"greedy"))))

    def __init__(self, bench, daemon):
        super().__init__(bench, daemon)
        self._received = 0
        self.raw.send(self.CALL * PIPELINED)

    def call(self):
        """As many more as have been answered."""
        before = self._received // self.SIZE
        data = self.raw.socket.recv(1 << 20)
        assert data, "closed"
        self._received += len(data)
        self.raw.send(self.CALL * (self._received // self.SIZE - before))


def one_round(bench, daemon, upstream, raw):
    alone = p99(raw, upstream)
    with Ordinary(bench, daemon):
        fair = p99(raw, upstream)
    with Greedy(bench, daemon):
        greedy = p99(raw, upstream)
    return alone, fair, greedy


@pytest.mark.parametrize("ordering", ("strict", "relaxed"))
def test_a_greedy_client(bench, figure, ordering):
    upstream = Slow(bench)
    daemon = bench.daemon(upstream, client={"ordering": ordering},
                          upstream={"call_timeout": "1min", "connections": 1})
    raw = bench.connect(daemon)
    served(raw)
    for _ in range(ROUNDS):
        alone, fair, greedy = one_round(bench, daemon, upstream, raw)
        raised, allowed = greedy - alone, ALLOWED * max(fair - alone, LEAST)
        if raised <= allowed:
            break
    text = f"p99 in messages: alone {alone}, beside an ordinary client {fair}, " \
           f"beside a greedy one {greedy}"
    figure(text)
    assert raised <= allowed, text
