"""thrift-batchctl, as a person at a terminal and as scripts use it."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
import wire
from admin import NOBODY, at_socket, daemon_with_fb303, needs_root, stats
from harness import PATIENCE, Process, crowd, eventually, program
from scripted import Holding, Scripted, without_batches
from talk import receive, send, served

COMMANDS = ("status", "stats", "servers", "methods", "get", "set", "reload", "pause", "resume",
            "drain")
COMPLETION = Path(__file__).resolve().parents[2] / "completion" / "thrift-batchctl"


def command(*arguments, at=None, tool=None):
    where = ("--socket", at.admin_address) if at else ()
    return [tool or program("BATCHCTL"), *where, *map(str, arguments)]


def run(*arguments, at=None, environment=None, **settings):
    clean = {name: value for name, value in os.environ.items() if name != "THRIFT_BATCHD_SOCKET"}
    return subprocess.run(command(*arguments, at=at), timeout=PATIENCE, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**clean, **(environment or {})}, **settings)


def output(*arguments, at):
    """What a command prints that has to succeed."""
    done = run(*arguments, at=at)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def complaint(*arguments, at=None, status=1, **settings):
    """What a command says that has to fail."""
    done = run(*arguments, at=at, **settings)
    assert (done.returncode, done.stdout) == (status, ""), done
    assert done.stderr.startswith("thrift-batchctl: "), done.stderr
    return done.stderr


@pytest.fixture
def batchd(bench, upstream, directory):
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    daemon.log.wait_for(r"server \S+ is up")
    return daemon


# --- reading --------------------------------------------------------------------------------------

def test_before_the_first_call_no_time_is_shown(batchd):
    assert re.search(r"^  call time +p50 -, p99 -, max -$", output("status", at=batchd), re.M)


def test_what_it_shows_is_what_was_sent(batchd, upstream):
    crowd(batchd, 10, 1500)
    eventually(lambda: stats(batchd)["clients"] == 0)
    status = output("status", at=batchd)
    assert re.match(r"thrift-batchd \S+: running, up \d+ s\n", status)
    assert re.search(r"^  calls +1,500: 1,500 ok$", status, re.M)
    assert re.search(r"^  servers +1 of 1 up$", status, re.M)
    assert re.search(r"^  clients +0 of 10,000$", status, re.M)
    assert re.search(r"^  call time +p50 [\d.]+ [mu]?s, p99 ", status, re.M)
    assert re.search(rf"^  {upstream.address} +up +yes +0 +0 +0 +0 +0 +0$",
                     output("servers", at=batchd), re.M)
    assert re.search(r"^  echo +1,500 +0 +0 +0 +0$", output("methods", at=batchd), re.M)
    everything = output("stats", at=batchd)
    for part in (output("servers", at=batchd), output("methods", at=batchd)):
        assert part in everything
    assert re.search(r"^  accepted +10$", everything, re.M)


def test_status_says_which_servers_do_not_batch(bench, upstream, directory):
    daemon = daemon_with_fb303(bench, upstream, Scripted(bench, without_batches, without_batches),
                               at=at_socket(directory))
    daemon.log.wait_for("serves executeBatch")
    daemon.log.wait_for("does not serve executeBatch")
    assert re.search(r"^  servers +2 of 2 up, 1 without batches: see servers$",
                     output("status", at=daemon), re.M)


def test_json(batchd, upstream):
    crowd(batchd, 10, 100)
    document = json.loads(output("stats", "--json", at=batchd))
    assert document["calls"]["ok"] == 100
    assert set(json.loads(output("--json", "status", at=batchd))) == set(document)
    assert [server["name"] for server in json.loads(output("servers", "--json", at=batchd))] == \
        [upstream.address]
    assert json.loads(output("methods", "--json", at=batchd)) == document["methods"]
    assert json.loads(output("get", "--json", at=batchd))["window"] == "500us"
    assert json.loads(output("get", "window", "--json", at=batchd)) == "500us"


def test_before_the_first_call(batchd):
    assert "no call has ended yet" in output("methods", at=batchd)


def test_columns_are_aligned(bench, directory):
    """Also where names are of different length, or no ASCII."""
    daemon = daemon_with_fb303(bench, Scripted(bench), at=at_socket(directory))
    raw = bench.connect(daemon)
    for name in ("m", "métode", "a" * 40):
        send(raw, wire.call(name, 1))
        receive(raw)
    lines = output("methods", at=daemon).splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1


def test_names_do_not_command_the_terminal(bench, directory):
    daemon = daemon_with_fb303(bench, Scripted(bench), at=at_socket(directory))
    raw = bench.connect(daemon)
    send(raw, wire.call("red\x1b[31m\nline", 1))
    receive(raw)
    shown = output("methods", at=daemon)
    assert "\x1b" not in shown and "red?[31m?line" in shown


def test_without_a_server(bench, directory):
    upstream = Scripted(bench)
    address = upstream.address
    upstream.stop()
    daemon = daemon_with_fb303(bench, address, at=at_socket(directory))
    daemon.log.wait_for(r"server \S+ is out")
    assert "running, not ready: no server is up" in output("status", at=daemon)
    assert re.search(rf"^  {address} +(out|probing) +unknown ", output("servers", at=daemon), re.M)


# --- changing -------------------------------------------------------------------------------------

def test_get_and_set(batchd):
    assert output("get", "window", at=batchd) == "500us\n"
    assert output("set", "window", "2ms", at=batchd) == "window is 2ms until the next reload\n"
    assert output("get", "window", at=batchd) == "2ms\n"
    shown = dict(line.split() for line in output("get", at=batchd).splitlines())
    assert shown == {"window": "2ms", "max_calls": "64", "flush": "adaptive", "log_level": "info"}
    for arguments in (("set", "windw", "1ms"), ("get", "windw")):
        said = complaint(*arguments, at=batchd)
        assert "'windw'" in said and all(name in said for name in shown)
    assert "write a duration" in complaint("set", "window", "2parsecs", at=batchd)
    assert output("get", "window", at=batchd) == "2ms\n"


def test_reload(batchd):
    good = batchd.config.read_text()
    batchd.config.write_text(good + "\n[batch]\nwindow = 9ms\n")
    assert output("reload", at=batchd).startswith("reloaded")
    assert output("get", "window", at=batchd) == "9ms\n"
    batchd.config.write_text(good + "\n[batch]\nwindw = 1ms\nmax_calls = none\n")
    said = complaint("reload", at=batchd)
    lines = good.count("\n")
    assert said.startswith("thrift-batchctl: not reloaded, nothing has changed:\n")
    for line, name in ((3, "windw"), (4, "max_calls")):
        assert re.search(rf"^{re.escape(str(batchd.config))}:{lines + line}: .*{name}", said, re.M)
    assert output("get", "window", at=batchd) == "9ms\n"
    failed = r"^  configuration +\S+; the latest reload failed"
    assert re.search(failed, output("status", at=batchd), re.M)
    batchd.config.write_text(good)
    output("reload", at=batchd)
    assert not re.search(failed, output("status", at=batchd), re.M)


def test_pause_waits_for_what_is_in_flight(bench, directory):
    upstream = Holding(bench)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    slow, held = bench.connect(daemon), bench.connect(daemon)
    served(held)
    send(slow, wire.wait(b"slow", 0, 1))
    upstream.wait_for_calls(2)
    assert output("pause", "--no-wait", at=daemon) == "paused; calls in flight: 1\n"
    pause = Process(command("pause", at=daemon))
    bench.on_end(pause.kill)
    send(held, wire.echo(b"held", 2))
    eventually(lambda: stats(daemon)["pending_calls"] == 2)
    assert pause.running()
    upstream.let_go.set()
    assert receive(slow).value(0) == b"slow"
    assert pause.wait() == 0
    assert pause.out.text() == "paused; nothing is in flight; calls held: 1"
    assert output("status", at=daemon).partition(", ")[0].endswith(": paused")
    assert len(upstream.calls()) == 2
    assert output("resume", at=daemon) == "resumed\n"
    assert receive(held).value(0) == b"held"


def test_a_pause_that_somebody_ends(bench, directory):
    upstream = Holding(bench)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    slow = bench.connect(daemon)
    send(slow, wire.wait(b"slow", 0, 1))
    upstream.wait_for_calls(1)
    pause = Process(command("pause", at=daemon))
    bench.on_end(pause.kill)
    eventually(lambda: stats(daemon)["state"] == "paused")
    output("resume", at=daemon)
    assert pause.wait() == 1
    assert "resumed meanwhile" in pause.log.text()


def test_a_daemon_that_drains_is_neither_paused_nor_reloaded(bench, directory):
    upstream = Holding(bench)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    slow = bench.connect(daemon)
    send(slow, wire.wait(b"slow", 0, 1))
    upstream.wait_for_calls(1)
    output("drain", at=daemon)
    assert "draining" in complaint("pause", at=daemon)
    assert "draining" in complaint("pause", "--no-wait", at=daemon)
    assert "draining" in complaint("reload", at=daemon)
    upstream.let_go.set()
    assert receive(slow).value(0) == b"slow"
    assert daemon.wait() == 0
    assert not daemon.log.matching("reloaded")


def test_drain(batchd):
    assert output("drain", at=batchd).startswith("draining")
    assert batchd.wait() == 0


# --- complaints -----------------------------------------------------------------------------------

@pytest.mark.parametrize("what", ("status", "methods", "get", "stats --json"))
def test_output_that_cannot_be_written(batchd, what):
    """A script that keeps the output learns that it is not whole."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command(*what.split(), at=batchd), timeout=PATIENCE, text=True,
                              check=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("thrift-batchctl: cannot write the output: No space left")


