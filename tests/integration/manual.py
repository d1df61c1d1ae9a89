"""Reads the manual pages' sources: mdoc(7), in the forms that these pages keep to."""

import re
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
MAN = HOME / "man"
DAEMON, INI, CTL = "thrift-batchd.8", "thrift-batchd.ini.5", "thrift-batchctl.1"
PAGES = (DAEMON, INI, CTL)  # which go together
DEMO = "thrift-batch-demo.1"


def source(page):
    return (MAN / page).read_text()


def part(page, title):
    """The lines of the section or subsection of that title, and of what is below it."""
    text = source(page)
    start = re.search(rf"^\.(S[hs]) {re.escape(title)}$", text, re.M)
    assert start, f"{page} has no part '{title}'"
    end = r"^\.S[hs] " if start[1] == "Ss" else r"^\.Sh "
    rest = text[start.end():]
    stop = re.search(end, rest, re.M)
    return rest[:stop.start()] if stop else rest


def subsections(page):
    return re.findall(r"^\.Ss (.*)$", source(page), re.M)


def items(text, macro):
    """name -> text of the list items `.It MACRO NAME ...`."""
    found = re.split(rf"^\.It {macro} (\S+).*\n", text, flags=re.M)
    names = found[1::2]
    assert len(names) == len(set(names)), f"twice: {sorted(names)}"
    return dict(zip(names, found[2::2]))


def first_words(item):
    """An item's text up to its first paragraph, as one line."""
    return " ".join(re.split(r"^\.(?:Pp|El|It)\b", item, flags=re.M)[0].split())


def displays(text):
    """The literal displays, without the macros around them."""
    return re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", text, re.M)
