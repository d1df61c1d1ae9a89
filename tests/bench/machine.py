"""What the machine does beside the benchmark: figures of a disturbed run are worth less."""

import os
import resource
import time
from pathlib import Path

DISTURBED = 0.1


class Watch:
    """Begins when it is made. `pids` are the benchmark's processes that run all the while."""

    def __init__(self, pids=()):
        self._pids = list(pids)
        self._before = self._measure()

    def others(self):
        """The share of all processors' time that others had since then, stolen time included."""
        then, busy_then, own_then = self._before
        now, busy, own = self._measure()
        share = ((busy - busy_then) - (own - own_then)) / ((now - then) * os.cpu_count())
        return min(max(share, 0), 1)

    def _measure(self):
        user, nice, system, _, _, irq, softirq, steal = map(
            int, Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9])
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        own = sum(sum(resource.getrusage(whose)[:2])
                  for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return time.monotonic(), busy, own + sum(map(processor_seconds, self._pids))


def processor_seconds(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
