"""An upstream that answers as a test tells it to: framed binary, each connection its own thread."""

import socket
import struct
import threading

import wire
from harness import PATIENCE

UNKNOWN_WORDS = "the scripted upstream knows echo, wait, touch, log"
CLOSE = object()  # what a script returns to end the connection
SILENCE = None  # what it returns to say nothing


def is_batch(message):
    return message.name == b"executeBatch"


def calls_of(message):
    """The calls that a message brings: those of a batch, or itself."""
    return wire.requests_of(message) if is_batch(message) else [message]


def answer(call):
    """The right answer to a call of the few methods that the tests of failures use."""
    if call.name in (b"echo", b"wait"):
        return wire.reply(call, (0, wire.STRING, call.value(1)))
    if call.name == b"touch":
        return wire.reply(call)
    if call.name == b"log":
        return None
    return wire.exception(call, wire.UNKNOWN_METHOD, UNKNOWN_WORDS)


def honest(message):
    """Serves batches and single calls as it should be done."""
    if not is_batch(message):
        right = answer(message)
        return SILENCE if right is None else wire.encode(right)
    return wire.encode(wire.batch_reply(message, [answer(call) for call in calls_of(message)]))


def without_batches(message):
    """A server that has not learnt to batch."""
    if is_batch(message):
        return wire.encode(wire.exception(message, wire.UNKNOWN_METHOD, "unknown method"))
    return honest(message)


class Scripted:
    """`script(message)` gives the bytes of the answer (framed here), a tuple of CLOSE and bytes to
    send unframed before closing, CLOSE, or SILENCE. It may be exchanged while connections are open.
    The question whether it batches (a batch without calls) is answered by `probe`."""

    def __init__(self, bench, script=honest, port=0, probe=honest, host="127.0.0.1"):
        self.script = script
        self.probe = probe
        self.received = []  # every message but the questions
        self._changed = threading.Condition()
        self._connections = []
        self._listener = socket.create_server((host, port))
        self.address = "%s:%d" % self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()
        bench.on_end(self.stop)

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def say(self, data):
        """Sends a message's bytes by itself, on the connection that was made last."""
        self._connections[-1].sendall(wire.frame(data))

    def stop(self):
        """Stops listening and drops every connection."""
        for sock in (self._listener, *self._connections):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def wait_for_calls(self, count, timeout=PATIENCE):
        """Waits until that many calls have arrived, alone or in batches."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls()) >= count, timeout), \
                f"{len(self.calls())} of {count} calls arrived"

    def calls(self):
        return [call for message in self.received for call in calls_of(message)]

    def batches(self):
        return [len(calls_of(message)) for message in self.received if is_batch(message)]

    def forget(self):
        with self._changed:
            self.received.clear()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with sock, sock.makefile("rb") as stream:
                while len(head := stream.read(4)) == 4:
                    data = stream.read(struct.unpack(">I", head)[0])
                    if not self._answer(sock, wire.decode_whole(data)):
                        return
        except (OSError, ValueError):
            pass

    def _answer(self, sock, message):
        if is_batch(message) and not calls_of(message):
            answer_bytes = self.probe(message)
        else:
            with self._changed:
                self.received.append(message)
                self._changed.notify_all()
            answer_bytes = self.script(message)
        if isinstance(answer_bytes, tuple):
            sock.sendall(answer_bytes[1])
            answer_bytes = CLOSE
        if answer_bytes is CLOSE:
            sock.shutdown(socket.SHUT_RDWR)
            return False
        if answer_bytes is not SILENCE:
            sock.sendall(wire.frame(answer_bytes))
        return True


class Holding(Scripted):
    """Answers nothing that contains a `wait` call before it is let go."""

    def __init__(self, bench, **where):
        self.let_go = threading.Event()
        super().__init__(bench, self._hold, **where)

    def _hold(self, message):
        if any(call.name == b"wait" for call in calls_of(message)):
            self.let_go.wait(PATIENCE)
        return honest(message)

    def stop(self):
        self.let_go.set()
        super().stop()
