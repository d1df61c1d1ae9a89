import faulthandler
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import harness

LONGEST = 60  # seconds a test may take; each ends in a few unless something hangs
SOAK = Path(__file__).resolve().parents[1] / "soak"


def pytest_configure():
    missing = list(harness.missing_environment())
    if missing:
        raise pytest.UsageError("; ".join(missing) + "; `./run test` sets all of them")
    sys.path[:0] = [os.environ["GEN_PY"], str(SOAK)]
    harness.allow_many_descriptors()
    faulthandler.enable()


@pytest.fixture(autouse=True)
def time_limit():
    def too_long(_signal, _frame):
        raise TimeoutError(f"the test took more than {LONGEST} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST * (3 if harness.SANITIZED else 1))
    yield
    signal.alarm(0)


_figures = []


@pytest.fixture
def figure(request):
    """Takes down what a test has measured, to be printed at the end of the run."""
    return lambda text: _figures.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter):
    if _figures:
        terminalreporter.section("figures")
        for text in _figures:
            terminalreporter.write_line(text)


@pytest.fixture
def bench(tmp_path):
    bench = harness.Bench(tmp_path)
    yield bench
    bench.end()


@pytest.fixture
def directory():
    """One with a path short enough for a socket's name."""
    path = tempfile.mkdtemp(prefix="batchd-")
    yield Path(path)
    shutil.rmtree(path)


@pytest.fixture
def upstream(bench):
    return bench.upstream()


@pytest.fixture
def daemon(bench, upstream):
    return bench.daemon(upstream)


@pytest.fixture
def held(bench):
    """An upstream that answers when it is told to."""
    from scripted import Scripted, honest  # needs what pytest_configure() puts on the path
    let_go = threading.Event()

    def script(message):
        let_go.wait(harness.PATIENCE)
        return honest(message)

    upstream = Scripted(bench, script)
    upstream.let_go = let_go
    bench.on_end(let_go.set)
    return upstream
