"""An upstream that executes calls, and answers as badly as it is told to.

As a program it appends the number of each call that it executes to JOURNAL before it answers, so
that an execution counts whatever becomes of the answer or of the process. Lines on its input,
`FAULT CHANCE`, tell it what to do, and it says when it does so: `doing FAULT`. FAULT `right` is
none.

Framed binary; each connection has a thread. It serves executeBatch, two batch methods of its own
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

import wire
from oracle import bare, number_of

ONEWAY = (b"log", b"note")
NATIVE_LIST, NATIVE_MAP = b"getMany", b"findMany"
BATCH_METHODS = (b"executeBatch", NATIVE_LIST, NATIVE_MAP)
SLOWEST = 1.5  # seconds of a delay: some are longer than the daemon's call_timeout
DRIPS = 100


# --- right answers --------------------------------------------------------------------------------

def values_of(message):
    """The arguments of the calls that a message brings."""
    if message.name in (NATIVE_LIST, NATIVE_MAP):
        return message.value(1)[1]
    return [call.value(1) for call in calls_of(message)]


def calls_of(message):
    return wire.requests_of(message) if message.name == b"executeBatch" else [message]


def answers_to(message):
    """One for each call: a value of a native batch, or a reply; None to a oneway method."""
    if message.name in (NATIVE_LIST, NATIVE_MAP):
        return values_of(message)
    return [None if call.name in ONEWAY else
            wire.Message(bare(call.name), wire.REPLY, call.seqid, [(0, wire.STRING, call.value(1))])
            for call in calls_of(message)]


def replies(message, answers):
    """The messages that bring these answers."""
    if message.name == b"executeBatch":
        return [wire.batch_reply(message, answers)]
    if message.name == NATIVE_LIST:
        return [wire.reply(message, (0, wire.LIST, (wire.STRING, answers)))]
    if message.name == NATIVE_MAP:
        return [wire.reply(message, (0, wire.MAP, (wire.STRING, wire.STRING,
                                                   [(answer, answer) for answer in answers])))]
    return [answer for answer in answers if answer is not None]


def packed(message, answers):
    return framed(replies(message, answers))


def framed(messages):
    return b"".join(wire.encode(message, transport=wire.FRAMED) for message in messages)


def hang_up(sock):
    sock.shutdown(socket.SHUT_RDWR)


# --- faults of an answer: the calls have been executed --------------------------------------------

def right(sock, message, answers):
    sock.sendall(packed(message, answers))


def delayed(sock, message, answers):
    time.sleep(random.uniform(0, SLOWEST))
    right(sock, message, answers)


def silent(_sock, _message, _answers):
    pass


def closed(sock, _message, _answers):
    hang_up(sock)


def cut(sock, message, answers):
    data = packed(message, answers)
    sock.sendall(data[:len(data) // 2])
    hang_up(sock)


def reset(sock, message, answers):
    sock.sendall(packed(message, answers)[:-1])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionResetError  # which closes it


def dripping(sock, message, answers):
    data = packed(message, answers)
    for byte in data[:DRIPS]:
        sock.sendall(bytes([byte]))
        time.sleep(0.001)
    sock.sendall(data[DRIPS:])


def one_too_few(sock, message, answers):
    right(sock, message, answers[:-1])


def one_too_many(sock, message, answers):
    right(sock, message, answers + answers[-1:])


def shuffled(sock, message, answers):
    """Nobody can see that in a list of bare values."""
    right(sock, message, answers if message.name == NATIVE_LIST else answers[::-1])


def duplicated(sock, message, answers):
    """The same here."""
    right(sock, message, answers if message.name == NATIVE_LIST else answers[:1] * len(answers))


def twice(sock, message, answers):
    sock.sendall(packed(message, answers) * 2)


def wrong_sequence_id(sock, message, answers):
    wrong = replies(message, answers)
    for reply in wrong:
        reply.seqid += 1
    sock.sendall(framed(wrong))


def wrong_sequence_ids_inside(sock, message, answers):
    for answer in answers:
        if isinstance(answer, wire.Message):
            answer.seqid += 1
    right(sock, message, answers)


def wrong_types(sock, message, answers):
    """Of a single call's result nobody knows the right type."""
    wrong = [wire.reply(message, (0, wire.I32, 5))] if message.name in BATCH_METHODS \
        else replies(message, answers)
    sock.sendall(framed(wrong))


def wrong_message_type(sock, message, answers):
    wrong = replies(message, answers)
    for reply in wrong:
        reply.type = wire.CALL
    sock.sendall(framed(wrong))


def garbage(sock, _message, _answers):
    sock.sendall(b"HTTP/1.1 500 Internal Server Error\r\n\r\n")


def framed_garbage(sock, _message, _answers):
    sock.sendall(wire.frame(b"\xff\0garbage"))


def truncated(sock, message, answers):
    """The frame is whole, what is in it is not."""
    sock.sendall(wire.frame(packed(message, answers)[4:-1]))


def claiming_more(sock, message, answers):
    """A frame of which not everything comes."""
    data = packed(message, answers)[4:]
    sock.sendall(struct.pack(">I", len(data) + (8 << 20)) + data)


def oversize(sock, message, answers):
    sock.sendall(struct.pack(">I", 0x7fffffff) + packed(message, answers)[4:])


def whole_exception(sock, message, _answers):
    if message.name not in ONEWAY:
        sock.sendall(framed([refusal(message)]))


def exception_inside(sock, message, answers):
    right(sock, message, [refusal(answer) if isinstance(answer, wire.Message) else answer
                          for answer in answers])


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


class FaultyUpstream:
    """`took_down(numbers)` is told which calls are being executed."""

    def __init__(self, took_down, port=0):
        self._took_down = took_down
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
                hang_up(self._listener)
            self._listener.close()
            self._listener = None
        for sock in list(self._connections):
            with contextlib.suppress(OSError):
                hang_up(sock)

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
                while len(head := stream.read(4)) == 4:
                    data = stream.read(struct.unpack(">I", head)[0])
                    self._reading.wait()
                    self.answer(sock, wire.decode_whole(data))
        self._connections.discard(sock)

    def answer(self, sock, message):
        """Executes the calls of a message, and answers in some way."""
        fault = self._fault if random.random() < self._chance else "right"
        if fault == NOT_BATCHING and message.name in BATCH_METHODS:
            unknown = wire.exception(message, wire.UNKNOWN_METHOD, "unknown method")
            sock.sendall(framed([unknown]))
        else:
            self.execute(message)
            SPOILS.get(fault, right)(sock, message, answers_to(message))

    def execute(self, message):
        self._took_down([number_of(value) for value in values_of(message)])


def main(port, journal):
    record = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def took_down(numbers):
        os.write(record, b"".join(b"%d\n" % number for number in numbers))

    upstream = FaultyUpstream(took_down, port)
    print(f"listening on {upstream.address}", flush=True)
    for line in sys.stdin:
        fault, chance = line.split()
        upstream.do(fault, float(chance))
        print(f"doing {fault}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
