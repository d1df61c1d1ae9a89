"""Clients that do everything at once, against an upstream that sometimes fails: an oracle checks
each reply against what was sent.

What a client sends comes from the test's seed. A reply has to be the one that is due: its sequence
id, and its call's token or an error; no call is executed twice; no reply is missing or comes twice.
A client may be left without replies only where it sent what closes its connection.
"""

import random
import threading
import time

import pytest
import wire
from harness import Raw
from scripted import CLOSE, SILENCE, Scripted, calls_of, honest
from talk import framed, receive

CLIENTS = 12
SESSIONS = 14  # of each client, one after another

JUNK = b"JUNK" * 2000

MIXES = {
    "strict": {"batch": {"window": "100us", "max_calls": "64"}},
    "relaxed": {"client": {"ordering": "relaxed", "max_client_calls": "20"},
                "upstream": {"connections": "1"}},
    "window": {"client": {"max_client_calls": "3"}, "batch": {"flush": "window", "window": "2ms",
                                                              "max_calls": "7", "min_calls": "5"}},
    "bounds": {"client": {"max_client_calls": "30", "max_client_output": "64MiB"},
               "batch": {"max_bytes": "4KiB", "min_calls": "1"},
               "upstream": {"max_pending_calls": "10", "connections": "2", "idle_timeout": "20ms"}},
}


class Faulty(Scripted):
    """Answers rightly, except for some messages, and takes down what it executes."""

    def __init__(self, bench, chance, faults):
        self._chance, self._faults = chance, faults
        self._lock = threading.Lock()
        self.executed = set()
        self.twice = []
        super().__init__(bench, self._script)

    def _script(self, message):
        with self._lock:
            self._take_down(message)
            delay, fault = self._chance.random(), self._chance.random()
            kind = self._chance.randrange(5)
        if delay < 0.2:
            time.sleep(delay / 40)
        return FAULTS[kind](message) if fault < self._faults else honest(message)

    def _take_down(self, message):
        for call in calls_of(message):
            token = call.value(1).partition(b"|")[0]
            if token in self.executed:
                self.twice.append(token)
            self.executed.add(token)


FAULTS = (
    lambda message: CLOSE,
    lambda message: SILENCE,
    lambda message: (CLOSE, b"\0\0\1\0\x80\1\0\2junk"),
    lambda message: wire.encode(wire.exception(message, wire.INTERNAL_ERROR, "not now")),
    lambda message: (honest(message) or b"??")[:-1],
)


class Owed:
    """A reply that is due. `right` is its value; None where only an error is right. A ONEWAY method
    called with CALL is `maybe` answered, namely when it failed."""

    def __init__(self, seqid, right, maybe=False):
        self.seqid, self.right, self.maybe = seqid, right, maybe


