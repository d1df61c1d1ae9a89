"""The http interface of the real daemon: what is where, and what it bears from its clients."""

import os
import select
import signal
import socket
import stat
import time

import pytest
import wire
from harness import PATIENCE, connect, eventually, refuses, refused_address
from scrape import ANY_PORT, Http
from scripted import Holding, Scripted
from talk import receive, send, served

PLACES = 64  # for connections at a time


def with_http(bench, *upstreams, **sections):
    sections["admin"] = {"http": ANY_PORT} | sections.get("admin", {})
    daemon = bench.daemon(*upstreams, **sections)
    return daemon, Http(daemon)


# --- what is where --------------------------------------------------------------------------------

@pytest.mark.parametrize("path, kind, has", (
    ("/", "text/html; charset=utf-8", "</html>"),
    ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "\nthrift_batchd_clients "),
    ("/stats.json", "application/json", '"methods":['),
    ("/healthz", "text/plain; charset=utf-8", "alive\n"),
    ("/readyz?verbose=1", "text/plain; charset=utf-8", "ready\n")))
@pytest.mark.parametrize("method", ("GET", "HEAD"))
def test_paths(bench, upstream, method, path, kind, has):
    _, http = with_http(bench, upstream)
    eventually(lambda: http.ready()[0] == 200)
    status, headers, text = http.ask(path, method)
    assert (status, headers["Content-Type"]) == (200, kind)
    assert headers["Cache-Control"] == "no-store"
    assert (has in text) if method == "GET" else text == ""


def test_what_is_nowhere(bench, upstream):
    _, http = with_http(bench, upstream)
    status, _, text = http.ask("/metricz")
    assert status == 404 and "/metrics\n" in text
    status, headers, text = http.ask("/metrics", "DELETE")
    assert status == 405 and headers["Allow"] == "GET, HEAD" and "GET" in text


def test_unix_socket(bench, upstream, directory):
    path = directory / "http.sock"
    daemon, http = with_http(bench, upstream, admin={"http": f"unix:{path}"},
                             daemon={"socket_mode": "0600"})
    assert http.text("/healthz") == "alive\n"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    daemon.end()
    assert not path.exists()


def test_address_in_use(bench, upstream):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = "127.0.0.1:%d" % other.getsockname()[1]
        daemon = bench.daemon(upstream, listeners=0, admin={"http": address})
        daemon.expected_status = 1
        assert daemon.wait() == 1
        assert f"cannot listen on {address}" in daemon.log.text()


# --- readiness ------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", (1, 2))
def test_ready_once_a_server_is_up(bench, workers):
    """What one worker finds out holds for all."""
    place, address = refused_address()
    with place:
        daemon, http = with_http(bench, address, daemon={"workers": workers})
        eventually(lambda: http.ready() == (503, f"no server is up: {address} is out"))
        assert http.text("/healthz") == "alive\n"
        port = int(address.rsplit(":", 1)[1])
        upstream = Scripted(bench, port=port)
        eventually(lambda: http.ready() == (200, "ready"))
        raw = bench.connect(daemon)

        def calls_find_out():
            send(raw, wire.echo(b"x", 1))
            receive(raw)
            return http.ready()[0] == 503

        with upstream.refusing():
            eventually(calls_find_out)
        eventually(lambda: http.ready() == (200, "ready"))


def test_not_ready_while_draining(bench):
    upstream = Holding(bench)
    daemon, http = with_http(bench, upstream)
    raw = bench.connect(daemon)
    send(raw, wire.wait(b"held", 0, 1))
    upstream.wait_for_calls(1)
    assert http.ready() == (200, "ready")
    daemon.signal(signal.SIGTERM)
    eventually(lambda: refuses(daemon))
    assert http.ready() == (503, "draining")
    assert http.text("/healthz") == "alive\n"
    assert http.stats()["state"] == "draining"
    upstream.let_go.set()
    assert receive(raw).value(0) == b"held"
    assert daemon.wait() == 0


