"""The benchmark: the daemon and its peers side by side, as ratios, with their goals."""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peers
import pictures
from ledger import Ledger, print_head
from machine import DISTURBED, Watch
from rows import FLUSH_ROUNDS, ROWS, Bench

DESCRIPTION = """\
Runs thrift-batchd beside HAProxy (TCP mode, one thread), nginx (stream, one worker), a minimal
libevent server that answers by itself (the floor) and no proxy at all (direct), in rounds that
interleave them. Prints one line a comparison: the median of the rounds' ratios, the lowest and the
highest, and whether its goal is met. CPU time is the kernel's accounting of the measured process.

rows: """ + ", ".join(ROWS)
EPILOG = "Exit status 1: a reply was wrong or missing. A missed goal is printed and does not fail."


def arguments():
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int,
                        help="rounds (5; with --quick 1); the row flush has twice as many")
    parser.add_argument("--seconds", type=float,
                        help="how long a load is measured (0.8; with --quick 0.3)")
    parser.add_argument("--only", default=",".join(ROWS), metavar="ROW,...", help="only these rows")
    parser.add_argument("--quick", action="store_true", help="a smoke run of a minute or two")
    parser.add_argument("--out", type=Path, default=Path("bench"), metavar="DIRECTORY",
                        help="where results.json and the pictures go")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.3 if options.quick else 0.8)
    options.idle = (200, 1000) if options.quick else (1000, 9000)
    options.only = options.only.split(",")
    unknown = set(options.only) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return options


def machine():
    try:
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=peers.HERE,
                                capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return {"commit": commit, "kernel": platform.release(), "cpus": len(peers.CPUS),
            "measured_on": peers.MEASURED, "load_on": peers.LOAD}


def disturbed_rows(loads):
    """Row and share of those in whose loads others had much of the machine; the median counts."""
    shares = {}
    for load in loads:
        shares.setdefault(load["row"], []).append(load["result"]["others"])
    medians = {row: statistics.median(of_row) for row, of_row in shares.items()}
    return {row: share for row, share in medians.items() if share > DISTURBED}


def report(options, ledger, bench, seconds, others):
    options.out.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine(), "rounds": options.rounds, "seconds": options.seconds,
               "others_share": others,
               "lines": [dataclasses.asdict(line) | {"value": line.value, "verdict": line.verdict}
                         for line in ledger.lines],
               "loads": ledger.loads, "problems": ledger.problems}
    (options.out / "results.json").write_text(json.dumps(results, indent=1))
    drawn = pictures.draw(bench.curves, options.out)
    verdicts = [line.verdict for line in ledger.lines]
    print(f"\n{verdicts.count('met')} goals met, {verdicts.count('MISSED')} missed; "
          f"{ledger.right:,} replies right, {ledger.wrong} wrong, {ledger.missing} missing; "
          f"{seconds:.0f} s. Others took {others:.0%} of the processors meanwhile.")
    print(f"{options.out}: results.json {' '.join(drawn)}")
    disturbed = disturbed_rows(ledger.loads)
    if disturbed:
        print("Disturbed, by so much of all processors' time: " + ", ".join(
            f"{row} {share:.0%}" for row, share in disturbed.items()))
    for problem in ledger.problems:
        print(f"PROBLEM: {problem}")


def main():
    options = arguments()
    ledger = Ledger()
    began, watch = time.monotonic(), Watch()
    peers.harness.allow_many_descriptors()
    print(f"What is measured runs on CPU {peers.MEASURED}, the load and the upstream on CPU "
          f"{peers.LOAD}. Median of {options.rounds} interleaved rounds, {options.seconds:g} s a "
          f"load;\nflush: of {FLUSH_ROUNDS * options.rounds}, {options.seconds / 2:g} s a load.\n"
          f"32 B payload, framed binary, unless a line says otherwise.\n")
    print_head()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        bench = Bench(options, ledger, directory)
        try:
            for name in options.only:
                ROWS[name](bench)
        finally:
            bench.end()
            report(options, ledger, bench, time.monotonic() - began, watch.others())
    return 0 if ledger.good else 1


if __name__ == "__main__":
    os.environ.setdefault("MPLCONFIGDIR", tempfile.gettempdir())
    sys.exit(main())
