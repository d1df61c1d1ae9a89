"""The status page in a real browser, with a real daemon and real traffic behind it."""

import json
import re
import signal
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Keys

import admin
import talk
import wire
from browser import Browser
from harness import PATIENCE, crowd, eventually, refused_address

OUTCOMES = ("ok", "exception", "error", "timeout", "withdrawn")
REASONS = {
    "A connection was free": "slot", "Full: max_calls": "full_calls",
    "Full: max_bytes": "full_bytes", "Window had passed": "window",
    "Nobody left to wait for": "nobody_left",
}
HISTOGRAMS = ("batch_calls", "batch_wait_seconds", "call_seconds", "upstream_seconds")
HOSTILE = ("<img src=x onerror=\"window.ran=1\">", "</script><script>window.ran=1</script>",
           "&lt;b&gt;", "__proto__", "größe\n", "long" * 60)


@pytest.fixture(scope="module", name="browser")
def the_browser():
    browser = Browser()
    yield browser
    browser.quit()


@pytest.fixture(name="keep_picture")
def picture_keeper(request, browser, tmp_path):
    """Keeps a picture of the page beside the results of the run."""
    results = request.config.option.xmlpath
    directory = Path(results).parent if results else tmp_path

    def keep(name):
        browser.picture(directory / f"status-page-{name}.png")
    return keep


def observed(bench, *upstreams, **sections):
    """A daemon whose status page is at `.http`, also after it was started again."""
    place, http = refused_address()
    bench.on_end(place.close)
    sections["admin"] = {"http": http} | sections.get("admin", {})
    daemon = bench.daemon(*upstreams, **sections)
    daemon.http = http
    return daemon


@pytest.fixture(name="daemon")
def observed_daemon(bench, upstream):
    return observed(bench, upstream)


def stats_of(daemon):
    with urllib.request.urlopen(f"http://{daemon.http}/stats.json", timeout=PATIENCE) as answer:
        return json.load(answer)


def call(bench, daemon, name, count=1):
    """Calls of a method with that name, whatever the server says to them."""
    raw = bench.connect(daemon)
    for seqid in range(count):
        talk.send(raw, wire.call(name, seqid, (1, wire.STRING, b"token")))
        talk.receive(raw)
    raw.close()


def figure(browser, ident):
    """A count that is shown."""
    return int(browser.text(ident).replace(",", ""))


def ended(stats):
    return sum(stats["calls"].values())


def shows_ended(browser, count):
    eventually(lambda: browser.text("calls-total") == f"{count:,}", pause=0.1)


def seconds(text):
    """Of a latency that is shown; three digits of it."""
    value, unit = text.split(" ")
    return float(value.replace(",", "")) * {"µs": 1e-6, "ms": 1e-3, "s": 1}[unit]


# --- what is shown --------------------------------------------------------------------------------

def counts_shown(browser):
    """All counts that stand on the page, by what they are called in /stats.json."""
    shares = browser.run("""
        return Object.fromEntries([...document.querySelectorAll('.shares li')].map((line) =>
            ['.label', '.count'].map((part) => line.querySelector(part).innerText)));""")
    counts = {label: int(count.replace(",", "")) for label, count in shares.items()}
    return {
        "ended": figure(browser, "calls-total"), "failed": figure(browser, "calls-failed"),
        "calls_saved": figure(browser, "saved-total"),
        "batches": {key: counts[label] for label, key in REASONS.items()},
        "n_batches": figure(browser, "batches-total"), "largest": figure(browser, "batch-max"),
        "batched": counts["In a batch"], "plain_calls": counts["Plain"],
        "passthrough_calls": counts["Passed through"] + counts["Fallback"],
        "fallback_calls": counts["Fallback"],
        "retries": figure(browser, "retries"), "deduped_calls": figure(browser, "deduped"),
        "transcoded_calls": figure(browser, "transcoded"),
        "clients_total": figure(browser, "clients-total"),
        "client_errors": figure(browser, "client-errors-total"),
        "methods": {name: [int(text.replace(",", "")) for text in texts[1:]]
                    for name, texts in browser.rows("methods").items()},
        "servers": {name: texts[:3] for name, texts in browser.rows("servers").items()},
        "meters": browser.run("""
            return [...document.querySelectorAll('[role=meter]')].map((meter) =>
                [Number(meter.ariaValueNow), Number(meter.ariaValueMax)]);"""),
    }


