#!/usr/bin/python3
"""Shows what batching does: one crowd of ordinary clients, directly and through the daemon.

`./run demo` builds everything and calls this. Nothing here is rigged: the configuration is the one
that is shipped, clients and server are separate programs on loopback, and each reply is checked
against the token of its call.
"""

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
CONF = HOME / "conf" / "thrift-batchd.ini"

MESSAGE_COST_US = 200
UPSTREAM = ["--serial", "--message-cost-us", str(MESSAGE_COST_US)]
UPSTREAM_WORDS = (f"one message at a time, as in a single-threaded server, and\n"
                  f"            {MESSAGE_COST_US} us for each; a batch is one message")

TERMINAL = sys.stdout.isatty()
BOLD, FAINT, GOOD, BAD, PLAIN = (
    ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if TERMINAL else ("",) * 5)


class Failed(Exception):
    """The demo cannot go on; the text says why."""


# --- programs -------------------------------------------------------------------------------------

class Program:
    """A server in the background, in a session of its own so that Ctrl-C reaches only us."""

    def __init__(self, command, stream):
        pipes = {"stdout": subprocess.DEVNULL, "stderr": None, stream: subprocess.PIPE}
        self.popen = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command], text=True,
                                      start_new_session=True, stdin=subprocess.DEVNULL, **pipes)
        self.lines = []
        self.address = None
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, args=(getattr(self.popen, stream),),
                                       daemon=True)
        self.reader.start()
        self.ready.wait(30)
        if self.address is None:
            self.end()
            raise Failed(f"{shlex.join(command)} did not start:\n" + "\n".join(self.lines))

    def _read(self, stream):
        for line in stream:
            self.lines.append(line.rstrip())
            if found := re.search(r"listening on (\S+)", line):
                self.address = self.address or found[1]
                self.ready.set()
        self.ready.set()

    def said(self, pattern):
        """What it has said, or says within a moment, in the pattern's group."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.popen.poll() is None:
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found[1]
            time.sleep(0.01)
        raise Failed(f"it did not say {pattern!r}:\n" + "\n".join(self.lines))

    def end(self):
        """Ends it and returns its status."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            status = self.popen.wait(60)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            status = self.popen.wait()
        self.reader.join(10)
        return status


def start_upstream():
    return Program([os.environ["BATCH_DEMO"], *UPSTREAM], "stdout")


def start_daemon(upstream, flush, directory, wrap):
    config = Path(directory) / f"thrift-batchd-{flush}.ini"
    config.write_text(adapted(CONF.read_text(), {
        "listen": "127.0.0.1:0", "servers": upstream.address, "flush": flush,
        "http": "127.0.0.1:0", "fb303": f"unix:{directory}/fb303-{flush}.sock"}))
    return Program([*wrap, os.environ["BATCHD"], "--config", str(config)], "stderr")


def adapted(text, values):
    """The shipped configuration with these keys set, each of which it has to have exactly once."""
    for key, value in values.items():
        text, count = re.subn(rf"^;?{key} = .*$", f"{key} = {value}", text, flags=re.M)
        if count != 1:
            raise Failed(f"{CONF} has {count} lines `{key} = ...`, not one")
    return text


# --- Python clients: this same file, as a program of its own --------------------------------------

