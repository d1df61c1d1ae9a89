"""What the README shows works: its commands run, its snippets reach the daemon, its configurations
are the example files."""

import os
import re
import shlex
import subprocess

import manual
import pytest
from harness import Process
from manual import HOME
from readme_world import World
from talk import served
from test_manual import EXAMPLES, control_commands, keys, settings
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport import TSocket, TTransport
from thrift_batch_demo import Directory

README = (HOME / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)


def blocks(language):
    return [text for name, text in BLOCKS if name == language]


@pytest.fixture
def world(directory):
    world = World(directory)
    yield world
    world.close()


@pytest.fixture
def started(world, bench):
    """The world with the daemon of the shipped configuration, in front of the demo's upstream."""
    upstream = bench.upstream(listen=world.address("9091"))
    text, count = re.subn(r"^(listen = .*)$",
                          rf"\1, unix:{world.directory}/run/thrift-batchd/thrift-batchd.sock",
                          world.shipped.read_text(), flags=re.M)
    assert count == 1
    world.shipped.write_text(text)
    daemon = bench.daemon_with(world.shipped, listeners=2)
    daemon.log.wait_for(f"{upstream.address}")
    return world


SCRIPTS = blocks("sh")


def starts_its_own(script):
    return "build/src/daemon" in script


def talks_to_a_daemon(script):
    return "thrift-batchctl" in script or "curl" in script


def first_command(script):
    return script.split("#")[0].splitlines()[0].strip()


@pytest.mark.parametrize("script", SCRIPTS, ids=first_command)
def test_commands(world, request, script):
    if talks_to_a_daemon(script) and not starts_its_own(script):
        request.getfixturevalue("started")
    world.run(script)


def test_the_first_steps_serve_clients(world, bench):
    """The daemon that the README starts by hand really is in front of the demo's upstream."""
    (script,) = filter(starts_its_own, SCRIPTS)
    start = [line.rstrip("& ") for line in world.adapted(script).splitlines() if line.endswith("&")]
    for command in start:
        process = Process(["env", f"--chdir={world.directory}", *shlex.split(command)])
        bench.on_end(process.kill)
        (process.out if "demo" in command else process.log).wait_for("listening on")
    served(bench.connect(world.address("9090")))


def test_every_command_of_the_control_tool_exists():
    known = set(control_commands())
    for path in (HOME / "README.md", *(manual.MAN / page for page in manual.PAGES)):
        named = re.findall(r"thrift-batchctl (?:--instance \w+ |--\w+ )*([a-z]+)\b", path.read_text())
        assert set(named) <= known, path


# --- snippets -------------------------------------------------------------------------------------

CLIENTS = {language: [text for text in blocks(language) if "TSocket" in text]
           for language in ("php", "python", "java")}


def way(snippet):
    return "unix" if "unix" in snippet else "tcp"


PHP = r"""<?php
spl_autoload_register(function (string $class): void {
    [$space, $path] = explode('\\', $class, 2) + [1 => ''];
    $folder = $space === 'Thrift' ? '/usr/lib/php' : "GENERATED/$space";
    $file = "$folder/" . strtr($path, '\\', '/') . '.php';
    if (is_file($file)) {
        require_once $file;
    }
});
use Thrift\Transport\TSocket;
SNIPPET
$transport = new Thrift\Transport\TFramedTransport($socket);
if (!$transport->isOpen()) {
    $transport->open();
}
$protocol = new Thrift\Protocol\TBinaryProtocol($transport);
$client = new ThriftBatchDemo\DirectoryClient($protocol);
echo $client->echo('from PHP');
"""
JAVA = """import org.apache.thrift.transport.*;
class Snippet {
    void connect() throws Exception {
        SNIPPET
    }
}
"""


@pytest.mark.parametrize("snippet", CLIENTS["php"], ids=way)
def test_php_clients(started, snippet):
    subprocess.run(["thrift", "-nowarn", "--gen", "php", "-out", started.directory,
                    os.environ["IDL_DIR"] + "/demo.thrift"], check=True)
    script = started.directory / "client.php"
    script.write_text(PHP.replace("GENERATED", str(started.directory))
                      .replace("SNIPPET", started.adapted(snippet)))
    said = started.run(f"php -d error_reporting=8191 -d display_errors=stderr {script}")
    assert said == "from PHP"


@pytest.mark.parametrize("snippet", CLIENTS["python"], ids=way)
def test_python_clients(started, snippet):
    names = {"TSocket": TSocket}
    exec(started.adapted(snippet), names)  # pylint: disable=exec-used
    transport = TTransport.TFramedTransport(names["socket"])
    transport.open()
    assert Directory.Client(TBinaryProtocol(transport)).echo("from Python") == "from Python"
    transport.close()


@pytest.mark.parametrize("snippet", CLIENTS["java"], ids=way)
def test_java_clients_compile(world, snippet):
    (world.directory / "Snippet.java").write_text(JAVA.replace("SNIPPET", snippet))
    world.run("javac -cp /usr/share/java/thrift.jar Snippet.java")


# --- configurations -------------------------------------------------------------------------------

def test_configurations_are_the_example_files():
    shown = [settings(text) for text in blocks("ini")]
    files = {path.stem: settings(path.read_text()) for path in EXAMPLES.glob("*.ini")}
    assert shown == [files["php-workers"], files["multi-get"], files["mixed-methods"]]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_prometheus_takes_its_configuration(tmp_path, text):
    path = tmp_path / "prometheus.yml"
    path.write_text(text.replace("/usr/share/thrift-batchd", str(HOME / "conf")))
    done = subprocess.run(["promtool", "check", "config", path], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and "rules found" in done.stdout, done.stdout


def test_every_directory_is_on_the_map():
    (drawn,) = (text for text in re.findall(r"^```\n(.*?)^```$", README, re.M | re.S)
                if text.startswith("src/base"))
    here = [path for path in (*HOME.iterdir(), *(HOME / "src").iterdir(),
                              *(HOME / "tests").iterdir()) if path.is_dir()]
    names = {path.relative_to(HOME).as_posix().removeprefix("tests/") for path in here
             if not path.name.startswith((".", "_", "build"))}
    assert names - {"src"} <= set(re.findall(r"[\w/]*\w", drawn))


def test_every_key_that_is_named_exists():
    named = re.findall(r"`(?:\[\w+\] )?([a-z]+(?:_[a-z]+)+)(?: = [^`]*)?`", README)
    assert named and set(named) <= {key.name for key in keys()}


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (HOME / link).exists()] == []


def test_the_table_of_contents_leads_somewhere():
    headings = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
                for heading in re.findall(r"^#+ (.*)$", README, re.M)}
    linked = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert linked and linked <= headings
