"""What the benchmark runs: the daemon, its peers, upstreams and the load, each on its processor.

The process that is measured has one processor for itself; the load generator and the upstream share
the other. Everything listens where the kernel says and is ended by its pid.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import harness  # pylint: disable=wrong-import-position
import machine  # pylint: disable=wrong-import-position

# The first is for what is measured. One processor has to do for both where there is no other.
CPUS = sorted(os.sched_getaffinity(0), reverse=True)
MEASURED, LOAD = CPUS[0], CPUS[-1]

MOST_CONNECTIONS = 9500  # a proxy needs two descriptors for each
RUNNING = []  # pids
LOAD_TIMEOUT = 60  # seconds beyond what a load is to take

HAPROXY = """\
global
    nbthread 1
    maxconn {connections}
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen bench
    bind fd@{descriptor}
    server upstream {upstream}
"""

NGINX = """\
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ worker_connections {descriptors}; }}
stream {{
    server {{
        listen {address} reuseport backlog=4096;
        proxy_pass {upstream};
    }}
}}
"""


def on(cpu, *command):
    """On one processor, or several ("0,1")."""
    return ["taskset", "--cpu-list", str(cpu), *map(str, command)]


class Peer:
    """A process that a load can be sent through."""

    def __init__(self, name, process, address):
        self.name = name
        self.process = process
        self.address = address

    @property
    def pid(self):
        return self.process.pid

    def private_bytes(self):
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        return 1024 * sum(int(kib) for kib in re.findall(r"Private_\w+:\s+(\d+) kB", text))


class Direct(Peer):
    """The upstream itself: nothing stands between."""

    def __init__(self, upstream):
        super().__init__("direct", upstream.process, upstream.address)


def bound_socket():
    """A port that the kernel has chosen, for servers that have to be told one."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", 0))
    return sock, "127.0.0.1:%d" % sock.getsockname()[1]


def accepts(address):
    try:
        harness.connect(address).close()
    except OSError:
        return False
    return True


class Setup:
    """The processes of a row. To be used in a with statement, which ends them."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self._started = []
        self._files = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self._started:
            self.end(self._started[-1])

    def end(self, process):
        self._started.remove(process)
        RUNNING.remove(process.pid)
        process.kill()

    def start(self, command, **options):
        process = harness.Process(command, **options)
        self._started.append(process)
        RUNNING.append(process.pid)
        return process

    def _file(self, suffix, text):
        self._files += 1
        path = self.directory / f"{os.getpid()}-{id(self)}-{self._files}.{suffix}"
        path.write_text(text)
        return path

    def _announced(self, name, command, stream="out"):
        process = self.start(command)
        found = getattr(process, stream).wait_for(r"listening on (\S+)")
        return Peer(name, process, found[0][1])

    def upstream(self, *costs):
        return self._announced("upstream", on(LOAD, harness.program("BENCH_UPSTREAM"), *costs))

    def python_upstream(self, *options, cpu=LOAD):
        generated = self.directory / "gen-py"
        if not generated.exists():
            generated.mkdir()
            subprocess.run(["thrift", "--gen", "py", "-out", generated, HERE / "users.thrift"],
                           check=True)
        return self._announced("upstream", on(
            cpu, sys.executable, HERE / "python_upstream.py", generated,
            HERE.parents[1] / "idl/adapters/python", *options))

    def floor(self, *wrapper):
        return self._announced("floor", on(MEASURED, *wrapper, harness.program("BENCH_FLOOR")))

    def daemon(self, upstream, *wrapper, name="daemon", listen="127.0.0.1:0", cpu=MEASURED,
               **sections):
        config = self._file("ini", harness.ini(
            [upstream.address], {"daemon": {"listen": listen}, **sections}))
        return self._announced(name, on(
            cpu, *wrapper, harness.program("BATCHD"), "--config", config), "log")

    def haproxy(self, upstream):
        sock, address = bound_socket()
        with sock:
            sock.listen(4096)
            config = self._file("cfg", HAPROXY.format(
                connections=MOST_CONNECTIONS, descriptor=sock.fileno(), upstream=upstream.address))
            process = self.start(on(MEASURED, "haproxy", "-db", "-f", config),
                                 descriptors=[sock.fileno()])
        return Peer("haproxy", process, address)

    def nginx(self, upstream):
        """It binds beside the socket, which keeps the port until then; that does not listen."""
        sock, address = bound_socket()
        with sock:
            config = self._file("conf", NGINX.format(
                directory=self.directory, address=address, upstream=upstream.address,
                descriptors=2 * MOST_CONNECTIONS + 100))
            process = self.start(
                on(MEASURED, "nginx", "-e", "stderr", "-p", self.directory, "-c", config))
            harness.eventually(lambda: accepts(address))
        return Peer("nginx", process, address)

    def idle_clients(self, peer, connections, payload):
        """Clients that have made a call and stay connected until they are ended."""
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            [*harness.WITH_PARENT, *on(LOAD, harness.program("BENCH_LOAD"), "--connect",
                                       peer.address, "--connections", connections, "--payload",
                                       payload, "--idle")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if process.stdout.readline().strip() != f"ready {connections}":
            process.kill()
        return process


def load(peer, cpu=LOAD, **options):
    """Runs bench-load, and returns what it has found, and what others took of the machine."""
    watch = machine.Watch(RUNNING)
    arguments = [harness.program("BENCH_LOAD"), "--connect", peer.address]
    for name, value in ({"account": peer.pid} | options).items():
        arguments += ["--" + name.replace("_", "-")] + ([] if value is True else [value])
    done = subprocess.run(
        on(cpu, *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, check=False,
        timeout=LOAD_TIMEOUT + options.get("seconds", 1) + options.get("patience", 0))
    if not done.stdout:
        raise RuntimeError(f"bench-load said nothing: {done.stderr}")
    return json.loads(done.stdout) | {"problem": done.stderr.strip(), "others": watch.others()}
