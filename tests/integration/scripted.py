"""An upstream that answers as a test tells it to: binary, each connection its own thread."""

import contextlib
import socket
import threading

import wire
from harness import PATIENCE, host_and_port, refused_address

UNKNOWN_WORDS = "the scripted upstream knows echo, wait, touch, log, get, getMany"
CLOSE = object()  # what a script returns to end the connection
SILENCE = None  # what it returns to say nothing


def is_batch(message):
    return message.name == b"executeBatch"


def calls_of(message):
    """The calls that a message brings: those of a batch, or itself."""
    return wire.requests_of(message) if is_batch(message) else [message]


def value_of(key):
    """What `get` returns for a key, and `getMany` for each of several."""
    return b"value-%d" % key


def answer(call):
    """The right answer to a call of the few methods that the tests of failures use."""
    if call.name in (b"echo", b"wait"):
        return wire.reply(call, (0, wire.STRING, call.value(1)))
    if call.name == b"touch":
        return wire.reply(call)
    if call.name == b"log":
        return None
    if call.name == b"get":
        return wire.reply(call, (0, wire.STRING, value_of(call.value(1))))
    if call.name == b"getMany":
        return wire.reply(call, (0, wire.LIST, (wire.STRING, [
            value_of(key) for key in call.value(1)[1]])))
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
    """`script(message)` gives the bytes of the answer (framed here where the transport is), a tuple
    of CLOSE and bytes to send as they are before closing, CLOSE, SILENCE, or a function that is
    given the socket and what makes a message's bytes a packet of the transport, does as it likes,
    and returns whether the connection goes on. It may be exchanged while connections are open. The
    question whether it batches (a batch without calls) is answered by `probe`."""

    def __init__(self, bench, script=honest, probe=honest, transport=wire.FRAMED,
                 host="127.0.0.1", port=0):
        self.script = script
        self.probe = probe
        self.transport = transport
        self.received = []  # every message but the questions
        self._changed = threading.Condition()
        self._connections = []  # those that are open
        self._place, self.address = refused_address(host, port)
        self._listen()
        bench.on_end(self.stop)

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def say(self, data):
        """Sends a message's bytes by itself, on the connection that was made last."""
        self._connections[-1].sendall(self._packed(data))

    def stop(self):
        """Stops listening and drops every connection."""
        self._stop_listening()
        self._place.close()

    @contextlib.contextmanager
    def refusing(self):
        """Every connection is dropped, and meanwhile nobody listens."""
        self._stop_listening()
        try:
            yield
        finally:
            self._listen()

    def n_connections(self):
        """How many are open."""
        with self._changed:
            return len(self._connections)

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

    def _listen(self):
        self._listener = socket.create_server(host_and_port(self.address))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _stop_listening(self):
        with self._changed:
            listener, self._listener = self._listener, None
            for sock in filter(None, (listener, *self._connections)):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        if listener is not None:
            listener.close()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                if listener is not self._listener:  # it stopped listening meanwhile
                    sock.close()
                    return
                self._connections.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            got = bytearray()
            while data := sock.recv(1 << 20):
                got += data
                if not self._take(sock, got):
                    break
        except (OSError, ValueError):
            pass
        with self._changed, sock:
            self._connections.remove(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _take(self, sock, got):
        """Answers the messages that have come; False where the connection is to end."""
        while True:
            try:
                message, size = wire.take(got, wire.BINARY, self.transport)
            except wire.Incomplete:
                return True
            del got[:size]
            if not self._answer(sock, message):
                return False

    def _packed(self, data):
        return wire.frame(data) if self.transport == wire.FRAMED else data

    def _answer(self, sock, message):
        if is_batch(message) and not calls_of(message):
            answer_bytes = self.probe(message)
        else:
            with self._changed:
                self.received.append(message)
                self._changed.notify_all()
            answer_bytes = self.script(message)
        if callable(answer_bytes):
            return answer_bytes(sock, self._packed)
        if isinstance(answer_bytes, tuple):
            sock.sendall(answer_bytes[1])
            return False
        if answer_bytes is not SILENCE and answer_bytes is not CLOSE:
            sock.sendall(self._packed(answer_bytes))
        return answer_bytes is not CLOSE


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
