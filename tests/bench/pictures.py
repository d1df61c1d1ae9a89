"""The benchmark's pictures: throughput and latency over the number of clients, as SVG."""

import statistics

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot  # pylint: disable=wrong-import-position

from ledger import p50, p99, throughput  # pylint: disable=wrong-import-position

STYLES = {
    "daemon": ("tab:blue", "thrift-batchd"),
    "adaptive 500us": ("tab:blue", "adaptive, window 500 us"),
    "adaptive 2ms": ("tab:purple", "adaptive, window 2 ms"),
    "direct": ("black", "direct"), "haproxy": ("tab:orange", "HAProxy, TCP"),
    "nginx": ("tab:green", "nginx, stream"), "floor": ("tab:gray", "floor (no upstream)"),
    "window 100us": ("tab:orange", "window 100 us"), "window 500us": ("tab:green", "window 500 us"),
    "window 2ms": ("tab:red", "window 2 ms"),
}


def _curve(axes, name, of_loads, figure):
    """The median of the rounds as a line, from the lowest to the highest as a shade."""
    loads = sorted(of_loads)
    values = [[figure(result) for result in of_loads[load]] for load in loads]
    colour, label = STYLES[name]
    axes.plot(loads, [statistics.median(row) for row in values], marker="o", markersize=3,
              color=colour, label=label)
    axes.fill_between(loads, [min(row) for row in values], [max(row) for row in values],
                      color=colour, alpha=0.15, linewidth=0)


def _axes(axes, title, what, from_zero):
    axes.set_title(title, fontsize=10)
    axes.set_xscale("log")
    axes.set_xlabel("clients, one call under way each")
    axes.set_ylabel(what)
    if from_zero:
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
    axes.grid(True, which="major", alpha=0.3)


FIGURES = (("calls per second", throughput, True), ("p50 in us", p50, False),
           ("p99 in us", p99, False))


def _row_of_axes(row, title, curves):
    for axes, (what, figure, from_zero) in zip(row, FIGURES):
        for name, of_loads in curves.items():
            _curve(axes, name, of_loads, figure)
        _axes(axes, title, what, from_zero)
    row[0].legend(fontsize=8)


def _picture(path, rows):
    figure, axes = pyplot.subplots(len(rows), 3, figsize=(14, 4.2 * len(rows)), squeeze=False)
    for row, (title, curves) in zip(axes, rows.items()):
        _row_of_axes(row, title, curves)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
    return path.name


def draw(curves, directory):
    """The names of the pictures."""
    drawn = []
    if "load" in curves:
        drawn.append(_picture(directory / "load.svg", {
            "upstream costs nothing, 32 B; median, shade: min-max": curves["load"]}))
    flushes = {title: of_title for title, of_title in curves.items() if title != "load"}
    if flushes:
        drawn.append(_picture(directory / "flush.svg", flushes))
    return drawn
