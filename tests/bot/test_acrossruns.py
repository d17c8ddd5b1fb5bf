from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy import stats as distributions

from bot import acrossruns
from bot.verdict import Policy
from tests import synthetic
from tests.synthetic import Case, Noise

A, B = "test_eval[a-cpu-eager]", "test_eval[b-cpu-eager]"
CALM = Noise(drift=0.005)


def run(*cases: Case, seed: int = 0, **options: object):  # type: ignore[no-untyped-def]
    return synthetic.run(list(cases), seed=seed, noise=CALM, **options)


def outcomes(found: acrossruns.Difference) -> dict[str, str]:
    return {entry.test: entry.outcome for entry in found.tests}


def test_a_slower_head_is_a_regression_and_a_faster_one_an_improvement() -> None:
    earlier, later = run(Case(A), Case(B, ratio=1.2), seed=1), run(Case(A, ratio=1.2), Case(B), seed=2)
    found = acrossruns.compare(earlier, later)
    assert outcomes(found) == {A: "regressed", B: "improved"}
    assert found.outcome == "regressed"
    assert found.tests[0].change == pytest.approx(0.2, abs=0.02)
    assert acrossruns.WEAKER in found.warnings


def test_the_interval_is_that_of_welch() -> None:
    """With one launch per nursery, levels are independent and the engine's widening is all that is between us."""
    earlier, later = (run(Case(A), seed=seed, launches=6) for seed in (3, 4))
    (entry,) = acrossruns.compare(earlier, later).tests
    levels = []
    for one in (earlier, later):
        (test,) = one.tests
        lane = test.lane("head")
        assert lane is not None
        levels.append([np.log(np.median(launch.seconds)) for launch in lane.launches])
    theirs = distributions.ttest_ind(levels[1], levels[0], equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    middle = np.mean(levels[1]) - np.mean(levels[0])
    assert entry.change is not None and entry.low is not None and entry.high is not None
    assert np.log1p(entry.change) == pytest.approx(middle)
    wider = acrossruns.stats.LOOK_FACTOR
    assert np.log1p(entry.high) - middle == pytest.approx(wider * (high - middle))
    assert middle - np.log1p(entry.low) == pytest.approx(wider * (middle - low))


def test_nothing_is_a_pass_that_was_not_measured() -> None:
    earlier = run(Case(A), Case(B), seed=1)
    for status, outcome in (("crash", "failed"), ("inconclusive", "inconclusive"), ("timeout", "failed")):
        found = acrossruns.compare(earlier, run(Case(A), Case(B, status=status, reason="why"), seed=2))
        assert outcomes(found)[B] == outcome
        assert "why" in found.tests[1].reason
        assert found.outcome == "inconclusive"
    found = acrossruns.compare(earlier, run(Case(A), seed=2))
    assert outcomes(found) == {A: "unchanged", B: "missing"}
    assert found.outcome == "inconclusive"
    found = acrossruns.compare(run(Case(A), seed=2), earlier)
    assert outcomes(found)[B] == "new"


def test_a_single_launch_proves_nothing() -> None:
    found = acrossruns.compare(run(Case(A), launches=1), run(Case(A, ratio=1.5), seed=1, launches=1))
    assert outcomes(found) == {A: "inconclusive"}
    assert found.tests[0].low is None


def test_the_plain_rule_can_be_asked_for() -> None:
    found = acrossruns.compare(run(Case(A)), run(Case(A, ratio=1.1), seed=1), Policy(name="v1", threshold=0.2))
    assert outcomes(found) == {A: "unchanged"}


def test_what_else_differs_is_said() -> None:
    other = msgspec.structs.replace(synthetic.MACHINE, fingerprint="x", name="bench-2")
    later = run(Case(A), machine=other, threads=2, ended=False, inject={A: 0.1})
    said = " ".join(acrossruns.compare(run(Case(A)), later).warnings)
    for word in ("bench-1 and bench-2", "threads: 1 and 2", "later run is not complete", "--inject"):
        assert word in said
    assert acrossruns.compare(run(Case(A)), run(Case(A), seed=9)).warnings == (acrossruns.WEAKER,)
