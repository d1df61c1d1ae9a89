"""What has been measured: every load's result, and the lines of the table.

A line compares rounds: each round ran all peers one after another, in an order of its own, so its
ratio has seen the same machine. The value is the median of the rounds' ratios; the lowest and
highest stand beside it.
"""

import math
import statistics
from dataclasses import dataclass, field


@dataclass
class Line:
    row: str
    what: str
    values: list  # one a round
    limit: float = None
    at_least: bool = False
    unit: str = "x"
    note: str = ""

    @property
    def value(self):
        return statistics.median(self.values) if self.values else math.nan

    @property
    def verdict(self):
        if self.limit is None:
            return ""
        met = self.value >= self.limit if self.at_least else self.value <= self.limit
        return "met" if met else "MISSED"

    @property
    def goal(self):
        if self.limit is None:
            return ""
        return f"{'>=' if self.at_least else '<='} {number(self.limit)}{self.unit}"


def number(value):
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass
class Ledger:
    lines: list = field(default_factory=list)
    loads: list = field(default_factory=list)
    right: int = 0
    wrong: int = 0
    missing: int = 0
    problems: list = field(default_factory=list)

    def add_load(self, row, peer, options, result, expected_missing=False):
        self.loads.append({"row": row, "peer": peer, "options": options, "result": result})
        self.right += result["right"]
        self.wrong += result["wrong"]
        unreached = not expected_missing and result["greeted"] != options.get("connections", 1)
        if not expected_missing:
            self.missing += result["missing"]
        if result["wrong"] or unreached or (result["missing"] and not expected_missing):
            self.problems.append(f"{row}, {peer}: {result['wrong']} wrong, {result['missing']} "
                                 f"missing, {result['greeted']} clients; {result['problem']}")

    def line(self, *arguments, **options):
        line = Line(*arguments, **options)
        self.lines.append(line)
        return line

    def add(self, *arguments, **options):
        print_line(self.line(*arguments, **options))

    @property
    def good(self):
        return not self.problems and self.right > 0


def print_head():
    print(f"{'row':<13}{'what':<82}{'goal':>9}{'value':>11}{'min - max':>20}", flush=True)


def print_line(line):
    span = f"{number(min(line.values))} - {number(max(line.values))}" if line.values else ""
    print(f"{line.row:<13}{line.what:<82}{line.goal:>9}{number(line.value) + line.unit:>11}"
          f"{span:>20}  {line.verdict}{' ' if line.verdict and line.note else ''}{line.note}",
          flush=True)


# --- figures of one load --------------------------------------------------------------------------

def cpu_per_call(result):
    """Nanoseconds."""
    return result["cpu_ns"] / result["measured"] if result["measured"] else math.nan


def throughput(result):
    return result["calls_per_s"]


def p50(result):
    return result["latency_us"]["p50"]


def p99(result):
    return result["latency_us"]["p99"]


def ratios(figure, results, others):
    """Of rounds."""
    pairs = [(figure(result), figure(other)) for result, other in zip(results, others)]
    return [one / other if other else math.nan for one, other in pairs]
