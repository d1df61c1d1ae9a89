"""The soak: one daemon, servers that fail in every way, clients in every form, and the oracle.

Faults go on and off in rounds. After each round an ordinary client has to be served rightly again
in time; in the end the oracle has found nothing, and the daemon's memory and descriptors are what
they were. The seed draws the daemon's configuration, the faults and the
clients; which messages a fault meets is chance.
"""

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

# pylint: disable=wrong-import-position
import faulty
import wire
from harness import Bench, allow_many_descriptors, eventually
from oracle import Oracle
from server import KILLED, Server
from sessions import Client, Session

RETRIES = 1
FAULTS = (*faulty.FAULTS, KILLED)

STEADY = 10  # right answers in a row: the ordinary client is served again
RECOVERY = 12  # seconds for that: the longest backoff, and a call that times out
GROWTH = 32 << 20  # bytes of memory: what the configuration below lets be pending
REST = 20  # seconds until the daemon has closed what it does not need
CLIENTS = 16
WARM_UP = 2  # seconds
IDLE = 1  # seconds: twice the daemon's idle_timeout
PROGRESS = 15  # seconds between lines
LOG_LINES = 30  # of the daemon, shown where something is wrong
FAILURES = (AssertionError, OSError, subprocess.TimeoutExpired)  # of the harness

NATIVE = {"batch": "native", "batch_item": 1, "batch_requests": 1, "batch_responses": 0}
METHODS = {"get": NATIVE | {"batch_method": "getMany"},
           "find": NATIVE | {"batch_method": "findMany"},
           "pass": {"batch": "off"},
           "note": {"oneway": "yes"},
           "repeat": {"idempotent": "yes"}}


def setup(chance):
    """The sections of a configuration in which everything happens in seconds."""
    return {
        "daemon": {"workers": chance.choice((1, 2))},
        "client": {"ordering": chance.choice(("strict", "relaxed")), "max_client_calls": 50,
                   "max_client_output": "2MiB", "max_message_size": "1MiB"},
        "batch": {"flush": chance.choice(("adaptive", "window")), "window": "1ms", "max_calls": 16,
                  "min_calls": chance.choice((1, 2, 4)), "batch_retry_interval": "500ms"},
        "upstream": {"protocol": chance.choice((wire.BINARY, wire.COMPACT)),
                     "connections": chance.choice((1, 2, 4)), "passthrough_connections": 8,
                     "connect_timeout": "500ms", "call_timeout": "2s", "idle_timeout": "500ms",
                     "retries": RETRIES, "max_pending_calls": 500, "max_pending_bytes": "32MiB"},
    }


class Footprint:
    """Memory and descriptors of a daemon that has nothing to do: first and last."""

    def __init__(self, daemon):
        self._daemon = daemon
        self._memory = []
        time.sleep(IDLE)  # its first connections are closed
        self._descriptors = [daemon.descriptors()]

    def warmed_up(self):
        """Memory is what work needs."""
        self._memory.append(self._daemon.memory())

    def grown(self):
        """What has, in words; descriptors are given time to be closed."""
        with contextlib.suppress(AssertionError):
            eventually(lambda: self._daemon.descriptors() <= self._descriptors[0], REST)
        self._descriptors.append(self._daemon.descriptors())
        self._memory.append(self._daemon.memory())
        if self._descriptors[1] > self._descriptors[0]:
            yield "descriptors have grown"
        if self._memory[1] > self._memory[0] + GROWTH:
            yield f"memory has grown by more than {GROWTH >> 20} MiB"

    def __str__(self):
        mib = " -> ".join(f"{memory / (1 << 20):.1f}" for memory in self._memory)
        return f"memory {mib} MiB, descriptors {' -> '.join(map(str, self._descriptors))}"


