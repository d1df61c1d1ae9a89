"""What the service manager is told. The test is the service manager: it reads the socket."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest
import wire
from harness import PATIENCE
from scripted import SILENCE, Scripted
from talk import all_read, receive, send, served

WATCHDOG = 0.2  # s, the interval that the daemon is given


class ServiceManager:
    """What systemd listens on, and what it puts into the environment."""

    def __init__(self, directory):
        self.path = f"{directory}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.environment = {"NOTIFY_SOCKET": self.path}

    def next(self, timeout=PATIENCE):
        """The next message, as a dictionary."""
        self.socket.settimeout(timeout)
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def wait_for(self, key, pattern=""):
        """The first message whose value for `key` is like that."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            message = self.next()
            if re.search(pattern, message.get(key, "\0")) and key in message:
                return message
        raise AssertionError(f"no {key} like {pattern!r}")

    def forget(self):
        """Drops what has come so far."""
        with contextlib.suppress(BlockingIOError):
            self.socket.setblocking(False)
            while self.socket.recv(4096):
                pass


@pytest.fixture
def manager(directory):
    manager = ServiceManager(directory)
    yield manager
    manager.socket.close()


def test_start_and_stop(bench, upstream, manager):
    """In that order, and ready only when it listens."""
    daemon = bench.daemon(upstream, environment=manager.environment,
                          daemon={"drain_timeout": "7s"})
    assert manager.next() == {"STATUS": "Starting"}
    assert manager.next() == {"READY": "1"}
    with bench.connect(daemon).socket:
        pass
    daemon.signal(signal.SIGTERM)
    stopping = manager.wait_for("STOPPING", "1")
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) == 12_000_000, "drain_timeout, and 5 s to spare"
    assert stopping["STATUS"] == "Draining"
    assert daemon.wait() == 0


def test_a_failed_start_is_never_ready(bench, upstream, manager):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = bench.daemon(upstream, environment=manager.environment, listeners=0,
                              daemon={"listen": "%s:%d" % taken.getsockname()})
        daemon.expected_status = 1
        assert daemon.wait() == 1
    assert manager.next() == {"STATUS": "Starting"}
    with pytest.raises(BlockingIOError):
        manager.socket.setblocking(False)
        manager.socket.recv(4096)


def test_the_status_shows_live_figures(bench, upstream, manager):
    daemon = bench.daemon(upstream, environment=manager.environment)
    manager.wait_for("STATUS", r"^0 clients, 0 calls/s, [01] of 1 servers up$")
    raws = [bench.connect(daemon) for _ in range(3)]
    for raw in raws:
        for _ in range(20):
            served(raw)
    status = manager.wait_for("STATUS", "^3 clients")["STATUS"]
    assert re.fullmatch(r"3 clients, \d+ calls/s(, [\d.]+ calls a batch)?, 1 of 1 servers up",
                        status)
    assert float(re.search(r"([\d.]+) calls/s", status)[1]) >= 5, "60 calls in about five seconds"
    manager.wait_for("STATUS", "^3 clients, 0 calls/s")  # since the latest


@pytest.mark.parametrize("good", (True, False), ids=("good", "bad"))
def test_reload(bench, upstream, manager, good):
    """READY follows whatever the file is worth: the daemon works either way."""
    daemon = bench.daemon(upstream, environment=manager.environment)
    manager.wait_for("READY", "1")
    if not good:
        daemon.config.write_text("[batch]\nwindow = 5 parsecs\n")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.popen.send_signal(signal.SIGHUP)
    reloading = manager.wait_for("RELOADING", "1")
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(
        time.CLOCK_MONOTONIC) // 1000
    manager.wait_for("READY", "1")
    served(bench.connect(daemon))


def test_draining_is_told_again_and_again(bench, manager):
    """How many calls are still pending and how long it may take, to the manager and in the log."""
    upstream = Scripted(bench, lambda message: SILENCE)
    daemon = bench.daemon(upstream, environment=manager.environment,
                          daemon={"drain_timeout": "3s"}, upstream={"connections": "8"})
    raws = [bench.connect(daemon) for _ in range(4)]
    for raw in raws:
        send(raw, wire.echo(b"x", 1))
    all_read(bench, daemon)
    daemon.signal(signal.SIGTERM)
    left = [re.fullmatch(r"Draining: 4 calls pending, (\d) s left",
                         manager.wait_for("STATUS", "Draining: ")["STATUS"])[1] for _ in range(3)]
    assert left == ["3", "2", "1"]
    for raw in raws:
        assert "shutting down" in receive(raw).error()[1]
    assert daemon.wait() == 0
    assert len(daemon.log.matching(r"draining: 4 calls pending, \d s left")) == 3


def test_an_idle_drain_is_not_worth_a_line(bench, upstream):
    daemon = bench.daemon(upstream)
    served(bench.connect(daemon))
    daemon.end()
    assert not daemon.log.matching("calls pending")


# --- the watchdog ---------------------------------------------------------------------------------

def watched(manager):
    """The environment of a daemon whose watchdog is on."""
    return manager.environment | {"WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}


def test_no_watchdog_unless_wanted(bench, upstream, manager):
    daemon = bench.daemon(upstream, environment=manager.environment)
    served(bench.connect(daemon))
    daemon.end()
    with contextlib.suppress(BlockingIOError):
        manager.socket.setblocking(False)
        while message := manager.socket.recv(4096):
            assert b"WATCHDOG" not in message


@pytest.mark.parametrize("workers", (1, 3))
def test_watchdog(bench, upstream, manager, workers):
    bench.daemon(upstream, environment=watched(manager), daemon={"workers": workers})
    begin = time.monotonic()
    for _ in range(5):
        manager.wait_for("WATCHDOG", "1")
    assert time.monotonic() - begin > WATCHDOG, "at half of the interval, not faster"


class StoppedThread:
    """One thread of a program, held by ptrace(2) as a debugger would; the others go on."""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self, pid, name):
        self.tid = next(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()
                        if (task / "comm").read_text().strip() == name)

    @classmethod
    def _ptrace(cls, request, tid):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(request, tid, None, None) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "ptrace")

    def __enter__(self):
        self._ptrace(self.SEIZE, self.tid)
        self._ptrace(self.INTERRUPT, self.tid)
        os.waitpid(self.tid, 0x40000000)  # __WALL: it has stopped

    def __exit__(self, *_):
        self._ptrace(self.DETACH, self.tid)


def test_a_worker_that_hangs_ends_the_watchdog(bench, upstream, manager):
    """Though the main thread and the other workers go on."""
    daemon = bench.daemon(upstream, environment=watched(manager), daemon={"workers": 3})
    manager.wait_for("WATCHDOG", "1")
    with StoppedThread(daemon.pid, "worker 2"):
        daemon.log.wait_for("worker 2 has not turned its loop")
        manager.forget()
        daemon.log.wait_for("worker 2 has not turned its loop", count=4)
        with pytest.raises(BlockingIOError):
            manager.socket.setblocking(False)
            while b"WATCHDOG" not in manager.socket.recv(4096):
                pass
    manager.wait_for("WATCHDOG", "1")
    assert not daemon.log.matching(r"worker [13] has not turned")
