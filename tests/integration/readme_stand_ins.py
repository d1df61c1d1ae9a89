"""Stands in for programs of the README that need the system itself: NAME ARGUMENT... checks that
they make sense with this source, and does what can be done in a directory."""

import glob
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HOME = Path(os.environ["HOME_OF_SOURCE"])
WORLD = Path(os.environ["WORLD"])


def require(holds, problem):
    if not holds:
        sys.exit(f"the README's `{' '.join(sys.argv[1:])}`: {problem}")


def unit(name):
    """The text of the unit that a command names."""
    base, dot, kind = name.rpartition(".")
    if not dot:
        base, kind = name, "service"
    path = Path(os.environ["UNITS_DIR"]) / f"{re.sub('@.*', '@', base)}.{kind}"
    require(path.is_file(), f"there is no unit {path.name}")
    return path.read_text()


def run(command, *_):
    listed = subprocess.run([HOME / "run", "help"], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    require(re.search(rf"^  {re.escape(command)}\b", listed, re.M), "./run does not have it")
    if command == "demo":
        subprocess.run([sys.executable, HOME / "demo" / "run-demo.py", "--quick"], check=True)
    if command == "deb":
        (WORLD / "build-deb").mkdir()
        version = re.search(r"version: '(.*)'", (HOME / "meson.build").read_text())[1]
        control = (HOME / "debian" / "control").read_text()
        for package in re.findall(r"^Package: (\S+)", control, re.M):
            (WORLD / "build-deb" / f"{package}_{version}-1_all.deb").touch()


def sudo(*command):
    os.execvp(command[0], command)


def apt(verb, *packages):
    require(verb == "install" and packages, "only `apt install` is known here")
    for package in packages:
        require(glob.glob(str(WORLD / package)), f"{package} was not built")


def sudoedit(path):
    require(Path(path).is_file(), "there is no such file")


def installed():
    """The paths of what meson would install."""
    plan = subprocess.run(["/usr/bin/meson", "introspect", "--installed", WORLD / "build-release"],
                          check=True, text=True, stdout=subprocess.PIPE).stdout
    return set(json.loads(plan).values())


def systemd_sysusers():
    require("/usr/lib/sysusers.d/thrift-batchd.conf" in installed(), "no entry is installed")


def systemd_tmpfiles(option):
    require(option == "--create", "another option")
    require("/usr/lib/tmpfiles.d/thrift-batchd.conf" in installed(), "no entry is installed")


def systemctl(verb, *names):
    if verb == "daemon-reload":
        return
    names = [name for name in names if not name.startswith("--")]
    require(verb in ("enable", "reload", "restart", "start", "status", "stop") and names,
            "an unknown verb, or no unit")
    for text in map(unit, names):
        require(verb != "enable" or "[Install]" in text, "the unit has no [Install]")
        require(verb != "reload" or "ExecReload=" in text, "the unit has no ExecReload=")


def journalctl(option, name):
    require(option == "-u" and unit(name), "no -u")


def usermod(*arguments):
    append, groups, group, _ = arguments
    require((append, groups) == ("--append", "--groups"), "other options")
    entries = "".join(path.read_text() for path in (HOME / "systemd").glob("*sysusers*"))
    require(re.search(rf"^[ug]\s+{group}\b", entries, re.M), f"there is no group {group}")


def meson(verb, *arguments):
    os.environ["PATH"] = os.environ["PATH"].removeprefix(f"{WORLD}/bin:")
    if verb == "setup":
        os.execvp("/usr/bin/meson", ("meson", "setup", arguments[0], str(HOME), *arguments[1:]))
    require(verb == "install", "an unknown verb")
    for path in ("/usr/sbin/thrift-batchd", "/usr/bin/thrift-batchctl",
                 "/etc/thrift-batchd/thrift-batchd.ini", "/usr/share/man/man8/thrift-batchd.8"):
        require(path in installed(), f"{path} is not installed")


def ninja(option, directory):
    require(option == "-C" and (WORLD / directory / "build.ninja").is_file(), "nothing to build")


def thrift_batchd(*arguments):
    if "--config" not in arguments:
        arguments += ("--config", f"{WORLD}/etc/thrift-batchd/thrift-batchd.ini")
    os.execv(os.environ["BATCHD"], ("thrift-batchd", *arguments))


def thrift_batchctl(*arguments):
    if "--instance" in arguments:  # one daemon is enough here
        at = arguments.index("--instance")
        arguments = arguments[:at] + arguments[at + 2:]
    os.environ["THRIFT_BATCHD_SOCKET"] = f"unix:{WORLD}/run/thrift-batchd/fb303.sock"
    os.execv(os.environ["BATCHCTL"], ("thrift-batchctl", *arguments))


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