class Soak:
    """`sections` overrides those of the configuration that the seed gives. `say` is given a line
    about the progress now and then."""

    def __init__(self, bench, seed, say=lambda line: None, **sections):
        self.seed, self._say = seed, say
        self._chance = random.Random(seed)
        self.sections = setup(self._chance)
        for name, keys in sections.items():
            self.sections[name] |= keys
        self.oracle = Oracle({"repeat": 1 + RETRIES})
        self.faults, self.recovery = 0, 0.0
        self.problems = []
        self._deck = []
        self._clients = []
        self.servers = [Server(bench, number, self.sections["upstream"]["protocol"])
                         for number in range(2)]
        directory = tempfile.TemporaryDirectory(prefix="soak-")  # short enough for a socket's name
        bench.on_end(directory.cleanup)
        self.sections["daemon"]["listen"] = f"127.0.0.1:0, unix:{directory.name}/socket"
        self.daemon = bench.daemon(*self.servers, listeners=2, method=METHODS, **self.sections)
        self._footprint = Footprint(self.daemon)

    def run(self, seconds, warm_up=WARM_UP, longest_fault=1.0):
        """The warm-up is not part of `seconds`. All in seconds."""
        with self._noting():
            self._warm_up(warm_up)
            self._let_clients_talk()
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                self._round(longest_fault)
                self._listen_to_servers()
                self._say(self.summary())
        for end in (self._stop_clients, self._compare, self._end_daemon):
            with self._noting():
                end()
        for server in self.servers:
            server.stop()
            self.problems += server.complaints
        self._listen_to_servers()
        self.oracle.finish()

    @contextlib.contextmanager
    def _noting(self):
        """What fails here is a problem that is found, and the rest goes on."""
        try:
            yield
        except FAILURES as problem:
            self.problems.append(str(problem))

    def good(self):
        return not self.problems and not any(self.oracle.found().values())

    def summary(self):
        counts = self.oracle.counts
        found = ", ".join(f"{number} {verdict}" for verdict, number in self.oracle.found().items())
        return (f"seed {self.seed}: {counts['calls']:,} calls ({counts['right']:,} right, "
                f"{counts['errors']:,} errors), {self.faults} faults: {found}; "
                f"slowest recovery {self.recovery:.1f} s, {self._footprint}")

    def report(self):
        """Whatever is not right."""
        return [*self.problems, *self.oracle.examples]

    # --- clients ----------------------------------------------------------------------------------

    def _let_clients_talk(self):
        ordered = self.sections["client"]["ordering"] == "strict"
        self._clients = [Client(self.daemon.addresses, self.oracle,
                                random.Random(self._chance.random()), ordered)
                         for _ in range(CLIENTS)]
        for client in self._clients:
            client.start()

    def _stop_clients(self):
        for client in self._clients:
            client.stop()
        for client in self._clients:
            client.join(60)
            if client.is_alive():
                self.problems.append("a client's session does not end")

    def _warm_up(self, seconds):
        """All is right, and every method gets known to answer."""
        self._let_clients_talk()
        time.sleep(seconds)
        self._stop_clients()
        if self.oracle.counts["errors"]:
            self.problems.append(f"errors without a fault: {self.oracle.latest_error}")
        self._footprint.warmed_up()

    # --- faults -----------------------------------------------------------------------------------

    def _round(self, longest_fault):
        for _ in range(self._chance.randrange(1, 4)):
            server = self._chance.choice(self.servers)
            fault = self._draw()
            server.do(fault, self._chance.choice((0.1, 0.5, 1)))
            self.faults += 1
            time.sleep(self._chance.uniform(0.05, longest_fault))
        for server in self.servers:
            server.do("right")
        self._served_again()

    def _draw(self):
        """Every fault comes as often as the others."""
        if not self._deck:
            self._deck = list(FAULTS)
            self._chance.shuffle(self._deck)
        return self._deck.pop()

    def _served_again(self):
        begin = time.monotonic()
        in_a_row = passed = 0
        with Session(self.daemon.address, self.oracle, self._chance) as client:
            while in_a_row < STEADY and passed < RECOVERY:
                client.send([client.new_call()])
                in_a_row = in_a_row + 1 if client.take_one() else 0
                passed = time.monotonic() - begin
        self.recovery = max(self.recovery, passed)
        if in_a_row < STEADY:
            self.problems.append(f"not served again within {RECOVERY} s")

    def _listen_to_servers(self):
        for server in self.servers:
            for number in server.executed():
                self.oracle.executed(number)

    # --- the end ----------------------------------------------------------------------------------

    def _compare(self):
        self.problems += self._footprint.grown()

    def _end_daemon(self):
        self.daemon.end()
        if self.daemon.log.matching("drain_timeout has passed"):
            self.problems.append("calls that never end")


def main():
    parser = argparse.ArgumentParser(prog="./run soak", description=__doc__.splitlines()[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000),
                        help="of the configuration, the clients and the faults")
    arguments = parser.parse_args()
    allow_many_descriptors()
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        bench = Bench(Path(directory))
        try:
            soak = Soak(bench, arguments.seed, Progress())
            print(soak.sections, flush=True)
            soak.run(arguments.minutes * 60)
        finally:
            with contextlib.suppress(*FAILURES):  # how the daemon ended is known by now
                bench.end()
    if not soak.good():
        print(*soak.daemon.log.text().splitlines()[-LOG_LINES:], *soak.report(), sep="\n")
    print(soak.summary())
    return 0 if soak.good() else 1


class Progress:
    """Prints a line now and then."""

    def __init__(self):
        self._next = time.monotonic()

    def __call__(self, line):
        if time.monotonic() >= self._next:
            print(line, flush=True)
            self._next = time.monotonic() + PROGRESS


if __name__ == "__main__":
    sys.exit(main())
