from __future__ import annotations

import io
import threading

import pytest

from bot.cli import progress
from harness import plan as plans
from harness import records, stats
from harness.interleave import Progress
from harness.session import plan_with_tests

PLAN = records.Plan(
    suites=("smoke",), tests=(), types=("eval",), modes=("eager",), base="base", head="head", budget_seconds=20.0
)
GROUPS = plans.select(
    ["smoke"],
    plans.describe_suites(["smoke"]),
    types=["eval"],
    modes=["eager"],
    device="cpu",
    size="small",
    only="resnet18|dlrm",
)
ESTIMATE = stats.estimate([0.08, 0.081, 0.079, 0.082], [0, 1, 0, 1])


def ended(test: str, status: records.Status = "pass", reason: str = "") -> records.Test:
    lane = records.LaneRecord(
        mode="eager",
        build="head",
        launches=tuple(records.Launch(index=i, nursery=0, position=0, steps=1, seconds=(0.1,)) for i in range(4)),
    )
    return records.Test(
        test=test,
        suite="smoke",
        benchmark="x",
        type="eval",
        device="cpu",
        mode="eager",
        group="g",
        category="c",
        domain="d",
        status=status,
        reason=reason,
        lanes=(lane,) if status == "pass" else (),
        elapsed_seconds=9.0,
    )


def follow(observer: progress.Lines) -> None:
    """What a run of two groups tells its observer, the second one ending badly."""
    observer.started(2, 0)
    for group, status in zip(GROUPS, ("pass", "timeout"), strict=True):
        observer.group_begins(group)
        observer.launched(Progress(group, 4, 9.0, 20.0, {group.tests[0]: ESTIMATE}))
        observer.test_ended(ended(group.tests[0], status, "it hung" if status == "timeout" else ""))


def test_one_line_per_test_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_with_tests(PLAN, GROUPS)
    with progress.watching(plan) as observer:
        assert type(observer) is progress.Lines
        follow(observer)
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("measuring 2 tests; about 40 s at most")
    assert second.startswith(f"[1/2] {GROUPS[0].tests[0]}  +8.4 % ± ")
    assert second.endswith("4 launches, 9.0 s")
    assert third == f"[2/2] {GROUPS[1].tests[0]}  timeout: it hung"


def test_the_live_display_shows_where_a_test_stands_and_starts_no_thread() -> None:
    from rich.console import Console
    from rich.live import Live

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None, markup=False)
    threads = threading.active_count()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        follow(progress.Display(plan_with_tests(PLAN, GROUPS), live))
        assert threading.active_count() == threads
    shown = screen.getvalue()
    assert f"{GROUPS[0].name}: eager@base, eager@head" in shown
    assert f"{GROUPS[0].tests[0]}  +8.4 % ± " in shown
    assert "4 launches, 9.0 s of 20 s" in shown
    assert "0 of 2 tests, about 31 s left" in shown


def test_without_a_comparison_only_the_width_is_shown() -> None:
    level = stats.estimate([-2.0, -2.01, -1.99, -2.0], [0, 1, 0, 1])
    assert progress.interval(level.shifted(level.log_ratio), compared=False).startswith("± ")
    assert progress.interval(stats.estimate([0.1], [0]), compared=True) == "no interval yet"
