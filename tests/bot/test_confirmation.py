"""A second run bears out what is true, refutes what was an accident, and raises nothing by itself."""

from __future__ import annotations

import pathlib

import msgspec
import pytest

from bot import confirmation, replay, verdict
from bot import reference as references
from bot.judge import judge
from bot.reference import Entry, Reference
from bot.report import render
from bot.verdict import Policy, Verdict
from harness import records
from harness.errors import UserError
from tests import synthetic
from tests.synthetic import QUIET, Case, Noise

A, B, C = (f"test_eval[{name}-cpu-eager]" for name in "abc")
FIRST, SECOND = "20260102T030405-first", "20260102T040405-second"
WIDE = Noise(launch=0.12, pair=0.02)


def first(*cases: Case, **options: object) -> records.Run:
    return synthetic.run(cases, run_id=FIRST, **options)  # type: ignore[arg-type]


def second(*cases: Case, seed: int = 77, **options: object) -> records.Run:
    options = {"confirms": FIRST, "launches": 36, **options}
    return synthetic.run(cases, run_id=SECOND, seed=seed, **options)  # type: ignore[arg-type]


def entry(found: Verdict, test: str) -> verdict.TestVerdict:
    return next(one for one in found.tests if one.test == test)


OTHERS = tuple(synthetic.cases(5, prefix="other"))


def test_suspects_are_signals_and_what_might_be_one() -> None:
    run = first(Case(A, ratio=1.2), Case(B, ratio=1.03, noise=WIDE), Case(C, ratio=0.8), *OTHERS)
    found = judge(run)
    assert entry(found, B).outcome == "inconclusive"
    assert confirmation.wanted(found.tests, None) == [A, B, C]


def test_a_score_that_is_a_signal_has_its_movers_measured_again() -> None:
    found = judge(first(*synthetic.cases(12, 1.03)))
    assert found.score is not None and found.score.outcome == "regressed"
    assert confirmation.wanted(found.tests, found.score) == sorted(mover.test for mover in found.score.movers)


@pytest.mark.parametrize("ratio", [1.15, 1 / 1.15])
def test_what_is_true_is_confirmed_with_the_figures_of_both(ratio: float) -> None:
    case = Case(A, ratio=ratio)
    alone = judge(first(case, *OTHERS))
    found = judge(first(case, *OTHERS), confirmation=second(case))
    one = entry(found, A)
    assert one.signal and one.outcome == entry(alone, A).outcome
    assert one.reason.startswith("confirmed: ")
    assert one.confirmation is not None and one.confirmation.outcome == "confirmed"
    assert one.high - one.low < entry(alone, A).high - entry(alone, A).low  # type: ignore[operator]
    assert one.low < ratio - 1 < one.high  # type: ignore[operator]
    assert len(one.launches) == 12 + 36
    assert found.second_run is not None
    assert (found.second_run.tests, found.second_run.confirmed, found.second_run.unconfirmed) == (1, 1, 0)
    assert "once in 800" in render(found, "comment")
    assert "No second run" in render(alone, "comment")


def test_an_accident_of_the_first_run_raises_nothing() -> None:
    found = judge(first(Case(A, ratio=1.15), *OTHERS), confirmation=second(Case(A, ratio=1.0)))
    one = entry(found, A)
    assert (one.outcome, found.outcome) == ("unchanged", "unchanged")
    assert one.reason.startswith("not confirmed: +")
    assert abs(one.change) < 0.02, "the accident is not averaged in"  # type: ignore[operator]
    assert found.second_run is not None and found.second_run.unconfirmed == 1
    for kind in ("comment", "terminal"):
        assert "did not bear out 1 signal" in render(found, kind)
        assert A in render(found, kind)


def test_a_change_below_the_threshold_is_not_raised_after_all() -> None:
    found = judge(first(Case(A, ratio=1.075), *OTHERS), confirmation=second(Case(A, ratio=1.055), noise=QUIET))
    assert entry(found, A).outcome == "unchanged"


def test_the_opposite_change_confirms_nothing() -> None:
    found = judge(first(Case(A, ratio=1.15), *OTHERS), confirmation=second(Case(A, ratio=0.85)))
    assert entry(found, A).outcome == "inconclusive"


def test_an_undecided_test_may_become_a_signal_or_none() -> None:
    wide = [Case(A, ratio=1.2, noise=WIDE), Case(B, noise=WIDE), *OTHERS]
    assert {entry(judge(first(*wide)), test).outcome for test in (A, B)} == {"inconclusive"}
    found = judge(first(*wide), confirmation=second(Case(A, ratio=1.2), Case(B)))
    assert entry(found, A).outcome == "regressed"
    assert entry(found, B).outcome == "unchanged"


