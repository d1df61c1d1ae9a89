"""The rows of the benchmark's table: what is run for each, and the goal that it is held to."""

import random
import statistics
import tempfile
import time

import instruments
from ledger import cpu_per_call, p50, p99, ratios, throughput
from peers import Direct, Setup, load

SIXTEEN_KIB = 16384
SLOW_SERIAL = ("--sleep", "--serial", "--message-us", 1000, "--call-us", 10)
BUSY = ("--busy", "--message-us", 100, "--call-us", 5)
SLOW_PARALLEL = ("--sleep", "--message-us", 1000)

CONNECTIONS = (1, 10, 100, 1000, 9000)
AGAINST_HAPROXY = {1: 1.0, 10: 0.75, 100: 0.50, 1000: 0.40, 9000: 0.40}
AGAINST_FLOOR = {100: 1.2, 1000: 1.0, 9000: 1.0}

# The key `window` bounds how long adaptive flush waits as well: each adaptive is held against the
# windows that are no longer than its own. The first one is the default.
ADAPTIVES_US = {"adaptive 500us": 500, "adaptive 2ms": 2000}
WINDOWS_US = {"window 100us": 100, "window 500us": 500, "window 2ms": 2000}
FLUSH_LOADS = (1, 2, 5, 10, 30, 100, 300, 1000)
NOISE = 0.05  # by which the median of such loads is off, and more
FLUSH_ROUNDS = 2  # times as many as of other rows: what is compared differs by little


class Bench:
    """Runs rows. What several rows need is started, and measured, once."""

    def __init__(self, options, ledger, directory):
        self.options = options
        self.ledger = ledger
        self.directory = directory
        self.curves = {}  # for the pictures: name -> peer -> load -> results
        # Adaptive flush tries out what pays: that is over before anything is measured.
        self.steady = {"warm_up": 0.3 if options.quick else 1.5}
        self._fast = None
        self._sweeps = {}

    def end(self):
        if self._fast:
            self._fast["setup"].__exit__()
            self._fast = None

    def setup(self):
        return Setup(tempfile.mkdtemp(dir=self.directory))

    def fast(self, *names):
        """Peers in front of an upstream that costs nothing."""
        if self._fast is None:
            setup = self.setup()
            upstream = setup.upstream()
            path = f"unix:{setup.directory}/daemon.sock"
            daemon = setup.daemon(upstream, listen=f"127.0.0.1:0, {path}")
            self._fast = {"setup": setup, "direct": Direct(upstream), "daemon": daemon,
                          "haproxy": setup.haproxy(upstream), "nginx": setup.nginx(upstream),
                          "floor": setup.floor(),
                          "unix": type(daemon)("unix", daemon.process, path)}
        return [self._fast[name] for name in names]

    def rounds(self, row, peers, expected_missing=(), times=1, **options):
        """Loads all peers once a round, in an order that chance decides: a peer's figure depends on
        what ran before it. peer's name -> results.
        """
        results = {peer.name: [] for peer in peers}
        settings = {"seconds": self.options.seconds, "warm_up": self.options.seconds / 4} | options
        for _ in range(times * self.options.rounds):
            for peer in random.sample(peers, len(peers)):
                result = load(peer, **settings)
                self.ledger.add_load(row, peer.name, settings, result,
                                     peer.name in expected_missing)
                results[peer.name].append(result)
        return results

    def sweep(self, connections, **options):
        """All fast peers with so many clients; measured once, whichever rows use it."""
        key = (connections, *sorted(options.items()))
        if key not in self._sweeps:
            peers = self.fast("direct", "daemon", "haproxy", "nginx", "floor")
            self._sweeps[key] = self.rounds(f"{connections} clients", peers,
                                            connections=connections, **options)
            if not options:
                for peer, results in self._sweeps[key].items():
                    self.curves.setdefault("load", {}).setdefault(peer, {})[connections] = results
        return self._sweeps[key]


# --- processor time -------------------------------------------------------------------------------

def cpu_lines(bench, row, label, results, haproxy_goal, floor_goal):
    bench.ledger.add(row, f"CPU per call / HAProxy, {label}",
                     ratios(cpu_per_call, results["daemon"], results["haproxy"]), haproxy_goal)
    if "floor" in results:
        bench.ledger.add(row, f"CPU per call / floor, {label}",
                         ratios(cpu_per_call, results["daemon"], results["floor"]), floor_goal)
    if "nginx" in results:
        bench.ledger.add(row, f"nginx: CPU per call / HAProxy, {label}",
                         ratios(cpu_per_call, results["nginx"], results["haproxy"]))


def row_cpu(bench):
    for connections in CONNECTIONS:
        cpu_lines(bench, "cpu", f"{connections:,} clients", bench.sweep(connections),
                  AGAINST_HAPROXY[connections], AGAINST_FLOOR.get(connections))


