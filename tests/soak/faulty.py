"""An upstream that executes calls, and answers as badly as it is told to.

As a program, `PORT PROTOCOL JOURNAL`, it appends the number of each call that it executes to
JOURNAL before it answers, so that an execution counts whatever becomes of the answer or of the
process. Lines on its input, `FAULT CHANCE`, tell it what to do, and it says when it does so: `doing
FAULT`. FAULT `right` is none.

Framed; each connection has a thread. It serves executeBatch, two batch methods of its own
(getMany, findMany), and any other method: echoes, except those named in ONEWAY.
"""

import contextlib
import os
import random
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass

import wire
from oracle import bare, number_of

ONEWAY = (b"log", b"note")
NATIVE_LIST, NATIVE_MAP = b"getMany", b"findMany"
BATCH_METHODS = (b"executeBatch", NATIVE_LIST, NATIVE_MAP)
SLOWEST = 3.0  # seconds of a delay: some are longer than the daemon's call_timeout
DRIPS = 100


# --- right answers --------------------------------------------------------------------------------

def calls_of(message, protocol):
    """The calls that a message brings, or for a batch method of ours their arguments."""
    if message.name == b"executeBatch":
        return wire.requests_of(message, protocol)
    if message.name in BATCH_METHODS:
        return message.value(1)[1]
    return [message]


def argument(call):
    return call.value(1) if isinstance(call, wire.Message) else call


def answer_to(call):
    """A reply, or a value; None to a oneway method."""
    if not isinstance(call, wire.Message):
        return call
    if call.name in ONEWAY:
        return None
    return wire.Message(bare(call.name), wire.REPLY, call.seqid, [(0, wire.STRING, argument(call))])


@dataclass
class Exchange:
    """A message that came, and the answers to its calls, which a fault may spoil."""
    sock: socket.socket
    protocol: str
    message: wire.Message
    answers: list

    def replies(self):
        """The messages that bring the answers."""
        message, answers = self.message, self.answers
        if message.name == b"executeBatch":
            return [wire.batch_reply(message, answers, self.protocol)]
        if message.name == NATIVE_LIST:
            return [wire.reply(message, (0, wire.LIST, (wire.STRING, answers)))]
        if message.name == NATIVE_MAP:
            pairs = [(answer, answer) for answer in answers]
            return [wire.reply(message, (0, wire.MAP, (wire.STRING, wire.STRING, pairs)))]
        return [answer for answer in answers if answer is not None]

    def bytes(self):
        return self.encoded(self.replies())

    def encoded(self, messages):
        return b"".join(wire.encode(message, self.protocol, wire.FRAMED) for message in messages)

    def say(self, messages):
        self.sock.sendall(self.encoded(messages))

    def hang_up(self):
        self.sock.shutdown(socket.SHUT_RDWR)


# --- faults of an answer: the calls have been executed --------------------------------------------

def right(exchange):
    exchange.say(exchange.replies())


def delayed(exchange):
    time.sleep(random.uniform(0, SLOWEST))
    right(exchange)


def silent(_exchange):
    pass


def closed(exchange):
    exchange.hang_up()