def counts_of(stats):
    """The same, of /stats.json."""
    return {
        "ended": ended(stats), "failed": stats["calls"]["error"] + stats["calls"]["timeout"],
        "n_batches": stats["batch_calls"]["count"], "largest": stats["batch_calls"]["max"],
        "batched": stats["batch_calls"]["sum"],
        **{key: stats[key] for key in (
            "calls_saved", "batches", "plain_calls", "passthrough_calls", "fallback_calls",
            "retries", "deduped_calls", "transcoded_calls", "clients_total")},
        "client_errors": sum(stats["client_errors"].values()),
        "methods": {method["name"]: [method[outcome] for outcome in OUTCOMES]
                    for method in stats["methods"]},
        "servers": {server["name"]: [server["state"], server["batching"], str(server["inflight"])]
                    for server in stats["servers"]},
        "meters": [[stats[key], stats["limits"][f"max_{key}"]]
                   for key in ("clients", "pending_calls", "pending_bytes")],
    }


def varied_traffic(bench, daemon):
    """Batches, plain calls, exceptions, errors, a dropped client: something of most figures."""
    crowd(daemon, 20, 4000)
    crowd(daemon, 5, 500, "--protocol", "compact")
    call(bench, daemon, "echo", 30)
    call(bench, daemon, "nonsense", 7)
    call(bench, daemon, "unbatched", 4)
    raw = bench.connect(daemon)
    raw.send(b"GET / HTTP/1.0\r\n\r\n")
    raw.until_closed()


def test_figures_equal_those_of_stats_json(bench, browser, upstream):
    """Once nothing happens any more, everything that was counted stands on the page."""
    daemon = observed(bench, upstream, method={"unbatched": {"batch": "off"}})
    browser.show(daemon.http)
    shows_ended(browser, 0)
    varied_traffic(bench, daemon)

    stats = stats_of(daemon)
    assert stats["calls"]["ok"] >= 4530 and stats["client_errors"]["not_thrift"] == 1
    shows_ended(browser, ended(stats))
    eventually(lambda: figure(browser, "clients-total") == stats["clients_total"], pause=0.1)
    eventually(lambda: counts_of(stats_of(daemon))["meters"][0][0] == 0)
    eventually(lambda: counts_shown(browser)["meters"][0][0] == 0, pause=0.1)
    assert counts_shown(browser) == counts_of(stats_of(daemon))
    for name, key in (("wait", "batch_wait_seconds"), ("call", "call_seconds")):
        for percent in ("p50", "p99"):
            shown = browser.text(f"{name}-{percent}-total")
            if stats[key][percent] < 1e-6:
                assert shown == "< 1 µs"
            else:
                assert seconds(shown) == pytest.approx(stats[key][percent], rel=0.006)
    assert browser.text("version") == stats["version"]
    assert browser.text("workers") == str(stats["workers"])
    assert browser.text("state") == "running"
    assert not browser.complaints()


def test_the_last_minute_is_all_that_has_happened_in_it(bench, browser, daemon):
    """The page has seen the daemon before the first call, so the figures of the last minute have to
    be those since the start."""
    browser.show(daemon.http)
    shows_ended(browser, 0)
    crowd(daemon, 10, 2000)
    call(bench, daemon, "echo", 50)
    shows_ended(browser, 2050)
    stats = stats_of(daemon)

    assert browser.text("saved-share") == browser.text("saved-share-total") != "–"
    assert browser.text("batch-mean") == browser.text("batch-mean-total") != "–"
    shares = browser.run("""
        return Object.fromEntries([...document.querySelectorAll('#reasons li')].map((line) =>
            ['.label', '.share'].map((part) => line.querySelector(part).innerText)));""")
    n_batches = sum(stats["batches"].values())
    for label, key in REASONS.items():
        expected = stats["batches"][key] / n_batches * 100
        shown = float(re.sub("[<> %]", "", shares[label]))
        assert shown == pytest.approx(expected, abs=0.11), label

    expected = {}
    for size, count in stats["batch_calls"]["buckets"]:
        column = max(0, (size - 1).bit_length())
        expected[column] = expected.get(column, 0) + count
    bars = browser.run("""
        return [...document.querySelectorAll('#sizes .bars')].map((bars) =>
            [...bars.children].map((bar) => parseFloat(bar.style.height)));""")
    highest = max(expected.values())
    for column, (recent, total) in enumerate(bars):
        assert recent == total == pytest.approx(100 * expected.get(column, 0) / highest, abs=0.1)


