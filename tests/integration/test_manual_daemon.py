"""What a running daemon shows is what thrift-batchd(8) documents: metrics, statistics, fb303."""

import inspect
import json
import re
import urllib.error
import urllib.request

import manual
import pytest
from clients import Thrift
from fb303 import FacebookService
from harness import refused_address
from talk import served
from thrift_batch_admin import AdminService


@pytest.fixture
def places(bench, upstream, directory):
    """The addresses of http and fb303 of a daemon that has something to show."""
    gone, nobody = refused_address()
    bench.on_end(gone.close)
    daemon = bench.daemon(upstream, nobody, admin={
        "http": "127.0.0.1:0", "fb303": f"unix:{directory}/fb303.sock"})
    served(bench.connect(daemon))
    return daemon.log.wait_for(r"http on (\S+)")[0][1], f"unix:{directory}/fb303.sock"


def fetch(address, path):
    with urllib.request.urlopen(f"http://{address}{path}") as answer:
        return answer.read().decode()


def quoted(text):
    return set(re.findall(r"^\.Ql (\S+)", text, re.M))


def test_every_path_is_in_the_manual(places):
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(places[0], "/elsewhere")
    listed = re.findall(r"^  (/\S*)$", refused.value.read().decode(), re.M)
    documented = manual.items(manual.part(manual.DAEMON, "HTTP"), "Pa")
    assert sorted(documented) == sorted(listed)


# --- metrics --------------------------------------------------------------------------------------

PREFIX = "thrift_batchd_"


def shown_metrics(text):
    """name -> (type, label -> values)."""
    types = dict(re.findall(rf"^# TYPE {PREFIX}(\w+) (\w+)$", text, re.M))
    found = {name: (kind, {}) for name, kind in types.items()}
    for series, labels in re.findall(rf"^{PREFIX}(\w+)(?:{{(.*)}})? \S+$", text, re.M):
        name = series if series in found else re.sub(r"_(bucket|sum|count)$", "", series)
        for label, value in re.findall(r'(\w+)="(.*?)"', labels):
            if label != "le":
                found[name][1].setdefault(label, set()).add(value)
    return found


def test_every_metric_is_in_the_manual(places):
    shown = shown_metrics(fetch(places[0], "/metrics"))
    documented = manual.items(manual.part(manual.DAEMON, "METRICS"), "Ic")
    assert set(documented) == set(shown)
    for name, text in documented.items():
        kind, labels = shown[name]
        names = f"; label{'s' * (len(labels) > 1)} {', '.join(labels)}" if labels else ""
        assert manual.first_words(text).startswith(f"{kind.capitalize()}{names}."), name
        for label in {"outcome", "reason", "state"} & set(labels):
            assert quoted(text) - {"other"} == labels[label], (name, label)


# --- statistics -----------------------------------------------------------------------------------

def test_every_member_of_the_statistics_is_in_the_manual(places):
    shown = json.loads(fetch(places[0], "/stats.json"))
    part = manual.part(manual.DAEMON, "STATISTICS AS JSON")
    documented = manual.items(part, "Ic")
    assert list(documented) == list(shown)
    metrics = manual.items(manual.part(manual.DAEMON, "METRICS"), "Ic")
    (histogram,) = manual.displays(part)
    for name, value in shown.items():
        if isinstance(value, dict) and "buckets" in value:
            assert list(value) == re.findall(r'"(\w+)":', histogram), name
            continue
        members = value[0] if isinstance(value, list) else value
        if isinstance(members, dict):
            other = re.search(r"\bsee\n\.Ic (\w+)", documented[name])
            known = quoted(documented[name]) | (quoted(metrics[other[1]]) if other else set())
            assert set(members) <= known, name
    setting = shown["config"]["sections"]["batch"]["window"]
    assert set(setting) <= quoted(documented["config"])
    assert set(shown["servers"][0]["failures"]) <= quoted(documented["servers"])


# --- fb303 ----------------------------------------------------------------------------------------

def methods_of(*services):
    return {name for service in services for name, _ in
            inspect.getmembers(service.Iface, inspect.isfunction)}


def test_every_fb303_method_is_in_the_manual():
    documented = manual.items(manual.part(manual.DAEMON, "FB303"), "Fn")
    assert set(documented) == methods_of(FacebookService, AdminService)


def test_every_live_option_is_in_the_manual(places):
    documented = manual.items(manual.part(manual.DAEMON, "FB303"), "Cm")
    with Thrift(places[1], service=AdminService) as client:
        assert set(documented) == set(client.getOptions())
