"""The command line and the configuration file, as an operator meets them."""

import re
import subprocess

import pytest
from harness import CONF, program


def run(*arguments):
    return subprocess.run([program("BATCHD"), *map(str, arguments)], timeout=20, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)


def write(tmp_path, text):
    path = tmp_path / "bad.ini"
    path.write_text(text)
    return path


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"thrift-batchd \d+\.\d+\.\d+\n", done.stdout)


def test_help():
    done = run("--help")
    assert done.returncode == 0
    for word in ("--config", "--check", "--version", "--help", "Signals:", "Exit status:"):
        assert word in done.stdout


def test_the_shipped_configuration_is_good():
    done = run("--config", CONF, "--check")
    assert done.returncode == 0, done.stderr


def test_check_opens_no_socket(bench, upstream):
    """A running daemon's own configuration can be checked beside it."""
    daemon = bench.daemon(upstream)
    path = bench.config(upstream, daemon={"listen": daemon.address})
    assert run("--config", path, "--check").returncode == 0


@pytest.mark.parametrize("arguments", (["--no-such-option"], ["--config"], ["stray"], ["-x"]))
def test_unknown_options(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr


@pytest.mark.parametrize("check", ([], ["--check"]), ids=("start", "check"))
def test_a_missing_file(tmp_path, check):
    path = tmp_path / "missing.ini"
    done = run("--config", path, *check)
    assert done.returncode == 2
    assert str(path) in done.stderr


BAD = """\
[daemon]
listen = nowhere
workers = 0

[batch]
windw = 5ms
flush = sometimes
window = 5 parsecs

[upstream]
servers = 127.0.0.1:9091
connections = -1
connections = 4
transport = http

[unknown]
key = value
"""
# line: what the message about it names
BAD_LINES = {2: "listen", 3: "workers", 6: "windw", 7: "flush", 8: "window", 12: "connections",
             13: "connections", 14: "transport", 16: "unknown"}


@pytest.mark.parametrize("check", ([], ["--check"]), ids=("start", "check"))
def test_all_errors_at_once(tmp_path, check):
    """Each with file, line and key; status 2; and no socket opened."""
    path = write(tmp_path, BAD)
    done = run("--config", path, *check)
    assert done.returncode == 2
    for line, named in BAD_LINES.items():
        reports = re.findall(rf"^.*{re.escape(str(path))}:{line}\b.*$", done.stderr, re.M)
        assert reports, f"nothing about line {line} in:\n{done.stderr}"
        assert any(named in report for report in reports), reports


@pytest.mark.parametrize("text,named", (
    ("[daemon]\nworkers = 1\n", "servers"),
    ("[upstream]\nservers =\n", "servers"),
    ("[upstream]\nservers = 127.0.0.1:1\n[upstream]\nretries = 0\n", "upstream"),
    ("[upstream]\nservers = 127.0.0.1:1\n[batch]\nmax_calls = 0\n", "max_calls"),
    ("[upstream]\nservers = 127.0.0.1:1\nconnect_timeout = 0\n", "connect_timeout"),
    ("[upstream]\nservers = 127.0.0.1:1\n[client]\nmax_message_size = 16MB\n", "max_message_size"),
    ("[upstream]\nservers = 127.0.0.1:0\n", "servers"),
    ("[upstream]\nservers = 127.0.0.1:99999\n", "servers"),
    ("[upstream]\nservers = 127.0.0.1:1\n[method.x]\nbatch = maybe\n", "batch"),
    ("[upstream]\nservers = 127.0.0.1:1\n[method.x]\nbatch = native\n", "batch_method"),
    ("[upstream]\nservers = 127.0.0.1:1\n[method.x]\ndedupe = maybe\n", "dedupe"),
    ("servers = 127.0.0.1:1\n", "servers"),
    ("[upstream]\nservers = 127.0.0.1:1\nthis is no line\n", ":3"),
), ids=lambda value: re.sub(r"\W+", "-", value.splitlines()[-1]).strip("-"))
def test_one_error(tmp_path, text, named):
    path = write(tmp_path, text)
    done = run("--config", path, "--check")
    assert done.returncode == 2
    assert str(path) in done.stderr and named in done.stderr


@pytest.mark.parametrize("text", (
    "; a comment\n# another\n[upstream]\nservers = 127.0.0.1:1 ; behind a blank\n",
    "[upstream]\nservers = 127.0.0.1:1, localhost:2, [::1]:3, unix:/tmp/x.sock\n",
    "[upstream]\nservers=127.0.0.1:1\ntransport=buffered\nprotocol=compact\nretries=0\n",
    "[upstream]\nservers = a:1\n[batch]\nwindow = 250us\nmax_bytes = 64KiB\n",
    "[upstream]\nservers = a:1\n[daemon]\ndrain_timeout = 1min\nsocket_mode = 0600\n",
    "[upstream]\nservers = a:1\n[method.get*]\nbatch = off\n[method.*]\nidempotent = yes\n",
    "[upstream]\nservers = a:1\n[method.get]\nbatch = native\nbatch_method = getAll\n"
    "batch_item = 1\nbatch_requests = 1.1\nbatch_responses = 0.1\nbatch_response_item = value\n",
))
def test_good_files(tmp_path, text):
    path = write(tmp_path, text)
    done = run("--config", path, "--check")
    assert done.returncode == 0, done.stderr