def test_rates_add_up_to_the_calls(browser, daemon):
    """Under load: the area below the chart's line is the number of calls that were counted, and the
    headline is their rate during the last seconds."""
    browser.show(daemon.http)
    shows_ended(browser, 0)
    load = threading.Thread(target=crowd, args=(daemon, 5, 10**8, "--seconds", "3"))
    load.start()
    eventually(lambda: len(browser.run("return past.points")) >= 4, pause=0.1)
    load.join(PATIENCE)
    total = ended(stats_of(daemon))
    shows_ended(browser, total)

    points, first, headline, answers = browser.run("""
        return [past.points, past.answers[0].time, document.getElementById('calls-rate').innerText,
                past.answers.map((answer) => [answer.time, outcomesOf(answer.calls)])];""")
    times = [first, *(point["time"] for point in points)]
    area = sum(point["calls"] * (end - begin)
               for point, begin, end in zip(points, times, times[1:]))
    assert area == pytest.approx(total, rel=1e-6)
    assert max(point["messages"] for point in points) > 0
    end, after = answers[-1]
    begin, before = next(answer for answer in answers if answer[0] >= end - 5.5)
    rate = (after - before) / (end - begin)
    assert float(headline.replace(",", "")) == pytest.approx(rate, rel=0.006)
    eventually(lambda: browser.text("calls-rate") == "0", pause=0.1)


def test_percentiles_are_the_daemons(browser, daemon):
    """The page and the daemon make the same percentiles of the same buckets."""
    crowd(daemon, 20, 2000)
    stats = stats_of(daemon)
    browser.show(daemon.http)
    for name in HISTOGRAMS:
        made = browser.run("return [percentile(arguments[0], 0.5), percentile(arguments[0], 0.99)]",
                           stats[name])
        assert made == [stats[name]["p50"], stats[name]["p99"]], name


def test_configuration_and_events(browser, daemon):
    daemon.log.wait_for("serves executeBatch")  # the last event for now
    browser.show(daemon.http)
    shows_ended(browser, 0)
    stats = stats_of(daemon)
    assert browser.text("config-path") == str(daemon.config)
    shown = browser.run("""
        const settings = (section) => [...section.querySelectorAll('dl div')].map(
            ({ children: [key, value] }) => [key.textContent, [value.textContent, value.className]]);
        return Object.fromEntries([...document.querySelectorAll('#config section')].map(
            (section) => [section.firstChild.textContent, Object.fromEntries(settings(section))]));""")
    assert shown == {
        f"[{section}]": {
            key: [value["value"], "given" if value["given"] else "default"]
            for key, value in settings.items()}
        for section, settings in stats["config"]["sections"].items()}
    assert shown["[upstream]"]["servers"][1] == "given"
    assert shown["[batch]"]["window"] == ["500us", "default"]

    events = browser.run("""
        return [...document.querySelectorAll('#events li')].map(({ children: [time, ...texts] }) =>
            [new Date(time.dateTime).getTime(), ...texts.map((text) => text.innerText)]);""")
    latest_first = sorted(stats["events"], key=lambda event: event["time"], reverse=True)
    assert [event[1:] for event in events] == [[event["level"], event["text"]]
                                               for event in latest_first]
    assert events[0][0] == pytest.approx(latest_first[0]["time"] * 1000, abs=1.1)