def test_nobody_listens(directory):
    for address in (at_socket(directory), "127.0.0.1:1"):
        said = complaint("--socket", address, "status")
        assert f"cannot connect to {address}: " in said and "Does the daemon run?" in said


@pytest.mark.parametrize("arguments,environment,address", (
    ((), {}, "unix:/run/thrift-batchd/fb303.sock"),
    (("--instance", "users"), {}, "unix:/run/thrift-batchd/users/fb303.sock"),
    ((), {"THRIFT_BATCHD_SOCKET": "unix:/nowhere/a.sock"}, "unix:/nowhere/a.sock"),
    (("--socket=unix:/nowhere/b.sock",), {"THRIFT_BATCHD_SOCKET": "unix:/nowhere/a.sock"},
     "unix:/nowhere/b.sock"),
    (("-s", "[::1]:1"), {}, "[::1]:1"),
), ids=("default", "instance", "environment", "option", "ipv6"))
def test_which_daemon(arguments, environment, address):
    assert address in complaint(*arguments, "status", environment=environment)


@needs_root
def test_a_socket_for_others(bench, upstream, directory):
    directory.chmod(0o755)
    tool = shutil.copy(program("BATCHCTL"), directory)
    daemon = daemon_with_fb303(bench, upstream, at=at_socket(directory))
    done = subprocess.run(command("status", at=daemon, tool=tool), user=NOBODY, group=NOBODY,
                          extra_groups=[], text=True, check=False, cwd="/",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr and "try sudo" in done.stderr


def test_changes_over_tcp_are_refused(bench, upstream):
    daemon = daemon_with_fb303(bench, upstream)
    assert "running" in output("status", at=daemon)
    for arguments in (("set", "window", "2ms"), ("reload",), ("pause",), ("resume",), ("drain",)):
        assert "only over its unix socket" in complaint(*arguments, at=daemon)
    assert stats(daemon)["state"] == "running"


def test_a_daemon_that_does_not_answer(directory):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/fb303.sock")
        listener.listen()
        begin = time.monotonic()
        said = complaint("--timeout", 1, "--socket", at_socket(directory), "status")
        assert "did not answer within 1 s" in said
        assert time.monotonic() - begin >= 1


def test_an_answer_that_is_no_thrift(directory):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/fb303.sock")
        listener.listen()
        process = Process([program("BATCHCTL"), "--socket", at_socket(directory), "status"])
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            assert process.wait() == 1
    assert "thrift-batchctl: " in process.log.text()


def test_an_unknown_command():
    assert "did you mean 'status'?" in complaint("statuss", status=2)
    said = complaint("frobnicate", status=2)
    assert "did you mean" not in said and all(name in said for name in COMMANDS)


@pytest.mark.parametrize("arguments", (
    (), ("--nonsense",), ("status", "now"), ("set",), ("set", "window"), ("get", "a", "b"),
    ("status", "--watch"), ("reload", "--json"), ("stats", "--no-wait"), ("--timeout", "0", "get"),
    ("--timeout", "soon", "get"), ("--socket", "unix:/a", "--instance", "b", "get"),
    ("--instance", "../b", "get"),
), ids=" ".join)
def test_usage(arguments):
    assert len(complaint(*arguments, status=2).split()) > 3


def test_help_and_version():
    shown = run("--help")
    assert shown.returncode == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name}\b", shown.stdout, re.M)
    assert re.fullmatch(r"thrift-batchctl \d+\.\d+\.\d+\n", run("--version").stdout)