@pytest.mark.parametrize(
    ("again", "word"),
    [
        ([], "no result"),
        ([Case(A, status="crash", reason="signal 11")], "signal 11"),
        ([Case(A, launches=1)], "few launches"),
    ],
)
def test_what_cannot_be_measured_again_is_undecided(again: list[Case], word: str) -> None:
    found = judge(first(Case(A, ratio=1.15), *OTHERS), confirmation=second(*again, planned=[A]))
    one = entry(found, A)
    assert (one.outcome, found.outcome) == ("inconclusive", "inconclusive")
    assert word in one.reason
    assert one.confirmation is not None and one.confirmation.outcome == "failed"


def test_tests_that_were_no_suspects_stay_as_they_were() -> None:
    run = first(Case(A), *OTHERS)
    assert entry(judge(run, confirmation=second(Case(A, ratio=1.5))), A) == entry(judge(run), A)


def test_another_machine_confirms_without_being_mixed_in() -> None:
    machine = msgspec.structs.replace(synthetic.MACHINE, name="bench-2", fingerprint="n" * 16)
    base, head = (msgspec.structs.replace(one, fingerprint="other") for one in (synthetic.BASE, synthetic.HEAD))
    options = {"machine": machine, "base": base, "head": head}
    run = first(Case(A, ratio=1.15), Case(B, ratio=1.15), *OTHERS)
    found = judge(run, confirmation=second(Case(A, ratio=1.04), Case(B, ratio=1.0), **options))
    assert entry(found, A).outcome == "regressed" and "bench-2" in entry(found, A).reason
    assert entry(found, A).change == entry(judge(run), A).change
    assert entry(found, B).outcome == "inconclusive"
    assert "on another machine" in render(found, "comment")


def test_against_norms_the_second_run_counts() -> None:
    cases = [Case(A, ratio=1.15), Case(B, ratio=1.15), *synthetic.cases(8)]
    norms = {case.test: Entry(norm=case.seconds, spread=0.005, launches=12) for case in cases}
    stored = Reference("reference.yaml", norms, references.Header(fingerprint="m" * 16))
    run = first(*cases, base=None)
    found = judge(run, reference=stored, confirmation=second(Case(A, ratio=1.15), Case(B), base=None))
    assert entry(found, A).outcome == "regressed" and entry(found, A).reason.startswith("confirmed")
    assert entry(found, B).outcome == "unchanged" and entry(found, B).reason.startswith("not confirmed")


def test_unchanged_tests_pass_both_runs_no_more_often_than_is_said() -> None:
    """With a threshold of next to nothing only the evidence of two runs stands between noise and a signal."""
    cases = synthetic.cases(4000)
    policy = Policy(threshold=1e-6, false_discovery_rate=0.99)
    options = {"rounds": 3, "launches": 12}
    runs = [first(*cases, seed=21, **options), second(*cases, seed=22, **options)]
    suspects = confirmation.wanted(judge(runs[0], policy=policy).tests, None)
    assert len(suspects) > 2000, "the rule is put to the test"
    found = judge(runs[0], policy=policy, confirmation=runs[1])
    assert len(found.of("regressed", "improved")) <= 4000 * confirmation.CHANCE * 2.5
    half = Policy(threshold=1e-6)
    true = judge(first(*synthetic.cases(50, 1.02)), policy=half, confirmation=second(*synthetic.cases(50, 1.02)))
    assert len(true.of("regressed")) >= 45, "and it does not confirm by refusing everything"


@pytest.mark.parametrize(
    ("again", "said"),
    [
        (second(Case(A), confirms="another"), "confirms run another"),
        (second(Case(A), confirms=""), "confirms no other run"),
        (second(Case(A), size="v1"), "another size"),
        (second(Case(A), head=msgspec.structs.replace(synthetic.HEAD, fingerprint="x")), "other builds"),
    ],
)
def test_a_run_that_confirms_something_else_is_refused(again: records.Run, said: str) -> None:
    with pytest.raises(UserError, match=said):
        judge(first(Case(A, ratio=1.2)), confirmation=again)


def test_the_plain_rule_has_nothing_to_confirm() -> None:
    with pytest.raises(UserError, match="no intervals"):
        judge(first(Case(A)), policy=Policy(name="v1"), confirmation=second(Case(A)))


def test_a_confirmed_verdict_follows_from_its_files(tmp_path: pathlib.Path) -> None:
    run = synthetic.write(first(Case(A, ratio=1.2), *OTHERS), tmp_path / "run.jsonl")
    again = synthetic.write(second(Case(A, ratio=1.2)), tmp_path / "confirm.jsonl")
    found = replay.judge_files([run], confirmations=[again])
    path = tmp_path / "verdict.json"
    path.write_bytes(verdict.encode(found))
    assert replay.verify(path).second_run == found.second_run
    synthetic.write(second(Case(A, ratio=1.21)), again)
    with pytest.raises(UserError, match=r"confirm\.jsonl"):
        replay.verify(path)