# --- what its clients do --------------------------------------------------------------------------

def closed(sock, timeout=PATIENCE):
    """Whether the other side closes within that time."""
    sock.settimeout(timeout)
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    except (TimeoutError, socket.timeout):
        return False
    return True


def test_slow_clients_are_closed(bench, upstream):
    """Each byte comes soon enough, the request does not."""
    _, http = with_http(bench, upstream)
    slow = [connect(http.address) for _ in range(5)]
    begin = time.monotonic()
    for sock in slow:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        bench.on_end(sock.close)

    def all_closed():
        for sock in slow[:]:
            try:
                sock.sendall(b"x")
                if closed(sock, 0.01):
                    slow.remove(sock)
            except ConnectionError:
                slow.remove(sock)
        return not slow

    eventually(all_closed, timeout=40, pause=0.2)
    assert time.monotonic() - begin > 5, "who is only a little slow is served"
    assert http.text("/healthz") == "alive\n"


def test_who_takes_no_answer_is_not_read(bench, upstream):
    """Its requests stay in the kernel's buffers."""
    _, http = with_http(bench, upstream)
    sock = connect(http.address)
    bench.on_end(sock.close)
    sock.setblocking(False)
    requests, sent = b"GET /metrics HTTP/1.1\r\n\r\n" * 10000, 0
    while select.select([], [sock], [], 1)[1]:
        sent += sock.send(requests)
        assert sent < 64 << 20
    assert http.text("/healthz") == "alive\n"


def test_who_holds_all_places_loses_them(bench, upstream):
    daemon, http = with_http(bench, upstream)
    served(bench.connect(daemon))
    before = daemon.descriptors()
    held = [connect(http.address) for _ in range(2 * PLACES)]
    for sock in held:
        sock.sendall(b"GET /metrics HTTP/1.1\r\n")
        bench.on_end(sock.close)
    eventually(lambda: daemon.descriptors() >= before + PLACES)
    assert daemon.descriptors() <= before + PLACES + 2
    assert "thrift_batchd_clients" in http.text("/metrics")
    assert all(closed(sock) for sock in held)
    eventually(lambda: daemon.descriptors() <= before)


def test_garbage(bench, upstream):
    daemon, http = with_http(bench, upstream)
    for data in (b"\0" * 20000, b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                 b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
                 b"GET /" + b"x" * 20000, b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                 b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n",
                 b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
                 b"POST / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n",
                 b"GET / HTTP/1.1\r\n x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                 b"CONNECT x:99999999 HTTP/1.1\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\n\r\n",
                 b"GET %00 HTTP/1.1\r\n\r\n", b"GET http:// HTTP/1.1\r\n\r\n",
                 b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" + bytes(9000)):
        with connect(http.address) as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has been closed
            assert closed(sock), data[:40]
    assert http.text("/healthz") == "alive\n"
    daemon.end()
    assert len(daemon.log.text().splitlines()) < 12, "what peers do wrong fills no log"


def test_clients_that_leave_at_once(bench, upstream):
    daemon, http = with_http(bench, upstream)
    served(bench.connect(daemon))
    before = daemon.descriptors()
    for number in range(200):
        sock = connect(http.address)
        sock.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        if number % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    assert http.text("/healthz") == "alive\n"
    eventually(lambda: daemon.descriptors() <= before)


def test_out_of_descriptors(bench, upstream):
    """It says so, and serves when there are some again."""
    daemon, http = with_http(bench, upstream)
    raw, other = bench.connect(daemon), bench.connect(daemon)
    served(raw)
    served(other)
    daemon.allow_descriptors(daemon.lowest_free_descriptor())
    with connect(http.address) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        daemon.log.wait_for("cannot accept an http connection: Too many open files")
        begin = daemon.cpu_seconds()
        served(raw, seqid=1)
        assert not closed(sock, 1.5)
        assert daemon.cpu_seconds() - begin < 0.5, "it spins"
        other.close()
        assert closed(sock)
    assert http.text("/healthz") == "alive\n"