def cut(exchange):
    data = exchange.bytes()
    exchange.sock.sendall(data[:len(data) // 2])
    exchange.hang_up()


def reset(exchange):
    exchange.sock.sendall(exchange.bytes()[:-1])
    exchange.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionResetError  # which closes it


def dripping(exchange):
    data = exchange.bytes()
    for byte in data[:DRIPS]:
        exchange.sock.sendall(bytes([byte]))
        time.sleep(0.001)
    exchange.sock.sendall(data[DRIPS:])


def one_too_few(exchange):
    exchange.answers = exchange.answers[:-1]
    right(exchange)


def one_too_many(exchange):
    exchange.answers = exchange.answers + exchange.answers[-1:]
    right(exchange)


def shuffled(exchange):
    """Nobody can see that in a list of bare values."""
    if exchange.message.name != NATIVE_LIST:
        exchange.answers = exchange.answers[::-1]
    right(exchange)


def duplicated(exchange):
    """The same here."""
    if exchange.message.name != NATIVE_LIST:
        exchange.answers = exchange.answers[:1] * len(exchange.answers)
    right(exchange)


def twice(exchange):
    exchange.sock.sendall(exchange.bytes() * 2)


def wrong_sequence_id(exchange):
    replies = exchange.replies()
    for reply in replies:
        reply.seqid += 1
    exchange.say(replies)


def wrong_sequence_ids_inside(exchange):
    for answer in exchange.answers:
        if isinstance(answer, wire.Message):
            answer.seqid += 1
    right(exchange)


def wrong_types(exchange):
    """Of a single call's result nobody knows the right type."""
    if exchange.message.name in BATCH_METHODS:
        exchange.say([wire.reply(exchange.message, (0, wire.I32, 5))])
    else:
        right(exchange)


def wrong_message_type(exchange):
    replies = exchange.replies()
    for reply in replies:
        reply.type = wire.CALL
    exchange.say(replies)


def garbage(exchange):
    exchange.sock.sendall(b"HTTP/1.1 500 Internal Server Error\r\n\r\n")


def framed_garbage(exchange):
    exchange.sock.sendall(wire.frame(b"\xff\0garbage"))


def truncated(exchange):
    """The frame is whole, what is in it is not."""
    exchange.sock.sendall(wire.frame(exchange.bytes()[4:-1]))


def claiming_more(exchange):
    """A frame of which not everything comes."""
    data = exchange.bytes()[4:]
    exchange.sock.sendall(struct.pack(">I", len(data) + (8 << 20)) + data)


def oversize(exchange):
    exchange.sock.sendall(struct.pack(">I", 0x7fffffff) + exchange.bytes()[4:])


def whole_exception(exchange):
    if exchange.message.name not in ONEWAY:
        exchange.say([refusal(exchange.message)])


def exception_inside(exchange):
    exchange.answers = [refusal(answer) if isinstance(answer, wire.Message) else answer
                        for answer in exchange.answers]
    right(exchange)


def refusal(message):
    return wire.exception(message, wire.INTERNAL_ERROR, "the server does not feel like it")


SPOILS = {spoil.__name__: spoil for spoil in (
    right, delayed, silent, closed, cut, reset, dripping, one_too_few, one_too_many, shuffled,
    duplicated, twice, wrong_sequence_id, wrong_sequence_ids_inside, wrong_types,
    wrong_message_type, garbage, framed_garbage, truncated, claiming_more, oversize,
    whole_exception, exception_inside)}

# --- faults of the server: nothing is executed ----------------------------------------------------

REFUSING, HANGING, NOT_BATCHING = "refusing", "hanging", "not_batching"

FAULTS = (*(name for name in SPOILS if name != "right"), REFUSING, HANGING, NOT_BATCHING)


def next_frame(stream):
    """None where the daemon left, be it in the middle."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    size, = struct.unpack(">I", head)
    data = stream.read(size)
    return data if len(data) == size else None


class FaultyUpstream:
    """`took_down(numbers)` is told which calls are being executed."""

    def __init__(self, took_down, port=0, protocol=wire.BINARY):
        self._took_down, self._protocol = took_down, protocol
        self._fault, self._chance = "right", 1.0
        self._reading = threading.Event()  # not while it hangs
        self._reading.set()
        self._connections = set()
        self._listener = None
        self._listen(port)
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]

    def do(self, fault, chance):
        """From now on each message meets the fault with that chance."""
        self._fault, self._chance = fault, chance
        if fault == REFUSING:
            self.stop()
        elif self._listener is None:
            self._listen(int(self.address.rpartition(":")[2]))
        if fault == HANGING:
            self._reading.clear()
        else:
            self._reading.set()

    def stop(self):
        """Neither listens nor keeps a connection."""
        if self._listener:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for sock in list(self._connections):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _listen(self, port):
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        self._connections.add(sock)
        with sock, contextlib.suppress(OSError):
            with sock.makefile("rb") as stream:
                while data := next_frame(stream):
                    self._reading.wait()
                    self.take(sock, wire.decode_whole(data, self._protocol))
        self._connections.discard(sock)

    def take(self, sock, message):
        fault = self._fault if random.random() < self._chance else "right"
        if fault == NOT_BATCHING and message.name in BATCH_METHODS:
            unknown = wire.exception(message, wire.UNKNOWN_METHOD, "unknown method")
            Exchange(sock, self._protocol, message, []).say([unknown])
            return
        calls = calls_of(message, self._protocol)
        self._took_down([number_of(argument(call)) for call in calls])
        self.answer(fault, Exchange(sock, self._protocol, message, list(map(answer_to, calls))))

    def answer(self, fault, exchange):
        SPOILS.get(fault, right)(exchange)


def main(port, protocol, journal):
    record = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def took_down(numbers):
        os.write(record, b"".join(b"%d\n" % number for number in numbers))

    upstream = FaultyUpstream(took_down, port, protocol)
    print(f"listening on {upstream.address}", flush=True)
    for line in sys.stdin:
        fault, chance = line.split()
        upstream.do(fault, float(chance))
        print(f"doing {fault}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
