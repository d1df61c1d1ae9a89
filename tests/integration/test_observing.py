"""What an operator's Prometheus and Grafana are given: alert rules and a dashboard, over the
metrics that the daemon has."""

import json
import re
from pathlib import Path

import pytest
from scrape import ANY_PORT, Http, promtool

SOURCE = Path(__file__).resolve().parents[2]
ALERTS = SOURCE / "conf" / "prometheus-alerts.yml"
ALERT_TESTS = SOURCE / "tests" / "prometheus" / "alerts-test.yml"
DASHBOARD = SOURCE / "conf" / "grafana-dashboard.json"


def panels():
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions():
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


# --- alerts ---------------------------------------------------------------------------------------

def test_rules_are_valid():
    status, words = promtool("check", "rules", str(ALERTS))
    assert status == 0, words


def test_alerts_fire_when_they_should():
    status, words = promtool("test", "rules", str(ALERT_TESTS))
    assert status == 0, words


def test_every_alert_is_tested():
    alerts = re.findall(r"^ +- alert: (\S+)$", ALERTS.read_text(), re.M)
    fires = re.findall(r'labels: \'ALERTS\{alertname="(\w+)", alertstate="firing"',
                       ALERT_TESTS.read_text())
    assert alerts and sorted(alerts) == sorted(set(fires))


# --- the dashboard --------------------------------------------------------------------------------

def test_dashboard_can_be_imported():
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids)) > 10
    for panel in panels():
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["targets"] and panel["description"], panel["title"]
            assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
            refs = [target["refId"] for target in panel["targets"]]
            assert len(refs) == len(set(refs)), panel["title"]


def test_panels_do_not_overlap():
    taken = {}
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


def test_queries_are_valid(tmp_path):
    """As recording rules promtool reads them, with values for Grafana's variables."""
    rules = tmp_path / "queries.yml"
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, expression in enumerate(expressions()):
        query = expression.replace("$__rate_interval", "5m").replace("$job", ".*")
        lines += [f"      - record: query{number}",
                  f"        expr: {json.dumps(query.replace('$instance', '.*'))}"]
    rules.write_text("\n".join(lines) + "\n")
    status, words = promtool("check", "rules", str(rules))
    assert status == 0, words
    assert f"{len(expressions())} rules found" in words


# --- both -----------------------------------------------------------------------------------------

def texts():
    return {"alerts": ALERTS.read_text(), "dashboard": " ".join(expressions())}


@pytest.mark.parametrize("which", texts())
def test_metrics_exist(bench, upstream, which):
    """The names are those that the daemon has, with an ending where their type has one."""
    metrics = Http(bench.daemon(upstream, admin={"http": ANY_PORT})).metrics()
    exist = set(metrics.types)
    for name, kind in metrics.types.items():
        if kind == "histogram":
            exist |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    used = set(re.findall(r"thrift_batchd_(\w+)", texts()[which]))
    assert used and not used - exist


def test_dashboard_leaves_no_metric_out(bench, upstream):
    metrics = Http(bench.daemon(upstream, admin={"http": ANY_PORT})).metrics()
    used = set(re.findall(r"thrift_batchd_(\w+?)(?:_bucket|_sum|_count)?\b",
                          " ".join(expressions())))
    assert metrics.names() - used == {"state"}
