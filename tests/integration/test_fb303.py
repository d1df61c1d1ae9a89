"""The fb303 interface, with ordinary clients of the base service and with bytes."""

import json
import os
import shutil
import signal
import stat
import subprocess
import time

import pytest
import wire
from admin import (NOBODY, admin, as_user, at_socket, changes, daemon_with_fb303, needs_root,
                   stats)
from clients import (PROTOCOLS, THRIFTPY_FORMS, TRANSPORTS, Thrift, ThriftPy,
                     thriftpy_idl)
from fb303 import FacebookService
from fb303.ttypes import fb_status
from harness import Raw, crowd, eventually, program, refused_address
from scripted import Holding, Scripted
from talk import call_all, framed, introduce, receive, send, served
from thrift.Thrift import TApplicationException

MAX_CONNECTIONS = 64
OPTIONS = {"window": "500us", "max_calls": "64", "flush": "adaptive", "log_level": "info"}

def connect_admin(daemon):
    return Raw(daemon.admin_address)


def refusal(call, *arguments):
    """The words of the INTERNAL_ERROR that a method of a client says."""
    with pytest.raises(TApplicationException) as said:
        call(*arguments)
    assert said.value.type == TApplicationException.INTERNAL_ERROR
    return said.value.message


@pytest.fixture
def batchd(bench, upstream, directory):
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    daemon.log.wait_for(r"server \S+ is up")
    return daemon


# --- every method, in every form ------------------------------------------------------------------

@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_methods(bench, batchd, protocol, transport):
    served(bench.connect(batchd))
    with admin(batchd, protocol, transport) as client:
        assert client.getName() == "thrift-batchd"
        assert f"thrift-batchd {client.getVersion()}\n" == subprocess.run(
            [program("BATCHD"), "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        assert client.getStatus() == fb_status.ALIVE
        assert client.getStatusDetails().startswith("batching: ")
        assert time.time() - 60 <= client.aliveSince() <= time.time()
        counters = client.getCounters()
        assert counters["calls_total.echo.ok"] == 1
        assert client.getCounter("calls_total.echo.ok") == 1
        assert client.getOptions() == OPTIONS
        client.setOption("window", "2ms")
        assert client.getOption("window") == "2ms"
        client.pause()
        assert client.getStatus() == fb_status.WARNING
        client.resume()
        assert client.getStatus() == fb_status.ALIVE
        client.reload()
        assert client.getOption("window") == "500us", "a reload sets it back"
        assert json.loads(client.getStatsJson())["calls"]["ok"] == 1
        client.reinitialize()
        assert client.getName() == "thrift-batchd", "a oneway call owes no reply"
    batchd.log.wait_for(r"reloaded", 2)


def test_an_ordinary_client_of_the_base_service(batchd):
    with Thrift(batchd.admin_address, service=FacebookService) as client:
        assert client.getStatus() == fb_status.ALIVE
        assert "profile" in refusal(client.getCpuProfile, 1)


@pytest.mark.parametrize("form", THRIFTPY_FORMS)
def test_thriftpy(bench, upstream, form):
    """It reads the interface by itself, and has clients of its own."""
    daemon = daemon_with_fb303(bench, upstream)
    daemon.log.wait_for(r"server \S+ is up")
    service = thriftpy_idl("admin").AdminService
    with ThriftPy(daemon.admin_address, form, service) as client:
        assert client.getName() == "thrift-batchd"
        assert client.getStatus() == fb_status.ALIVE
        assert client.getOptions() == OPTIONS
        assert client.getCounters()[f"server_up.{upstream.address}"] == 1
        assert json.loads(client.getStatsJson())["state"] == "running"


def test_an_unknown_method(batchd):
    raw = connect_admin(batchd)
    send(raw, wire.call("getNothing", 3, (1, wire.STRING, b"x")), wire.call("getName", 4))
    kind, text = receive(raw).error()
    assert kind == wire.UNKNOWN_METHOD and "getNothing" in text
    assert receive(raw).value(0) == b"thrift-batchd"


# --- what it says ---------------------------------------------------------------------------------

def test_counters_are_what_was_sent(batchd):
    measured = crowd(batchd, 20, 2000)
    assert measured["right"] == 2000
    with admin(batchd) as client:
        counters = client.getCounters()
        assert "1 server up" in client.getStatusDetails()
    assert counters["calls_total.echo.ok"] == 2000
    assert sum(value for name, value in counters.items() if name.startswith("calls_total.")) == 2000
    assert counters["batch_calls.sum"] + counters["plain_calls_total"] == 2000
    assert counters["batch_calls.count"] == sum(
        value for name, value in counters.items() if name.startswith("batches_total."))
    assert counters["call_seconds.count"] == 2000
    assert 0 < counters["call_seconds.p50_us"] <= counters["call_seconds.p99_us"]
    assert counters["clients_total"] == 20
    upstream, = (name for name in counters if name.startswith("server_up."))
    assert counters[upstream] == 1


def test_status_without_a_server(bench, directory):
    place, address = refused_address()
    with place:
        daemon = daemon_with_fb303(bench, address, at=at_socket(directory))
        daemon.log.wait_for(r"server \S+ is out")
        with admin(daemon) as client:
            assert client.getStatus() == fb_status.WARNING
            assert client.getStatusDetails() == "no server is up: 0 clients, 0 of 1 server up"
            assert client.getCounter(f"server_up.{address}") == 0


def test_status_while_it_drains(bench, directory):
    upstream = Holding(bench)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory),
                               daemon={"drain_timeout": "30s"})
    raw = bench.connect(daemon)
    send(raw, wire.wait(b"slow", 0, 1))
    upstream.wait_for_calls(1)
    with admin(daemon) as client:
        client.shutdown()
        assert client.getStatus() == fb_status.STOPPING
        assert client.getStatusDetails().startswith("draining: 1 client, ")
    upstream.let_go.set()
    assert receive(raw).value(0) == b"slow"
    assert daemon.wait() == 0


