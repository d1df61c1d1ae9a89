"""Clients: ordinary ones in every form, and hostile ones. A session is one connection of them.

An ordinary session takes every reply that it is owed, and sees that none is left. A hostile one is
owed nothing once it misbehaves, but its calls too are executed once at most.
"""

import functools
import itertools
import select
import struct
import threading
import time
from contextlib import suppress

import wire
from harness import Raw
from oracle import Account

FORMS = tuple(itertools.product((wire.BINARY, wire.OLD, wire.COMPACT),
                                (wire.FRAMED, wire.BUFFERED)))
LONGEST = 30  # seconds for a reply, or for a connection's end

# (method, message type, whether a reply is owed)
KINDS = (("echo", wire.CALL, True), ("echo", wire.CALL, True), ("users:echo", wire.CALL, True),
         ("get", wire.CALL, True), ("find", wire.CALL, True), ("pass", wire.CALL, True),
         ("repeat", wire.CALL, True), ("log", wire.ONEWAY, False), ("note", wire.CALL, False))
SIZES = (0, 0, 10, 10, 100, 100, 1000, 5000, 60_000)
LARGEST = 400_000
BURSTS = (1, 1, 1, 2, 5, 30)

JUNK = (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", bytes(64), b"\xff" * 64,
        struct.pack(">I", 1 << 30) + bytes(64), wire.frame(b"\x80"), b"\0\0\0\0",
        wire.frame(wire.encode(wire.echo(b"")) + b"\0"))


class Session:
    """A connection, and what is owed on it."""

    def __init__(self, address, oracle, chance, ordered=True, form=(wire.BINARY, wire.FRAMED)):
        self.raw = Raw(address)
        self.oracle, self.chance, self._form = oracle, chance, form
        self.account = Account(oracle, ordered)
        self._take = functools.partial(wire.take, protocol=form[0], transport=form[1])
        self._seqid = 0

    def __enter__(self):
        return self

    def __exit__(self, _, problem, __):
        """Silence, a connection that is closed, bytes that are no message."""
        self.raw.close()
        if isinstance(problem, Exception):
            self._failed(repr(problem))
        return isinstance(problem, Exception)

    def encoded(self, message):
        return wire.encode(message, *self._form)

    def new_call(self, method="echo", kind=wire.CALL, answered=True, size=0):
        self._seqid += 1
        return self.oracle.call(self._seqid, method, size, kind, answered)

    def any_calls(self, count):
        for _ in range(count):
            large = self.chance.random() < 0.002
            yield self.new_call(*self.chance.choice(KINDS),
                                LARGEST if large else self.chance.choice(SIZES))

    def send(self, calls):
        data = b""
        for call in calls:
            self.account.made(call)
            data += self.encoded(call.message)
        self.raw.send_or_read(data)

    def take_one(self):
        """True where it is the answer, false where an error."""
        return self.account.got(self.raw.receive(self._take, LONGEST))

    def take_all(self):
        while self.account.owes():
            self.take_one()

    def nothing_is_left(self):
        """The daemon refuses by itself, and at once, a message that only a server may send; its
        words have to be the next that come."""
        self._seqid += 1
        self.raw.send_or_read(self.encoded(wire.Message(b"introduce", wire.REPLY, self._seqid)))
        self.expect(b"introduce", wire.INVALID_MESSAGE_TYPE)

    def expect(self, name, error):
        got = self.raw.receive(self._take, LONGEST)
        if (got.name, got.seqid, got.type) != (name, self._seqid, wire.EXCEPTION) or \
                got.error()[0] != error:
            self.oracle.wrong(f"{got} instead of error {error} for {name} {self._seqid}")

    def _failed(self, text):
        if self.account.owes():
            self.account.ended(text)
        else:
            self.oracle.wrong(text)

    def expect_close(self):
        if rest := self.raw.until_closed(LONGEST):
            self.oracle.wrong(f"{rest[:100]} before the connection was closed")


# --- ordinary ones --------------------------------------------------------------------------------

def one_at_a_time(session):
    for call in session.any_calls(session.chance.randrange(1, 20)):
        session.send([call])
        session.take_all()
    session.nothing_is_left()


