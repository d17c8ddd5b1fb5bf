from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import aggregate
from bot.aggregate import HUD, RUNNER, Figures, Flag, Key, aggregates, common, figures, geometric_mean
from harness import records
from tests import synthetic
from tests.synthetic import QUIET, Case

KEY = Key("smoke", "inductor", "eval", "head")


def group(
    model: str, speedup: float = 2.0, *, status: records.Status = "pass", accuracy: str = "pass", seconds: float = 0.01
) -> tuple[Case, Case]:
    """A model in eager and in inductor, which is `speedup` times as fast."""
    eager = Case(f"test_eval[{model}-cpu-eager]", seconds=seconds)
    return eager, Case(f"test_eval[{model}-cpu-inductor]", seconds=seconds / speedup, status=status, reason=accuracy)


def run(
    *groups: tuple[Case, Case], planned: tuple[str, ...] = (), peak: float = 0.5, cold: float = 30.0
) -> records.Run:
    """A run of one build; the reason of a case is the word of its accuracy check."""
    made = synthetic.run([case for pair in groups for case in pair], base=None, noise=QUIET, planned=planned)
    return msgspec.structs.replace(made, tests=tuple(_told(test, peak, cold) for test in made.tests))


def _told(test: records.Test, peak: float, cold: float) -> records.Test:
    compiled = test.mode == "inductor"
    bytes_ = round(1e9 * peak) if compiled else 10**9
    lanes = [
        msgspec.structs.replace(
            lane,
            launches=tuple(msgspec.structs.replace(it, peak_memory_bytes=bytes_) for it in lane.launches),
            compilation=records.Compilation(cold_seconds=cold) if compiled else None,
        )
        for lane in test.lanes
    ]
    accuracy = records.Accuracy(status=test.reason) if compiled else None
    return msgspec.structs.replace(test, lanes=tuple(lanes), accuracy=accuracy)


def only(found: records.Run, policy: aggregate.Thresholds = HUD) -> aggregate.Aggregate:
    (one,) = aggregates(figures(found), policy)
    return one


def test_the_figures_of_a_model_are_those_of_its_lane_and_of_eagers() -> None:
    (one,) = figures(run(group("a", 2.0, seconds=0.02)))
    assert (one.key, one.model, one.status, one.passed) == (KEY, "a", "pass", True)
    assert one.speedup == pytest.approx(2.0)
    assert (one.seconds, one.eager_seconds) == (pytest.approx(0.01), pytest.approx(0.02))
    assert one.compression == pytest.approx(2.0)
    assert one.cold_seconds == 30.0
    assert (KEY.backend, KEY.precision) == ("inductor", "float32")


def test_a_failed_and_an_absent_model_are_named_and_not_averaged() -> None:
    found = only(
        run(group("a", 2.0), group("b", 8.0), group("c", status="timeout"), planned=("test_eval[d-cpu-inductor]",))
    )
    assert found.passed == ("a", "b")
    assert found.failed == {"c": "timeout"}
    assert found.absent == ("d",)
    assert found.speedup is not None and found.speedup.value == pytest.approx(4.0)
    assert found.pass_rate == pytest.approx(0.5)


def test_a_model_whose_results_are_wrong_does_not_pass_however_fast() -> None:
    found = only(run(group("a", 2.0), group("b", 100.0, accuracy="fail_accuracy")))
    assert (found.passed, found.failed) == (("a",), {"b": "fail_accuracy"})
    assert found.speedup is not None and found.speedup.value == pytest.approx(2.0)


def test_a_model_whose_eager_step_failed_has_no_speedup_and_does_not_pass() -> None:
    eager, compiled = group("a")
    made = run((eager, compiled), group("b"))
    tests = [msgspec.structs.replace(test, status="crash") if test.test == eager.test else test for test in made.tests]
    found = only(msgspec.structs.replace(made, tests=tuple(tests)))
    assert (found.passed, found.failed) == (("b",), {"a": "eager_fail_to_run"})


def test_the_runners_way_clips_and_drops() -> None:
    made = run(group("a", 0.5), group("b", 2.0), group("c", accuracy="eager_fail_to_run"))
    hud, runner = only(made), only(made, RUNNER)
    assert hud.speedup is not None and hud.speedup.value == pytest.approx(1.0)
    assert runner.speedup is not None and runner.speedup.value == pytest.approx(math.sqrt(2))
    assert (hud.pass_rate, runner.pass_rate) == (pytest.approx(2 / 3), 1.0)


def test_modes_precisions_and_types_are_summed_apart() -> None:
    cases = [
        Case(f"test_{type}[a-cpu-{mode}]")
        for type in ("eval", "train")
        for mode in ("eager", "eager_bf16", "inductor", "inductor_bf16")
    ]
    found = aggregates(figures(synthetic.run(cases, base=None, noise=QUIET)))
    keys = [(one.key.type, one.key.backend, one.key.precision) for one in found]
    assert sorted(keys) == sorted((type, "inductor", it) for type in ("eval", "train") for it in ("bf16", "float32"))


