"""Stands between the daemon and a server, and knows what is on the wire: which calls the daemon has
written, and which of them the server has answered."""

import contextlib
import re
import socket
import struct
import threading

from harness import connect, host_and_port, refused_address

TOKEN = re.compile(rb"<[0-9-]+>")  # what marks a call, and its answer


class Frames:
    """Cuts a stream into frames, header and all."""

    def __init__(self):
        self._got = bytearray()

    def cut(self, data):
        self._got += data
        while len(self._got) >= 4:
            size = 4 + struct.unpack(">I", self._got[:4])[0]
            if len(self._got) < size:
                return
            yield bytes(self._got[:size])
            del self._got[:size]


class Wiretap:
    """Framed. Listens for as long as there is a server behind it; a connection that the server has
    left is over for the daemon too, behind the last whole answer."""

    def __init__(self, bench):
        self._place, self.address = refused_address()
        self.written = []  # every call of every connection, in tokens
        self.lost = []  # those that were not answered when their connection was over
        self._lock = threading.Lock()
        self._threads = []
        self._server = self._listener = None
        bench.on_end(self._place.close)

    def connect_to(self, server):
        """Passes on to it, and listens."""
        self._server = server
        self._listener = socket.create_server(host_and_port(self.address))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self):
        """Nobody listens any more; connections go on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def join(self):
        """Until every connection is over."""
        for thread in self._threads:
            thread.join()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                thread = threading.Thread(target=self._pass_on, args=(sock,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, daemon):
        unanswered = []
        with daemon, self._connection() as server:
            daemon.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = threading.Thread(target=self._pass_answers,
                                       args=(server, daemon, unanswered), daemon=True)
            answers.start()
            self._pass_calls(daemon, server, unanswered)
            answers.join()
        with self._lock:
            self.lost += unanswered

    def _connection(self):
        """To the server, or one that is over where there is none."""
        try:
            return connect(self._server.address, timeout=None)
        except OSError:
            sock, other = socket.socketpair()
            other.close()
            return sock

    def _pass_calls(self, daemon, server, unanswered):
        """Until the daemon closes: what it writes to a server that has gone was on the wire."""
        frames = Frames()
        with contextlib.suppress(ConnectionResetError):
            while data := daemon.recv(1 << 16):
                tokens = [token for frame in frames.cut(data) for token in TOKEN.findall(frame)]
                with self._lock:
                    self.written += tokens
                    unanswered += tokens
                with contextlib.suppress(OSError):
                    server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _pass_answers(self, server, daemon, unanswered):
        frames = Frames()
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                for frame in frames.cut(data):
                    daemon.sendall(frame)
                    with self._lock:
                        for token in TOKEN.findall(frame):
                            unanswered.remove(token)
        with contextlib.suppress(OSError):
            daemon.shutdown(socket.SHUT_WR)
