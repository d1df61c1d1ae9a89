"""Two servers, one of which is killed under load, again and again."""

import itertools
import statistics
import threading
import time

import wire
from harness import Raw
from talk import receive, send
from wiretap import Wiretap

CLIENTS = 14  # of each daemon
PAUSE = 0.01  # seconds between a client's calls: less in all than one server can serve
KILLS = 5
BEFORE, AFTER = 0.3, 0.6  # seconds of load before a kill, and before the server comes back
BIN = 0.2  # seconds over which throughput is counted
USUAL = 0.7  # of what others have whose servers are left alone


class Caller:
    """Calls again and again; every call has a token of its own."""

    def __init__(self, daemon, number):
        self.right, self.failed, self.problem = [], [], None
        self._raw = Raw(daemon.address)
        self._number = number
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            for seqid in itertools.count():
                if self._stop.wait(PAUSE):
                    break
                self._call(seqid)
        except Exception as problem:  # pylint: disable=broad-except
            self.problem = problem

    def _call(self, seqid):
        token = b"<%d-%d>" % (self._number, seqid)
        send(self._raw, wire.echo(token, seqid))
        got = receive(self._raw)
        assert got.seqid == seqid
        if got.type == wire.REPLY:
            assert got.value(0) == token
            self.right.append(time.monotonic())
        else:
            assert got.error()[0] == wire.INTERNAL_ERROR
            self.failed.append(token)

    def end(self):
        self._stop.set()
        self._thread.join()
        self._raw.close()


class Killable:
    """A server that can be killed and comes back at the same address."""

    def __init__(self, bench):
        self._bench = bench
        self.tap = Wiretap(bench)
        self.address = self.tap.address
        self.start()

    def start(self):
        self._server = self._bench.upstream("--message-cost-us", "2000")
        self.tap.connect_to(self._server)

    def kill(self):
        self.tap.refuse()
        self._server.kill()


class Crowd:
    """Two servers, a daemon and its callers."""

    def __init__(self, bench):
        self.servers = [Killable(bench) for _ in range(2)]
        self.daemon = bench.daemon(*self.servers)
        self.wait_until_batched(2)
        self.callers = [Caller(self.daemon, number) for number in range(CLIENTS)]

    def wait_until_batched(self, times):
        """Servers have come up so many times."""
        self.daemon.log.wait_for(": calls to it are batched", times)

    def end(self):
        for caller in self.callers:
            caller.end()
        problems = [caller.problem for caller in self.callers if caller.problem]
        assert not problems, problems
        self.daemon.end()
        for server in self.servers:
            server.tap.join()

    def failed(self):
        return [token for caller in self.callers for token in caller.failed]

    def lost(self):
        return [token for server in self.servers for token in server.tap.lost]

    def written(self):
        return [token for server in self.servers for token in server.tap.written]

    def throughput(self, begin, end):
        """Right replies in each bin of that time."""
        counts = [0] * int((end - begin) / BIN)
        for caller in self.callers:
            for moment in caller.right:
                if 0 <= (number := int((moment - begin) / BIN)) < len(counts):
                    counts[number] += 1
        return counts


def longest_below_usual(counts, others):
    """In seconds."""
    longest = run = 0
    for count, other in zip(counts, others):
        run = run + 1 if count < USUAL * other else 0
        longest = max(longest, run)
    return longest * BIN


def test_killed_again_and_again(bench, figure):
    """Exactly the calls fail that the killed server had on its wire and had not answered, and none
    is sent twice. Throughput is compared with that of an equal crowd whose servers are left alone,
    so that the machine's other load makes no difference: from the first kill to the end it is never
    less than usual for a second."""
    crowd, others = Crowd(bench), Crowd(bench)
    time.sleep(BEFORE)
    begin = time.monotonic()
    for number in range(KILLS):
        server = crowd.servers[number % 2]
        server.kill()
        time.sleep(AFTER)
        server.start()
        crowd.wait_until_batched(3 + number)
        time.sleep(BEFORE)
    end = time.monotonic()
    crowd.end()
    others.end()
    counts, usual = crowd.throughput(begin, end), others.throughput(begin, end)
    away = longest_below_usual(counts, usual)
    figure(f"{len(crowd.written())} calls, {len(crowd.lost())} lost with {KILLS} kills; "
           f"{statistics.median(counts) / BIN:.0f} calls/s, others "
           f"{statistics.median(usual) / BIN:.0f}, less than usual for {away:.1f} s at most")
    assert sorted(crowd.failed()) == sorted(crowd.lost())
    assert len(set(crowd.written())) == len(crowd.written()), "sent twice"
    assert crowd.lost(), "no call was on the wire of a killed server"
    assert not others.failed()
    assert away < 1, (counts, usual)
