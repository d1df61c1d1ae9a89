"""What was called, what was executed, what came back, and whether that is right.

Each call carries a token: its number in the run, and padding that follows from the number. Servers
write down the number of each call that they execute, before they answer. So a reply shows whose it
is, and an execution whose it was. What is wrong is one of

  wrong    a reply that no call of its connection is owed, or that is not what the call asked for
  missing  a call that has got no reply, though its client waited for it
  crossed  a reply with the token of another call
  doubled  a call that was executed more often than allowed
"""

import collections
import itertools
import threading
from dataclasses import dataclass

import wire

VERDICTS = ("wrong", "missing", "crossed", "doubled")
EXAMPLES = 20  # that are kept, in words

# What a call may get instead of its answer: a server failed, or its map of answers had no such key.
MISSING_RESULT = 5
ALLOWED_ERRORS = (wire.INTERNAL_ERROR, MISSING_RESULT)


def token(number, size=0):
    """The value that a call carries, and gets back."""
    return b"%d|" % number + bytes([number & 0xff]) * size


def number_of(value):
    """The call whose token that is; None where it is none."""
    digits = value.partition(b"|")[0] if isinstance(value, bytes) else b""
    return int(digits) if digits.isdigit() else None


def bare(name):
    """A multiplexed server answers without its service's name."""
    return name.rpartition(b":")[2]


@dataclass
class Call:
    """`answered`: a reply is owed; it is not to a oneway method, whatever the message's type."""
    number: int
    message: wire.Message
    answered: bool

    @property
    def value(self):
        return self.message.value(1)


class Oracle:
    """`allowed` is how often a call of a method may be executed where it is not once. All methods
    may be called from any thread."""

    def __init__(self, allowed=None):
        self.counts = collections.Counter()
        self.examples = []
        self.latest_error = ""
        self._allowed = {name.encode(): count for name, count in (allowed or {}).items()}
        self._lock = threading.Lock()
        # By a call's number; bytes, so that a run of hours fits.
        self._executions = bytearray()
        self._most = bytearray()
        self._answered = bytearray()

    def call(self, seqid, method, size=0, kind=wire.CALL, answered=True):
        """A call that has not been made before. It is counted as made."""
        name = method.encode()
        with self._lock:
            number = len(self._most)
            self._most.append(self._allowed.get(bare(name), 1))
            self._executions.append(0)
            self._answered.append(0)
            self.counts["calls"] += 1
        return Call(number, wire.Message(name, kind, seqid,
                                         [(1, wire.STRING, token(number, size))]), answered)

    def executed(self, number):
        """A server has executed that call."""
        with self._lock:
            times = self._executions[number] = min(self._executions[number] + 1, 255)
            self.counts["executed"] += 1
            if times > self._most[number]:
                self._found("doubled", f"call {number} was executed {times} times")

    def replied(self, call, reply):
        """`call` has got `reply`, which has its sequence id. True where that is its answer."""
        with self._lock:
            if reply.name != bare(call.message.name):
                self._found("wrong", f"{call.message.name} was answered as {reply.name}")
            elif reply.type == wire.EXCEPTION:
                self._error(reply)
            elif reply.type != wire.REPLY or reply.body != [(0, wire.STRING, call.value)]:
                self._not_its_own(call, reply)
            else:
                self._answered[call.number] = 1
                self.counts["right"] += 1
                return True
        return False

    def wrong(self, text):
        with self._lock:
            self._found("wrong", text)

    def missing(self, calls, text):
        with self._lock:
            for call in calls:
                self._found("missing", f"{call.message.name} {call.number}: {text}")

    def finish(self):
        """To be called once every execution has been told: an answer needs one."""
        with self._lock:
            for number in itertools.compress(itertools.count(), self._answered):
                if not self._executions[number]:
                    self._found("wrong", f"call {number} was answered but never executed")

    def found(self):
        """How much of each verdict."""
        with self._lock:
            return {verdict: self.counts[verdict] for verdict in VERDICTS}

    def _error(self, reply):
        kind, text = reply.error()
        if kind in ALLOWED_ERRORS and text:
            self.counts["errors"] += 1
            self.latest_error = text
        else:
            self._found("wrong", f"{reply.name} got error {kind}: {text!r}")

    def _not_its_own(self, call, reply):
        whose = number_of(reply.body[0][2]) if reply.body else None
        if whose is not None and whose != call.number and whose < len(self._most):
            self._found("crossed", f"call {call.number} got the reply of call {whose}")
        else:
            self._found("wrong", f"call {call.number} got {repr(reply)[:200]}")

    def _found(self, verdict, text):
        self.counts[verdict] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{verdict}: {text}")


class Account:
    """What one connection is owed, in the order of its calls; `ordered` replies keep that order."""

    def __init__(self, oracle, ordered):
        self._oracle, self._ordered = oracle, ordered
        self._owed = {}  # by sequence id

    def made(self, call):
        if call.answered:
            self._owed[call.message.seqid] = call

    def got(self, reply):
        call = self._owed.pop(reply.seqid, None)
        if call is None:
            self._oracle.wrong(f"nobody is owed {repr(reply)[:200]}")
            return False
        first = next(iter(self._owed), call.message.seqid)
        if self._ordered and first < call.message.seqid:
            self._oracle.wrong(f"the reply of {call.message.seqid} came before that of {first}")
        return self._oracle.replied(call, reply)

    def owes(self):
        """Replies are still to come."""
        return bool(self._owed)

    def ended(self, text):
        """Nothing more will come."""
        self._oracle.missing(self._owed.values(), text)
        self._owed.clear()
