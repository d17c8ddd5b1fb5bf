import json
import subprocess
import sys

import pytest

from harness import compilation, records
from tests import sessions

torch = pytest.importorskip("torch")

COUNT = """
import json, sys
from harness import benchmark, compilation, lanes
from harness.clock import CpuClock
suite, name, mode = sys.argv[1:]
request = benchmark.Request("eval", "cpu", {"batch": 4})
before = compilation.counts()
workload = lanes.mode_of(mode).prepare(benchmark.load(suite)[name].build(request), request)
lanes.step_of(workload, request)(CpuClock())
print(json.dumps([before, compilation.counts()]))
"""


def _counts(name, mode):
    command = [sys.executable, "-c", COUNT, str(sessions.SUITES / "compilable.py"), name, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert before is None
    return after


def test_a_process_that_compiles_nothing_counts_nothing():
    assert _counts("plain", "eager") is None


def test_a_step_in_one_graph():
    found = records.msgspec.convert(_counts("plain", "backends:fine"), records.Compilation)
    assert (found.unique_graphs, found.graph_breaks, found.recompiles) == (1, 0, 0)
    assert found.calls_captured == 4
    assert found.breaks == ()


def test_a_break_is_counted_with_its_reason_and_place():
    found = records.msgspec.convert(_counts("broken_graph", "backends:fine"), records.Compilation)
    assert (found.unique_graphs, found.graph_breaks, found.unique_graph_breaks) == (2, 1, 1)
    (one,) = found.breaks
    assert one.count == 1
    assert one.reason
    file, _, line = one.place.rpartition(":")
    assert file.endswith("compilable.py") and int(line) > 0


def test_reasons_are_one_line_and_not_longer_than_a_packet_holds(monkeypatch):
    import torch._dynamo.utils as utils

    monkeypatch.setattr(utils, "graph_break_reasons", [])
    for number in range(50):
        utils.counters["graph_break"][f"reason {number} {'x' * 1000}\nand more"] = number + 1
    try:
        found = compilation.counts()
    finally:
        utils.counters.clear()
    assert len(found["breaks"]) == compilation.MOST_BREAKS
    assert found["unique_graph_breaks"] == 50
    assert found["breaks"][0]["count"] == 50
    assert all("\n" not in one["reason"] and len(one["reason"]) <= 400 for one in found["breaks"])
