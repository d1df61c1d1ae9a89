"""A daemon that is watched while something goes wrong around it: does an ordinary client notice,
and is everything back where it was?"""

import contextlib
import signal
import time

from harness import FREED_AND_KEPT, SANITIZED, Raw, eventually
from talk import introduce, served

CONNECTIONS = {"connections": 1, "passthrough_connections": 1}
# Resident bytes more than before, after hundreds of faults: a small thing left behind by each would
# show. Where large messages came and went, the allocator may keep some memory.
GROWTH = (64 << 10) + (64 << 20 if SANITIZED else 0)
GROWTH_OF_LARGE = (4 << 20) + FREED_AND_KEPT
ENDED = r"stopped: (\d+) calls of \d+ clients \((ok .*?)\)"


class Watched:
    """A daemon in front of a Scripted upstream, with at most one connection of each kind to it, and
    an ordinary client. `own` are the daemon's descriptors but for its connections."""

    def __init__(self, bench, scripted, **sections):
        defaults = CONNECTIONS | {"transport": scripted.transport, "call_timeout": "1min"}
        sections["upstream"] = defaults | sections.get("upstream", {})
        sections["daemon"] = {"drain_timeout": "1min"} | sections.get("daemon", {})
        self.upstream = scripted
        self.daemon = bench.daemon(scripted, **sections)
        self.daemon.log.wait_for("serves executeBatch")
        self._own = self.daemon.descriptors() - scripted.n_connections()
        self._ordinary = bench.connect(self.daemon)
        self._calls = 0
        self._memory = 0
        self.ordinary_is_served()

    def client(self):
        """Another one, for a `with` statement."""
        return contextlib.closing(Raw(self.daemon.address))

    def has_read_everything(self):
        """All that clients have sent so far."""
        introduce(self._ordinary)

    def ordinary_is_served(self):
        self._calls += 1
        served(self._ordinary, b"ordinary-%d" % self._calls, self._calls)

    def remember(self):
        """What the memory is compared with: to be called when all that is to happen has happened
        once."""
        self._memory = self.daemon.memory()

    def is_as_before(self, clients=0, growth=GROWTH):
        """With so many clients besides the ordinary one."""
        self.ordinary_is_served()
        self.connections_are_as_before(clients)
        grown = self.daemon.memory() - self._memory
        assert grown < growth, f"{grown} bytes more than before"

    def connections_are_as_before(self, clients=0):
        eventually(lambda: self.daemon.descriptors() ==
                   self._own + self.upstream.n_connections() + 1 + clients)
        assert self.upstream.n_connections() <= sum(CONNECTIONS.values())

    def end(self):
        """Nothing is pending, so it ends at once. Returns how its calls have ended, but for the
        ordinary client's: how many of each outcome that there was."""
        begin = time.monotonic()
        self.daemon.signal(signal.SIGTERM)
        self.daemon.end()
        assert time.monotonic() - begin < 10, "it waited for something"
        assert not self.daemon.log.matching(r"draining: \d+ calls"), "calls were pending"
        every, outcomes = self.daemon.log.matching(ENDED)[0].groups()
        ended = {name: int(count) for name, count in map(str.split, outcomes.split(", "))}
        assert int(every) == sum(ended.values())
        ended["ok"] -= self._calls
        return {name: count for name, count in ended.items() if count != 0}
