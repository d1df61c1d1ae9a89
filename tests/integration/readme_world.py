"""A place in which the README's commands run: a directory that looks like the source, whose /etc
and /run are its own. What needs the system itself (systemd, packages, users) is replaced by
readme_stand_ins.py, which checks that what it is told makes sense."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from harness import PATIENCE, program, refused_address
from manual import HOME

STAND_INS = Path(__file__).with_name("readme_stand_ins.py")
REPLACED = ("apt", "journalctl", "meson", "ninja", "sudo", "sudoedit", "systemctl",
            "systemd-sysusers", "systemd-tmpfiles", "thrift-batchctl", "thrift-batchd", "usermod")
PORTS = ("9090", "9091", "9901", "9903")  # that the README and the examples show


class World:
    def __init__(self, directory):
        self.directory = directory
        self.environment = os.environ | {
            "WORLD": str(directory), "HOME_OF_SOURCE": str(HOME),
            "PATH": f"{directory}/bin:{os.environ['PATH']}"}
        self._places = {port: refused_address() for port in PORTS}
        for name in ("bin", "etc/thrift-batchd", "run/thrift-batchd"):
            (directory / name).mkdir(parents=True)
        for name in REPLACED:
            self._stand_in(directory / "bin" / name, name)
        self._stand_in(directory / "run.sh", "run")
        (directory / "build").symlink_to(Path(program("BATCHD")).parents[2])
        shutil.copytree(HOME / "conf", directory / "conf")
        self.shipped = directory / "etc" / "thrift-batchd" / "thrift-batchd.ini"
        shutil.copy(HOME / "conf" / "thrift-batchd.ini", self.shipped)
        for path in (self.shipped, *(directory / "conf").rglob("*.ini")):
            path.write_text(self.adapted(path.read_text()))

    def _stand_in(self, path, name):
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_INS} {name} "$@"\n')
        path.chmod(0o755)

    def address(self, port):
        """What stands in this world for 127.0.0.1:PORT."""
        return self._places[port][1]

    def adapted(self, text):
        """The text with this world's places in it."""
        for port in PORTS:
            own = self.address(port)
            text = text.replace(f"127.0.0.1:{port}", own)
            text = re.sub(rf'(["\']127\.0\.0\.1["\'], ){port}\b',
                          rf"\g<1>{own.split(':')[1]}", text)
        text = text.replace("./run ", "./run.sh ")
        return re.sub(r"(?<=[ /:=\"])/(etc|run)/", rf"{self.directory}/\1/", text)

    def run(self, script):
        """What a script of the README says; it has to succeed."""
        said = self.directory / "said"
        with said.open("w") as out, subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", self.adapted(script)], cwd=self.directory,
                env=self.environment, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True) as shell:
            try:
                status = shell.wait(PATIENCE * 2)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)  # what it has left in the background
        assert status == 0, f"status {status} of\n{script}\nwhich said\n{said.read_text()}"
        return said.read_text()

    def close(self):
        for sock, _ in self._places.values():
            sock.close()
