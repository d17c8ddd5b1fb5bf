"""The rules at their edges: what is a signal, what is unchanged, and what stays open."""

from __future__ import annotations

import math

import pytest

from bot.policy import RULES, Evidence, relative, rule, threshold
from bot.verdict import Policy
from harness.errors import UserError

POLICY = Policy()

# change, low, high, q-value, outcome; threshold 7 %, false discovery rate 5 %
CASES = [
    (0.10, 0.09, 0.11, 0.001, "regressed"),
    (-0.10, -0.11, -0.09, 0.001, "improved"),
    (0.07, 0.06, 0.08, 0.001, "regressed"),
    (-0.07, -0.08, -0.06, 0.001, "improved"),
    (0.07 - 1e-15, 0.06, 0.08, 0.001, "regressed"),
    (0.0699, 0.0689, 0.0709, 0.001, "inconclusive"),
    (0.10, 0.01, 0.19, 0.001, "regressed"),
    (0.10, 0.0, 0.20, 0.001, "inconclusive"),
    (-0.10, -0.20, 0.0, 0.001, "inconclusive"),
    (0.10, -0.01, 0.21, 0.001, "inconclusive"),
    (0.10, 0.09, 0.11, 0.05, "regressed"),
    (0.10, 0.09, 0.11, 0.0501, "inconclusive"),
    (0.10, 0.09, 0.11, None, "inconclusive"),
    (0.0, -0.01, 0.01, 0.9, "unchanged"),
    (0.03, 0.02, 0.04, 0.0001, "unchanged"),
    (0.0, -0.0699, 0.0699, 0.9, "unchanged"),
    (0.0, -0.07, 0.01, 0.9, "inconclusive"),
    (0.0, -0.01, 0.07, 0.9, "inconclusive"),
    (0.05, 0.02, 0.08, 0.001, "inconclusive"),
    (0.02, -0.05, 0.09, 0.5, "inconclusive"),
    (0.10, None, None, None, "inconclusive"),
    (0.0, None, None, None, "inconclusive"),
]


@pytest.mark.parametrize(("change", "low", "high", "q_value", "outcome"), CASES)
def test_a_signal_needs_size_and_evidence_and_unchanged_needs_proof(
    change: float, low: float | None, high: float | None, q_value: float | None, outcome: str
) -> None:
    conclusion = RULES["torchwarden"].of_test(Evidence(change, low, high, 0.07, q_value), POLICY)
    assert conclusion.outcome == outcome
    assert bool(conclusion.reason) == (outcome == "inconclusive")


@pytest.mark.parametrize(
    ("change", "outcome"),
    [(0.07, "regressed"), (-0.07, "improved"), (0.0699, "unchanged"), (-0.0699, "unchanged"), (0.5, "regressed")],
)
def test_v1_looks_at_the_size_alone(change: float, outcome: str) -> None:
    assert RULES["v1"].of_test(Evidence(change, None, None, 0.07), POLICY).outcome == outcome


# value, low, high, outcome by evidence, outcome by size; threshold 1 %
SCORES = [
    (980.0, 975.0, 985.0, "regressed", "regressed"),
    (990.0, 985.0, 995.0, "regressed", "regressed"),
    (980.0, 950.0, 1010.0, "inconclusive", "regressed"),
    (980.0, 960.0, 1000.0, "inconclusive", "regressed"),
    (1020.0, 1015.0, 1025.0, "improved", "improved"),
    (1000.0, 995.0, 1005.0, "unchanged", "unchanged"),
    (995.0, 992.0, 998.0, "unchanged", "unchanged"),
    (1000.0, 990.0, 1010.0, "inconclusive", "unchanged"),
    (1000.0, 980.0, 1020.0, "inconclusive", "unchanged"),
    (980.0, None, None, "inconclusive", "regressed"),
]


@pytest.mark.parametrize(("value", "low", "high", "by_evidence", "by_size"), SCORES)
def test_the_score_signals_beyond_one_percent(
    value: float, low: float | None, high: float | None, by_evidence: str, by_size: str
) -> None:
    assert RULES["torchwarden"].of_score(value, low, high, 0.001, POLICY) == by_evidence
    assert RULES["v1"].of_score(value, low, high, None, POLICY) == by_size


@pytest.mark.parametrize("p_value", [0.01, None])
def test_the_score_is_no_signal_when_it_can_be_chance(p_value: float | None) -> None:
    assert RULES["torchwarden"].of_score(980.0, 970.0, 990.0, p_value, POLICY) == "inconclusive"


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        (Policy(name="strict"), "'strict'"),
        (Policy(threshold=0.0), "threshold is 0"),
        (Policy(threshold=7.0), "threshold is 7"),
        (Policy(threshold=math.nan), "threshold is nan"),
        (Policy(score_threshold=-0.01), "score_threshold"),
        (Policy(confidence=1.0), "confidence"),
        (Policy(false_discovery_rate=1.5), "false_discovery_rate"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(policy: Policy, named: str) -> None:
    with pytest.raises(UserError, match=named):
        rule(policy)


def test_relative_is_exact_where_it_matters_and_never_overflows() -> None:
    assert relative(math.log(1.07)) == pytest.approx(0.07, rel=1e-12)
    assert relative(1e-12) == pytest.approx(1e-12, rel=1e-9)
    assert relative(-1e9) == -1.0
    assert math.isfinite(relative(1e9))


@pytest.mark.parametrize(
    ("test", "suite", "limit"),
    [
        ("test_eval[dcgan-cpu-eager]", "", 0.07),
        ("test_train[dcgan-cpu-eager]", "", 0.10),
        ("test_train[dcgan-cpu-eager]", "torchbench", 0.15),
    ],
)
def test_of_several_thresholds_the_last_that_matches_counts(test: str, suite: str, limit: float) -> None:
    several = Policy(tests={"test_train[*]": 0.10, "torchbench/dcgan": 0.15})
    assert threshold(several, test, suite) == limit


def test_a_threshold_of_a_test_must_be_one_too() -> None:
    with pytest.raises(UserError, match=r"threshold of 'x' is 7"):
        rule(Policy(tests={"x": 7.0}))
