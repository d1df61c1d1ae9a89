"""What the daemon does for a python3-thrift server: lookups by many clients at once.

    bench-python.py [--clients N] [--seconds S] [--rounds N] [--pinned]

The same clients call getUser directly, through the daemon with the server's own batch method
(native), and through the daemon with executeBatch (envelope), in turn. bench-load makes the calls and
compares every byte of every reply. The server is a TThreadedServer as in the tutorial; a lookup is in
memory, so messages are all its work. Nothing is pinned, as nobody pins such a server; --pinned gives
the server one processor, and the daemon and the load the other.

"server us/call" is the server's processor time, of all its threads. Ratios are of rounds: each has run all three one after another. A second table, for information: the
service looks users up in a store, whose queries take 2 ms (slept), the same for one id or a list, at
most 5 at once; the adapter has 64 threads.

Exit status 1: a reply was wrong or missing, or a goal was missed in memory.
"""

import argparse
import statistics
import sys
import tempfile

import peers
from ledger import Ledger, cpu_per_call, number, ratios, throughput

GOALS = {"native": 5, "envelope": 2}
METHODS = {
    "native": {"getUser": {"batch": "native", "batch_method": "getUsers", "batch_item": 1,
                           "batch_requests": 1, "batch_responses": 0}},
    "envelope": {"getUser": {"batch": "envelope"}},
}
STORE = ("--query-ms", 2, "--store-connections", 5, "--executor", 64)


def measure(options, ledger, label, *server_options):
    """One server, the three ways to it in turn: way -> results."""
    results = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, \
            peers.Setup(directory) as setup:
        upstream = setup.python_upstream(*server_options, cpu=options.server_cpus)
        ways = [peers.Direct(upstream)] + [
            setup.daemon(upstream, cpu=options.other_cpus, name=way, method=method)
            for way, method in METHODS.items()]
        settings = {"connections": options.clients, "method": "getUser", "account": upstream.pid,
                    "seconds": options.seconds, "warm_up": options.seconds / 4}
        for _ in range(options.rounds):
            for way in ways:
                result = peers.load(way, cpu=options.other_cpus, **settings)
                ledger.add_load(label, way.name, settings, result)
                results.setdefault(way.name, []).append(result)
    return results


def table(ledger, label, results, goals):
    print(f"{'':12}{'calls/s':>10}{'server us/call':>16}{'ratio':>8}{'min - max':>16}  goal")
    for way, of_way in results.items():
        speed = statistics.median(map(throughput, of_way))
        server = statistics.median(map(cpu_per_call, of_way)) / 1000
        line = ledger.line(label, way, ratios(throughput, of_way, results["direct"]),
                           goals.get(way), at_least=True)
        span = f"{number(min(line.values))} - {number(max(line.values))}"
        print(f"{way:12}{speed:10,.0f}{server:16.1f}{line.value:7.2f}x{span:>16}  "
              f"{line.goal} {line.verdict}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pinned", action="store_true",
                        help="the server on one processor, everything else on another")
    options = parser.parse_args()
    every = ",".join(map(str, peers.CPUS))
    options.server_cpus = peers.MEASURED if options.pinned else every
    options.other_cpus = peers.LOAD if options.pinned else every
    ledger = Ledger()
    print(f"{options.clients} clients, each with one call under way; python3-thrift "
          f"TThreadedServer, framed binary (accelerated).\nMedian of {options.rounds} interleaved rounds of "
          f"{options.seconds:g} s.\n\nIn memory:", flush=True)
    table(ledger, "memory", measure(options, ledger, "memory"), GOALS)
    print("\nWith a store (information only):", flush=True)
    table(ledger, "store", measure(options, ledger, "store", *STORE), {})
    others = statistics.median(load["result"]["others"] for load in ledger.loads)
    print(f"\nOthers took {others:.0%} of the processors meanwhile.\n{ledger.right:,} replies right, {ledger.wrong} wrong, {ledger.missing} missing")
    for problem in ledger.problems:
        print(f"PROBLEM: {problem}")
    missed = any(line.verdict == "MISSED" for line in ledger.lines)
    return 0 if ledger.good and not missed else 1


sys.exit(main())