# --- watching -------------------------------------------------------------------------------------

def test_watch_prints_a_line_a_second(bench, batchd):
    process = Process(command("stats", "--watch", at=batchd))
    bench.on_end(process.kill)
    lines = process.out.wait_for(r"running  ([\d,]+) calls/s  .*  1 of 1 servers up$", 2)
    assert [line[1] for line in lines] == ["0", "0"]
    assert all("calls a batch  p50 -  p99 -  " in line[0] for line in lines), "nothing took 0 us"
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert process.log.text() == ""


def test_watch_sees_the_calls(bench, batchd):
    process = Process(command("stats", "--watch", at=batchd))
    bench.on_end(process.kill)
    process.out.wait_for(r"calls/s")
    crowd(batchd, 10, 3000)
    line = process.out.wait_for(
        r"(?<= )[\d,]+ calls/s  0 failed/s  [\d.]+ calls a batch  p50 [1-9]", 1)
    assert int(line[0][0].split()[0].replace(",", "")) > 0


def test_watch_sees_the_calls_that_fail(bench, batchd, upstream):
    process = Process(command("stats", "--watch", at=batchd))
    bench.on_end(process.kill)
    process.out.wait_for(r"calls/s")
    upstream.kill()
    raw = bench.connect(batchd)
    for seqid in range(10):
        send(raw, wire.echo(b"lost", seqid))
        assert receive(raw).type == wire.EXCEPTION
    process.out.wait_for(r"  [1-9]\d* failed/s  ")


