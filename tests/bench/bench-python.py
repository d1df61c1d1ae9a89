"""What the daemon does for a python3-thrift server: lookups by many clients at once.

    bench-python.py [--clients N] [--seconds S] [--rounds N] [--query-ms MS]
                    [--store-connections N] [--executor THREADS]

The same clients call getUser directly, through the daemon with the server's own batch method
(native), and through the daemon with executeBatch (envelope), in turn; of each the median round
counts. Every reply is compared, byte for byte, with the one that its call has to get. The service
looks users up in a store; for comparison also in memory. Exit status 1: a reply was wrong or missing,
or a goal was missed with the store. Environment: as for the integration tests.
"""

import argparse
import multiprocessing
import random
import selectors
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "integration"))

import harness  # pylint: disable=wrong-import-position

CLIENT_PROCESSES = 2
PATIENCE = 6  # seconds for the last replies
GOALS = {"native": 5, "envelope": 2}
METHODS = {
    "native": {"getUser": {"batch": "native", "batch_method": "getUsers", "batch_item": 1,
                           "batch_requests": 1, "batch_responses": 0}},
    "envelope": {"getUser": {"batch": "envelope"}},
}


# --- the clients: framed binary messages over sockets, to cost little beside the server ----------

CALL = struct.Struct(">iI i7s i bh q b")
REPLY = struct.Struct(">I i7s i bh bhq bhi")


def call(seqid, number):
    body = CALL.pack(0, 0x80010001, 7, b"getUser", seqid, 10, 1, number, 0)[4:]
    return struct.pack(">i", len(body)) + body


def reply(seqid, number):
    name = b"user-%d" % number
    body = REPLY.pack(0x80010002, 7, b"getUser", seqid, 12, 0, 10, 1, number, 11, 2, len(name)) \
        + name + struct.pack(">bhbbb", 2, 3, number % 10 != 0, 0, 0)
    return struct.pack(">i", len(body)) + body


class Client:
    """One connection with one call under way."""

    def __init__(self, address, rng):
        self.socket = harness.connect(address)
        self._random = rng
        self._seqid = 0
        self._expected = self._got = b""

    def send(self):
        self._seqid += 1
        number = self._random.randint(1, 1_000_000)
        self._expected = reply(self._seqid, number)
        self._got = b""
        self.socket.sendall(call(self._seqid, number))

    def receive(self):
        """True for the right reply, False for a wrong one, None while it is not complete."""
        data = self.socket.recv(1 << 16)
        self._got += data
        if data and (len(self._got) < 4 or
                     len(self._got) < 4 + struct.unpack(">i", self._got[:4])[0]):
            return None
        return self._got == self._expected


def crowd(address, count, seconds, seed, results):
    """Every client calls, and calls again when it has its reply, for that long."""
    rng = random.Random(seed)
    selector = selectors.DefaultSelector()
    for _ in range(count):
        client = Client(address, rng)
        selector.register(client.socket, selectors.EVENT_READ, client)
    right = wrong = 0
    begin = time.monotonic()
    for key in list(selector.get_map().values()):
        key.data.send()
    while selector.get_map() and time.monotonic() < begin + seconds + PATIENCE:
        for key, _ in selector.select(0.1):
            correct = key.data.receive()
            if correct is None:
                continue
            right += correct
            wrong += not correct
            if correct and time.monotonic() < begin + seconds:
                key.data.send()
            else:  # a client is done, or behind a wrong reply no longer in step
                selector.unregister(key.fileobj)
    wrong += len(selector.get_map())
    results.put((right, wrong, time.monotonic() - begin))


def measure(address, options, seed):
    """Right and wrong replies and right ones a second."""
    results = multiprocessing.Queue()
    crowds = [multiprocessing.Process(
        target=crowd, args=(address, options.clients // CLIENT_PROCESSES, options.seconds,
                            seed + i, results)) for i in range(CLIENT_PROCESSES)]
    for process in crowds:
        process.start()
    done = [results.get(timeout=options.seconds + 2 * PATIENCE) for _ in crowds]
    for process in crowds:
        process.join()
    right, wrong = (sum(column) for column in list(zip(*done))[:2])
    return right, wrong, right / max(took for *_, took in done)


# --- the table ------------------------------------------------------------------------------------

def start(bench, options, query_ms, executor):
    """The addresses of the three ways to one and the same server."""
    subprocess.run(["thrift", "--gen", "py", "-out", bench.directory, HERE / "users.thrift"],
                   check=True)
    upstream = harness.Process(
        [sys.executable, str(HERE / "python_upstream.py"), str(bench.directory),
         str(ROOT / "idl/adapters/python"), str(query_ms / 1000),
         str(options.store_connections), str(executor)])
    bench.on_end(upstream.kill)
    address = upstream.out.wait_for(r"listening on (\S+)")[0][1]
    return {"direct": address} | {
        way: bench.daemon(address, method=method).address for way, method in METHODS.items()}


def table(rounds):
    """Prints it and tells whether all is well."""
    speeds = {way: statistics.median(speed for *_, speed in done) for way, done in rounds.items()}
    well = True
    print(f"{'':10}{'calls':>8}{'right':>8}{'wrong':>7}{'calls/s':>9}{'lowest':>8}{'highest':>9}"
          f"{'ratio':>8}  goal")
    for way, done in rounds.items():
        right, wrong = sum(r for r, *_ in done), sum(w for _, w, _ in done)
        ratio = speeds[way] / speeds["direct"] if speeds["direct"] else 0
        goal = GOALS.get(way)
        met = goal is None or ratio >= goal
        verdict = "" if goal is None else f">= {goal}x: {'met' if met else 'MISSED'}"
        of_rounds = [speed for *_, speed in done]
        print(f"{way:10}{right + wrong:8}{right:8}{wrong:7}{speeds[way]:9.0f}"
              f"{min(of_rounds):8.0f}{max(of_rounds):9.0f}{ratio:7.2f}x  {verdict}")
        well = well and met and right > 0 and wrong == 0
    return well


def run(options, query_ms, executor):
    """One server, all ways to it, in turn."""
    rounds = {}
    with tempfile.TemporaryDirectory() as directory:
        bench = harness.Bench(Path(directory))
        try:
            ways = start(bench, options, query_ms, executor)
            for number in range(options.rounds):
                for way, address in ways.items():
                    rounds.setdefault(way, []).append(measure(address, options, number * 100))
        finally:
            bench.end()
    return rounds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--query-ms", type=float, default=2)
    parser.add_argument("--store-connections", type=int, default=5)
    parser.add_argument("--executor", type=int, default=64)
    options = parser.parse_args()
    print(f"{options.clients} clients, each with one call under way; python3-thrift TThreadedServer,"
          f" framed binary (accelerated).\nMedian of {options.rounds} rounds of "
          f"{options.seconds:g} s; calls are of all rounds.\n")
    print(f"A store: a query takes {options.query_ms:g} ms (slept), the same for one id or a list; "
          f"at most {options.store_connections} queries at once.\nThe adapter has "
          f"{options.executor or 'no'} threads. It makes a query a call, as direct calls do: "
          "it saves messages, not queries.", flush=True)
    met = table(run(options, options.query_ms, options.executor))
    print("\nFor comparison, in memory: a lookup costs nothing, the messages are all the work. "
          "The adapter has no threads.\nThese ratios do not count for the exit status.", flush=True)
    rounds = run(options, 0, 0)
    table(rounds)
    correct = all(right and not wrong for done in rounds.values() for right, wrong, _ in done)
    return 0 if met and correct else 1


sys.exit(main())