def test_what_is_unknown_or_bad_is_said_and_changes_nothing(batchd):
    with admin(batchd) as client:
        assert "'nothing'" in refusal(client.getCounter, "nothing")
        for call in (client.getOption, lambda name: client.setOption(name, "1")):
            words = refusal(call, "windw")
            assert "'windw'" in words and all(name in words for name in OPTIONS)
        for name, value in (("window", "5 parsecs"), ("window", ""), ("max_calls", "0"),
                            ("flush", "sometimes"), ("log_level", "loud")):
            assert name in refusal(client.setOption, name, value)
        assert client.getOptions() == OPTIONS


# --- what it changes ------------------------------------------------------------------------------

def test_set_option_takes_effect(bench, directory):
    """A window that never ends, then the adaptive flush that does not wait for it."""
    daemon = daemon_with_fb303(
        bench, Scripted(bench), at=at_socket(directory), daemon={"workers": 1},
        batch={"flush": "window", "window": "50s"}, upstream={"call_timeout": "1min"})
    idle, raw = bench.connect(daemon), bench.connect(daemon)
    introduce(idle)
    send(raw, wire.echo(b"waits", 1))
    introduce(idle)
    with admin(daemon) as client:
        assert client.getCounter("pending_calls") == 1
        client.setOption("flush", "adaptive")
        assert receive(raw).value(0) == b"waits"
        assert client.getOption("flush") == "adaptive"


def test_pause_holds_calls_and_resume_lets_them_go(bench, directory):
    upstream = Scripted(bench)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    raws = [bench.connect(daemon) for _ in range(5)]
    introduce(*raws)
    with admin(daemon) as client:
        client.pause()
        call_all(raws)
        eventually(lambda: client.getCounter("pending_calls") == 5)
        assert not upstream.received
        client.resume()
    for number, raw in enumerate(raws):
        assert receive(raw).value(0) == b"token-%d" % number


def test_reload_says_what_needs_a_restart(bench, batchd):
    good = batchd.config.read_text()
    with admin(batchd) as client:
        assert client.reload() == ""
        batchd.config.write_text(good.replace("[daemon]\n", "[daemon]\nsocket_mode = 0600\n")
                                 .replace("workers = ", "workers = 1"))
        assert client.reload().startswith("[daemon] workers has changed")
        assert "\n" not in client.reload()