def be_clients(address, connections, calls):
    """`connections` clients in threads; begins at a line on stdin, ends with a line of JSON."""
    sys.path.insert(0, os.environ["GEN_PY"])
    counts = {"right": 0, "wrong": 0, "missing": 0}
    go, lock, connected = threading.Event(), threading.Lock(), threading.Semaphore(0)

    def one(number):
        mine = {"right": 0, "wrong": 0, "missing": 0}
        try:
            client = python_client(address)
            connected.release()
            go.wait()
            for call in range(calls):
                token = f"python-{os.getpid()}-{number}-{call}"
                mine["right" if client.echo(token) == token else "wrong"] += 1
        except Exception as problem:  # pylint: disable=broad-except
            connected.release()
            print(f"a Python client failed: {problem!r}", file=sys.stderr)
            mine["missing"] = calls - mine["right"] - mine["wrong"]
        with lock:
            for key, count in mine.items():
                counts[key] += count

    threads = [threading.Thread(target=one, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for _ in threads:
        connected.acquire()
    print("connected", flush=True)
    sys.stdin.readline()
    go.set()
    for thread in threads:
        thread.join()
    print(json.dumps(counts))


def python_client(address):
    """An ordinary python3-thrift client: it knows nothing of batches."""
    from thrift.protocol import TBinaryProtocol
    from thrift.transport import TSocket, TTransport
    from thrift_batch_demo import Directory
    host, port = address.rsplit(":", 1)
    sock = TSocket.TSocket(host, int(port))
    sock.setTimeout(60_000)
    stream = TTransport.TFramedTransport(sock)
    stream.open()
    return Directory.Client(TBinaryProtocol.TBinaryProtocolAccelerated(stream))


# --- one row of the table -------------------------------------------------------------------------

class Crowd:
    """How many clients there are and how much they call."""

    def __init__(self, quick):
        self.c_connections = 20 if quick else 200
        self.c_calls = 25 if quick else 100
        self.python_processes = 2 if quick else 4
        self.python_connections = 5 if quick else 10
        self.python_calls = 25 if quick else 100

    def connections(self):
        return self.c_connections + self.python_processes * self.python_connections

    def calls(self):
        return (self.c_connections * self.c_calls
                + self.python_processes * self.python_connections * self.python_calls)

    def start_python(self, address):
        command = [sys.executable, __file__, "--be-clients", address,
                   str(self.python_connections), str(self.python_calls)]
        clients = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    text=True) for _ in range(self.python_processes)]
        for client in clients:
            client.stdout.readline()
        return clients

    def start_c(self, address):
        return subprocess.Popen([os.environ["CROWD"], "--connect", address,
                                 "--connections", str(self.c_connections),
                                 "--calls", str(self.c_calls)], stdout=subprocess.PIPE, text=True)

    def run(self, address):
        """Everybody calls at once. What all of them counted, and the C clients' latencies."""
        python = self.start_python(address)
        begin = time.monotonic()
        c = self.start_c(address)
        for client in python:
            client.stdin.write("go\n")
            client.stdin.flush()
        results = [json.loads(program.communicate()[0] or "{}") for program in (c, *python)]
        seconds = time.monotonic() - begin
        totals = {key: sum(result.get(key, 0) for result in results)
                  for key in ("right", "wrong", "missing")}
        totals["missing"] = self.calls() - totals["right"] - totals["wrong"]
        return totals | {"seconds": seconds, "p50": results[0].get("p50_us", 0),
                         "p99": results[0].get("p99_us", 0)}


class Watcher:
    """Asks the upstream for its counters, on a connection that is there all the time: for the
    progress, and for the table. What that costs is subtracted from what it tells."""

    def __init__(self, upstream):
        self.client = python_client(upstream.address)
        self.asked = 0

    def counters(self):
        counters = self.client.stats()
        self.asked += 1
        counters.messages -= self.asked + counters.emptyBatches
        counters.calls -= self.asked
        counters.connectionsMost -= 1
        return counters


def measure(name, crowd, address, watcher):
    """Runs the crowd, showing how far it is, and returns the row."""
    result = {}
    worker = threading.Thread(target=lambda: result.update(crowd.run(address)))
    worker.start()
    while worker.is_alive():
        show_progress(name, watcher.counters().calls, crowd.calls())
        worker.join(0.1)
    if "right" not in result:
        raise Failed("the clients could not be run")
    counters = watcher.counters()
    show_progress(name, counters.calls, crowd.calls(), last=True)
    return {"name": name, "calls": crowd.calls(), "messages": counters.messages,
            "mean": counters.batchedCalls / counters.batches if counters.batches else 1,
            "largest": counters.largestBatch or 1, "connections": counters.connectionsMost,
            "throughput": crowd.calls() / result["seconds"], **result}


