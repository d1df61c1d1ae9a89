"""Starts the real programs for a test, and ends them.

Everything listens where the kernel says; a process is ready when it has said so. Whatever is
started here is ended by its pid, and the daemon's end is itself a test: status 0, no sanitizer
report.
"""

import contextlib
import fcntl
import json
import os
import re
import resource
import select
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import wire

PROGRAMS = ("BATCHD", "BATCHCTL", "BATCH_DEMO", "CROWD", "BENCH_LOAD", "BENCH_UPSTREAM",
            "BENCH_FLOOR", "RESOLVER_SHIM", "CONFIG_TABLE")
DIRECTORIES = ("GEN_PY", "IDL_DIR", "UNITS_DIR")
CONF = Path(__file__).resolve().parents[2] / "conf" / "thrift-batchd.ini"

# A sanitized daemon is slower and larger by factors: only such limits are widened.
SANITIZED = "SANITIZER_REPORTS" in os.environ
# Freed bytes that AddressSanitizer does not give back, to see who uses them; and some overhead.
FREED_AND_KEPT = (300 << 20) if SANITIZED else 0
# How many workers a daemon has whose test does not say.
WORKERS = int(os.environ.get("BATCHD_WORKERS", "1"))
PATIENCE = 20  # seconds for what happens at once unless something is broken

SANITIZER_WORDS = re.compile(r"(Address|Leak|UndefinedBehavior|Thread)Sanitizer|runtime error:")
# Should the test run itself be killed, its programs go with it.
WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


def missing_environment():
    """What stands in the way of running at all: a test that cannot run is an error, not a skip."""
    for name in PROGRAMS:
        if not os.access(os.environ.get(name, ""), os.X_OK):
            yield f"{name} has to name an executable, is {os.environ.get(name)!r}"
    for name in DIRECTORIES:
        if not Path(os.environ.get(name, "/nonexistent")).is_dir():
            yield f"{name} has to name a directory, is {os.environ.get(name)!r}"


def program(name):
    return os.environ[name]


