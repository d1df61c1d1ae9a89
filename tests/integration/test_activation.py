"""Sockets that systemd passes, and restarts behind them. The test is systemd: it holds them."""

import contextlib
import os
import random
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
import wire
from harness import PATIENCE, WORKERS, Raw, connect, eventually
from talk import all_read, internal_error, receive, send, served


@pytest.fixture
def listening(bench):
    """A socket on which somebody else listens."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    bench.on_end(sock.close)
    return sock


def address_of(sock):
    return "%s:%d" % sock.getsockname()


def test_passed_sockets_replace_listen(bench, upstream, listening):
    daemon = bench.daemon(upstream, passed=[listening])
    assert daemon.addresses == [address_of(listening)]
    assert daemon.log.matching(r"listening on \S+ \(passed by systemd\)")
    assert len(daemon.log.matching("listening on")) == 1
    served(bench.connect(daemon))


def test_several_passed_sockets(bench, upstream, listening, directory):
    path = directory / "calls.sock"
    with socket.socket(socket.AF_UNIX) as local:
        local.bind(str(path))
        local.listen()
        daemon = bench.daemon(upstream, listeners=2, passed=[listening, local])
        assert daemon.addresses == [address_of(listening), f"unix:{path}"]
        for address in daemon.addresses:
            served(bench.connect(address))
        daemon.end()
        assert path.is_socket(), "it belongs to whoever passed it"


def test_a_passed_socket_is_made_its_own(bench, upstream, listening):
    """Whatever flags it came with."""
    daemon = bench.daemon(upstream, passed=[listening])
    served(bench.connect(daemon))
    flags = re.search(r"flags:\s+(\d+)", Path(f"/proc/{daemon.pid}/fdinfo/3").read_text())[1]
    assert int(flags, 8) & os.O_CLOEXEC
    assert int(flags, 8) & os.O_NONBLOCK


def test_without_its_pid_nothing_is_passed(bench, upstream):
    """Variables that were meant for somebody else."""
    daemon = bench.daemon(upstream, environment={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    assert not daemon.log.matching("passed by systemd")
    served(bench.connect(daemon))


def not_listening(kind=socket.SOCK_STREAM, family=socket.AF_INET):
    return socket.socket(family, kind)


@pytest.mark.parametrize("make,words", (
    (not_listening, "does not listen"),
    (lambda: not_listening(socket.SOCK_DGRAM), "no stream socket"),
    (lambda: not_listening(socket.SOCK_RAW, socket.AF_NETLINK), "neither an internet nor a unix"),
    (lambda: open("/dev/null", "rb"), "no socket"),
), ids=("connected", "datagrams", "netlink", "file"))
def test_what_is_no_listening_socket(bench, upstream, listening, make, words):
    """Named with its descriptor: it is the second that is wrong."""
    with make() as wrong:
        daemon = bench.daemon(upstream, listeners=0, passed=[listening, wrong])
        daemon.expected_status = 1
        assert daemon.wait() == 1
        assert re.search(rf"descriptor 4\b.*{words}", daemon.log.text())


def test_clients_wait_while_no_daemon_runs(bench, upstream, listening):
    """What they send meanwhile is answered by the next daemon."""
    earlier = bench.daemon(upstream, passed=[listening])
    earlier.log.wait_for("is ready")
    earlier.end()
    raw = bench.connect(address_of(listening))
    send(raw, wire.echo(b"waits", 3))
    daemon = bench.daemon(upstream, passed=[listening])
    got = receive(raw)
    assert (got.seqid, got.value(0)) == (3, b"waits")
    daemon.end()


# --- the end of a drain ---------------------------------------------------------------------------

def test_who_calls_at_the_end_is_told(bench, held):
    """A call that comes when everything has been answered gets an error, not a reset."""
    daemon = bench.daemon(held, daemon={"drain_timeout": "30s"})
    raws = [bench.connect(daemon) for _ in range(2 * WORKERS)]
    send(raws[0], wire.echo(b"x", 1))
    held.wait_for_calls(1)
    all_read(bench, daemon)
    daemon.signal(signal.SIGTERM)
    daemon.log.wait_for("draining")
    held.let_go.set()
    assert receive(raws[0]).value(0) == b"x"
    for seqid in range(20):
        for raw in raws:
            send(raw, wire.echo(b"late", seqid))
            assert "shutting down" in internal_error(raw, seqid)
    for raw in raws:
        assert raw.until_closed() == b""
    assert daemon.wait() == 0


def test_drain_timeout_cuts_the_quiet_time_short(bench, upstream):
    """Who goes on calling is waited for up to a second, but no longer than that."""
    daemon = bench.daemon(upstream, daemon={"drain_timeout": "20ms"})
    raw = bench.connect(daemon)
    served(raw)
    daemon.signal(signal.SIGTERM)
    begin = time.monotonic()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            send(raw, wire.echo(b"again", 1))
            receive(raw)
    assert time.monotonic() - begin < 0.7
    assert daemon.wait() == 0
    assert not daemon.log.matching("drain_timeout has passed"), "everything was answered"


# --- restarts under load --------------------------------------------------------------------------

AWAY = 0.05  # s; whoever has not called for longer may find that its connection has been closed


class Caller:
    """Calls again and again; what happens to each call is counted."""

    def __init__(self, address):
        self.address = address
        self.right = self.told = self.refused = 0
        self.lost = []
        self.stopping = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self):
        self.stopping = True
        self._thread.join(PATIENCE)

    def _run(self):
        while not self.stopping:
            try:
                raw = Raw(self.address)
            except ConnectionRefusedError:
                self.refused += 1
                continue
            self.talk(raw)
            raw.close()

    def talk(self, raw):
        """What is done with a new connection."""
        raise NotImplementedError

    def call(self, raw, idle_since):
        """Whether the connection may be used again."""
        token = b"%d-%d" % (id(self), self.right)
        began = time.monotonic()
        try:
            send(raw, wire.echo(token, 1))
            got = receive(raw)
        except (EOFError, ConnectionError) as problem:
            if began - idle_since < AWAY:
                self.lost.append(problem)
            return False
        if got.type == wire.EXCEPTION:
            assert "shutting down" in got.error()[1], got
            self.told += 1
            return False
        assert got.value(0) == token
        self.right += 1
        return True


class CallerPerConnection(Caller):
    """As a PHP worker does it: a connection for each call."""

    def talk(self, raw):
        self.call(raw, time.monotonic())


class PersistentCaller(Caller):
    """Keeps its connection until it is told to go. It does not look first whether that is still
    open: few clients do."""

    def talk(self, raw):
        since = time.monotonic()
        while not self.stopping:
            time.sleep(random.uniform(0, AWAY / 5))
            if not self.call(raw, since):
                return
            since = time.monotonic()


@pytest.mark.parametrize("workers", (1, 2))
def test_restarts_under_load(bench, upstream, listening, figure, workers):
    """No connection is refused, and no call is lost."""
    address = address_of(listening)
    config = bench.config(upstream, daemon={"workers": workers, "drain_timeout": "5s"})
    daemon = bench.daemon_with(config, passed=[listening])
    callers = [kind(address) for kind in (CallerPerConnection, PersistentCaller) * 4]
    for caller in callers:
        bench.on_end(caller.stop)
    for _ in range(6):
        before = [caller.right for caller in callers]
        eventually(lambda: all(caller.right > n + 20 for caller, n in zip(callers, before)))
        daemon.end()
        daemon = bench.daemon_with(config, passed=[listening])
    for caller in callers:
        caller.stop()
    figure(f"{sum(caller.right for caller in callers)} calls answered, "
           f"{sum(caller.told for caller in callers)} told of the restart, "
           f"{sum(caller.refused for caller in callers)} connections refused, "
           f"{sum(len(caller.lost) for caller in callers)} calls lost")
    assert not any(caller.refused for caller in callers)
    assert not [problem for caller in callers for problem in caller.lost]
    assert not daemon.log.matching("drain_timeout has passed")