def show_progress(name, done, total, last=False):
    done = min(done, total)
    if TERMINAL:
        width = 40
        bar = "#" * (done * width // total)
        print(f"\r  {name:16} [{bar:<{width}}] {done:>7,} calls", end="\n" if last else "",
              flush=True)
    elif last:
        print(f"  {name:16} {done:>7,} calls", flush=True)


def end_both(daemon, upstream):
    status = daemon.end() if daemon else 0
    upstream.end()
    if status != 0:
        raise Failed(f"the daemon ended with status {status}:\n" + "\n".join(daemon.lines))


def run_row(name, crowd, flush, directory, wrap):
    """A row has an upstream, and a daemon, of its own."""
    upstream = start_upstream()
    daemon = None
    try:
        watcher = Watcher(upstream)
        if flush is None:
            return measure(name, crowd, upstream.address, watcher)
        daemon = start_daemon(upstream, flush, directory, wrap)
        return measure(name, crowd, daemon.address, watcher)
    finally:
        end_both(daemon, upstream)


def lone_client(directory, wrap):
    """p50 of one client alone, directly and through the daemon."""
    upstream = start_upstream()
    daemon = start_daemon(upstream, "adaptive", directory, wrap)
    try:
        return [min(alone(address) for _ in range(3))
                for address in (upstream.address, daemon.address)]
    finally:
        end_both(daemon, upstream)


def alone(address):
    done = subprocess.run([os.environ["CROWD"], "--connect", address, "--connections", "1",
                           "--calls", "300"], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)["p50_us"]


# --- what is said ---------------------------------------------------------------------------------

COLUMNS = (  # two lines of title, width, text of a row
    ("", "", 16, lambda row: row["name"]),
    ("", "calls", 6, lambda row: f"{row['calls']:,}"),
    ("upstream", "messages", 8, lambda row: f"{row['messages']:,}"),
    ("batch", "mean", 5, lambda row: f"{row['mean']:.1f}"),
    ("batch", "largest", 7, lambda row: f"{row['largest']}"),
    ("upstream", "connections", 11, lambda row: f"{row['connections']}"),
    ("replies", "right", 7, lambda row: f"{row['right']:,}"),
    ("replies", "wrong", 7, lambda row: f"{row['wrong']:,}"),
    ("replies", "missing", 7, lambda row: f"{row['missing']:,}"),
    ("", "calls/s", 7, lambda row: f"{row['throughput']:,.0f}"),
    ("p50", "ms", 5, lambda row: f"{row['p50'] / 1000:.1f}"),
    ("p99", "ms", 5, lambda row: f"{row['p99'] / 1000:.1f}"),
)


CONCLUSION = """\
  As shipped ({name}), the upstream saw {messages:.0f} times fewer messages, over {few}
  connections instead of {many}, and the clients got {gain:.1f} times the throughput.

  The price is a hop: a client that is alone gets its reply in {through} us (p50) instead of {direct}.
  The gain depends on what a message costs the upstream, here chosen so that it shows. Where all
  the cost is in the calls themselves, fewer connections are what remains.
"""


def show_introduction(crowd):
    python = crowd.python_processes * crowd.python_connections
    print(f"\n{BOLD}thrift-batchd{PLAIN}: many clients in, few messages out, every reply to its own"
          f" caller\n\n"
          f"  upstream  thrift-batch-demo: {UPSTREAM_WORDS}\n"
          f"  daemon    conf/thrift-batchd.ini as shipped, but for addresses and `flush`\n"
          f"  clients   {crowd.c_connections} in C and {python} in Python, unmodified, each with one"
          f" connection, one call at a time\n")


def show_table(rows):
    def line(texts):
        return " ".join(text.ljust(column[2]) if column is COLUMNS[0] else text.rjust(column[2])
                        for column, text in zip(COLUMNS, texts))

    print(f"\n  {BOLD}{line([column[0] for column in COLUMNS])}\n"
          f"  {line([column[1] for column in COLUMNS])}{PLAIN}")
    for row in rows:
        text = line([column[3](row) for column in COLUMNS])
        colour = BAD if is_bad(row) else PLAIN if row is rows[0] else GOOD
        print(f"  {colour}{text}{PLAIN}")
    print(f"\n  {FAINT}messages, batches, connections: as the upstream counted them;"
          f" p50, p99: of the C clients{PLAIN}")


def is_bad(row):
    return row["wrong"] > 0 or row["missing"] > 0


def show_conclusion(rows, lone):
    direct, shipped, _ = rows
    if any(map(is_bad, rows)):
        print(f"\n  {BAD}Replies were wrong or missing: that must not happen.{PLAIN}\n")
        return
    print(f"\n  {GOOD}Every reply was right.{PLAIN}")
    if lone:
        print(CONCLUSION.format(
            name=shipped["name"], messages=direct["messages"] / shipped["messages"],
            few=shipped["connections"], many=direct["connections"],
            gain=shipped["throughput"] / direct["throughput"], direct=lone[0], through=lone[1]))


def stay(directory, wrap):
    upstream = start_upstream()
    daemon = start_daemon(upstream, "adaptive", directory, wrap)
    try:
        show_addresses(upstream, daemon)
        while daemon.popen.poll() is None and upstream.popen.poll() is None:
            time.sleep(0.2)
        raise Failed("a program has ended:\n" + "\n".join(daemon.lines))
    except KeyboardInterrupt:
        print("\nstopping")
    finally:
        daemon.end()
        upstream.end()


def show_addresses(upstream, daemon):
    host, port = daemon.address.rsplit(":", 1)
    crowd = os.path.relpath(os.environ["CROWD"])
    ctl = os.path.relpath(os.environ["BATCHCTL"])
    gen_py = os.path.relpath(os.environ["GEN_PY"])
    print(f"""Still up, until Ctrl-C:

  daemon    {BOLD}{daemon.address}{PLAIN}   (any Thrift client: framed or not, binary or compact)
  upstream  {BOLD}{upstream.address}{PLAIN}   (the server itself: framed, binary; idl/demo.thrift)
  status    {BOLD}http://{daemon.said("^http on (.+)")}/{PLAIN}   (metrics at /metrics)

Try it from another terminal, in {os.getcwd()}:

  {crowd} --connect {daemon.address} --connections 100 --calls 200
  {crowd} --connect {upstream.address} --connections 100 --calls 20
  {ctl} --socket {daemon.said("^fb303 on (.+)")} status

  PYTHONPATH={gen_py} /usr/bin/python3 -c 'from thrift.protocol.TBinaryProtocol import \
TBinaryProtocol as P; from thrift.transport import TSocket, TTransport; from thrift_batch_demo \
import Directory; t = TTransport.TFramedTransport(TSocket.TSocket("{host}", {port})); t.open(); \
c = Directory.Client(P(t)); print(c.getUser("me", 7)); print(c.stats())'
""", flush=True)


# --- the whole ------------------------------------------------------------------------------------

def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--stay", action="store_true", help="leave it up, until Ctrl-C")
    parser.add_argument("--quick", action="store_true", help="a small crowd")
    parser.add_argument("--wrap", default="", metavar="COMMAND",
                        help="run the daemon under this, for example valgrind")
    parser.add_argument("--be-clients", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def check_environment():
    missing = [name for name in ("BATCHD", "BATCHCTL", "BATCH_DEMO", "CROWD", "GEN_PY")
               if not os.path.exists(os.environ.get(name, ""))]
    if missing:
        raise Failed(f"{', '.join(missing)} not set or not there: use `./run demo`")


def demo(arguments):
    check_environment()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has started it to ignore one
        signal.signal(number, signal.default_int_handler)
    sys.path.insert(0, os.environ["GEN_PY"])
    crowd = Crowd(arguments.quick)
    wrap = shlex.split(arguments.wrap)
    show_introduction(crowd)
    with tempfile.TemporaryDirectory(prefix="thrift-batchd-demo-") as directory:
        rows = [run_row(name, crowd, flush, directory, wrap) for name, flush in (
            ("direct", None), ("flush = adaptive", "adaptive"), ("flush = window", "window"))]
        lone = None if arguments.quick else lone_client(directory, wrap)
        show_table(rows)
        show_conclusion(rows, lone)
        if arguments.stay and not any(map(is_bad, rows)):
            stay(directory, wrap)
    return 1 if any(map(is_bad, rows)) else 0


def main():
    arguments = options()
    try:
        if arguments.be_clients:
            address, connections, calls = arguments.be_clients
            be_clients(address, int(connections), int(calls))
            return 0
        return demo(arguments)
    except Failed as problem:
        print(f"\n{BAD}{problem}{PLAIN}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