TEXTS = {
    "latencyText(null)": "–", "latencyText(0)": "< 1 µs", "latencyText(6.55e-5)": "65.5 µs",
    "latencyText(9.996e-4)": "1.00 ms", "latencyText(1.5)": "1.50 s",
    "latencyText(123456)": "123,456 s", "rateText(0)": "0", "rateText(0.5)": "0.50",
    "rateText(12345.6)": "12,346", "percentText(0)": "0 %", "percentText(0.0001)": "< 0.1 %",
    "percentText(0.99999)": "> 99.9 %", "percentText(1)": "100 %", "percentText(0.927)": "92.7 %",
    "bytesText(0)": "0 B", "bytesText(268435456)": "256 MiB", "bytesText(1500)": "1.46 KiB",
    "lastingText(93784)": "1 d 2 h", "lastingText(0)": "0 s", "lastingText(3605)": "1 h",
    "lastingText(61)": "1 min 1 s",
}


def test_texts(browser, daemon):
    browser.show(daemon.http)
    assert {script: browser.run(f"return {script}") for script in TEXTS} == TEXTS


# --- where it may reach ---------------------------------------------------------------------------

def test_nothing_is_asked_for_elsewhere(browser, daemon):
    browser.show(daemon.http)
    call_for = [f"http://{daemon.http}/", f"http://{daemon.http}/stats.json"]
    asked = []
    eventually(lambda: asked.extend(browser.requests()) or asked.count(call_for[1]) >= 3, pause=0.1)
    assert {address for address in asked if not address.startswith("data:")} == set(call_for)
    assert not browser.complaints()


def test_no_other_script_runs(browser, daemon):
    """The policy with which the page is served is in force."""
    browser.show(daemon.http)
    shows_ended(browser, 0)
    ran = browser.run("""
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
        return window.ran ?? false;""")
    assert not ran
    assert any("Content Security Policy" in text for text in browser.complaints())


def test_hostile_names_are_text(bench, browser, daemon, keep_picture):
    for name in HOSTILE:
        call(bench, daemon, name, 2)
    browser.show(daemon.http, width=360)
    shows_ended(browser, 2 * len(HOSTILE))
    names = browser.run("""
        return [...document.querySelectorAll('#methods .name')].map((name) => name.textContent);""")
    assert sorted(names) == sorted(HOSTILE)
    assert browser.run("return [document.querySelectorAll('main img, main script').length, "
                       "window.ran ?? 0]") == [0, 0]
    assert not browser.run(TOO_WIDE)
    assert not browser.complaints()
    keep_picture("hostile-names")


# --- how it looks ---------------------------------------------------------------------------------

# Texts whose contrast to what is behind them is less than WCAG's AA asks for.
LOW_CONTRAST = """
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => {
        const [r, g, b] = channels(color).map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if ((channels(color)[3] ?? 1) > 0) return color;
        }
        return 'rgb(255, 255, 255)';
    };
    const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const low = [];
    let seen = 0;
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        const text = texts.currentNode.textContent.trim();
        if (!text || !element.checkVisibility() || element.tagName === 'SCRIPT') continue;
        seen += 1;
        const ratio = contrast(light(getComputedStyle(element).color), light(behind(element)));
        if (ratio < 4.5) low.push([text, ratio]);
    }
    return [seen, low];"""

