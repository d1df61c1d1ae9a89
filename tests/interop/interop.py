"""Unmodified clients of many languages, straight to the demo server and through the daemon.

    interop.py [--only LANGUAGE,...] [--setups SETUP,...] [--build DIRECTORY]

Each language has a folder here: build.sh makes OUT/client of it, which is run as
`client ADDRESS TRANSPORT PROTOCOL` and prints `ok NAME` or `not ok NAME: why` for each check of
checks.txt. A check that works directly and fails through the daemon is the daemon's fault and makes
the exit status 1, and so does a client that cannot be built. One that fails directly too is the
library's or the demo server's own; it is listed all the same. Environment: as for the integration
tests.
"""

import argparse
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), os.environ.get("GEN_PY", "")]

import harness  # pylint: disable=wrong-import-position

LONGEST_BUILD = 600
LONGEST_RUN = 90
MOST_REASONS = 5  # printed for one cell: a dead server fails all its checks in one way
BOTH = ("framed", "buffered")

# Which transports and protocols each library has. A protocol's first word is what is on the wire.
LANGUAGES = {
    "python": (BOTH, ("binary", "binary-accelerated", "binary-old", "compact",
                      "compact-accelerated")),
    "thriftpy": (BOTH, ("binary", "binary-cython", "compact")),
    "php": (BOTH, ("binary", "binary-accelerated", "binary-old", "compact")),
    "ruby": (BOTH, ("binary", "binary-accelerated", "binary-old", "compact")),
    "perl": (BOTH, ("binary",)),
    "node": (BOTH, ("binary", "compact")),
    "c": (BOTH, ("binary", "compact")),
    "cpp": (BOTH, ("binary", "binary-old", "compact")),
    "go": (BOTH, ("binary", "binary-old", "compact")),
    "java": (BOTH, ("binary", "binary-old", "compact")),
}

# The demo server (c_glib) refuses the old binary form, the daemon serves it: what has to work
# through the daemon is what works directly in the form on the right.
MEASURED_BY = {"binary-old": "binary"}


@dataclasses.dataclass
class Setup:
    """What a client is pointed at. Without `daemon` that is the demo server itself, in the
    client's own form; else a daemon with this configuration in front of a demo server."""

    upstream: tuple = ()
    daemon: dict = None
    # Checks that end otherwise by the contract, not by a fault.
    otherwise: tuple = ()


ALWAYS_A_BATCH = {"min_calls": "1"}  # also of one call: nothing is sent as it came
SETUPS = {
    "direct": Setup(),
    "envelope": Setup(daemon={"batch": ALWAYS_A_BATCH}),
    "envelope-compact": Setup(
        ("--transport", "buffered", "--protocol", "compact"),
        {"batch": ALWAYS_A_BATCH, "upstream": {"transport": "buffered", "protocol": "compact"}}),
    "defaults": Setup(daemon={}),
    "no-batch": Setup(("--no-batch",), {}),
    "native": Setup(("--no-batch",), {"batch": ALWAYS_A_BATCH, "method": {
        "findUser": {"batch": "native", "batch_method": "findUsers", "batch_item": "1",
                     "batch_requests": "1", "batch_responses": "0",
                     "batch_response_item": "value"},
        "getUser": {"batch": "native", "batch_method": "getUserBatch",
                    "batch_item": "arguments", "batch_requests": "1", "batch_responses": "0",
                    "batch_response_item": "result"},
        "*": {"batch": "off"}}},
        # Answers in a map: what is missing has no entry, so the caller gets MISSING_RESULT.
        ("find-user-missing",)),
}
USUAL_SETUPS = list(SETUPS)


class Grounds:
    """The servers and daemons, started once each."""

    def __init__(self, bench):
        self.bench = bench
        self.started = {}

    def address(self, name, transport, protocol):
        setup = SETUPS[name]
        options = setup.upstream if setup.daemon is not None else \
            ("--transport", transport, "--protocol", protocol.split("-")[0])
        key = name, options
        if key not in self.started:
            server = self.bench.upstream(*options)
            if setup.daemon is not None:
                server = self.bench.daemon(server, **setup.daemon)
            self.started[key] = server
        return self.started[key].address


# --- one client ---------------------------------------------------------------------------------

def check_names():
    lines = (HERE / "checks.txt").read_text().splitlines()
    return [line.split()[0] for line in lines if line and line[0] not in "# "]


