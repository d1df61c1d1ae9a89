#!/usr/bin/python3
"""Adds up the results of a test run: `N passed, N failed`, alone on the last line.

Reads a directory that holds meson's testlog.junit.xml and testlog.json (units; a TAP program's
every test is a case), pytest's integration.xml and two-workers.xml (some of them again) and, where
`interop` is the second argument, interop.xml. A result file that is missing counts as a failure,
and so does a test program that failed as a whole though none of its cases did.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def cases(path):
    """Yields (suite, name, outcome) of every case; a case that is listed twice counts once."""
    worst = {}
    rank = ["passed", "skipped", "failed"]
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            key = (suite.get("name"), case.get("classname"), case.get("name"))
            tags = {child.tag for child in case}
            outcome = "passed"
            if tags & {"failure", "error"}:
                outcome = "failed"
            elif "skipped" in tags:
                outcome = "skipped"
            worst[key] = max(worst.get(key, "passed"), outcome, key=rank.index)
    for (suite, group, name), outcome in worst.items():
        yield suite, ".".join(filter(None, [group, name])), outcome


def programs_that_failed(path):
    for line in path.read_text().splitlines():
        test = json.loads(line)
        if test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP"):
            yield test["name"]


def unit_results(directory):
    results = list(cases(directory / "testlog.junit.xml"))
    failed_suites = [suite for suite, _, outcome in results if outcome == "failed"]
    failed_names = [name for _, name, outcome in results if outcome == "failed"]
    for program in programs_that_failed(directory / "testlog.json"):
        short = program.split(" / ")[-1]
        known = failed_suites + failed_names
        if not any(short in entry for entry in known):
            results.append((program, "(the program as a whole)", "failed"))
    return results


def integration_results(directory):
    return list(cases(directory / "integration.xml"))


def two_workers_results(directory):
    return list(cases(directory / "two-workers.xml"))


def interop_results(directory):
    return list(cases(directory / "interop.xml"))


def collect(title, read, directory):
    try:
        results = read(directory)
    except (OSError, ElementTree.ParseError, ValueError) as error:
        results = [(title, f"no results: {error}", "failed")]
    counts = {outcome: 0 for outcome in ("passed", "failed", "skipped")}
    for _, _, outcome in results:
        counts[outcome] += 1
    print(f"{title:12} {counts['passed']:5} passed {counts['failed']:4} failed"
          f" {counts['skipped']:4} skipped")
    for suite, name, outcome in results:
        if outcome == "failed":
            print(f"  FAILED {suite}: {name}")
    return counts


def main():
    directory = Path(sys.argv[1])
    counts = [collect("units", unit_results, directory),
              collect("integration", integration_results, directory),
              collect("two workers", two_workers_results, directory)]
    if "interop" in sys.argv[2:]:
        counts.append(collect("interop", interop_results, directory))
    passed = sum(count["passed"] for count in counts)
    failed = sum(count["failed"] for count in counts)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