class Lines:
    """The lines that a stream has given so far; a thread reads it to its end."""

    def __init__(self, stream):
        self._lines = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        with stream:
            for line in stream:
                with self._changed:
                    self._lines.append(line.decode(errors="replace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def matching(self, pattern):
        with self._changed:
            return [found for line in self._lines if (found := re.search(pattern, line))]

    def wait_for(self, pattern, count=1, timeout=PATIENCE):
        """The first `count` matches of `pattern`, awaited."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ended or len(self._matches(pattern)) >= count, timeout)
            found = self._matches(pattern)
            assert len(found) >= count, \
                f"{len(found)} of {count} lines like {pattern!r} in:\n" + "\n".join(self._lines)
            return found[:count]

    def _matches(self, pattern):
        return [found for line in self._lines if (found := re.search(pattern, line))]

    def text(self):
        """Everything; the stream has to be about to end."""
        self._thread.join(PATIENCE)
        with self._changed:
            return "\n".join(self._lines)


class Process:
    def __init__(self, command, environment=None, descriptors=(), stdin=subprocess.DEVNULL):
        self.popen = subprocess.Popen(
            [*WITH_PARENT, *command], stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, **(environment or {})},
            pass_fds=descriptors)
        self.signals = []
        self.out = Lines(self.popen.stdout)
        self.log = Lines(self.popen.stderr)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        self.signals.append(number)
        self.popen.send_signal(number)

    def wait(self, timeout=PATIENCE):
        """The exit status, awaited."""
        return self.popen.wait(timeout)

    def kill(self):
        if self.running():
            self.popen.kill()
        self.popen.wait(PATIENCE)

    @contextlib.contextmanager
    def frozen(self):
        """The process, once it has nothing to do, does nothing; what it is sent waits in the
        kernel."""
        eventually(lambda: self._stat()[0] == "S")
        self.popen.send_signal(signal.SIGSTOP)
        eventually(lambda: self._stat()[0] in "Tt")
        try:
            yield
        finally:
            self.popen.send_signal(signal.SIGCONT)

    def allow_descriptors(self, count):
        """Limits the running process to that many, however high its own limit is."""
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (count, count))

    def descriptors(self):
        """How many it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def lowest_free_descriptor(self):
        used = {int(path.name) for path in Path(f"/proc/{self.pid}/fd").iterdir()}
        return next(number for number in range(len(used) + 1) if number not in used)

    def memory(self):
        """Resident bytes."""
        return self._kilobytes("VmRSS") * 1024

    def most_memory(self):
        """The most that memory() has been."""
        return self._kilobytes("VmHWM") * 1024

    def _kilobytes(self, name):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(name + r":\s+(\d+) kB", status)[1])

    def cpu_seconds(self):
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _stat(self):
        """/proc's fields about it, from its state on."""
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()


# --- addresses ------------------------------------------------------------------------------------

def connect(address, timeout=PATIENCE, source=None):
    """A socket connected to `host:port`, `[::1]:port` or `unix:/path`; from the host `source`."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(address[len("unix:"):])
        return sock
    sock = socket.create_connection(host_and_port(address), timeout, source and (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def host_and_port(address):
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


def refused_address(host="127.0.0.1", port=0):
    """An address at which nobody listens before socket.create_server() is given it, and where the
    kernel lets nobody else listen by chance: the port belongs to a socket that is bound only. The
    socket is returned to be kept."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock, "%s:%d" % sock.getsockname()


# --- the programs ---------------------------------------------------------------------------------

class Upstream(Process):
    """The demo server."""

    def __init__(self, *options, listen="127.0.0.1:0"):
        super().__init__([program("BATCH_DEMO"), "--listen", listen, *options])
        self.address = self.out.wait_for(r"listening on (\S+)")[0][1]

    def stop(self):
        if self.running():
            self.signal(signal.SIGTERM)
        self.wait()


def ini(upstreams, sections):
    """The text of a configuration. Sections by keyword; `method` maps names to their keys."""
    settings = {
        "daemon": {"listen": "127.0.0.1:0", "drain_timeout": "3s", "log_level": "info",
                   "workers": WORKERS},
        "upstream": {"servers": ", ".join(upstreams)},
    }
    for section, keys in sections.items():
        if section == "method":
            settings |= {f"method.{name}": policy for name, policy in keys.items()}
        else:
            settings[section] = settings.get(section, {}) | keys
    return "\n".join(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
                     for section, keys in settings.items())


RELOADED = r"(is not reloaded:|reloaded)(?= )"


def passing(descriptors):
    """What starts a program with these descriptors as systemd passes sockets: sd_listen_fds(3)."""
    moves = " ".join(f"{number}<&{fd} {fd}<&-" for number, fd in enumerate(descriptors, 3))
    script = f'exec {moves}; LISTEN_PID=$$ LISTEN_FDS={len(descriptors)} exec "$@"'
    return ["bash", "-c", script, "bash"] if descriptors else []


class Daemon(Process):
    """`passed`: sockets (or other files) that it is given instead of opening those of `listen`."""

    def __init__(self, config, listeners=1, environment=None, passed=()):
        self.config = config
        # none of them is in the way of another on its way to its place
        descriptors = [fcntl.fcntl(file.fileno(), fcntl.F_DUPFD_CLOEXEC, 100) for file in passed]
        super().__init__(
            [*passing(descriptors), *shlex.split(os.environ.get("BATCHD_WRAPPER", "")),
             program("BATCHD"), "--config", str(config)], environment, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self.expected_status = 0
        self.addresses = [found[1] for found in
                          self.log.wait_for(r"listening on (\S+)", listeners)] if listeners else []

    @property
    def address(self):
        return self.addresses[0]

    def reload(self, *upstreams, **sections):
        """Gives it another configuration, with the same defaults as the first; true where it was
        taken."""
        self.config.write_text(ini([getattr(upstream, "address", upstream)
                                    for upstream in upstreams], sections))
        return self.reload_file()

    def reload_file(self):
        before = len(self.log.matching(RELOADED))
        self.signal(signal.SIGHUP)
        return self.log.wait_for(RELOADED, before + 1)[-1][1] == "reloaded"

    def ending(self):
        """Whether it was told to drain: a second signal would cut its end short."""
        return signal.SIGTERM in self.signals or signal.SIGINT in self.signals

    def end(self):
        """Drains the daemon and checks how it ended."""
        if self.running() and not self.ending():
            self.signal(signal.SIGTERM)
        status = self.wait(60)
        log = self.log.text()
        assert not SANITIZER_WORDS.search(log), log
        assert not self.sanitizer_reports(), self.sanitizer_reports()
        assert status == self.expected_status, f"the daemon ended with status {status}:\n{log}"

    def sanitizer_reports(self):
        directory = os.environ.get("SANITIZER_REPORTS")
        if directory is None:
            return ""
        return "\n".join(path.read_text() for path in Path(directory).glob(f"*.{self.pid}"))


class Bench:
    """What one test has started. Ends everything, the daemons first, also where the test failed."""

    def __init__(self, directory):
        self.directory = directory
        self._ends = []

    def on_end(self, end):
        self._ends.append(end)

    def upstream(self, *options, **settings):
        upstream = Upstream(*options, **settings)
        self.on_end(upstream.kill)
        return upstream

    def config(self, *upstreams, **sections):
        path = self.directory / f"thrift-batchd-{len(self._ends)}.ini"
        path.write_text(ini([getattr(upstream, "address", upstream) for upstream in upstreams],
                            sections))
        return path

    def daemon(self, *upstreams, listeners=1, environment=None, passed=(), **sections):
        """A daemon in front of these upstreams (programs or addresses)."""
        return self.daemon_with(self.config(*upstreams, **sections), listeners, environment, passed)

    def daemon_with(self, config, listeners=1, environment=None, passed=()):
        daemon = Daemon(config, listeners, environment, passed)
        self.on_end(daemon.end)
        return daemon

    def connect(self, where):
        """A raw connection to a daemon, an upstream or an address."""
        raw = Raw(getattr(where, "address", where))
        self.on_end(raw.close)
        return raw

    def end(self):
        problems = []
        while self._ends:
            try:
                self._ends.pop()()
            except Exception as problem:  # pylint: disable=broad-except
                problems.append(problem)
        if problems:
            raise problems[0]


# --- raw connections ------------------------------------------------------------------------------

class Raw:
    """A connection on which a test sends what bytes it likes and reads replies of one form."""

    def __init__(self, address, source=None):
        self.socket = connect(address, source=source)
        self._got = b""

    def send(self, data):
        self.socket.sendall(data)

    def send_or_read(self, data):
        """Sends, and reads only while that is not possible: whoever does neither, with more calls
        and replies than the kernel and the daemon hold, waits for itself."""
        data = memoryview(data)
        while data:
            if select.select([], [self.socket], [], 0)[1]:
                data = data[self.socket.send(data, socket.MSG_DONTWAIT):]
            elif select.select([self.socket], [self.socket], [], PATIENCE)[0]:
                self._more(time.monotonic() + PATIENCE)

    def receive(self, take, timeout=PATIENCE):
        """The next message, by `take(bytes) -> (message, size)`, which raises while bytes lack."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                message, size = take(self._got)
                self._got = self._got[size:]
                return message
            except wire.Incomplete:
                self._more(deadline)

    def _more(self, deadline):
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError(f"closed behind {self._got[:64]!r}")
        self._got += data

    def take_what_comes(self, quiet=0.05):
        """Reads until nothing has come for so long; receive() goes on from there."""
        self.socket.settimeout(quiet)
        with contextlib.suppress(TimeoutError, socket.timeout):
            while data := self.socket.recv(1 << 20):
                self._got += data

    def kept(self):
        """How many bytes of those have not been received as messages."""
        return len(self._got)

    def nothing_comes(self, seconds):
        """True where the connection stays open and silent that long."""
        self.socket.settimeout(seconds)
        try:
            return not self._got and not (self.socket.recv(1) or True)
        except (TimeoutError, socket.timeout):
            return True

    def until_closed(self, timeout=PATIENCE):
        """The bytes that come before the other side closes, which it has to."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self._more(deadline)
        except (EOFError, ConnectionResetError):
            got, self._got = self._got, b""
            return got

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def close(self):
        self.socket.close()


# --- load -----------------------------------------------------------------------------------------

def crowd(where, connections, calls, *options):
    """Runs the C load driver, `calls` over all connections, and returns what it measured."""
    command = [program("CROWD"), "--connect", where.address, "--connections", str(connections),
               "--calls", str(calls // connections), *options]
    done = subprocess.run(command, timeout=60, stdout=subprocess.PIPE, check=False)
    assert done.stdout, f"crowd said nothing, status {done.returncode}"
    return json.loads(done.stdout)


def eventually(condition, timeout=PATIENCE, pause=0.005):
    """For what only shows from outside (/proc, a peer's counters): true in time, or fails."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {condition}"
        time.sleep(pause)


def allow_many_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def refuses(daemon):
    """New connections are no longer accepted."""
    try:
        connect(daemon.address).close()
        return False
    except (ConnectionRefusedError, ConnectionResetError):
        return True