def pipelining(session):
    for _ in range(session.chance.randrange(1, 6)):
        session.send(session.any_calls(session.chance.choice(BURSTS)))
        if session.chance.random() < 0.3:
            time.sleep(session.chance.random() / 50)  # reads later
        if session.chance.random() < 0.5:
            session.take_all()
    session.take_all()
    session.nothing_is_left()


def byte_by_byte(session):
    """A slow-loris, which in the end has sent a call."""
    call = session.new_call(size=20)
    session.account.made(call)
    for byte in session.encoded(call.message):
        session.raw.send(bytes([byte]))
        time.sleep(0.005)
    session.take_all()
    session.nothing_is_left()


# --- hostile ones ---------------------------------------------------------------------------------

def send_for_nothing(session, count):
    """Calls whose replies nobody waits for."""
    session.raw.send_or_read(b"".join(session.encoded(call.message)
                                      for call in session.any_calls(count)))


def leaving(session):
    """Before the answers."""
    send_for_nothing(session, session.chance.choice(BURSTS))
    time.sleep(session.chance.random() / 50)
    if session.chance.random() < 0.5:
        session.raw.reset()


def half_closing(session):
    send_for_nothing(session, session.chance.choice(BURSTS))
    session.raw.half_close()
    with suppress(OSError):
        session.raw.until_closed(LONGEST)


def leaving_in_the_middle(session):
    """Of a call."""
    data = session.encoded(session.new_call(size=1000).message)
    session.raw.send(data[:session.chance.randrange(1, len(data))])
    time.sleep(session.chance.random())


def sending_junk(session):
    """The daemon closes without a word."""
    session.raw.send(session.chance.choice(JUNK))
    session.expect_close()


def sending_arguments_that_do_not_parse(session):
    """What came before is answered, then the error, then nothing: what follows is not looked at."""
    session.send(session.any_calls(session.chance.randrange(3)))
    session.take_all()
    call = session.new_call("bad", size=10)
    spoiled = wire.encode(call.message)[:-1] + b"\x63\0\1"  # a field of type 99
    session.raw.send(wire.frame(spoiled) + wire.frame(spoiled))
    session.expect(b"bad", wire.PROTOCOL_ERROR)
    session.expect_close()


def never_reading(session):
    """Sends until the daemon reads no more, or drops it."""
    session.raw.socket.setblocking(False)
    deadline = time.monotonic() + session.chance.uniform(0.2, 2)
    data = b""
    with suppress(OSError):
        while time.monotonic() < deadline:
            data = data or session.encoded(session.new_call(size=60_000).message)
            if select.select([], [session.raw.socket], [], 0.05)[1]:
                data = data[session.raw.socket.send(data):]


ORDINARY = (one_at_a_time, pipelining, byte_by_byte)
HOSTILE = (leaving, half_closing, leaving_in_the_middle, sending_junk,
           sending_arguments_that_do_not_parse, never_reading)
WEIGHTS = (10, 12, 1, 2, 2, 1, 1, 1, 1)
# It needs the bytes of one form.
ONE_FORM = (sending_arguments_that_do_not_parse, sending_junk)


class Client(threading.Thread):
    """One session after another, until it is told to stop."""

    def __init__(self, addresses, oracle, chance, ordered):
        super().__init__(daemon=True)
        self._addresses, self._oracle = addresses, oracle
        self._chance, self._ordered = chance, ordered
        self._stopping = threading.Event()

    def stop(self):
        self._stopping.set()

    def run(self):
        while not self._stopping.is_set():
            self._talk(self._chance.choices(ORDINARY + HOSTILE, WEIGHTS)[0])

    def _talk(self, kind):
        form = FORMS[0] if kind in ONE_FORM else self._chance.choice(FORMS)
        try:
            session = Session(self._chance.choice(self._addresses), self._oracle, self._chance,
                              self._ordered, form)
        except OSError as problem:
            self._oracle.wrong(f"no connection: {problem!r}")
            self.stop()
            return
        with session:
            kind(session)