def row_large(bench):
    cpu_lines(bench, "large", "100 clients, 16 KiB", bench.sweep(100, payload=SIXTEEN_KIB),
              0.40, 1.8)


def row_pipelined(bench):
    results = bench.rounds("pipelined", bench.fast("daemon", "haproxy", "nginx"), connections=100,
                           depth=8)
    cpu_lines(bench, "pipelined", "100 clients, depth 8", results, 0.55, None)


def row_unix(bench):
    results = bench.rounds("unix", bench.fast("unix", "daemon"), connections=100)
    bench.ledger.add("unix", "CPU per call, unix clients / TCP clients, 100 clients",
                     ratios(cpu_per_call, results["unix"], results["daemon"]), 0.6)


def row_instructions(bench):
    for connections, goal in ((100, 600), (1, 2000)):
        for name, limit in (("daemon", goal), ("floor", None)):
            bench.ledger.add("instructions", f"{name}: user instructions per call, "
                             f"{connections} clients",
                             [instruments.instructions_per_call(bench, name, connections)],
                             limit, unit="")


def row_syscalls(bench):
    for name, limit in (("daemon", 2.3), ("floor", None), ("haproxy", None)):
        bench.ledger.add("syscalls", f"{name}: system calls per call, 100 clients",
                         [instruments.syscalls_per_call(bench, name, 100)], limit, unit="")


# --- latency --------------------------------------------------------------------------------------

def row_lone(bench):
    results = bench.sweep(1)
    added = {name: [p50(one) - p50(direct) for one, direct in zip(results[name],
                                                                  results["direct"])]
             for name in ("daemon", "haproxy")}
    bench.ledger.add("lone", "p50 added for a lone client / added by HAProxy",
                     [one / other for one, other in zip(added["daemon"], added["haproxy"])], 1.0)
    bench.ledger.add("lone", "daemon: p50 added for a lone client", added["daemon"], unit=" us")


def row_open(bench):
    for rate, goal in ((30_000, 1.15), (60_000, 0.1)):
        results = bench.rounds("open", bench.fast("direct", "daemon", "haproxy", "nginx"),
                               connections=100, rate=rate)
        bench.ledger.add("open", f"p50 / HAProxy, Poisson, {rate:,}/s",
                         ratios(p50, results["daemon"], results["haproxy"]), goal)
        for name in ("direct", "daemon", "haproxy"):
            bench.ledger.add("open", f"{name}: p50, Poisson, {rate:,}/s",
                             [p50(one) for one in results[name]], unit=" us")


# --- many clients ---------------------------------------------------------------------------------

def idle_bytes(bench, name, payload):
    """Growth of a fresh process from few to many idle clients, for each of them."""
    few, many = bench.options.idle
    with bench.setup() as setup:
        peer = getattr(setup, name)(setup.upstream())
        clients = [setup.idle_clients(peer, few, payload)]
        time.sleep(0.3)
        before = peer.private_bytes()
        clients.append(setup.idle_clients(peer, many - few, payload))
        time.sleep(0.3)
        grown = peer.private_bytes() - before
        for process in clients:
            process.communicate(timeout=60)
            if process.returncode != 0:
                bench.ledger.problems.append(f"memory, {name}: idle clients had a wrong reply")
    return grown / (many - few)


def row_memory(bench):
    for payload, goal in ((32, 400), (SIXTEEN_KIB, 512)):
        for name, limit in (("daemon", goal), ("haproxy", None), ("nginx", None)):
            bench.ledger.add("memory", f"{name}: bytes per idle client after a call of "
                             f"{payload:,} B", [idle_bytes(bench, name, payload)], limit, unit=" B")


def row_accept(bench):
    connections = bench.options.idle[0] * 2
    results = bench.rounds("accept", bench.fast("direct", "daemon", "haproxy", "nginx"), seconds=0,
                           warm_up=0, connections=connections)

    def rate(result):
        return result["greeted"] / result["greeting_seconds"]

    bench.ledger.add("accept", f"clients accepted and answered per second / HAProxy, "
                     f"{connections:,}", ratios(rate, results["daemon"], results["haproxy"]))
    bench.ledger.add("accept", "daemon: clients accepted and answered per second",
                     [rate(one) for one in results["daemon"]], unit="/s")


# --- upstreams that cost something ----------------------------------------------------------------

