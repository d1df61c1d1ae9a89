"""The include graph of src/: base <- wire <- batch <- net <- admin <- daemon, and who may include what."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
LAYERS = ("base", "wire", "batch", "net", "admin", "daemon")

# Libraries and the layers that know them. Everything else is the C library or GLib.
LIBRARIES = {
    r"event2?[/.]": ("net", "admin", "daemon"),
    r"event2/http": ("admin",),
    r"json-glib/": ("admin",),
    r"ini\.h": ("daemon",),
    r"systemd/": ("daemon",),
}
# Files that may include thrift c_glib's headers or code that the Thrift compiler generated.
THRIFT_FILES = ("admin/c-glib.h",)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def sources():
    return sorted([*SOURCE.rglob("*.c"), *SOURCE.rglob("*.h")])


def includes(path):
    """(kind, name) of every include of the file; kind is < or a quote."""
    return INCLUDE.findall(path.read_text())


def layer_of(path):
    return path.relative_to(SOURCE).parts[0]


def test_there_are_sources():
    assert {layer_of(path) for path in sources() if path.parent != SOURCE} >= set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_layer(layer):
    """A layer includes itself and those to its left, by names that show the layer."""
    allowed = LAYERS[:LAYERS.index(layer) + 1]
    wrong = [f"{path.relative_to(SOURCE)} includes \"{name}\""
             for path in sources() if layer_of(path) == layer
             for kind, name in includes(path)
             if kind == '"' and name.split("/")[0] not in allowed]
    assert not wrong


def test_every_own_header_exists():
    wrong = [f"{path.relative_to(SOURCE)} includes \"{name}\"" for path in sources()
             for kind, name in includes(path) if kind == '"' and not (SOURCE / name).is_file()]
    assert not wrong


@pytest.mark.parametrize("library", LIBRARIES)
def test_library(library):
    wrong = [f"{path.relative_to(SOURCE)} includes <{name}>" for path in sources()
             for kind, name in includes(path)
             if kind == "<" and re.match(library, name)
             and layer_of(path) not in LIBRARIES[library]]
    assert not wrong


def test_thrift_headers():
    wrong = [f"{path.relative_to(SOURCE)} includes <{name}>" for path in sources()
             for _, name in includes(path)
             if re.match(r"thrift/|thrift_batch_|fb303|demo_", name)
             and str(path.relative_to(SOURCE)) not in THRIFT_FILES]
    assert not wrong


def test_lower_layers_do_no_input_or_output():
    """base, wire and batch neither read a clock nor touch a socket."""
    banned = r"sys/(socket|epoll|timerfd|un)\.h|netinet/|arpa/|poll\.h|fcntl\.h|unistd\.h|time\.h"
    wrong = [f"{path.relative_to(SOURCE)} includes <{name}>" for path in sources()
             for _, name in includes(path)
             if layer_of(path) in ("base", "wire", "batch") and re.match(banned, name)]
    assert not wrong
