"""The Debian packages, installed into this system, used, removed and purged.

Run by `./run deb --check`, as root in a network of its own: the shipped configuration has fixed
ports.
"""

import os
import pwd
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

import talk  # noqa: E402
from harness import Daemon, Process, Raw, eventually  # noqa: E402

DEBS = sorted(deb for deb in Path(os.environ["DEBS"]).glob("*.deb") if "-dbgsym" not in deb.name)
PACKAGES = ["thrift-batchd", "libthrift-batch-adapter-dev", "thrift-batch-demo"]
CONFIG = Path("/etc/thrift-batchd/thrift-batchd.ini")
RUN = Path("/run/thrift-batchd")
UNITS = Path("/lib/systemd/system")
WANTS = Path("/etc/systemd/system/multi-user.target.wants/thrift-batchd.service")
POLICY = Path("/usr/sbin/policy-rc.d")
SYSTEMD_RUNS = Path("/run/systemd/system")


def run(*command):
    done = subprocess.run(list(map(str, command)), text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def is_known(package):
    """Whether anything is left of it."""
    return subprocess.run(["dpkg-query", "-W", package], check=False, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def has_user():
    try:
        return bool(pwd.getpwnam("thrift-batchd"))
    except KeyError:
        return False


@pytest.fixture(scope="module", autouse=True)
def installed():
    assert not any(is_known(package) for package in PACKAGES), "remove those that are installed"
    assert not CONFIG.parent.exists()
    own_user = not has_user()
    own_policy = not POLICY.exists()  # services are not started by their installation
    if own_policy:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        run("dpkg", "-i", *DEBS)
        yield
    finally:
        run("dpkg", "--purge", *PACKAGES)
        if own_policy:
            POLICY.unlink()
        if own_user and has_user():
            run("userdel", "thrift-batchd")


@pytest.fixture
def asked_systemd(tmp_path, monkeypatch):
    """A function: what maintainer scripts have asked systemd to do, in their order. None is asked:
    this stands in for one that runs, with every unit active."""
    notes = tmp_path / "notes"
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$*" >>{notes}\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    policy, own = POLICY.read_text(), not SYSTEMD_RUNS.exists()
    POLICY.write_text("#!/bin/sh\nexit 0\n")
    SYSTEMD_RUNS.mkdir(parents=True, exist_ok=True)
    yield lambda: re.findall(r"^(?:--quiet |--system )*((?:try-re|re)?start|stop) (.*)$",
                             notes.read_text(), re.M)
    POLICY.write_text(policy)
    if own:
        SYSTEMD_RUNS.rmdir()


def deb_of(package):
    (deb,) = (deb for deb in DEBS if deb.name.startswith(package + "_"))
    return deb


def files_of(package):
    return set(re.findall(r" \.(/\S+)$", run("dpkg", "-c", deb_of(package)), re.M))


def test_the_packages():
    assert [deb.name.split("_")[0] for deb in DEBS] == sorted(PACKAGES)


def test_every_manual_page_is_in_a_package():
    pages = {f"/usr/share/man/man{path.suffix[1:]}/{path.name}.gz"
             for path in [*ROOT.glob("man/*.[1-8]"), *ROOT.glob("demo/*.[1-8]")]}
    assert pages and not pages - set().union(*map(files_of, PACKAGES))


def test_every_interface_is_in_a_package():
    interfaces = {f"/usr/share/thrift-batchd/{path.name}" for path in ROOT.glob("idl/*.thrift")}
    assert interfaces and not interfaces - set().union(*map(files_of, PACKAGES))


def test_the_user_and_its_directory():
    user = pwd.getpwnam("thrift-batchd")
    assert user.pw_uid < 1000 and user.pw_shell.endswith("nologin")
    assert (RUN.stat().st_uid, RUN.stat().st_mode & 0o777) == (user.pw_uid, 0o755)


def test_units():
    units = [UNITS / f"thrift-batchd{at}.{kind}" for at in ("", "@") for kind in ("service", "socket")]
    assert run("systemd-analyze", "verify", "--man=no", *units) == ""
    assert WANTS.is_symlink(), "the service is enabled"
    assert not list(Path("/etc/systemd/system").rglob("thrift-batchd.socket")), "the socket is not"


def test_the_daemon_works_as_it_was_installed():
    """By hand, as its user: there is no systemd here."""
    assert "OK" in run("/usr/sbin/thrift-batchd", "--check")
    upstream = Process(["/usr/bin/thrift-batch-demo", "--listen=127.0.0.1:9091"])
    os.environ["BATCHD"] = "/usr/sbin/thrift-batchd"
    os.environ["BATCHD_WRAPPER"] = "setpriv --reuid thrift-batchd --regid thrift-batchd --clear-groups --"
    try:
        upstream.out.wait_for("listening on")
        daemon = Daemon(CONFIG)
        assert daemon.address == "127.0.0.1:9090"
        raw = Raw(daemon.address)
        talk.served(raw)
        raw.close()
        eventually((RUN / "fb303.sock").is_socket)
        daemon.end()
    finally:
        upstream.signal(signal.SIGTERM)
        upstream.wait()
    assert not list(RUN.iterdir())


def test_the_adapter_can_be_linked(tmp_path):
    source = tmp_path / "server.c"
    source.write_text("#include <thrift-batch-adapter.h>\n"
                      "int main(void) { return batch_adapter_new == NULL; }\n")
    flags = run("pkg-config", "--cflags", "--libs", "thrift-batch-adapter").split()
    run("cc", "-o", tmp_path / "server", source, *flags)
    run(tmp_path / "server")


def test_upgraded(asked_systemd):
    """The daemon and its instances are restarted; the sockets stay open meanwhile."""
    run("dpkg", "-i", deb_of("thrift-batchd"))
    assert asked_systemd() == [("restart", "thrift-batchd.service"),
                               ("try-restart", "thrift-batchd@*.service")]


def test_removed_and_purged(asked_systemd):
    """What the administrator has changed stays until the purge. The user stays, as usual: files of
    its own may be left."""
    CONFIG.write_text(CONFIG.read_text() + "# changed\n")
    run("dpkg", "--remove", *PACKAGES)
    assert not Path("/usr/sbin/thrift-batchd").exists() and not (UNITS / "thrift-batchd.service").exists()
    assert CONFIG.read_text().endswith("# changed\n")
    stopped = " ".join(units for verb, units in asked_systemd() if verb == "stop").split()
    assert stopped == ["thrift-batchd.socket", "thrift-batchd@*.socket", "thrift-batchd@*.service",
                       "thrift-batchd.service"]
    run("dpkg", "--purge", *PACKAGES)
    left = [path for path in (CONFIG.parent, RUN, WANTS) if path.exists() or path.is_symlink()]
    assert not left
    assert not any(is_known(package) for package in PACKAGES)
