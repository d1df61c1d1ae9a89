"""./run demo --stay: what it prints to be tried can be tried."""

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from harness import Process

DEMO = Path(__file__).resolve().parents[2] / "demo" / "run-demo.py"


def test_what_it_leaves_up_can_be_tried(bench):
    demo = Process([sys.executable, "-u", DEMO, "--quick", "--stay"])
    bench.on_end(demo.kill)
    directory = demo.out.wait_for("^Try it from another terminal, in (.+):$")[0][1]
    demo.out.wait_for("^  PYTHONPATH=")
    status = demo.out.wait_for(r"^  status +(http://\S+/) ")[0][1]
    with urllib.request.urlopen(status + "readyz") as answer:
        assert answer.read() == b"ready\n"
    for command, said in (("crowd", '"wrong": 0'), ("thrift-batchctl", "servers        1 of 1 up"),
                          ("python3 -c", "id=7")):
        lines = demo.out.matching(rf"^  (\S.*{command}.*)$")
        assert lines, f"no {command} is proposed"
        for line in lines:
            done = subprocess.run(line[1], shell=True, cwd=directory, check=True, text=True,
                                  stdout=subprocess.PIPE)
            assert said in done.stdout
    demo.signal(signal.SIGTERM)
    assert demo.wait() == 0
    assert demo.out.text().endswith("stopping")