def test_the_interval_of_the_mean_narrows_with_the_number_of_models() -> None:
    def member(number: int) -> Figures:
        return Figures(KEY, f"m{number}", "", "pass", True, speedup=2.0, low=2.0 / 1.1, high=2.0 * 1.1)

    one, four = (geometric_mean([member(n) for n in range(count)], clips=False) for count in (1, 4))
    assert one is not None and four is not None and one.high is not None and four.high is not None
    assert one.value == pytest.approx(2.0) == pytest.approx(four.value)
    assert math.log(one.high / 2) == pytest.approx(2 * math.log(four.high / 2))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30))
def test_the_mean_lies_between_its_models_and_clipping_never_lowers_it(speedups: list[float]) -> None:
    members = [Figures(KEY, str(n), "", "pass", True, speedup=value) for n, value in enumerate(speedups)]
    plain, clipped = (geometric_mean(members, clips=clips) for clips in (False, True))
    assert plain is not None and clipped is not None
    assert min(speedups) * (1 - 1e-9) <= plain.value <= max(speedups) * (1 + 1e-9)
    assert clipped.value >= max(1.0, plain.value) - 1e-9
    assert plain.low is None


def test_two_sides_are_averaged_over_what_passes_on_both() -> None:
    before = figures(run(group("a", 2.0), group("b", 8.0), group("gone", 9.0)))
    after = figures(run(group("a", 2.0), group("b", 8.0, accuracy="fail_accuracy"), group("new", 9.0)))
    shared = common(before, after)
    assert shared == {"a"}
    for side in (before, after):
        (found,) = aggregates(side, only=shared)
        assert found.speedup is not None and found.speedup.value == pytest.approx(2.0)
    (found,) = aggregates(before, only=shared)
    assert found.passed == ("a", "b", "gone")


def _flags(found: list[Flag]) -> set[tuple[str, str]]:
    return {(flag.model, flag.metric) for flag in found}


def test_warnings_are_absolute() -> None:
    found = figures(run(group("slow", 0.9), group("fine", 1.2), group("wrong", accuracy="fail_accuracy"), cold=130.0))
    assert _flags(aggregate.warnings(found, HUD)) == {("slow", "speedup"), ("wrong", "accuracy")}
    assert _flags(aggregate.warnings(found, RUNNER)) == {
        ("slow", "speedup"),
        ("wrong", "accuracy"),
        ("slow", "compile_seconds"),
        ("fine", "compile_seconds"),
    }


def test_memory_is_warned_of_on_a_gpu_alone() -> None:
    (large,) = figures(run(group("large", 1.2), peak=1.2))
    assert aggregate.warnings([large], RUNNER) == []
    on_gpu = dataclasses.replace(large, device="cuda")
    assert _flags(aggregate.warnings([on_gpu], RUNNER)) == {("large", "compression")}


@pytest.mark.parametrize(
    ("before", "after", "hud", "runner"),
    [
        (3.0, 1.0, True, False),
        (0.96, 0.94, False, True),
        (2.0, 1.95, False, False),
        (1.0, 3.0, False, False),
        (0.5, 0.4, True, False),
    ],
    ids=["much slower, still fast", "over the line", "a little", "faster", "slow before already"],
)
def test_what_regressed_depends_on_the_policy(before: float, after: float, hud: bool, runner: bool) -> None:
    sides = figures(run(group("a", before))), figures(run(group("a", after)))
    assert _flags(aggregate.regressions(*sides, HUD)) == ({("a", "speedup")} if hud else set())
    assert _flags(aggregate.regressions(*sides, RUNNER)) == ({("a", "speedup")} if runner else set())


@pytest.mark.parametrize("policy", [HUD, RUNNER], ids=lambda policy: str(policy.name))
def test_a_model_that_fails_now_has_regressed_and_one_that_is_new_has_not(policy: aggregate.Thresholds) -> None:
    before = figures(run(group("a"), group("b")))
    after = figures(run(group("a", accuracy="fail_accuracy"), group("b"), group("new", 0.1)))
    assert _flags(aggregate.regressions(before, after, policy)) == {("a", "accuracy")}


def test_compile_time_and_memory_regress_upwards_and_downwards() -> None:
    def side(change: Callable[[], records.Run]) -> list[Figures]:
        return figures(change())

    before = side(lambda: run(group("a"), peak=0.5, cold=30.0))
    after = side(lambda: run(group("a"), peak=0.6, cold=40.0))
    assert _flags(aggregate.regressions(before, after, HUD)) == {("a", "compile_seconds"), ("a", "compression")}
    assert aggregate.regressions(after, before, HUD) == []