def throughput_lines(bench, row, costs, label, goals):
    """Above 100 clients batches of 64 are the limit: there the goal is for larger ones."""
    with bench.setup() as setup:
        upstream = setup.upstream(*costs)
        peers = [Direct(upstream), setup.daemon(upstream)]
        wide = setup.daemon(upstream, name="max_calls = 256", batch={"max_calls": "256"})
        for connections, goal in goals.items():
            taking_part = peers + ([wide] if connections > 100 else [])
            results = bench.rounds(row, taking_part, connections=connections, **bench.steady)
            for peer in taking_part[1:]:
                bench.ledger.add(
                    row, f"throughput / direct, {label}, {connections:,} clients",
                    ratios(throughput, results[peer.name], results["direct"]),
                    goal if peer is taking_part[-1] else None, at_least=True,
                    note=f"with {peer.name}" if peer is wide else "")


def row_serial(bench):
    throughput_lines(bench, "serial", SLOW_SERIAL, "1 ms + 10 us a call",
                     {10: 4, 100: 27, 1000: 51})


def row_busy(bench):
    throughput_lines(bench, "busy", BUSY, "100 us + 5 us a call", {10: 2.6, 100: 8, 1000: 9})


def row_few(bench):
    with bench.setup() as setup:
        upstream = setup.upstream(*SLOW_PARALLEL)
        results = bench.rounds("few", [Direct(upstream), setup.daemon(upstream)], connections=10,
                               **bench.steady)
    bench.ledger.add("few", "throughput / direct, sleeps 1 ms a message, 10 clients",
                     ratios(throughput, results["daemon"], results["direct"]), 0.95, at_least=True)


def row_python(bench):
    """Each of the pool's threads serves one connection until that ends; the others wait."""
    with bench.setup() as setup:
        upstream = setup.python_upstream("--pool", 10)
        results = bench.rounds(
            "python", [Direct(upstream), setup.daemon(upstream)], expected_missing=("direct",),
            connections=100, method="getUser", no_greeting=True, warm_up=0, patience=2)
    for name, goal in (("daemon", 0), ("direct", None)):
        bench.ledger.add("python", f"{name}: starved of 100 clients, TThreadPoolServer, 10 threads",
                         [one["starved"] for one in results[name]], goal, unit="")


# --- the moment to flush --------------------------------------------------------------------------

def flush_curves(bench, costs, loads):
    """flush -> load -> results."""
    flushes = [(name, "adaptive", us) for name, us in ADAPTIVES_US.items()]
    flushes += [(name, "window", us) for name, us in WINDOWS_US.items()]
    curves = {name: {} for name, _, _ in flushes}
    with bench.setup() as setup:
        upstream = setup.upstream(*costs)
        daemons = [setup.daemon(upstream, name=name, batch={"flush": flush, "window": f"{us}us"})
                   for name, flush, us in flushes]
        for connections in loads:
            results = bench.rounds("flush", daemons, times=FLUSH_ROUNDS, connections=connections,
                                   warm_up=bench.steady["warm_up"] / 3,
                                   seconds=bench.options.seconds / 2)
            for name, of_name in results.items():
                curves[name][connections] = of_name
    return curves


def best_window(windows, figure, best, of_round):
    """The round's results of the window that is best in the other rounds. The best of several
    noisy figures is better than any of them deserves: so it is not chosen by what it is used for,
    but where there is one round.
    """
    def elsewhere(results):
        others = results[:of_round] + results[of_round + 1:]
        return statistics.median(map(figure, others or results))
    return best(windows, key=elsewhere)[of_round]


def flush_lines(bench, name, label, curves, connections):
    longest = ADAPTIVES_US[name]
    for what, figure, best, at_least in (("throughput", throughput, max, True),
                                         ("p99", p99, min, False)):
        adaptive = curves[name][connections]
        windows = [curves[window][connections] for window, us in WINDOWS_US.items()
                   if us <= longest]
        chosen = [best_window(windows, figure, best, number) for number in range(len(adaptive))]
        bench.ledger.add(
            "flush", f"{name}: {what} / best window to {longest:,} us, {label}, "
            f"{connections:,} clients",
            ratios(figure, adaptive, chosen),
            1 - NOISE if at_least else 1 + NOISE, at_least=at_least)


def row_flush(bench):
    loads = FLUSH_LOADS[::3] if bench.options.quick else FLUSH_LOADS
    for label, costs in (("fast upstream", ()), ("slow upstream", SLOW_SERIAL)):
        curves = bench.curves[label] = flush_curves(bench, costs, loads)
        for name in ADAPTIVES_US:
            for connections in loads:
                flush_lines(bench, name, label, curves, connections)


ROWS = {
    "cpu": row_cpu, "large": row_large, "pipelined": row_pipelined, "unix": row_unix,
    "instructions": row_instructions, "syscalls": row_syscalls, "lone": row_lone, "open": row_open,
    "memory": row_memory, "accept": row_accept, "serial": row_serial, "busy": row_busy,
    "few": row_few, "python": row_python, "flush": row_flush,
}
