"""`actorlab mem` and `actorlab metrics`, against a node in this process; also one whose every process is stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import numpy
import psutil
import pyarrow
import pytest
from prometheus_client.parser import text_string_to_metric_families

import actorlab as al
from actorlab.cli import main

pytestmark = pytest.mark.process

COLUMNS = 80


class ReaderWithALongName(al.Actor):
    def read(self, handle):
        self.table = handle.get()
        return int(self.table["n"][0])

    def fail(self):
        raise ValueError("on purpose")


@pytest.fixture
def node(eventually):
    with al.Node(workers=2, name="account-of-a-node", spares=1) as node:
        eventually(lambda: node._controller.launcher.spare_pid)
        yield node


@pytest.fixture
def call(capsys):
    """`call("mem")` runs a command in this process; returns its code, output and errors."""

    def run(*argv):
        capsys.readouterr()
        code = main(argv)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def metrics_in(text):
    """Return every sample as (name, labels) → value; raises if the text is not what Prometheus reads."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_mem_shows_the_sum_and_its_parts_in_eighty_columns(node, call):
    pool = node.pool("corpus")
    handle = pool.put("numbers", pyarrow.table({"n": numpy.arange(2_000_000)}))
    readers = node.spawn_many(ReaderWithALongName, 300)
    for reader in (*readers[:4], *readers[-4:]):
        reader.call.read(handle)
    node.wait_idle()
    code, out, err = call("mem")
    lines = out.splitlines()
    assert (code, err) == (0, "") and max(map(len, lines)) <= COLUMNS, max(lines, key=len)
    assert lines[0].startswith(f"node account-of-a-node (pid {os.getpid()}): running, up ")
    assert "in all: 300 actors in 5 processes" in lines[1]
    assert "sharing saves 16.0 MB: 2 processes map 32.0 MB of pools that take 16.0 MB" in out
    first = {line.split()[0] for line in lines if line}
    assert {"controller", "forkserver", "worker", "spare", "process", "class", "pool", "corpus"} <= first
    assert ":ReaderWithALongName" in out and "RSS" not in out


def test_mem_as_json_is_the_whole_account(node, call):
    node.spawn(ReaderWithALongName, name="till")
    code, out, _ = call("mem", "--json", "--interval", "0.05")
    (line,) = out.splitlines()
    account = json.loads(line)
    assert (code, account["type"], account["name"]) == (0, "account", "account-of-a-node")
    memory, totals = account["totals"]["memory"], account["totals"]
    assert memory["pss_bytes"] == sum(row["memory"]["pss_bytes"] for row in account["processes"])
    assert totals["bytes"] == totals["private_bytes"] + totals["shared_once_bytes"] + totals["unmapped_bytes"]
    assert totals["rate"] == 0.0 and account["actors"][0]["name"] == "till"


def test_metrics_are_what_prometheus_reads(node, call):
    reader = node.spawn(ReaderWithALongName)
    with pytest.raises(ValueError):
        reader.call.fail()
    node.wait_idle()
    code, out, _ = call("metrics")
    found = metrics_in(out)
    cls = f"{ReaderWithALongName.__module__}:ReaderWithALongName"
    assert code == 0 and found["actorlab_up", ()] == 1
    assert found["actorlab_messages_total", (("actor_class", cls), ("outcome", "failed"))] == 1
    assert found["actorlab_actors_ended_total", (("actor_class", cls),)] == 1
    assert found["actorlab_worker_memory_bytes", (("kind", "pss"), ("worker", "2"))] > 1e6
    assert found["actorlab_gc_pause_seconds_count", (("worker", "1"),)] >= 0
    assert not any("address" in labels or "name" in labels for _, pairs in found for labels, _ in pairs)
    assert json.loads(call("metrics", "--json")[1])["type"] == "metrics"


def test_without_a_node_both_say_so(call):
    for command in ("mem", "metrics"):
        code, _, err = call(command, "nobody")
        assert code == 3 and "no node" in err


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "example.invalid:1", "9464x", "192.0.2.1:9464", "[::]:0"])
def test_metrics_are_never_served_beyond_this_machine(node, call, listen):
    code, out, err = call("metrics", "--listen", listen)
    assert code == 2 and out == "" and err.startswith("actorlab: ")


def test_metrics_are_served_on_loopback_to_who_calls_it_by_its_own_name(node):
    served = subprocess.Popen(
        [sys.executable, "-m", "actorlab", "metrics", "account-of-a-node", "--listen", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = json.loads(served.stdout.readline())["address"]
        assert address.startswith("http://127.0.0.1:") and address.endswith("/metrics")
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert metrics_in(answer.read().decode())["actorlab_up", ()] == 1

        def status(method="GET", path="/metrics", **headers):
            link = http.client.HTTPConnection("127.0.0.1", int(address.split(":")[2].split("/")[0]), timeout=30)
            link.request(method, path, headers=headers)
            try:
                return link.getresponse().status
            finally:
                link.close()

        assert status(Host="evil.example") == status(Host="evil.example:80") == 403
        assert status(path="/") == status(path="/../etc/passwd") == 404
        assert status("POST") == status("DELETE") == status("HEAD") == 405
        assert status(Host="localhost") == 200
    finally:
        served.send_signal(signal.SIGINT)
        served.communicate(timeout=30)
    assert served.returncode == 130
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=30)


def test_a_port_that_is_taken_is_an_error_that_says_so(node, call):
    with subprocess.Popen(
        [sys.executable, "-m", "actorlab", "metrics", "account-of-a-node", "--listen", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as served:
        port = json.loads(served.stdout.readline())["address"].split(":")[2].split("/")[0]
        code, _, err = call("metrics", "--listen", port)
        served.send_signal(signal.SIGINT)
    assert code == 1 and f"port {port} cannot be had" in err


def test_a_node_that_hangs_can_still_be_looked_at(tmp_path, call, eventually):
    (tmp_path / "hangs.py").write_text(
        "import actorlab as al\n"
        "class Clerk(al.Actor):\n"
        "    def work(self): return 1\n"
        "if __name__ == '__main__':\n"
        "    with al.Node(workers=1, name='hangs') as node:\n"
        "        clerk = node.spawn(Clerk)\n"
        "        clerk.call.work(); node.wait_idle(); print('ready', flush=True); input()\n"
    )
    script = [sys.executable, "hangs.py"]
    with subprocess.Popen(script, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        pids = [row["pid"] for row in json.loads(call("mem", "hangs", "--json")[1])["processes"]]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            eventually(lambda: {psutil.Process(pid).status() for pid in pids} == {psutil.STATUS_STOPPED})
            code, out, _ = call("mem", "hangs")
            assert code == 0 and out.count("stopped") >= 2 and "hung" in out.splitlines()[0]
            found = metrics_in(call("metrics", "hangs")[1])
            assert found["actorlab_messages_total", (("actor_class", "__main__:Clerk"), ("outcome", "handled"))] == 1
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            process.communicate("\n")