def test_watch_as_json(bench, batchd):
    process = Process(command("stats", "--watch", "--json", at=batchd))
    bench.on_end(process.kill)
    for line in process.out.wait_for(r"^\{.*\}$", 2):
        assert json.loads(line[0])["state"] == "running"


def test_watch_ends_where_the_daemon_does(bench, batchd):
    process = Process(command("stats", "--watch", at=batchd))
    bench.on_end(process.kill)
    process.out.wait_for(r"calls/s")
    batchd.signal(signal.SIGTERM)
    assert process.wait() == 1
    assert process.log.text().startswith("thrift-batchctl: ")


class Terminal:
    """A program with a terminal of 24 lines, 80 columns."""

    def __init__(self, bench, arguments):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            os.execv(arguments[0], arguments)
        self.got = b""
        bench.on_end(self._close)

    def wait_for(self, pattern, count=1):
        """Until what was written has that many matches."""
        deadline = time.monotonic() + PATIENCE
        while len(re.findall(pattern, self.got)) < count:
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.got!r}"
            with contextlib.suppress(OSError):
                self.got += os.read(self.master, 1 << 16)

    def rest(self):
        with contextlib.suppress(OSError):  # of a terminal that nobody has open any more
            while data := os.read(self.master, 1 << 16):
                self.got += data
        return self.got

    def exit_status(self):
        self.rest()
        _, status = os.waitpid(self.pid, 0)
        self.pid = None
        return os.waitstatus_to_exitcode(status)

    def _close(self):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)


