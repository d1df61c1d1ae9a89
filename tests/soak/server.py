"""The faulty upstream as a program, told what to do and killed."""

import socket
import subprocess
import sys
from pathlib import Path

import faulty
import wire
from harness import Process

KILLED = "killed"  # with SIGKILL: the fault that it cannot have by itself


class Server:
    """It keeps its port when it is gone, and what it executed is known."""

    def __init__(self, bench, number, protocol):
        # Bound, never listening: the kernel gives the port to nobody else.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._port.getsockname()[1]
        self.complaints = []  # of what it got from the daemon and could not read
        self._protocol = protocol
        self._journal = bench.directory / f"executed-{number}"
        self._read = 0  # of the journal
        self._start()
        bench.on_end(self._port.close)
        bench.on_end(self.stop)

    def _start(self):
        self._process = Process(
            [sys.executable, faulty.__file__, self.address.rpartition(":")[2],
             self._protocol, str(self._journal)], {"PYTHONPATH": str(Path(wire.__file__).parent)},
            stdin=subprocess.PIPE)
        self._process.out.wait_for("listening")
        self._told = 0

    def stop(self):
        """With SIGKILL."""
        if not self._process.running():
            return
        self._process.kill()
        self._process.popen.stdin.close()
        if said := self._process.log.text():
            self.complaints.append(f"server {self.address} said: {said}")

    def do(self, fault, chance=1.0):
        """Returns when it does so."""
        if fault == KILLED:
            self.stop()
            return
        if not self._process.running():
            self._start()
        self._process.popen.stdin.write(f"{fault} {chance}\n".encode())
        self._process.popen.stdin.flush()
        self._told += 1
        self._process.out.wait_for("doing", self._told)

    def executed(self):
        """Numbers of the calls executed since it was asked last."""
        with open(self._journal, "rb") as journal:
            journal.seek(self._read)
            data = journal.read()
        whole = data[:data.rfind(b"\n") + 1]
        self._read += len(whole)
        return map(int, whole.split())