def test_nothing_is_changed_while_it_drains(bench, directory):
    upstream = Holding(bench)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    raw = bench.connect(daemon)
    send(raw, wire.wait(b"held", 0, 1))
    upstream.wait_for_calls(1)
    with admin(daemon) as client:
        client.drain()
        for call in (client.reload, client.pause, client.resume):
            assert "draining" in refusal(call)
        assert "draining" in refusal(client.setOption, "window", "7ms")
        client.reinitialize()
        assert client.getOption("window") == OPTIONS["window"]
    upstream.let_go.set()
    assert receive(raw).value(0) == b"held"
    assert daemon.wait() == 0
    assert "reloaded" not in daemon.log.text()


def test_reload_says_what_is_wrong(batchd):
    good = batchd.config.read_text()
    batchd.config.write_text(good + "\n[batch]\nwindw = 1ms\nmax_calls = none\n")
    with admin(batchd) as client:
        words = refusal(client.reload)
        assert "windw" in words and "max_calls" in words and str(batchd.config) in words
        assert client.getOptions() == OPTIONS
        batchd.config.write_text(good + "\n[batch]\nmax_calls = 7\n")
        client.reload()
        assert client.getOption("max_calls") == "7"


@pytest.mark.parametrize("method", ("drain", "shutdown"))
def test_drain(bench, batchd, method):
    served(bench.connect(batchd))
    with admin(batchd) as client:
        getattr(client, method)()
    assert batchd.wait() == 0


def test_a_signal_behind_drain(bench, directory):
    """Only a second signal cuts a drain short."""
    upstream = Holding(bench)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    raw = bench.connect(daemon)
    send(raw, wire.wait(b"last", 0, 1))
    upstream.wait_for_calls(1)
    with admin(daemon) as client:
        client.drain()
        client.drain()
    daemon.signal(signal.SIGTERM)
    daemon.log.wait_for("Terminated: draining already")
    upstream.let_go.set()
    assert receive(raw).value(0) == b"last"
    assert daemon.wait() == 0


def test_an_option_that_is_so_already(batchd):
    with admin(batchd) as client:
        client.setOption("window", "7ms")
        client.setOption("window", "7ms")
    batchd.log.wait_for("until the next reload: nothing changes")


# --- who may change it ----------------------------------------------------------------------------

def all_refused(daemon, raw, words):
    """None of the changes is made; what reads is answered all the same."""
    before = stats(daemon)["config"]
    send(raw, *changes(), wire.call("getName", 8))
    for call in changes()[:5]:
        got = receive(raw)
        kind, text = got.error()
        assert (got.seqid, kind) == (call.seqid, wire.INTERNAL_ERROR)
        assert text.startswith(call.name.decode() + ": ") and words in text
    assert receive(raw).value(0) == b"thrift-batchd"
    for method in ("reinitialize", "shutdown"):
        daemon.log.wait_for(rf"fb303: {method} refused: .*{words}")
    after = stats(daemon)
    assert after["config"] == before and after["state"] == "running"
    assert not daemon.log.matching("reloaded|paused|resumed")


def test_nobody_may_over_tcp(bench, upstream):
    daemon = daemon_with_fb303(bench, upstream)
    all_refused(daemon, connect_admin(daemon), "only over its unix socket")


def test_refusals_do_not_flood_the_log(bench, upstream):
    """Whoever can connect can send as many of these as it likes."""
    daemon = daemon_with_fb303(bench, upstream)
    raw = connect_admin(daemon)
    send(raw, *(wire.call("shutdown", number, kind=wire.ONEWAY) for number in range(500)),
         wire.call("getName", 500))
    assert receive(raw).seqid == 500
    assert 0 < len(daemon.log.matching("shutdown refused")) < 100


@needs_root
def test_another_user_may_not(bench, upstream, directory):
    directory.chmod(0o755)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory),
                               daemon={"socket_mode": "0666"})
    with as_user(NOBODY):
        raw = connect_admin(daemon)
    all_refused(daemon, raw, f"not from uid {NOBODY}")


