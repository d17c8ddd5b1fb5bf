"""What moves everything is not laid at a model's door, and what a model does is not explained away."""

from __future__ import annotations

import msgspec
import pytest

from bot import comparison
from bot.judge import exit_code, judge
from bot.reference import Entry, Reference
from bot.report import render
from tests import synthetic
from tests.synthetic import Case

A = "test_eval[a-cpu-eager]"


def controls(ratio: float) -> list[Case]:
    names = ("control_interpreter", "control_memory")
    return [
        Case(f"test_eval[{name}-cpu-eager]", ratio=ratio, suite="control", category="CONTROL", domain=name)
        for name in names
    ]


def test_controls_are_no_tests_of_a_model() -> None:
    models = synthetic.cases(10)
    verdict = judge(synthetic.run([*models, *controls(1.0)]))
    assert [entry.test for entry in verdict.tests] == sorted(case.test for case in models)
    assert {entry.outcome for entry in verdict.controls} == {"unchanged"} and len(verdict.controls) == 2
    assert verdict.score == judge(synthetic.run(models)).score
    assert verdict.outcome == "unchanged"
    run = synthetic.run([*models, *controls(1.0)])
    assert len(comparison.measured(run)) == 10


def test_a_control_that_moves_withdraws_what_moved_with_it() -> None:
    slower = [Case(A, ratio=1.30), *synthetic.cases(6, 1.12), *synthetic.cases(6, prefix="same")]
    verdict = judge(synthetic.run([*slower, *controls(1.12)]))
    outcomes = {entry.test: entry.outcome for entry in verdict.tests}
    assert outcomes.pop(A) == "regressed", "what is far beyond the common change stands"
    assert {outcome for test, outcome in outcomes.items() if "model" in test} == {"inconclusive"}
    assert {outcome for test, outcome in outcomes.items() if "same" in test} == {"unchanged"}
    assert verdict.warnings[0].startswith("Machine or environment")
    assert verdict.score is not None and verdict.score.outcome == "inconclusive"
    assert "Machine or environment" in render(verdict, "comment")


def test_a_control_that_moves_alone_excuses_nobody_in_the_other_direction() -> None:
    verdict = judge(synthetic.run([Case(A, ratio=1.12), *synthetic.cases(9), *controls(1 / 1.12)]))
    assert [entry.test for entry in verdict.of("regressed")] == [A]


@pytest.mark.parametrize(("still", "outcome", "code"), [([], "inconclusive", 3), (controls(1.0), "regressed", 1)])
def test_everything_together(still: list[Case], outcome: str, code: int) -> None:
    verdict = judge(synthetic.run([*synthetic.cases(12, 1.12), *still]))
    assert {entry.outcome for entry in verdict.tests} == {outcome}
    assert exit_code(verdict) == code
    said = verdict.warnings[0]
    assert "12 of 12 unrelated models moved together" in said
    assert ("control lanes, which use no torch, did not" in said) == bool(still)


@pytest.mark.parametrize(
    "cases",
    [
        synthetic.cases(7, 1.12),
        [*synthetic.cases(6, 1.12), *synthetic.cases(6, prefix="same")],
        [Case(f"test_eval[m{n}-cpu-eager]", ratio=1.12 if n % 2 else 1.9) for n in range(12)],
        [Case(f"test_{kind}[one-cpu-{mode}]", ratio=1.12) for kind in ("eval", "train") for mode in "abcdef"],
    ],
    ids=["few", "half", "by different amounts", "one model in many ways"],
)
def test_what_is_not_everything_together(cases: list[Case]) -> None:
    verdict = judge(synthetic.run(cases))
    assert len(verdict.of("regressed")) == sum(case.ratio > 1 for case in cases)
    assert not any("together" in said for said in verdict.warnings)


def test_against_stored_norms_a_slow_machine_is_no_regression() -> None:
    cases = synthetic.cases(12)
    entries = {case.test: Entry(norm=case.seconds / 1.2, spread=0.005, launches=12) for case in cases}
    verdict = judge(synthetic.run(cases, base=None), reference=Reference("reference.yaml", entries, None))
    assert verdict.outcome == "inconclusive"
    assert not verdict.of("regressed")
    assert "Machine or environment" in verdict.warnings[0]


def test_what_was_withdrawn_is_not_brought_back_by_a_second_run() -> None:
    first = synthetic.run([*synthetic.cases(12, 1.12), *controls(1.12)])
    suspects = synthetic.cases(12, 1.12)
    second = synthetic.run(suspects, seed=5, confirms=first.header.run, run_id="second")
    assert not judge(first, confirmation=second).of("regressed")


def test_a_machine_that_drifted_does_not_hide_a_regression_against_the_base() -> None:
    cases = [Case(A, ratio=1.15), *synthetic.cases(11)]
    entries = {case.test: Entry(norm=case.seconds / 1.2, spread=0.005, launches=12) for case in cases}
    run = synthetic.run(cases)
    verdict = judge(run, reference=Reference("reference.yaml", entries, None))
    assert [entry.test for entry in verdict.of("regressed")] == [A]
    assert any("drifted" in said for said in verdict.warnings)
    assert msgspec.json.encode(verdict)
