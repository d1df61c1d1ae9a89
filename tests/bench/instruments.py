"""Instructions and system calls per call: counted twice, of few and of many calls.

What a process does once, at its start and for each client, is in both counts and falls out of the
difference.
"""

import re
import signal
import time

from peers import load

CALLS = {1: (1_000, 5_000), 100: (10_000, 40_000)}
PATIENCE = 60


def _start(setup, name, *wrapper):
    if name == "floor":
        return setup.floor(*wrapper)
    return getattr(setup, name)(setup.upstream(), *wrapper)


def _per_call(bench, count, name, connections):
    counts, calls = [], []
    for number in CALLS[connections]:
        if bench.options.quick:
            number //= 5
        with bench.setup() as setup:
            counted, result = count(setup, name, connections, number)
        bench.ledger.add_load(count.__name__.strip("_"), name, {"connections": connections}, result)
        counts.append(counted)
        calls.append(result["right"])
    return (counts[1] - counts[0]) / (calls[1] - calls[0])


def _instructions(setup, name, connections, calls):
    path = setup.directory / "callgrind.out"
    peer = _start(setup, name, "valgrind", "--tool=callgrind", f"--callgrind-out-file={path}")
    result = load(peer, connections=connections, calls=calls, seconds=PATIENCE)
    peer.process.signal(signal.SIGTERM)
    peer.process.wait(PATIENCE)
    return int(re.search(r"^(?:totals|summary): (\d+)", path.read_text(), re.M)[1]), result


def _syscalls(setup, name, connections, calls):
    path = setup.directory / "strace.out"
    peer = _start(setup, name)
    tracer = setup.start(["strace", "-c", "-f", "-o", path, "-p", str(peer.pid)])
    tracer.log.wait_for("attached")
    result = load(peer, connections=connections, calls=calls, seconds=PATIENCE)
    time.sleep(0.1)
    tracer.signal(signal.SIGINT)
    tracer.wait(PATIENCE)
    total = re.search(r"^100\.00\s+\S+\s+(?:\d+\s+)?(\d+)(?:\s+\d+)? total", path.read_text(), re.M)
    return int(total[1]), result


def instructions_per_call(bench, name, connections):
    return _per_call(bench, _instructions, name, connections)


def syscalls_per_call(bench, name, connections):
    return _per_call(bench, _syscalls, name, connections)