class Client:
    """Talks in sessions, each a connection of its own."""

    def __init__(self, daemon, chance, name, strict):
        self.daemon, self.chance, self.name, self.strict = daemon, chance, name, strict
        self.right = self.errors = 0
        self.problem = None

    def run(self):
        try:
            for number in range(SESSIONS):
                self._session(number)
        except Exception as problem:  # pylint: disable=broad-except
            self.problem = f"{self.name}: {problem!r}"

    def _session(self, number):
        chance = self.chance
        raw = Raw(chance.choice(self.daemon.addresses))
        owed, sent = [], 0
        try:
            for _ in range(chance.randrange(1, 10)):
                burst, due = self._burst(number, sent)
                sent += len(due)
                owed += [each for each in due if each is not None]
                self._send(raw, burst)
                how = chance.random()
                if how < 0.06:
                    raw.half_close() if how < 0.03 else raw.reset()
                    return
                if how < 0.1:
                    self._misbehave(raw, owed, sent)
                    return
                if how < 0.3:
                    time.sleep(chance.random() * 0.02)  # reads later
                if how < 0.7:
                    self._take_all(raw, owed)
            self._take_all(raw, owed)
            self._nothing_is_left(raw, sent)
        finally:
            raw.close()

    def _burst(self, number, sent):
        """The bytes of some calls, and for each of them what is owed, or None."""
        burst, due = b"", []
        for seqid in range(sent, sent + self.chance.choice((1, 1, 1, 3, 40))):
            size = self.chance.choice((0, 10, 100, 3000, 5, 5, 5, 60_000))
            token = b"%s-%d-%d|" % (self.name.encode(), number, seqid) + b"p" * size
            kind = self.chance.random()
            if kind < 0.1:
                message = wire.call("log", seqid, (1, wire.STRING, token), kind=wire.ONEWAY)
                due.append(None)
            elif kind < 0.15:
                message = wire.call("log", seqid, (1, wire.STRING, token))
                due.append(Owed(seqid, None, maybe=True))
            elif kind < 0.2:
                message = wire.Message(b"reply", wire.REPLY, seqid)
                due.append(Owed(seqid, None))
            else:
                message = wire.echo(token, seqid)
                due.append(Owed(seqid, token))
            burst += framed(message)
        return burst, due

    def _send(self, raw, burst):
        if self.chance.random() < 0.2:
            cut = self.chance.randrange(len(burst))
            raw.send_or_read(burst[:cut])
            time.sleep(0.001)
            burst = burst[cut:]
        raw.send_or_read(burst)

    def _misbehave(self, raw, owed, seqid):
        """Earlier calls are answered, then this one, whose arguments do not parse; what is sent
        behind it is not looked at."""
        raw.send_or_read(
            wire.frame(wire.encode(wire.call("echo", seqid))[:-1] + b"\x63\0\1") + JUNK)
        owed.append(Owed(seqid, None))
        self._take_all(raw, owed)
        assert raw.until_closed() == b""

    def _take_all(self, raw, owed):
        while any(not each.maybe for each in owed):
            self._take(receive(raw), owed)

    def _take(self, got, owed):
        place = next((at for at, each in enumerate(owed) if each.seqid == got.seqid), None)
        assert place is not None, f"nobody is owed {got.seqid}"
        passed = owed[:place] if self.strict else []
        assert all(each.maybe for each in passed), f"{got.seqid} overtook {passed[0].seqid}"
        due = owed[place]
        del owed[place - len(passed):place + 1]
        if got.type == wire.REPLY:
            assert got.value(0) == due.right, f"{got.seqid}: another's reply"
            self.right += 1
        else:
            assert got.error()[1], "an error in words"
            assert due.right is None or got.error()[0] == wire.INTERNAL_ERROR, got.error()
            self.errors += due.right is not None

    def _nothing_is_left(self, raw, sent):
        """What comes next is the answer to what is asked next, errors of `log` aside."""
        raw.send_or_read(framed(wire.Message(b"introduce", wire.REPLY, sent)))
        while (got := receive(raw)).name == b"log":
            pass
        assert (got.name, got.seqid) == (b"introduce", sent), f"a reply too many: {got}"


@pytest.mark.parametrize("faults", (0, 0.02), ids=("right", "faulty"))
@pytest.mark.parametrize("mix", MIXES)
def test_everything_at_once(bench, directory, mix, faults, figure):
    upstream = Faulty(bench, random.Random(f"{mix} upstream"), faults)
    sections = {name: dict(keys) for name, keys in MIXES[mix].items()}
    sections["upstream"] = {"call_timeout": "300ms" if faults else "2min", "max_failures": "1000",
                            } | sections.get("upstream", {})
    # A unix socket takes so little that replies wait in the daemon.
    sections["daemon"] = {"listen": f"127.0.0.1:0, unix:{directory}/s"}
    daemon = bench.daemon(upstream, listeners=2, **sections)
    strict = sections.get("client", {}).get("ordering") != "relaxed"
    clients = [Client(daemon, random.Random(f"{mix} {number}"), str(number), strict)
               for number in range(CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    problems = [client.problem for client in clients if client.problem]
    assert not problems, problems
    assert not upstream.twice, "executed twice"
    right, errors = sum(c.right for c in clients), sum(c.errors for c in clients)
    figure(f"{right} right, {errors} with an error, none wrong, missing, crossed or double")
    assert right > 1000
    assert faults or errors == 0
    daemon.end()
    assert not daemon.log.matching("drain_timeout has passed"), "calls that never end"