def build(language, directory):
    """What went wrong, or nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run([HERE / language / "build.sh", directory], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=LONGEST_BUILD)
    except subprocess.TimeoutExpired:
        return f"not built within {LONGEST_BUILD} s"
    return done.returncode and done.stdout.decode(errors="replace") or ""


def run(client, address, transport, protocol):
    """Why each check failed, None where it did not."""
    command = [*harness.WITH_PARENT, client, address, transport, protocol]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            end = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                 check=False, timeout=LONGEST_RUN).returncode
        except subprocess.TimeoutExpired:
            end = f"killed after {LONGEST_RUN} s"
        out.seek(0)
        err.seek(0)
        said = out.read().decode(errors="replace")
        words = err.read().decode(errors="replace").strip().splitlines()
    results = {name: None for name in re.findall(r"^ok (\S+)$", said, re.M)}
    results |= dict(re.findall(r"^not ok (\S+): ?(.*)$", said, re.M))
    ended = f"not reached: status {end}" + (f", {words[-1]}" if words else "")
    names = check_names()
    results = {name: results.get(name, ended) for name in names} | \
        {name: "is not in checks.txt" for name in results if name not in names}
    if end:
        results["(end)"] = ended
    return results


def failures(results):
    return [name for name, why in results.items() if why is not None]


# --- the matrix ---------------------------------------------------------------------------------

class Matrix:
    def __init__(self, setups):
        self.setups = setups
        self.width = max(map(len, LANGUAGES)) + 30
        self.direct_problems = {}
        self.faults = {}
        self.verdicts = {}
        self.cells = 0

    def line(self, label, cells):
        print(f"{label:<{self.width}}" +
              "".join(f"{cell:>{max(len(name), 8) + 2}}" for name, cell in
                      zip(self.setups, cells)), flush=True)

    def head(self):
        print("passed/failed checks; ! where something fails that works directly\n")
        self.line("", self.setups)

    def row(self, label, results, measure):
        """`results` by setup; `measure` is how it went where there was no daemon."""
        direct = failures(results["direct"])
        excused = failures(measure)
        cells = []
        for name in self.setups:
            failed = failures(results[name])
            new = [check for check in failed if name != "direct" and check not in excused and
                   check not in SETUPS[name].otherwise]
            cells.append(f"{len(results[name]) - len(failed)}/{len(failed)}" + "!" * bool(new))
            self.verdicts[f"{label} {name}"] = not new
            if new:
                self.faults[f"{label} {name}"] = [f"{check}: {results[name][check]:.300}"
                                                  for check in new]
            self.cells += 1
        self.line(label, cells)
        if direct:
            self.direct_problems[label] = results["direct"]

    def end(self):
        if self.direct_problems:
            print("\nFail directly too:")
        for label, results in self.direct_problems.items():
            failed = failures(results)
            if len(failed) == len(results):
                print(f"  {label} all checks, the first with: {results[failed[0]]:.300}")
            else:
                print("\n".join(f"  {label} {name}: {results[name]:.300}" for name in failed))
        if self.faults:
            print("\nWork directly and fail through the daemon:")
        for cell, reasons in self.faults.items():
            print(f"  {cell}")
            print("\n".join(f"    {reason}" for reason in reasons[:MOST_REASONS]))
            if len(reasons) > MOST_REASONS:
                print(f"    and {len(reasons) - MOST_REASONS} more")
        print(f"\n{self.cells} cells, {len(self.faults)} of them with checks that work directly "
              "and fail through the daemon")


def write_junit(path, verdicts):
    """A case for each cell, so that it counts where the other tests are counted."""
    suite = ElementTree.Element("testsuite", name="interop")
    for name, good in verdicts.items():
        case = ElementTree.SubElement(suite, "testcase", classname="interop", name=name)
        if not good:
            ElementTree.SubElement(case, "failure")
    ElementTree.ElementTree(suite).write(path)


def run_all(languages, setups, directory, bench, junit):
    grounds = Grounds(bench)
    matrix = Matrix(setups)
    unbuilt, direct = {}, {}
    for language in languages:
        print(f"building {language}", flush=True)
        if problem := build(language, directory / language):
            unbuilt[language] = problem
    matrix.head()
    for language in languages:
        transports, protocols = LANGUAGES[language]
        for transport in transports:
            for protocol in protocols:
                label = f"{language} {transport} {protocol}"
                if language in unbuilt:
                    matrix.line(label, ["not built"] * len(setups))
                    continue
                results = {
                    name: run(directory / language / "client",
                              grounds.address(name, transport, protocol), transport, protocol)
                    for name in setups}
                direct[label] = results["direct"]
                measure = MEASURED_BY.get(protocol, protocol)
                matrix.row(label, results, direct[f"{language} {transport} {measure}"])
    matrix.end()
    if junit:
        write_junit(junit, {**matrix.verdicts, **{language: False for language in unbuilt}})
    for language, problem in unbuilt.items():
        print(f"\n{language} could not be built:\n{problem}")
    return 1 if unbuilt or matrix.faults else 0


def names_of(table):
    def parse(text):
        names = text.split(",")
        if unknown := [name for name in names if name not in table]:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are "
                                             f"{', '.join(table)}")
        return names
    return parse


def main():
    parser = argparse.ArgumentParser(description="Clients of many languages through the daemon.")
    parser.add_argument("--only", metavar="LANGUAGE,...", type=names_of(LANGUAGES),
                        default=list(LANGUAGES))
    parser.add_argument("--setups", metavar="SETUP,...", type=names_of(SETUPS),
                        default=USUAL_SETUPS,
                        help=f"besides direct; of {', '.join(SETUPS)}")
    parser.add_argument("--build", metavar="DIRECTORY", type=Path, default=Path("build/interop"))
    parser.add_argument("--junitxml", metavar="FILE", type=Path)
    arguments = parser.parse_args()
    if missing := list(harness.missing_environment()):
        parser.error("; ".join(missing) + "; `./run interop` sets all of them")

    setups = ["direct"] + [name for name in arguments.setups if name != "direct"]
    with tempfile.TemporaryDirectory() as directory:
        bench = harness.Bench(Path(directory))
        try:
            return run_all(arguments.only, setups, arguments.build.resolve(), bench,
                           arguments.junitxml)
        finally:
            bench.end()


if __name__ == "__main__":
    sys.exit(main())
