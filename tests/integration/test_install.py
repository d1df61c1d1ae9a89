"""`meson install`: everything is where it is looked for."""

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from harness import CONF

BUILD = Path(os.environ.get("UNITS_DIR", ".")).parent


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """What would be below / with the prefix /usr/local, Meson's own."""
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root],
                   check=True, stdout=subprocess.DEVNULL)
    return root


def below(root, pattern):
    return sorted(str(path.relative_to(root)) for path in root.glob(pattern))


@pytest.mark.parametrize("pattern", (
    "usr/local/sbin/thrift-batchd",
    "usr/local/bin/thrift-batch-demo",
    "usr/local/lib/*/libthrift-batch-adapter.a",
    "usr/local/lib/*/pkgconfig/thrift-batch-adapter.pc",
    "usr/local/include/thrift-batch-adapter.h",
    "usr/local/share/thrift-batchd/batch.thrift",
    "usr/local/share/man/man8/thrift-batchd.8",
    "usr/local/share/man/man5/thrift-batchd.ini.5",
    "usr/local/share/man/man1/thrift-batch-demo.1",
    "usr/local/lib/systemd/system/thrift-batchd.service",
    "usr/local/lib/systemd/system/thrift-batchd.socket",
    "usr/local/lib/systemd/system/thrift-batchd@.service",
    "usr/local/lib/systemd/system/thrift-batchd@.socket",
    "usr/local/lib/sysusers.d/thrift-batchd.conf",
    "usr/local/lib/tmpfiles.d/thrift-batchd.conf",
    "usr/local/etc/thrift-batchd/thrift-batchd.ini",
))
def test_installed(root, pattern):
    assert len(below(root, pattern)) == 1, below(root, "**/*")


def test_programs_can_be_run(root):
    for program in root.glob("usr/local/*bin/*"):
        assert program.stat().st_mode & stat.S_IXOTH
        assert subprocess.run([program, "--help"], check=False,
                              stdout=subprocess.DEVNULL).returncode == 0


def test_units_name_what_is_installed(root):
    for unit in root.glob("usr/local/lib/systemd/system/*.service"):
        start = re.search(r"^ExecStart=(\S+) --config (\S+)$", unit.read_text(), re.M)
        program, config = start.groups()
        assert (root / program[1:]).is_file()
        config = root / config.replace("%i", "thrift-batchd")[1:]
        assert config.read_text() == CONF.read_text()


def test_the_user_and_its_directory(root):
    """Understood by systemd's own programs."""
    (root / "etc").mkdir(exist_ok=True)
    subprocess.run(["systemd-sysusers", f"--root={root}", "thrift-batchd.conf"], check=True)
    assert re.search(r"^thrift-batchd:.*nologin$", (root / "etc/passwd").read_text(), re.M)
    assert re.search(r"^thrift-batchd:", (root / "etc/group").read_text(), re.M)
    subprocess.run(["systemd-tmpfiles", f"--root={root}", "--create", "thrift-batchd.conf"],
                   check=os.geteuid() == 0)
    assert (root / "run/thrift-batchd").is_dir()
