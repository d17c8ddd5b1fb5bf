"""The judge on runs whose truth is known: what it must find, what it must not, and what it must not hide."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import comparison
from bot import reference as references
from bot import verdict as verdicts
from bot.judge import exit_code, judge
from bot.reference import Entry, Header, Reference
from bot.verdict import Policy, Verdict
from harness import records
from harness.errors import UserError
from tests import synthetic
from tests.published import v1_reference
from tests.synthetic import QUIET, Case, Noise

V1 = Policy(name="v1")


def entry(verdict: Verdict, test: str) -> verdicts.TestVerdict:
    return next(entry for entry in verdict.tests if entry.test == test)


def outcomes(verdict: Verdict) -> dict[str, str]:
    return {entry.test: entry.outcome for entry in verdict.tests}


def reference(entries: dict[str, Entry], header: Header | None = None) -> Reference:
    return Reference("reference.yaml", entries, header)


A, B, C = (f"test_eval[{name}-cpu-eager]" for name in "abc")


# Size and evidence.


@pytest.mark.parametrize(
    ("ratio", "noise", "outcome"),
    [
        (1.10, None, "regressed"),
        (1 / 1.10, None, "improved"),
        (1.00, None, "unchanged"),
        (1.03, None, "unchanged"),
        (1.07, QUIET, "regressed"),
        (0.93, QUIET, "improved"),
        (1.0699, QUIET, "unchanged"),
        (0.9301, QUIET, "unchanged"),
        (1.00, Noise(launch=0.2), "inconclusive"),
        (1.07, Noise(launch=0.2), "inconclusive"),
    ],
)
def test_outcome_of_a_true_ratio(ratio: float, noise: Noise | None, outcome: str) -> None:
    verdict = judge(synthetic.run([Case(A, ratio=ratio, noise=noise)]))
    assert outcomes(verdict) == {A: outcome}


def test_change_and_interval_are_those_of_the_truth() -> None:
    found = entry(judge(synthetic.run([Case(A, ratio=1.25, seconds=0.02, noise=QUIET)])), A)
    assert (found.change, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert (found.base_seconds, found.head_seconds) == pytest.approx((0.02, 0.025))
    assert (found.lane, found.against) == ("eager@head", "eager@base")
    assert [launch.pair for launch in found.launches] == [0, 1, 2, 3, 4, 5] * 2, "the head's nurseries name the pairs"


def test_false_discoveries_are_controlled_over_all_tests() -> None:
    """With a threshold of next to nothing only the evidence stands between noise and a signal."""
    verdict = judge(synthetic.run(synthetic.cases(500), seed=3, rounds=5), policy=Policy(threshold=1e-6))
    excluding = [found for found in verdict.tests if found.low > 0 or found.high < 0]  # type: ignore[operator]
    assert 5 <= len(excluding) <= 45, "about one in twenty true nulls has an interval without zero"
    assert len(verdict.of("regressed", "improved")) <= 2


def test_five_hundred_true_nulls_give_no_signal_at_the_default_policy() -> None:
    verdict = judge(synthetic.run(synthetic.cases(500), seed=4, rounds=5))
    assert not verdict.of("regressed", "improved")
    assert verdict.outcome == "unchanged"
    assert exit_code(verdict) == 0


def test_ten_percent_is_found_and_three_percent_is_seen_without_a_signal() -> None:
    nulls = synthetic.cases(40)
    ten = judge(synthetic.run([*nulls, *synthetic.cases(30, 1.10, prefix="slow")], seed=5))
    assert [found.test for found in ten.of("regressed")] == sorted(c.test for c in synthetic.cases(30, prefix="slow"))
    assert not ten.of("improved")
    assert (ten.outcome, exit_code(ten)) == ("regressed", 1)

    three = judge(synthetic.run([*nulls, *synthetic.cases(30, 1.03, prefix="slow")], seed=6))
    slow = [found for found in three.tests if "[slow" in found.test]
    assert not [found for found in slow if found.signal]
    assert sum(found.low > 0 for found in slow) >= 24  # type: ignore[operator]


def test_v1_policy_is_the_plain_rule_on_plain_means() -> None:
    noisy = Noise(launch=0.15, pair=0.1)
    cases = [Case(c.test, noise=noisy) for c in synthetic.cases(60)]
    run = synthetic.run(cases, seed=7)
    verdict = judge(run, policy=V1)
    for test in run.tests:
        base, head = (statistics.fmean(s for launch in lane.launches for s in launch.seconds) for lane in test.lanes)
        delta = (head - base) / base
        found = entry(verdict, test.test)
        assert found.change == pytest.approx(delta)
        assert found.outcome == ("unchanged" if abs(delta) < 0.07 else "regressed" if delta > 0 else "improved")
        assert (found.low, found.high, found.q_value) == (None, None, None)
    assert verdict.of("regressed"), "the comparison is pointless unless V1's rule is fooled here"
    assert not judge(run).of("regressed", "improved")


def test_v1_policy_does_not_see_what_is_missing_and_ours_does() -> None:
    run = synthetic.run([Case(A), Case(B, status="crash", reason="signal 11")], planned=[C])
    assert outcomes(judge(run, policy=V1)) == {A: "unchanged"}
    assert judge(run, policy=V1).outcome == "unchanged"
    assert outcomes(judge(run)) == {A: "unchanged", B: "failed", C: "missing"}
    assert judge(run).outcome == "inconclusive"


# Nothing that was not measured passes.


@pytest.mark.parametrize("status", sorted(set(records.STATUSES) - {"pass", "skip"}))
@pytest.mark.parametrize("measured", [False, True])
def test_no_other_status_counts_as_a_pass(status: records.Status, measured: bool) -> None:
    run = synthetic.run([Case(A), Case(B, status=status, reason="why", stderr="x" * 9000 + "end", measured=measured)])
    verdict = judge(run)
    found = entry(verdict, B)
    assert found.outcome == ("inconclusive" if status == "inconclusive" else "failed")
    assert "why" in found.reason
    assert found.stderr.endswith("end") and len(found.stderr) <= 4000
    assert (verdict.outcome, exit_code(verdict)) == ("inconclusive", 3)


def test_a_failed_test_does_not_hide_a_regression() -> None:
    verdict = judge(synthetic.run([Case(A, ratio=1.2), Case(B, status="OOM")], planned=[C]))
    assert verdict.outcome == "regressed"


def test_a_skip_is_no_alarm_but_is_said() -> None:
    verdict = judge(synthetic.run([Case(A), Case(B, status="skip", reason="B has no eval step")]))
    assert outcomes(verdict) == {A: "unchanged"}
    assert verdict.outcome == "unchanged"
    assert any(B in warning and "B has no eval step" in warning for warning in verdict.warnings)


EMPTY_HANDED = {
    "empty": synthetic.run([]),
    "skipped": synthetic.run([Case(A, status="skip", reason="no")]),
    "one build": synthetic.run([Case(A)], base=None),
    "no launch": synthetic.run([Case(A)], launches=0),
    "no round": synthetic.run([Case(A)], rounds=0),
    "one launch": synthetic.run([Case(A)], launches=1),
}


@pytest.mark.parametrize(
    ("kind", "policy"),
    # A single launch is enough for V1's means.
    [(kind, policy) for kind in EMPTY_HANDED for policy in (Policy(), V1) if (kind, policy) != ("one launch", V1)],
)
def test_a_run_without_any_comparable_test_is_inconclusive(kind: str, policy: Policy) -> None:
    verdict = judge(EMPTY_HANDED[kind], policy=policy)
    assert (verdict.outcome, exit_code(verdict)) == ("inconclusive", 3)


@pytest.mark.parametrize(("ended", "interrupted", "word"), [(False, False, "killed"), (True, True, "interrupted")])
def test_a_run_that_did_not_end_is_never_unchanged(ended: bool, interrupted: bool, word: str) -> None:
    verdict = judge(synthetic.run([Case(A)], ended=ended, interrupted=interrupted))
    assert outcomes(verdict) == {A: "unchanged"}
    assert verdict.outcome == "inconclusive"
    assert any(word in warning and "--resume" in warning for warning in verdict.warnings)


def test_lanes_that_are_not_there() -> None:
    run = synthetic.run([Case(A), Case(B), Case(C)])
    whole, no_base, no_head = run.tests
    no_base = msgspec.structs.replace(no_base, lanes=no_base.lanes[1:])
    no_head = msgspec.structs.replace(no_head, lanes=no_head.lanes[:1])
    verdict = judge(msgspec.structs.replace(run, tests=(whole, no_base, no_head)))
    assert outcomes(verdict) == {A: "unchanged", B: "new", C: "missing"}


def test_launches_are_cut_to_the_rounds_and_launches_both_lanes_have() -> None:
    run = synthetic.run([Case(A, ratio=1.2, noise=QUIET)], launches=6, rounds=8)
    base, head = run.tests[0].lanes
    shorter = msgspec.structs.replace(head.launches[0], seconds=head.launches[0].seconds[:3])
    # Rounds that the other lane lacks would turn the effect, were they used.
    longer = msgspec.structs.replace(base.launches[1], seconds=base.launches[1].seconds + (9.0,) * 20)
    head = msgspec.structs.replace(head, launches=(shorter, *head.launches[1:5]))
    base = msgspec.structs.replace(base, launches=(base.launches[0], longer, *base.launches[2:]))
    test = msgspec.structs.replace(run.tests[0], lanes=(base, head))
    found = entry(judge(msgspec.structs.replace(run, tests=(test,))), A)
    assert len(found.launches) == 5
    assert found.change == pytest.approx(0.2)
    assert any("lacks rounds" in warning for warning in found.warnings)


def test_base_and_head_of_one_name_are_told_apart_by_their_order() -> None:
    same = dataclasses.replace(Case(A, ratio=1.2, noise=QUIET))
    found = entry(judge(synthetic.run([same], base=synthetic.HEAD)), A)
    assert found.change == pytest.approx(0.2)


# Order and direction.

RATIOS = st.lists(st.sampled_from([0.85, 0.95, 1.0, 1.03, 1.06, 1.1, 1.3]), min_size=1, max_size=6)


@settings(max_examples=30, deadline=None)
@given(RATIOS, st.randoms(use_true_random=False))
def test_the_order_of_tests_and_shards_does_not_matter(ratios: list[float], random) -> None:  # type: ignore[no-untyped-def]
    modes = ("eager", "inductor")
    cases = [Case(f"test_eval[m{n}-cpu-{mode}]", ratio=ratio) for n, ratio in enumerate(ratios) for mode in modes]
    run = synthetic.run(cases, launches=6, rounds=5)
    shuffled = list(run.tests)
    random.shuffle(shuffled)
    assert judge(msgspec.structs.replace(run, tests=tuple(shuffled))) == judge(run)


@settings(max_examples=30, deadline=None)
@given(RATIOS, st.integers(0, 1000))
def test_swapping_base_and_head_mirrors_every_log_ratio(ratios: list[float], seed: int) -> None:
    cases = [Case(f"test_eval[m{number}-cpu-eager]", ratio=ratio) for number, ratio in enumerate(ratios)]
    run = synthetic.run(cases, launches=12, rounds=5, seed=seed)
    plan = msgspec.structs.replace(run.header.plan, base="head", head="base")
    swapped = msgspec.structs.replace(run, header=msgspec.structs.replace(run.header, plan=plan))
    mirror = {"regressed": "improved", "improved": "regressed"}
    for there, back in zip(judge(run).tests, judge(swapped).tests, strict=True):
        assert math.log1p(back.change) == pytest.approx(-math.log1p(there.change), abs=1e-12)  # type: ignore[arg-type]
        assert (there.base_seconds, there.head_seconds) == (back.head_seconds, back.base_seconds)
        # 7 % of the base is not 7 % of the head: between log 1.07 and -log 0.93 only one direction is a signal.
        edges = [abs(math.log1p(value)) for value in (there.change, there.low, there.high)]  # type: ignore[arg-type]
        if not any(0.067 < edge < 0.0727 for edge in edges):
            assert back.outcome == mirror.get(there.outcome, there.outcome)


# Against a reference.

TIGHT = Noise(drift=0.0)


def test_a_single_build_is_compared_with_the_reference() -> None:
    cases = [Case(A, ratio=1.10, seconds=0.02, noise=TIGHT), Case(B, noise=TIGHT), Case(C, noise=TIGHT)]
    norms = {A: Entry(0.02, 0.005, 24), B: Entry(0.01, 0.005, 24)}
    verdict = judge(synthetic.run(cases, base=None), reference=reference(norms))
    assert outcomes(verdict) == {A: "regressed", B: "unchanged", C: "new"}
    found = entry(verdict, A)
    assert found.against == "reference"
    assert found.base_seconds == 0.02
    assert found.head_seconds == pytest.approx(0.022, rel=0.02)
    assert found.low < 0.10 < found.high  # type: ignore[operator]
    assert all(launch.base_seconds is None for launch in found.launches)


def test_the_spread_of_the_norm_widens_the_interval_and_its_absence_is_said() -> None:
    run = synthetic.run([Case(A, noise=TIGHT)], base=None)

    def width(norm: Entry) -> float:
        found = entry(judge(run, reference=reference({A: norm})), A)
        assert any("spread" in warning for warning in found.warnings) == (norm.spread is None)
        return found.high - found.low  # type: ignore[operator]

    assert width(Entry(0.01)) < width(Entry(0.01, 0.02, 24)) < width(Entry(0.01, 0.02, 6))


def test_a_run_differs_from_its_own_norms_by_nothing() -> None:
    run = synthetic.run(synthetic.cases(5), base=None)
    norms = {one.test: Entry(one.seconds, one.spread, one.launches) for one in comparison.measured(run)}
    verdict = judge(run, reference=reference(norms))
    assert [found.change for found in verdict.tests] == pytest.approx([0.0] * 5, abs=1e-12)
    assert verdict.score is not None
    assert verdict.score.value == pytest.approx(1000, abs=1e-9)


def test_only_planned_tests_are_missing_and_the_rest_of_the_reference_lowers_the_coverage() -> None:
    norms = {name: Entry(0.01, 0.005, 24) for name in (A, B, C)}
    verdict = judge(synthetic.run([Case(A, noise=TIGHT)], base=None, planned=[B]), reference=reference(norms))
    assert outcomes(verdict) == {A: "unchanged", B: "missing"}
    assert verdict.score is not None
    assert verdict.score.coverage == pytest.approx(1 / 3)


@pytest.mark.parametrize("base", [None, synthetic.BASE])
def test_the_threshold_of_the_reference_overrides_the_policy(base: records.Build | None) -> None:
    cases = [Case(A, ratio=1.05, noise=TIGHT), Case(B, ratio=1.10, noise=TIGHT)]
    norms = {A: Entry(0.01, 0.001, 24, threshold=0.03), B: Entry(0.01, 0.001, 24, threshold=0.2)}
    verdict = judge(synthetic.run(cases, base=base), reference=reference(norms))
    assert outcomes(verdict) == {A: "regressed", B: "unchanged"}
    assert entry(verdict, A).threshold == 0.03


def test_a_pattern_of_the_policy_overrides_its_threshold() -> None:
    cases = [Case(A, ratio=1.05, noise=TIGHT), Case(B, ratio=1.10, noise=TIGHT)]
    verdict = judge(synthetic.run(cases), policy=Policy(tests={"*": 0.2, A: 0.03}))
    assert outcomes(verdict) == {A: "regressed", B: "unchanged"}
    assert (entry(verdict, A).threshold, entry(verdict, B).threshold) == (0.03, 0.2)


@pytest.mark.parametrize("ours", ["a", "a-freeze"])
@pytest.mark.parametrize("theirs", ["a", "a-freeze"])
def test_v1_names_with_freeze_are_the_same_test(ours: str, theirs: str) -> None:
    norms = reference({f"test_eval[{theirs}-cpu-eager]": Entry(0.01, 0.005, 24)})
    name = f"test_eval[{ours}-cpu-eager]"
    verdict = judge(synthetic.run([Case(name, noise=TIGHT)], base=None), reference=norms)
    assert outcomes(verdict) == {name: "unchanged"}
    assert verdict.score is not None
    assert verdict.score.coverage == 1.0


def test_code_and_machine_are_not_confused() -> None:
    """The machine is 20 % slower than when the norms were taken, the code is as fast as its base."""
    cases = [Case(c.test, seconds=0.012, noise=QUIET) for c in synthetic.cases(4)]
    verdict = judge(synthetic.run(cases), reference=reference({c.test: Entry(0.01, 0.001, 24) for c in cases}))
    assert verdict.outcome == "unchanged"
    assert verdict.score is not None
    assert verdict.score.value == pytest.approx(1000)
    assert verdict.score.against == "base"
    assert any("833" in warning for warning in verdict.score.warnings)
    assert any("20 % slower than the reference" in warning for warning in verdict.warnings)
    assert all("not affected" in found.warnings[0] for found in verdict.tests)
    assert verdict.tests[0].base_figures["reference_seconds"] == 0.01


def test_a_machine_that_wanders_between_runs_raises_no_alarm_and_hides_no_large_change() -> None:
    """Between norms and run every test has moved by some 6 %, without a change in the code; one is really slower."""
    generator = random.Random(3)
    cases = [Case(c.test, noise=TIGHT) for c in synthetic.cases(30)]
    norms = {c.test: Entry(0.01 * math.exp(generator.gauss(0, 0.06)), 0.003, 24) for c in cases}
    verdict = judge(synthetic.run(cases, base=None), reference=reference(norms))
    assert not verdict.of("regressed", "improved")
    assert verdict.score is not None
    assert verdict.score.low is not None and verdict.score.high is not None
    assert verdict.score.low < 1000 < verdict.score.high
    assert any("norms were taken, which the intervals allow for" in warning for warning in verdict.warnings)
    slower = cases[7].test
    norms[slower] = Entry(0.01 / 1.5, 0.003, 24)
    verdict = judge(synthetic.run(cases, base=None), reference=reference(norms))
    assert [found.test for found in verdict.of("regressed", "improved")] == [slower]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "does not say on which machine"),
        (Header(fingerprint="other", machine="old-box"), "old-box"),
        (Header(fingerprint=synthetic.MACHINE.fingerprint, size="v1"), "size v1"),
        (Header(fingerprint=synthetic.MACHINE.fingerprint, threads=8), "8 threads"),
    ],
)
def test_a_reference_of_another_machine_size_or_threads_is_said(header: Header | None, words: str) -> None:
    verdict = judge(synthetic.run([Case(A)], base=None), reference=reference({A: Entry(0.01)}, header))
    assert any(words in warning for warning in verdict.warnings)


def test_a_matching_reference_gives_no_caution() -> None:
    header = Header(fingerprint=synthetic.MACHINE.fingerprint, size="small", threads=1)
    verdict = judge(
        synthetic.run([Case(A, noise=TIGHT)], base=None), reference=reference({A: Entry(0.01, 0.1, 9)}, header)
    )
    assert verdict.warnings == ()
    assert verdict.tests[0].warnings == ()


# The score.


def test_the_score_of_a_uniform_change() -> None:
    verdict = judge(synthetic.run([Case(c.test, ratio=1.25, noise=QUIET) for c in synthetic.cases(3)]))
    assert verdict.score is not None
    assert verdict.score.value == pytest.approx(800)
    assert verdict.score.coverage == 1.0
    assert verdict.score.outcome == "regressed"
    assert sum(mover.points for mover in verdict.score.movers) == pytest.approx(-200)


def test_the_score_alone_can_regress() -> None:
    verdict = judge(synthetic.run(synthetic.cases(30, 1.03)))
    assert not verdict.of("regressed", "improved")
    assert verdict.score is not None
    assert verdict.score.outcome == "regressed"
    assert verdict.score.low < 1000 / 1.03 < verdict.score.high  # type: ignore[operator]
    assert verdict.outcome == "regressed"


def test_the_score_of_a_noisy_run_without_a_change_is_hardly_ever_an_alarm() -> None:
    """With an interval wider than the 1 % rule, size and interval alone would alarm in one run of twenty."""
    alarms = beyond = 0
    for seed in range(400):
        run = synthetic.run(synthetic.cases(1), seed=seed, launches=6, noise=Noise(launch=0.05, pair=0.0))
        found = judge(run).score
        assert found is not None and found.low is not None and found.high is not None
        alarms += found.outcome in ("regressed", "improved")
        beyond += abs(found.value - 1000) > 10 and not found.low <= 1000 <= found.high
    assert beyond >= 8, "the runs are too quiet for this test to say anything"
    assert alarms <= beyond / 3


def test_a_failed_test_lowers_the_coverage() -> None:
    verdict = judge(synthetic.run([Case(A), Case(B, status="timeout")]))
    assert verdict.score is not None
    assert verdict.score.coverage == pytest.approx(0.5)


# What is shown beside it.


def test_speedups_of_every_mode_in_every_build() -> None:
    inductor = A.replace("eager", "inductor")
    cases = [Case(A, noise=QUIET, ratio=1.5), Case(inductor, noise=QUIET, seconds=0.005), Case(B)]
    found = judge(synthetic.run(cases)).speedups
    assert [(one.test, one.lane, one.against) for one in found] == [
        (inductor, "inductor@base", "eager@base"),
        (inductor, "inductor@head", "eager@head"),
    ]
    assert [one.ratio for one in found] == pytest.approx([2.0, 3.0])
    assert (found[0].against_seconds, found[0].seconds) == pytest.approx((0.01, 0.005))


def test_a_speedup_needs_both_to_have_passed() -> None:
    inductor = A.replace("eager", "inductor")
    run = synthetic.run([Case(A), Case(inductor, status="fail_accuracy", measured=True)])
    assert judge(run).speedups == ()


def test_samples_are_kept_for_signals_and_thinned() -> None:
    verdict = judge(synthetic.run([Case(A, ratio=1.3), Case(B)], launches=4, rounds=500, nurseries=2))
    signal, other = entry(verdict, A), entry(verdict, B)
    assert [lane.lane for lane in signal.samples] == ["eager@base", "eager@head"]
    assert [len(launch) for launch in signal.samples[0].launches] == [200] * 4
    assert other.samples == ()
    assert len(other.launches) == 4


def test_phases_and_figures() -> None:
    train = "test_train[a-cpu-eager]"
    case = Case(train, ratio=1.1, noise=QUIET, phase_ratios={"backward": 1.3, "forward": 1.0}, memory_ratio=2.0)
    found = entry(judge(synthetic.run([case])), train)
    assert found.phases == pytest.approx({"forward": 0.0, "backward": 0.3, "update": 0.1})
    assert found.head_figures["peak_memory_bytes"] == 2 * found.base_figures["peak_memory_bytes"]
    assert found.base_figures["throughput"] == pytest.approx(4 / 0.01)


def test_what_could_have_been_seen() -> None:
    quiet, loud = Case(A, noise=Noise(launch=0.002)), Case(B, noise=Noise(launch=0.05))
    verdict = judge(synthetic.run([quiet, loud, Case(C, status="crash")]))
    assert entry(verdict, A).detectable < entry(verdict, B).detectable  # type: ignore[operator]
    assert verdict.detectable_worst == entry(verdict, B).detectable
    assert entry(verdict, A).detectable < verdict.detectable < verdict.detectable_worst  # type: ignore[operator]


BUSY = records.Health(rounds=100, disturbed_rounds=40, steal=0.2, throttled=3)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (Case(A, launches=3), "Only 3 launches"),
        (Case(A, health=BUSY), "More than 30 % of the rounds"),
        (Case(A, health=BUSY), "steal"),
        (Case(A, health=BUSY), "throttled"),
        (Case(A, stopped="budget", noise=Noise(launch=0.1)), "budget"),
    ],
)
def test_cautions_of_a_test(case: Case, words: str) -> None:
    assert any(words in warning for warning in judge(synthetic.run([case])).tests[0].warnings)


def test_a_test_measured_well_bears_no_caution() -> None:
    verdict = judge(synthetic.run([Case(A)]))
    assert verdict.tests[0].warnings == ()
    assert verdict.warnings == ()


@pytest.mark.parametrize(
    ("base", "head", "words"),
    [
        ({"parameters": 100}, {"parameters": 101}, "differ in parameters"),
        ({"flops": 100}, {"flops": 90}, "differ in floating-point operations"),
        ({"output_shapes": ((2, 3),)}, {"output_shapes": ((2, 4),)}, "differ in output shapes"),
    ],
)
def test_builds_that_do_not_do_the_same_work_are_said(
    base: dict[str, object], head: dict[str, object], words: str
) -> None:
    run = synthetic.run([Case(A)])
    (test,) = run.tests

    def with_facts(theirs: dict[str, object]) -> records.Run:
        lanes = tuple(
            msgspec.structs.replace(lane, **facts) for lane, facts in zip(test.lanes, (base, theirs), strict=True)
        )
        return msgspec.structs.replace(run, tests=(msgspec.structs.replace(test, lanes=lanes),))

    assert any(words in warning for warning in judge(with_facts(head)).tests[0].warnings)
    for same in (base, {}):
        assert judge(with_facts(same)).tests[0].warnings == ()


def test_one_nursery_is_said() -> None:
    verdict = judge(synthetic.run([Case(A)], nurseries=1))
    assert any("one preloaded process" in warning for warning in verdict.tests[0].warnings)


def test_the_same_build_and_an_injection_are_said() -> None:
    same = msgspec.structs.replace(synthetic.BASE, fingerprint=synthetic.HEAD.fingerprint)
    verdict = judge(synthetic.run([Case(A, ratio=1.1)], base=same, inject={A: 0.1}))
    assert any("same build" in warning for warning in verdict.warnings)
    assert any("10 % (--inject)" in warning for warning in verdict.warnings)
    assert "--inject" in verdict.reproduce


def test_two_interpreters_in_shared_code_pages_are_said() -> None:
    def said(code_pages: str, **changes: Any) -> bool:
        verdict = judge(synthetic.run([Case(A)], code_pages=code_pages, **changes))
        return any("--code-pages own" in warning for warning in verdict.warnings)

    assert said("shared")
    assert not said("own")
    assert not said("shared", base=msgspec.structs.replace(synthetic.BASE, python=synthetic.HEAD.python))


# Foreign and hostile files.


@pytest.mark.parametrize("name", ["resnet18", "test_eval[]", "test_eval[a-cpu]", ""])
def test_a_name_outside_the_grammar_is_refused_with_a_sentence(name: str) -> None:
    run = synthetic.run([Case(A)])
    run = msgspec.structs.replace(run, tests=(msgspec.structs.replace(run.tests[0], test=name),))
    with pytest.raises(UserError, match="not the name of a test"):
        judge(run)


def test_absurd_seconds_do_not_crash_the_judge() -> None:
    run = synthetic.run([Case(A, seconds=1e-300, ratio=1e305, noise=QUIET), Case(B)])
    with pytest.raises(UserError, match="a-cpu-eager"):
        judge(run)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(UserError, match="torchwarden, v1"):
        judge(synthetic.run([Case(A)]), policy=Policy(name="strict"))


def test_one_test_against_the_published_reference() -> None:
    published = v1_reference()
    name = "test_eval[alexnet-cpu-eager]"
    norm = references.load(published).tests[name].norm
    run = synthetic.run([Case(name, seconds=norm, ratio=1.2, noise=TIGHT)], base=None)
    verdict = judge(run, reference=references.load(published))
    assert outcomes(verdict) == {name: "regressed"}, "the other 244 tests were not asked for"
    assert verdict.score is not None
    assert 0 < verdict.score.coverage < 0.01
    assert verdict.score.value == pytest.approx(1000 / 1.2, rel=0.01)
    assert outcomes(judge(run, reference=references.load(published), policy=V1)) == {name: "regressed"}
