"""The daemon's http interface, as a scraper and an operator ask it."""

import http.client
import json
import re
import subprocess

from harness import PATIENCE, connect, host_and_port

ANY_PORT = "127.0.0.1:0"
OUTCOMES = ("ok", "exception", "error", "timeout", "withdrawn")
_SAMPLE = re.compile(r"thrift_batchd_(\S+?)(\{.*\})? (\S+)")


class _Connection(http.client.HTTPConnection):
    """To any address that connect() takes."""

    def __init__(self, address):
        super().__init__(*(("localhost", 0) if address.startswith("unix:")
                           else host_and_port(address)), timeout=PATIENCE)
        self._address = address

    def connect(self):
        self.sock = connect(self._address)


class Http:
    """A daemon's: its configuration has [admin] http = ANY_PORT."""

    def __init__(self, daemon):
        self.address = daemon.log.wait_for(r"http on (\S+)")[0][1]

    def ask(self, path, method="GET"):
        """(status, headers, text)"""
        connection = _Connection(self.address)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def text(self, path):
        status, _, text = self.ask(path)
        assert status == 200, (status, text)
        return text

    def ready(self):
        """(status, text) of /readyz."""
        status, _, text = self.ask("/readyz")
        return status, text.rstrip("\n")

    def stats(self):
        return json.loads(self.text("/stats.json"))

    def metrics(self):
        return Metrics(self.text("/metrics"))


class Metrics:
    """Names are without prefix."""

    def __init__(self, text):
        self.text = text
        self.types = dict(re.findall(r"^# TYPE thrift_batchd_(\S+) (\S+)$", text, re.M))
        self.samples = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                name, labels, value = _SAMPLE.fullmatch(line).groups()
                assert (name, labels) not in self.samples, line
                self.samples[name, labels] = float(value)

    def __getitem__(self, name):
        """Of a metric without labels."""
        return self.samples[name, None]

    def of(self, name, **labels):
        """The sum over all samples that have these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(value for (sample, has), value in self.samples.items()
                   if sample == name and all(label in (has or "") for label in wanted))

    def outcomes(self):
        return {outcome: self.of("calls_total", outcome=outcome) for outcome in OUTCOMES}

    def calls(self):
        """All that have ended."""
        return sum(self.outcomes().values())

    def names(self):
        """Of all families."""
        return set(self.types)

    def never_fall(self):
        """The samples that only ever grow."""
        growing = {name for name, kind in self.types.items() if kind == "counter"}
        for name, kind in self.types.items():
            if kind == "histogram":
                growing |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
        return {key: value for key, value in self.samples.items() if key[0] in growing}


def promtool(*arguments, text=None):
    """What Prometheus' own tool has to say; nothing where it has no complaint."""
    done = subprocess.run(["promtool", *arguments], input=text, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    return done.returncode, done.stdout