OPENED, CLOSED = b"\x1b[?1049h", b"\x1b[?1049l"


def test_watch_on_a_terminal(bench, batchd):
    terminal = Terminal(bench, command("stats", "--watch", at=batchd))
    terminal.wait_for(rb": running, up ", 2)
    assert terminal.got.startswith(OPENED) and b"calls/s" in terminal.got
    screens = terminal.got.split(b"\x1b[H")[1:-1]
    assert all(screen.count(b"\n") < 24 for screen in screens), "it does not scroll"
    os.write(terminal.master, b"\x03")  # ^C
    assert terminal.exit_status() == 0
    assert terminal.got.endswith(b"\x1b[?7h\x1b[?25h" + CLOSED), "left as it was found"


def ends_of_columns(line):
    return [word.end() for word in re.finditer(rb"\S+(?: \S+)*", line)]


def test_watch_on_a_terminal_names_its_rates(bench, batchd):
    terminal = Terminal(bench, command("stats", "--watch", at=batchd))
    rates = rb"( +calls/s .* retries/s)\x1b\[K\r\n(.*?)\x1b\[K"
    terminal.wait_for(rates)
    names, values = re.search(rates, terminal.got).groups()
    assert ends_of_columns(names) == ends_of_columns(values)
    assert len(names) <= 80, "the terminal would cut it"


def test_watch_on_a_terminal_has_room_for_the_newest_event(bench, batchd):
    terminal = Terminal(bench, command("stats", "--watch", at=batchd))
    terminal.wait_for(rb": running, up ")
    output("set", "window", "2ms", at=batchd)
    terminal.wait_for(rb"until the next reload: \[batch\] window = 2ms")


def test_watch_on_a_terminal_outlives_the_daemon(bench, batchd):
    terminal = Terminal(bench, command("stats", "--watch", at=batchd))
    terminal.wait_for(rb": running, up ")
    batchd.signal(signal.SIGTERM)
    assert batchd.wait() == 0
    terminal.wait_for(rb"cannot connect to ")
    again = bench.daemon_with(batchd.config)
    seen = terminal.got.count(b": running, up ")
    terminal.wait_for(rb": running, up ", seen + 1)
    assert again.running()


# --- completion -----------------------------------------------------------------------------------

COMPLETE = r"""
source "$1"; shift
complete -p thrift-batchctl >/dev/null || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_thrift_batchctl
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("words,offered", (
    (("",), set(COMMANDS)),
    (("st",), {"status", "stats"}),
    (("--json", "s"), {"status", "stats", "servers", "set"}),
    (("get", ""), {"window", "max_calls", "flush", "log_level"}),
    (("get", "window", ""), set()),
    (("set", "m"), {"max_calls"}),
    (("set", "flush", ""), {"adaptive", "window"}),
    (("--socket", "unix:/a", "set", "log_level", "w"), {"warning"}),
    (("-t", "3", "set", "window", ""), set()),
    (("reload", ""), set()),
    (("--socket", ""), set()),
    (("stats", "--w"), {"--watch"}),
    (("status", "--w"), set()),
    (("pause", "--n"), {"--no-wait"}),
    (("reload", "--j"), set()),
    (("--s",), {"--socket"}),
), ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_completion(words, offered):
    done = subprocess.run(["bash", "-c", COMPLETE, "bash", COMPLETION, "thrift-batchctl", *words],
                          timeout=PATIENCE, text=True, check=True, stdout=subprocess.PIPE)
    assert set(done.stdout.split()) == offered


def test_completion_knows_what_the_tool_knows(batchd):
    """Commands, options and the live options with their values."""
    script = COMPLETION.read_text()
    options = set(re.findall(r"--[a-z-]+", run("--help").stdout))
    assert options == set(re.findall(r"--[a-z-]+", script))
    for name in output("get", at=batchd).split()[::2]:
        assert name in script
    for name, value in (("flush", "window"), ("flush", "adaptive"), ("log_level", "error"),
                        ("log_level", "warning"), ("log_level", "debug"), ("log_level", "info")):
        assert value in script
        output("set", name, value, at=batchd)
