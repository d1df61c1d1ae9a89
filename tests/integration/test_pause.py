"""pause and resume: calls are held while the upstream is restarted, and none is lost for it."""

import signal

import pytest
import wire
from admin import admin, at_socket, daemon_with_fb303
from harness import SANITIZED, eventually
from scripted import Holding, Scripted
from talk import all_right, call_all, internal_error, introduce, receive, send, served


@pytest.fixture
def start(bench, directory):
    def start(*upstreams, **sections):
        return daemon_with_fb303(bench, *upstreams, at=at_socket(directory), **sections)
    return start


def pause(daemon):
    with admin(daemon) as client:
        client.pause()


def resume(daemon):
    with admin(daemon) as client:
        client.resume()


def pending(daemon):
    with admin(daemon) as client:
        return client.getCounter("pending_calls")


def test_the_upstream_is_restarted(bench, start):
    """However many restarts, every call gets its answer."""
    upstream = Scripted(bench)
    daemon = start(upstream)
    raws = [bench.connect(daemon) for _ in range(8)]
    for _ in range(3):
        call_all(raws)
        all_right(raws)
        pause(daemon)
        call_all(raws)
        eventually(lambda: pending(daemon) == len(raws))
        with upstream.refusing():
            eventually(lambda: upstream.n_connections() == 0)
        resume(daemon)
        all_right(raws)
    assert len(upstream.calls()) == 2 * 3 * len(raws)


def test_what_is_in_flight_ends(bench, start):
    upstream = Holding(bench)
    daemon = start(upstream)
    first, second = bench.connect(daemon), bench.connect(daemon)
    send(first, wire.wait(b"in flight", 0, 1))
    upstream.wait_for_calls(1)
    pause(daemon)
    send(second, wire.echo(b"held", 2))
    eventually(lambda: pending(daemon) == 2)
    upstream.let_go.set()
    assert receive(first).value(0) == b"in flight"
    assert pending(daemon) == 1
    resume(daemon)
    assert receive(second).value(0) == b"held"


def test_calls_that_are_passed_through_are_held_too(bench, start):
    upstream = Scripted(bench)
    daemon = start(upstream, method={"*": {"batch": "off"}})
    raw = bench.connect(daemon)
    served(raw)
    pause(daemon)
    send(raw, wire.call("log", 1, (1, wire.STRING, b"x"), kind=wire.ONEWAY), wire.echo(b"y", 2))
    eventually(lambda: pending(daemon) == 2)
    assert len(upstream.calls()) == 1
    resume(daemon)
    assert receive(raw).value(0) == b"y"
    assert [call.name for call in upstream.calls()] == [b"echo", b"log", b"echo"]


def test_it_is_in_force_when_it_is_answered(bench, start):
    """On every worker: what is sent behind that is held."""
    upstream = Scripted(bench)
    daemon = start(upstream, daemon={"workers": 4})
    raws = [bench.connect(daemon) for _ in range(8)]
    call_all(raws)
    all_right(raws)
    for _ in range(10):
        pause(daemon)
        upstream.forget()
        call_all(raws)
        eventually(lambda: pending(daemon) == len(raws))
        assert not upstream.received
        resume(daemon)
        all_right(raws)


def test_call_timeout_holds_all_the_same(bench, start):
    upstream = Scripted(bench)
    daemon = start(upstream, upstream={"call_timeout": "100ms"})
    raw = bench.connect(daemon)
    pause(daemon)
    send(raw, wire.echo(b"late", 1))
    assert "was not sent" in internal_error(raw, 1)
    assert not upstream.calls()


def test_without_a_server(bench, start):
    """Calls are held instead of getting their error, and after that wait for an attempt to connect,
    however long the backoff has become."""
    upstream = Scripted(bench)
    daemon = start(upstream)
    raw = bench.connect(daemon)
    with upstream.refusing():
        send(raw, wire.echo(b"nobody", 1))
        internal_error(raw, 1)
        daemon.log.wait_for("is out: ")
        pause(daemon)
        send(raw, wire.echo(b"held", 2))
        eventually(lambda: pending(daemon) == 1)
        assert raw.nothing_comes(0.4 * (3 if SANITIZED else 1))  # probes fail meanwhile
    resume(daemon)
    assert receive(raw).value(0) == b"held"


def test_a_reload_does_not_end_it(bench, start, directory):
    """Whatever changes: new engines are paused, too."""
    upstream = Scripted(bench)
    daemon = start(upstream)
    raw = bench.connect(daemon)
    served(raw)
    pause(daemon)
    sections = {"admin": {"fb303": at_socket(directory)}}
    assert daemon.reload(upstream, client={"ordering": "relaxed"}, **sections)
    send(raw, wire.echo(b"held", 1))
    eventually(lambda: pending(daemon) == 1)
    assert len(upstream.calls()) == 1
    resume(daemon)
    assert receive(raw).value(0) == b"held"


def test_draining_ends_it(bench, start):
    upstream = Scripted(bench)
    daemon = start(upstream)
    raw = bench.connect(daemon)
    pause(daemon)
    send(raw, wire.echo(b"held", 1))
    eventually(lambda: pending(daemon) == 1)
    daemon.signal(signal.SIGTERM)
    assert receive(raw).value(0) == b"held"
    assert daemon.wait() == 0


def test_it_is_said(bench, start):
    daemon = start(Scripted(bench))
    introduce(bench.connect(daemon))
    pause(daemon)
    pause(daemon)
    with admin(daemon) as client:
        assert "paused" in client.getStatusDetails()
    resume(daemon)
    with admin(daemon) as client:
        assert "paused" not in client.getStatusDetails()
    assert len(daemon.log.matching("paused: ")) == 1
