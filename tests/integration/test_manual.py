"""The manual pages and the shipped configuration say what the code does: no key, option or name is
missing, none is made up, and defaults and limits are the same."""

import configparser
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import manual
import pytest
from harness import CONF, program

EXAMPLES = manual.HOME / "conf" / "examples"
PAGES = [manual.MAN / page for page in (*manual.PAGES, manual.DEMO)]


# --- the pages themselves -------------------------------------------------------------------------

@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_is_sound(page):
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", page], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_fits_a_terminal(page):
    """As Debian's man shows it, in 80 columns."""
    done = subprocess.run(["groff", "-mandoc", "-ww", "-Tutf8", "-P-c", "-rLL=78n", page],
                          check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    plain = re.sub(r".\b", "", done.stdout)
    assert done.stderr == ""
    assert [line for line in plain.splitlines() if len(line) > 80] == []


def test_every_page_is_here():
    assert {path.name for path in manual.MAN.glob("*.[1-8]")} == {path.name for path in PAGES}


def test_the_pages_refer_to_each_other():
    for page in manual.PAGES:
        name, number = page.rsplit(".", 1)
        for other in set(manual.PAGES) - {page}:
            assert f".Xr {name} {number}" in manual.source(other), f"{other} does not name {page}"


# --- command lines --------------------------------------------------------------------------------

def options_of(help_text):
    """Option -> its short form and its argument, by what --help says."""
    found = re.findall(r"^ +(?:-(\w), )?--([\w-]+)(?:=(\w+))?", help_text, re.M)
    return {name: (short, argument) for short, name, argument in found}


def documented_options(page):
    found = re.findall(r"^\.It Fl -([\w-]+)(?: , (\w))?(?: Ar (\w+))?$", manual.source(page), re.M)
    return {name: (short, argument) for name, short, argument in found}


def help_of(name):
    return subprocess.run([program(name), "--help"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


@pytest.mark.parametrize("name,page", (("BATCHD", manual.DAEMON), ("BATCHCTL", manual.CTL),
                                       ("BATCH_DEMO", manual.DEMO)))
def test_every_option_is_in_the_manual(name, page):
    assert documented_options(page) == options_of(help_of(name))


def test_signals_and_exit_statuses_are_in_the_manual():
    text = help_of("BATCHD")
    signals = re.findall(r"^  ([A-Z][A-Z, ]*?)(?: again)?  ", text.partition("Signals:")[2], re.M)
    documented = manual.items(manual.part(manual.DAEMON, "SIGNALS"), "Dv")
    assert {f"SIG{name}" for names in signals for name in names.split(", ")} == \
        set(documented) - {"SIGPIPE"}
    statuses = re.findall(r"^  (\d)  ", text.partition("Exit status:")[2], re.M)
    assert statuses == re.findall(r"^\.It (\d)$", manual.part(manual.DAEMON, "EXIT STATUS"), re.M)


def control_commands():
    """Command -> its arguments, by what thrift-batchctl --help says."""
    listed = help_of("BATCHCTL").partition("Commands:\n")[2].partition("\n\n")[0]
    return dict(re.findall(r"^  ([a-z]+) ?(\S.*?)?  ", listed, re.M))


def test_every_command_is_in_the_manual():
    found = re.findall(r"^\.It Cm ([a-z]+) ?(.*)$", manual.part(manual.CTL, "DESCRIPTION"), re.M)
    documented = {name: re.sub(r"Op Ar (\w+)", r"[\1]", usage).replace("Ar ", "")
                  for name, usage in found}
    assert documented == control_commands()


# --- what else is named ---------------------------------------------------------------------------

def test_every_unit_is_in_the_manual():
    named = re.findall(r"^\.It Pa (thrift-batchd.*)$", manual.part(manual.DAEMON, "SYSTEMD"), re.M)
    units = {name.replace(" Ns Ar INSTANCE Ns Pa ", "") for name in named}
    assert units == {path.name for path in Path(os.environ["UNITS_DIR"]).glob("*.s*")
                     if path.is_file()}


def installed():
    """Where meson puts files, by their places below the prefix."""
    build = Path(program("BATCHD")).parents[2]
    plan = subprocess.run(["meson", "introspect", "--installed", build], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return json.loads(plan).values()


@pytest.mark.parametrize("page", manual.PAGES)
def test_every_file_that_is_named_is_installed(page):
    files = re.findall(r"^\.It Pa (?:/usr)?(/\S+)$", manual.part(page, "FILES"), re.M)
    places = list(installed())
    missing = [name for name in files if not name.startswith("/run/")
               and not any(name in place for place in places)]
    assert files and missing == []


def test_the_manual_shows_the_batch_service():
    idl = (manual.HOME / "idl" / "batch.thrift").read_text()
    idl = re.sub(r"/\*.*?\*/", "", idl[idl.index("struct Request"):], flags=re.S)
    (shown,) = manual.displays(manual.part(manual.DAEMON, "THE SERVER'S PART"))
    assert re.findall(r"\w+|[^\w\s]", shown) == re.findall(r"\w+|[^\w\s]", idl)


# --- configuration keys ---------------------------------------------------------------------------

@dataclass
class Key:
    section: str
    name: str
    kind: str
    need: str
    default: str
    least: str
    most: str
    zero: str
    restart: str

    def __str__(self):
        return f"[{self.section}] {self.name}"


def keys():
    lines = subprocess.run([program("CONFIG_TABLE")], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    return [Key(*line.split("\t")) for line in lines]


KINDS = {
    "duration": "A duration", "size": "A size", "number": "A number",
    "mode": "An octal mode, 0000 to 0777", "yes or no": "yes or no", "name": "A name",
    "method": "A method name", "address": "An address", "addresses": "A list of addresses",
    "item": "A field id, or arguments", "path": "A field path",
}
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
         "us": 1000, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
NEEDS = {"required": "Required.", "native required": "Required with batch = native."}


def number(text):
    """What `16MiB` or `5s` are in bytes or nanoseconds."""
    digits, unit = re.fullmatch(r"(\d+)(\w*)", text).groups()
    return int(digits) * UNITS[unit]


def documented(key, text):
    """What is wrong with the words of the page about this key, or None."""
    form, _, rest = text.partition(".")
    if key.kind == "choice":
        if form != "One of " + ", ".join(key.least.split()):
            return "the choices"
    elif key.most:
        found = re.fullmatch(KINDS[key.kind] + r", (\w+) to (\w+)(, or 0)?", form)
        if not found:
            return "the form"
        if (number(found[1]), number(found[2])) != (int(key.least), int(key.most)):
            return "the range"
        if bool(found[3]) != bool(key.zero):
            return "zero"
    elif form != KINDS[key.kind]:
        return "the form"
    default = f"Default: {key.default}." if key.default else "Not set by default."
    native = "Only with batch = native. " if key.need == "native optional" else ""
    if rest.strip() != NEEDS.get(key.need, native + default):
        return "the default"
    return None


def page_items():
    """(section, key) -> what the page says of it."""
    found = {}
    for title in manual.subsections(manual.INI):
        if section := re.fullmatch(r"\[(\w+)(\.NAME)?\]", title):
            name = section[1] + ("." if section[2] else "")
            for key, text in manual.items(manual.part(manual.INI, title), "Ic").items():
                found[name, key] = text
    return found


def test_every_key_is_in_the_manual_as_it_is():
    page = {key: manual.first_words(text) for key, text in page_items().items()}
    wrong = {str(key): f"{problem}: {page[key.section, key.name]}" for key in keys()
             if (key.section, key.name) in page
             and (problem := documented(key, page[key.section, key.name]))}
    assert wrong == {}
    assert list(page) == [(key.section, key.name) for key in keys()], "the same keys in one order"


def test_what_needs_a_restart():
    page = page_items()
    said = {key for key, text in page.items() if "Needs a restart." in text.splitlines()}
    assert said == {(key.section, key.name) for key in keys() if key.restart}


@pytest.mark.parametrize("page", manual.PAGES)
def test_every_key_that_is_named_exists(page):
    text = manual.source(page)
    named = set(re.findall(r"^\.(?:Ic|Pq Ic) ([a-z]+(?:_[a-z]+)+)\b", text, re.M))
    items = set(re.findall(r"^\.It Ic (\w+)", text, re.M))
    assert named <= items | {key.name for key in keys()}


SHIPPED_KEY = re.compile(r"(;?)(\w+) = (.*)")


def shipped_keys():
    """(section, key) -> (is it commented out, value)."""
    found, section = {}, None
    for line in CONF.read_text().splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
        elif setting := SHIPPED_KEY.fullmatch(line):
            assert (section, setting[2]) not in found
            found[section, setting[2]] = (setting[1] == ";", setting[3])
    return found


def test_every_key_is_in_the_shipped_file_with_its_default():
    shipped = shipped_keys()
    expected = [key for key in keys() if key.section != "method."]
    assert list(shipped) == [(key.section, key.name) for key in expected]
    wrong = {str(key): shipped[key.section, key.name] for key in expected
             if shipped[key.section, key.name][0]
             and shipped[key.section, key.name][1] != key.default}
    assert wrong == {}, "what is commented out shows the default"
    given = {name for (_, name), (commented, _) in shipped.items() if not commented}
    assert given == {"listen", "servers", "http", "fb303"}


def test_every_method_key_is_in_the_shipped_file():
    shown = re.findall(r"^# (\w+) += ", CONF.read_text(), re.M)
    assert set(shown) == {key.name for key in keys() if key.section == "method."}


# --- examples -------------------------------------------------------------------------------------

def settings(text):
    """section -> key -> value of a configuration; comments do not count."""
    parser = configparser.ConfigParser(delimiters="=", comment_prefixes="#;",
                                       inline_comment_prefixes=(" #", " ;"), interpolation=None)
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_the_manual_shows_the_example_files():
    shown = [settings(text) for text in manual.displays(manual.part(manual.INI, "EXAMPLES"))]
    files = {path.stem: settings(path.read_text()) for path in EXAMPLES.glob("*.ini")}
    assert shown == [files["php-workers"], files["multi-get"], files["mixed-methods"]]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ini")), ids=lambda path: path.stem)
def test_the_example_is_good(path):
    done = subprocess.run([program("BATCHD"), "--config", path, "--check"], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


def test_every_example_is_installed():
    build = (EXAMPLES / "meson.build").read_text()
    installed = set(re.findall(r"'([\w-]+\.ini)'", build))
    assert installed == {path.name for path in EXAMPLES.glob("*.ini")}
