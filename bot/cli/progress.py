"""How a run goes, on stderr: a live display on a terminal, one line per finished test elsewhere.

Promises to draw only when it is told something, which is between samples: there is no refreshing thread, so nothing of
ours runs while a step is timed.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bot import numbers
from harness import interleave
from harness.interleave import Progress
from harness.modenames import baseline
from harness.records import Plan, Test
from harness.session import Observer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from harness.plan import Group
    from harness.stats import Estimate

_BAR_WIDTH = 30


@contextlib.contextmanager
def watching(plan: Plan) -> Iterator[Observer]:
    """An observer that shows the progress of a run of `plan` on stderr, in the way that stderr allows."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Lines(plan)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False, markup=False)
    with Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as live:
        yield Display(plan, live)


class Lines:
    """An observer that prints a line when a test has ended, and one at the start."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._began = time.monotonic()
        self._tests = self._done = self._done_before = 0
        self._estimates: dict[str, Estimate] = {}

    def started(self, tests: int, done: int) -> None:
        """Say how much there is to do."""
        self._tests, self._done, self._done_before = tests, done, done
        before = f", {done} of them known already" if done else ""
        total = self._plan.total_budget_seconds
        at_most = numbers.duration(self._plan.budget_seconds * (tests - done) if total is None else total)
        self._say(f"measuring {numbers.count(tests, 'test')}{before}; about {at_most} at most, once all is loaded")

    def group_begins(self, group: Group) -> None:
        """Begin the clock when the first group does: loading is not measuring."""
        if self._done == self._done_before:
            self._began = time.monotonic()

    def launched(self, progress: Progress) -> None:
        """Remember the estimates, for the line at the end of the test."""
        self._estimates.update(progress.estimates)

    def test_ended(self, test: Test) -> None:
        """Print the test's line."""
        self._done += 1
        self._say(f"[{self._done:>{len(str(self._tests))}}/{self._tests}] {ended(test, self._shown(test))}")

    def _shown(self, test: Test) -> str:
        estimate = self._estimates.get(test.test)
        return "" if estimate is None else interval(estimate, compared=self._compared(test))

    def _compared(self, test: Test) -> bool:
        against = baseline(test.mode)
        return self._plan.base is not None or (against != test.mode and against in self._plan.modes)

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class Display(Lines):
    """An observer that keeps a few lines up to date at the foot of a terminal. `live` is a rich.live.Live."""

    def __init__(self, plan: Plan, live: object) -> None:
        super().__init__(plan)
        self._live = live

    def started(self, tests: int, done: int) -> None:
        """Say how much there is to do, and what is going on."""
        super().started(tests, done)
        self._draw(f"loading torch in {numbers.count(self._plan.nurseries, 'process', 'processes')} per build")

    def group_begins(self, group: Group) -> None:
        """Show the tests that are measured next."""
        super().group_begins(group)
        total = self._plan.total_budget_seconds
        budget = self._plan.budget_seconds * len(group.modes) if total is None else total
        self._draw(_title(group, self._plan), "first launch", left=self._left(len(group.tests), budget))

    def launched(self, progress: Progress) -> None:
        """Show where the tests stand."""
        super().launched(progress)
        group = progress.group
        rows = [
            f"{test}  {interval(estimate, compared=self._plan.base is not None or len(group.modes) > 1)}"
            for test, estimate in progress.estimates.items()
        ]
        spent = (
            f"{numbers.count(progress.launches, 'launch', 'launches')}, "
            f"{numbers.duration(progress.elapsed_seconds)} of {numbers.duration(progress.budget_seconds)}"
        )
        rest = max(0.0, progress.budget_seconds - progress.elapsed_seconds)
        self._draw(_title(group, self._plan), *rows, spent, left=self._left(len(group.tests), rest))

    def _left(self, current: int, rest: float) -> str:
        """Time left: the rest of the current group's budget, and for the others what a test has taken so far."""
        measured = self._done - self._done_before
        each = (time.monotonic() - self._began) / measured if measured else self._plan.budget_seconds
        each = min(each, self._plan.budget_seconds)
        seconds = rest + each * max(0, self._tests - self._done - current)
        return f"about {numbers.duration(max(seconds, 1.0))} left"

    def _draw(self, *rows: str, left: str = "") -> None:
        from rich.console import Group as Stack
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        parts: list[RenderableType] = [Text(row, no_wrap=True, overflow="ellipsis") for row in rows]
        parts.append(ProgressBar(total=max(self._tests, 1), completed=self._done, width=_BAR_WIDTH))
        parts.append(Text(f"{self._done} of {numbers.count(self._tests, 'test')}" + (f", {left}" if left else "")))
        self._live.update(Stack(*parts), refresh=True)  # type: ignore[attr-defined]

    def _say(self, line: str) -> None:
        from rich.text import Text

        self._live.console.print(Text(line))  # type: ignore[attr-defined]


def _title(group: Group, plan: Plan) -> str:
    lanes = ", ".join(map(str, interleave.lanes_of(group, plan)))
    return f"{group.name}: {lanes or 'nothing to run'}"


def interval(estimate: Estimate, *, compared: bool) -> str:
    """The estimate so far: a change with its interval, or the interval alone where nothing is compared."""
    if estimate.degrees_of_freedom <= 0:
        return "no interval yet"
    if compared:
        return numbers.change(estimate.change, estimate.change_low, estimate.change_high)
    return f"± {numbers.percent(estimate.half_width)}"


def ended(test: Test, shown: str) -> str:
    """One line on a test that has ended: its name, how, the interval `shown`, and what it took."""
    if test.status != "pass":
        return f"{test.test}  {test.status}" + (f": {test.reason}" if test.reason else "")
    launches = max((len(lane.launches) for lane in test.lanes), default=0)
    effort = f"{numbers.count(launches, 'launch', 'launches')}, {numbers.duration(test.elapsed_seconds)}"
    return "  ".join(part for part in (test.test, shown, effort) if part)
