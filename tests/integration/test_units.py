"""The systemd units: how exposed the service is, and that the daemon works as confined as that."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import wire
from clients import Thrift
from harness import CONF, SANITIZED, program
from talk import send, served

UNITS = Path(os.environ.get("UNITS_DIR", "."))
SERVICES = ("thrift-batchd.service", "thrift-batchd@.service")
MOST_EXPOSED = 1.3
CONFINED = Path(__file__).with_name("confined.py")


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, arguments)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def setting(unit, key):
    """The value of a unit's key that is there once."""
    (value,) = re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.M)
    return value


@pytest.mark.parametrize("unit", SERVICES)
def test_security_score(unit, figure):
    done = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED * 10:.0f}",
                   UNITS / unit)
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert score, done.stdout
    figure(f"exposure {score[1]} of at most {MOST_EXPOSED}")
    assert done.returncode == 0 and float(score[1]) <= MOST_EXPOSED, done.stdout


@pytest.mark.parametrize("unit", (*SERVICES, "thrift-batchd.socket", "thrift-batchd@.socket"))
def test_systemd_understands_it(unit, tmp_path):
    """And has nothing to say of it. The daemon of this build stands in for the installed one."""
    for path in UNITS.glob("thrift-batchd*"):
        text = re.sub(r"^(Exec\w+)=\S+/thrift-batchd ", rf"\1={program('BATCHD')} ", path.read_text(),
                      flags=re.M)
        (tmp_path / path.name).write_text(text)
    done = analyze("verify", "--man=no", tmp_path / unit)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_instance_differs_in_names_only():
    """Its file, and its own directory in that of all."""
    one, instance = ((UNITS / unit).read_text() for unit in SERVICES)
    expected = one.replace("/thrift-batchd.ini", "/%i.ini").replace(
        "RuntimeDirectory=thrift-batchd", "RuntimeDirectory=thrift-batchd/%i").replace(
        "Apache Thrift\n", "Apache Thrift (%i)\n")
    assert instance == expected


def test_there_is_time_to_drain():
    """With drain_timeout as it is shipped; the daemon asks for more by itself."""
    drain_timeout = re.search(r"^;drain_timeout = (\d+)s$", CONF.read_text(), re.M)[1]
    assert int(setting("thrift-batchd.service", "TimeoutStopSec")) > int(drain_timeout)


def systemctl_reload(daemon):
    """What systemd does for it: its commands, until one fails."""
    for line in re.findall(r"^ExecReload=(.*)$", (UNITS / SERVICES[0]).read_text(), re.M):
        words = line.replace("$MAINPID", str(daemon.popen.pid)).split()
        if words[0].endswith("/thrift-batchd"):
            words = [program("BATCHD"), *words[1:-1], daemon.config]
        done = subprocess.run(words, text=True, check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            break
    return done


def test_a_reload_of_a_bad_file_fails(bench, upstream):
    daemon = bench.daemon(upstream)
    good = daemon.config.read_text()
    daemon.config.write_text(good + "[nonsense]\n")
    done = systemctl_reload(daemon)
    assert done.returncode == 2 and "nonsense" in done.stdout
    daemon.config.write_text(good)
    assert systemctl_reload(daemon).returncode == 0
    daemon.log.wait_for("reloaded")
    assert not daemon.log.matching("nonsense")


# --- confined -------------------------------------------------------------------------------------

def confined(*command):
    return [sys.executable, str(CONFINED), str(UNITS / SERVICES[0]), *command]


@pytest.mark.parametrize("code", (
    "import time; time.clock_settime(time.CLOCK_REALTIME, 0)",
    "import os; os.setpriority(os.PRIO_PROCESS, 0, 1)",
    "import socket; socket.socket(socket.AF_PACKET)",
    "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
    "import ctypes; ctypes.CDLL(None).unshare(0x10000000)",
), ids=("clock", "priority", "packets", "code", "namespace"))
def test_what_is_forbidden_ends_a_program(code):
    """Else the next test means nothing."""
    assert subprocess.run(confined(sys.executable, "-c", "pass"), check=False).returncode == 0
    assert subprocess.run(confined(sys.executable, "-c", code),
                          check=False).returncode == -signal.SIGSYS


@pytest.mark.skipif(SANITIZED, reason="the sanitizers themselves do what is forbidden")
def test_the_daemon_works_confined(bench, directory, monkeypatch):
    """All that it does in its life: start, names to look up, several workers, sockets of both
    kinds, the admin interfaces, calls of all ways, a server that goes, a reload, a drain."""
    upstream = bench.upstream()
    monkeypatch.setenv("BATCHD_WRAPPER", " ".join(confined()))
    name = upstream.address.replace("127.0.0.1", "localhost")
    gone = bench.upstream()
    daemon = bench.daemon(
        name, gone, listeners=2, daemon={"workers": 2, "log_level": "debug",
                                         "listen": f"127.0.0.1:0, unix:{directory}/calls.sock"},
        admin={"http": "127.0.0.1:0", "fb303": f"unix:{directory}/fb303.sock"},
        upstream={"resolve_interval": "50ms"}, method={"touch": {"batch": "off"}})
    for address in daemon.addresses:
        raws = [bench.connect(address) for _ in range(8)]
        for raw in raws:
            served(raw)
        for raw in raws[:4]:
            raw.reset()
    gone.kill()
    with Thrift(daemon, protocol="compact") as client:
        for number in range(50):
            assert client.echo(f"{number}") == f"{number}"
    daemon.popen.send_signal(signal.SIGHUP)
    daemon.log.wait_for("reloaded")
    served(bench.connect(daemon))
    held = bench.connect(daemon)
    send(held, wire.wait(b"held", 200, 1))
    daemon.end()