@needs_root
def test_root_may_though_it_is_another_user(bench, upstream, directory, monkeypatch):
    directory.chmod(0o777)
    bench.directory = directory  # its usual one is closed to others, as the build may be
    monkeypatch.setenv("BATCHD", shutil.copy(program("BATCHD"), directory))
    monkeypatch.setenv("BATCHD_WRAPPER", f"setpriv --reuid={NOBODY} --clear-groups")
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    assert os.stat(directory / "fb303.sock").st_uid == NOBODY
    with admin(daemon) as client:
        client.setOption("window", "3ms")
        assert client.getOption("window") == "3ms"


def test_the_socket_is_as_configured_and_goes_with_the_daemon(bench, upstream, directory):
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory),
                               daemon={"socket_mode": "0600"})
    path = directory / "fb303.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    daemon.end()
    assert not path.exists()


# --- peers that misbehave -------------------------------------------------------------------------

def test_garbage_is_closed_and_nothing_else_suffers(bench, batchd):
    raw = bench.connect(batchd)
    for garbage in (b"GET /metrics HTTP/1.1\r\n\r\n", b"\0\0\0\0", b"\x7f\xff\xff\xff\x80\1\0\1",
                    b"\xff" * 100, wire.frame(wire.encode(wire.call("getName", 1)) + b"x")):
        bad = connect_admin(batchd)
        bad.send(garbage)
        assert bad.until_closed() == b""
    batchd.log.wait_for(r"fb303: a connection closed: what it sent is not Thrift")
    with admin(batchd) as client:
        assert client.getStatus() == fb_status.ALIVE
    served(raw)


def test_a_message_over_the_limit(batchd):
    for size, answered in ((60 << 10, True), (70 << 10, False)):
        raw = connect_admin(batchd)
        send(raw, wire.call("getCounter", 1, (1, wire.STRING, b"x" * size)))
        if answered:
            assert receive(raw).error()[0] == wire.INTERNAL_ERROR
        else:
            assert raw.until_closed() == b""


def test_half_a_message_holds_up_nobody(batchd):
    half = connect_admin(batchd)
    message = framed(wire.call("getName", 1))
    half.send(message[:-3])
    with admin(batchd) as client:
        assert client.getName() == "thrift-batchd"
    half.send(message[-3:])
    assert receive(half).value(0) == b"thrift-batchd"


def test_pipelined_calls_are_answered_in_order(batchd):
    raw = connect_admin(batchd)
    methods = ["getName", "getOptions", "getStatus", "getCounters", "nonsense"] * 100
    raw.send_or_read(b"".join(framed(wire.call(name, number))
                              for number, name in enumerate(methods)))
    for number, name in enumerate(methods):
        got = receive(raw)
        assert (got.seqid, got.name) == (number, name.encode())


def test_who_leaves_while_statistics_are_collected(batchd):
    for number in range(MAX_CONNECTIONS - 1):
        raw = connect_admin(batchd)
        send(raw, *[wire.call("getCounters", number)] * 3)
        if number % 2:
            raw.reset()
        else:
            raw.close()
    with admin(batchd) as client:
        assert client.getStatus() == fb_status.ALIVE


@needs_root
def test_nobody_is_locked_out_by_those_who_only_read(bench, upstream, directory):
    directory.chmod(0o755)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory),
                               daemon={"socket_mode": "0666"})
    with as_user(NOBODY):
        raws = [connect_admin(daemon) for _ in range(MAX_CONNECTIONS)]
    daemon.log.wait_for(r"fb303: a connection turned away")
    with admin(daemon) as client:
        client.setOption("window", "3ms")
        assert client.getOption("window") == "3ms"
    send(raws[0], wire.call("getName", 1))
    assert receive(raws[0]).value(0) == b"thrift-batchd"


def test_connections_are_limited(batchd):
    raws = [connect_admin(batchd) for _ in range(MAX_CONNECTIONS)]
    for raw in raws:
        send(raw, wire.call("getName", 1))
        assert receive(raw).value(0) == b"thrift-batchd"
    assert connect_admin(batchd).until_closed() == b""
    batchd.log.wait_for(r"fb303: a connection turned away")
    raws.pop().close()

    def has_room():
        raw = connect_admin(batchd)
        try:
            send(raw, wire.call("getName", 2))
            return receive(raw).value(0) == b"thrift-batchd"
        except (EOFError, ConnectionError):
            return False
    eventually(has_room)
