"""A short soak: every reply is checked while servers fail in every way (tests/soak)."""

import pytest
import soak as soaking
import wire
from soak import Soak

SECONDS = 4


@pytest.mark.parametrize("seed,workers", ((19, 1), (11, 2)))
def test_soak(bench, figure, seed, workers):
    soak = Soak(bench, seed, daemon={"workers": workers})
    soak.run(SECONDS, warm_up=0.5, longest_fault=0.3)
    figure(soak.summary())
    assert soak.good(), "\n".join([soak.summary(), *soak.report()])
    assert soak.oracle.counts["right"] > 500 and soak.faults > 3


def test_a_daemon_that_dies_is_seen(bench):
    soak = Soak(bench, 1)
    soak.daemon.kill()
    soak.daemon.expected_status = -9  # for the bench
    soak.run(0, warm_up=0)
    assert not soak.good()


def test_errors_without_a_fault_are_seen(bench):
    """So are messages of the daemon that a server cannot read."""
    soak = Soak(bench, 1)
    raw = bench.connect(soak.servers[0])
    raw.send(wire.frame(b"junk"))
    raw.until_closed()
    for server in soak.servers:
        server.do("whole_exception")
    soak.run(0, warm_up=0.2)
    assert not soak.good()
    for problem in ("errors without a fault", "Traceback"):
        assert any(problem in text for text in soak.report()), soak.report()


def test_growth_and_lasting_failure_are_seen(bench, monkeypatch):
    monkeypatch.setattr(soaking, "GROWTH", -(1 << 40))
    monkeypatch.setattr(soaking, "REST", 0.1)
    monkeypatch.setattr(soaking, "RECOVERY", 0)
    soak = Soak(bench, 1)
    bench.connect(soak.daemon)
    soak.run(0.01, warm_up=0, longest_fault=0.1)
    assert not soak.good()
    for problem in ("not served again", "descriptors have grown", "memory has grown"):
        assert any(problem in text for text in soak.report()), soak.report()