# What reaches beyond the right edge of the window.
TOO_WIDE = """
    return [...document.querySelectorAll('body *')]
        .filter((element) => !element.closest('svg, thead, noscript')
            && element.getBoundingClientRect().right > innerWidth + 0.5)
        .map((element) => element.outerHTML.slice(0, 80));"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 360])
def test_looks(bench, browser, upstream, scheme, width, keep_picture):
    """Readable in both schemes and at every width, with traffic, a server that is out, and every
    part open."""
    place, nobody = refused_address()
    bench.on_end(place.close)
    daemon = observed(bench, upstream, nobody)
    browser.show(daemon.http, width=width, scheme=scheme)
    shows_ended(browser, 0)
    crowd(daemon, 40, 20000)
    call(bench, daemon, "nonsense", 3)
    shows_ended(browser, 20003)
    eventually(lambda: browser.rows("servers")[nobody][0] == "out", pause=0.1)
    keep_picture(f"{scheme}-{width}")

    browser.run("document.querySelector('details').open = true")
    seen, low = browser.run(LOW_CONTRAST)
    assert seen > 100 and not low
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    darkest = max(int(channel) for channel in re.findall(r"\d+", background))
    assert (darkest < 64) == (scheme == "dark"), background
    assert browser.run("return document.scrollingElement.scrollWidth") <= width
    assert not browser.run(TOO_WIDE)
    assert not browser.complaints()


def test_keyboard(browser, daemon):
    """All that can be used is reached by the keyboard, and charts tell their moments by it."""
    crowd(daemon, 5, 100)
    browser.show(daemon.http)
    eventually(lambda: len(browser.run("return past.points")) >= 2, pause=0.1)
    reached = []
    for _ in range(12):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        reached.append(browser.run("""
            const { activeElement: active } = document;
            return active.closest('[data-name]')?.dataset.name || active.id || active.tagName;"""))
        if reached[-1] == "Calls a second":
            ActionChains(browser.driver).send_keys(Keys.ARROW_LEFT).perform()
            moment = browser.run("return document.querySelector('.moment').textContent")
            assert re.fullmatch(r"\d\d:\d\d:\d\d", moment)
        if reached[-1] == "SUMMARY":
            ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    assert {"Calls a second", "Added latency", "Call latency", "events", "SUMMARY", "A"} \
        <= set(reached)
    assert browser.run("return document.querySelector('details').open")
    assert browser.run("return document.querySelector('.moment').textContent") == ""


# --- while the daemon is not as usual -------------------------------------------------------------

def test_restart(bench, browser, upstream):
    """The daemon ends under the page and comes back: the page says so, and starts anew."""
    daemon = observed(bench, upstream)
    browser.show(daemon.http)
    shows_ended(browser, 0)
    crowd(daemon, 5, 500)
    shows_ended(browser, 500)

    daemon.end()
    eventually(lambda: browser.text("state") == "unreachable", pause=0.1)
    assert re.fullmatch(r"Not reachable since \d\d:\d\d:\d\d; trying again\.",
                        browser.text("banner"))
    assert browser.text("calls-total") == "500"  # the last that is known
    assert all("ERR_CONNECTION_REFUSED" in text for text in browser.complaints())

    again = bench.daemon_with(daemon.config)
    eventually(lambda: browser.text("state") == "running", pause=0.1)
    assert "was restarted at" in browser.text("banner")
    call(bench, again, "echo", 3)
    shows_ended(browser, 3)
    eventually(lambda: browser.run("return past.points.at(-1) !== null"), pause=0.1)
    points = browser.run("return past.points")
    assert None in points
    assert all(point["calls"] >= 0 and point["messages"] >= 0 for point in points if point)


def test_hanging_daemon(browser, daemon):
    """No answer is waited for for ever, and no rate is made across the time without."""
    browser.show(daemon.http)
    eventually(lambda: len(browser.run("return past.points")) >= 2, pause=0.1)
    with daemon.frozen():
        eventually(lambda: browser.text("state") == "unreachable", pause=0.1)
        assert "(it does not answer); trying again" in browser.text("banner")
    eventually(lambda: browser.text("state") == "running", pause=0.1)
    assert browser.text("banner") == ""
    eventually(lambda: browser.run("return past.points.at(-1) !== null"), pause=0.1)
    assert browser.run("return past.points.indexOf(null)") >= 2


def test_drain(bench, browser, held):
    """While the daemon finishes its last calls the page says that it does."""
    daemon = observed(bench, held, daemon={"drain_timeout": "60s"})
    raw = bench.connect(daemon)
    talk.send(raw, wire.echo(b"token"))
    eventually(lambda: held.received)
    browser.show(daemon.http)
    eventually(lambda: browser.text("state") == "running", pause=0.1)
    daemon.signal(signal.SIGTERM)
    eventually(lambda: browser.text("state") == "draining", pause=0.1)
    assert browser.text("banner").startswith("Draining")
    assert browser.run("return document.querySelectorAll('[role=meter]')[1].ariaValueNow") == "1"
    held.let_go.set()
    assert talk.receive(raw).value(0) == b"token"


def test_pause_and_live_options(bench, browser, upstream, directory):
    """What an operator changes shows with the next answer."""
    fb303 = admin.at_socket(directory)
    daemon = observed(bench, upstream, admin={"fb303": fb303})
    daemon.admin_address = fb303
    browser.show(daemon.http)
    eventually(lambda: browser.text("state") == "running", pause=0.1)
    with admin.admin(daemon) as client:
        client.pause()
        client.setOption("window", "7ms")
        eventually(lambda: browser.text("state") == "paused", pause=0.1)
        assert browser.text("banner").startswith("Paused")
        live = browser.run("""
            return [...document.querySelectorAll('#config dd.live')].map((value) =>
                [value.previousElementSibling.textContent, value.textContent]);""")
        assert live == [["window", "7ms live"]]
        client.resume()
    eventually(lambda: browser.text("state") == "running", pause=0.1)
    assert browser.text("banner") == ""


def test_no_server(bench, browser):
    place, nobody = refused_address()
    bench.on_end(place.close)
    daemon = observed(bench, nobody)
    browser.show(daemon.http)
    eventually(lambda: browser.text("state") == "not ready", pause=0.1)
    assert browser.text("banner") == "Not ready: no server is up."
    assert browser.text("servers-up") == "0 of 1"
    eventually(lambda: "connect" in browser.rows("servers")[nobody][3], pause=0.1)


def test_hidden_page_asks_for_nothing(browser, daemon):
    """Behind another tab it is silent; back in view it goes on at once, with a gap."""
    browser.show(daemon.http)
    eventually(lambda: len(browser.run("return past.points")) >= 2, pause=0.1)
    tab = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    browser.requests()
    time.sleep(4)
    browser.driver.close()
    browser.driver.switch_to.window(tab)
    asked = [address for address in browser.requests() if address.endswith("stats.json")]
    assert len(asked) <= 2  # one as it was hidden, one as it is shown
    eventually(lambda: browser.run("return past.points.indexOf(null)") >= 2, pause=0.1)
    eventually(lambda: browser.run("return past.points.at(-1) !== null"), pause=0.1)


# (time, started, ended calls) of each answer; how often it is taken for a restart; what the points
# then have of calls a second, None for a gap.
HISTORIES = [
    ([(10, 1, 0), (11, 1, 5), (13, 1, 9)], 0, [5, 2]),
    ([(10, 1, 0), (11, 1, 5), (12, 11.5, 7), (13, 11.5, 9)], 1, [5, None, 2]),  # another start
    ([(10, 1, 9), (11, 1, 9), (12, 1, 2), (13, 1, 3)], 1, [0, None, 1]),  # counters fell
    ([(10, 1, 0), (11, 1, 5), (111, 1, 900), (112, 1, 901)], 0, [5, None, 1]),  # long unseen
    ([(50, 1, 0), (51, 1, 5), (20, 1, 6), (21, 1, 8)], 0, [2]),  # its clock was set back
    ([(10, 1, 0), (10, 1, 0), (11, 1, 4)], 0, [4]),  # the same twice
]


def test_history(browser, daemon):
    browser.show(daemon.http)
    stats = stats_of(daemon)
    for answers, restarts, points in HISTORIES:
        made = browser.run("""
            const [stats, answers] = arguments;
            const history = new DaemonHistory();
            const restarts = answers.filter(([time, started, ok]) => history.add(
                { ...stats, time, started, calls: { ...stats.calls, ok } }));
            return [restarts.length, history.points.map((point) => point && point.calls)];""",
                           stats, answers)
        assert made == [restarts, points], answers


def test_later_buckets(browser, daemon):
    """A point's percentiles are those of what came between its two answers, not of everything."""
    browser.show(daemon.http)
    first = stats_of(daemon) | {"time": 10}
    first["batch_wait_seconds"] = {"count": 103, "sum": 1, "max": 2, "p50": 0.001, "p99": 0.001,
                                   "buckets": [[0.001, 100], [0.5, 3]]}
    second = first | {"time": 11}
    second["batch_wait_seconds"] = {"count": 107, "sum": 9, "max": 2, "p50": 0.001, "p99": 2,
                                    "buckets": [[0.001, 100], [0.5, 6], [2.5, 1]]}
    point = browser.run("""
        const history = new DaemonHistory();
        for (const stats of arguments) history.add(stats);
        return history.points[0];""", first, second)
    assert (point["waitP50"], point["waitP99"]) == (0.5, 2)
    assert (point["callP50"], point["callP99"]) == (None, None)  # no call has ended in between
