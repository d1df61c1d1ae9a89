"""Memory at its bounds: what clients can make the daemon keep, and what they cost when idle."""

import contextlib
import resource
import select
import socket
import time

import pytest
import wire
from harness import FREED_AND_KEPT, SANITIZED, Raw, eventually, host_and_port
from scripted import SILENCE, Scripted
from talk import framed, receive, served

MIB = 1 << 20

# --- clients that keep sending, and an upstream that never answers --------------------------------

MAX_PENDING_BYTES = 16 * MIB
BESIDES = 64 * MIB + FREED_AND_KEPT


def pipeline_of(size, count):
    return b"".join(framed(wire.echo(bytes(size), number)) for number in range(count))


# How many clients, what each sends, how many of its calls may be pending.
SENDING = {
    "calls": (500, pipeline_of(1000, 1000), 1000),
    "calls-that-are-not-taken": (2000, pipeline_of(100, 1000), 5),
    "large-calls": (500, pipeline_of(MIB, 1), 1000),
    "most-of-a-large-call": (150, pipeline_of(MIB, 1)[:MIB * 7 // 8], 1000),
}


def send_while_taken(sockets, data):
    """Sends the same on each, until all has been sent, or no socket takes more for a while, or some
    seconds have passed: those that the daemon reads one after another."""
    end = time.monotonic() + 8
    left = {sock.fileno(): (sock, memoryview(data)) for sock in sockets}
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLOUT)
    while left and time.monotonic() < end and (ready := poll.poll(1000)):
        for number, _ in ready:
            sock, rest = left[number]
            try:
                rest = rest[sock.send(rest[:1 << 16], socket.MSG_DONTWAIT):]
            except ConnectionError:  # closed: it had begun a message and memory was needed
                rest = b""
            if rest:
                left[number] = sock, rest
            else:
                poll.unregister(sock)
                del left[number]


@pytest.mark.parametrize("count,data,max_client_calls", SENDING.values(), ids=SENDING)
def test_clients_that_keep_sending(bench, figure, count, data, max_client_calls):
    """Pending calls, what has been read of unfinished ones, and what has been read behind those
    that may not be taken yet: all of it is bounded."""
    upstream = Scripted(bench, lambda message: SILENCE)
    daemon = bench.daemon(upstream, daemon={"drain_timeout": "0"},
                          client={"max_client_calls": max_client_calls},
                          upstream={"call_timeout": "10min",
                                    "max_pending_bytes": MAX_PENDING_BYTES})
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # the kernel keeps little
            sock.connect(host_and_port(daemon.address))
            sockets.append(sock)
        send_while_taken(sockets, data)
        most = daemon.most_memory()
        figure(f"{most / MIB:.0f} MiB of {(MAX_PENDING_BYTES + BESIDES) / MIB:.0f}")
        assert most < MAX_PENDING_BYTES + BESIDES, f"{most / MIB:.0f} MiB"


def test_unfinished_messages_starve_nobody(bench, upstream):
    """Clients that never end their large messages hold more than may be pending, or are not read:
    others are served all the same, and who ends its message is too."""
    daemon = bench.daemon(upstream, upstream={"max_pending_bytes": MAX_PENDING_BYTES})
    ordinary = bench.connect(daemon)
    served(ordinary)
    large = framed(wire.call("touch", 1, (1, wire.STRING, bytes(MIB))))
    raws = [bench.connect(daemon) for _ in range(30)]
    for raw in raws:
        raw.send(large[:-1])
    for number in range(50):
        served(ordinary, b"ordinary-%d" % number, number)
    for raw in raws[-3:]:
        raw.send(large[-1:])
        got = receive(raw)
        assert (got.type, got.seqid) == (wire.REPLY, 1)


# --- idle clients ---------------------------------------------------------------------------------

IDLE = 10_000
EACH = 4096 * (4 if SANITIZED else 1)


@pytest.fixture
def many_descriptors():
    """Enough for the clients here and, as the daemon inherits the limits, there."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = IDLE + 1000
    if hard < need:
        with contextlib.suppress(ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (need, need))
    elif soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < need:
        pytest.fail(f"{IDLE} clients need {need} descriptors, the limit is {hard}: ulimit -Hn")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_descriptors")
def test_idle_clients(bench, upstream, figure):
    """Those that have never called, and the same when each of them has. They come from several
    addresses, so that ports do not run out."""
    daemon = bench.daemon(upstream)
    with contextlib.closing(Raw(daemon.address)) as raw:
        served(raw)
    empty, descriptors = daemon.memory(), daemon.descriptors()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(
            Raw(daemon.address, f"127.0.1.{number // 1000}"))) for number in range(IDLE)]
        eventually(lambda: daemon.descriptors() >= descriptors + IDLE - 1, pause=0.1)
        silent = (daemon.memory() - empty) / IDLE
        for number, client in enumerate(clients):
            served(client, b"once", number)
        idle = (daemon.memory() - empty) / IDLE
    figure(f"{silent:.0f} bytes each, {idle:.0f} when they have called")
    assert silent < EACH and idle < EACH, f"{silent:.0f} and {idle:.0f} bytes a client"
