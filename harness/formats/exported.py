"""What a run has to say in the words of other tools: a row per test of the head build.

Promises that no test of the plan is forgotten: one that failed, and one that has no result at all, get a row too, with
the word for how they ended. Figures that were not measured are None. SI units throughout.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

from harness.modenames import EAGER, join_mode, split_mode
from harness.records import Accuracy, Compilation, LaneRecord, Run, Status, Test
from harness.testname import is_test_name, parse_test_name

ABSENT = "infra_error"
"""The TorchDynamo harness's word for a test that has no result for no reason of its own."""


@dataclass(frozen=True)
class Row:
    """One test of the head build; `lane` is None unless it passed with samples, `eager` the lane of plain PyTorch.

    `word` is how the test ended in the words of the TorchDynamo harness, None where it passed and no accuracy was
    asked for; `status` is None for a test of the plan without a result.
    """

    test: str
    suite: str
    benchmark: str
    type: str
    device: str
    mode: str
    status: Status | None
    reason: str
    word: str | None
    checked: bool = False
    """Whether its accuracy was checked."""
    lane: LaneRecord | None = None
    eager: LaneRecord | None = None

    @property
    def failed(self) -> bool:
        """Whether the row has no time to show: it failed, is absent, undecided, or holds no sample."""
        return self.lane is None

    @property
    def seconds(self) -> float | None:
        """Median of the launches' medians."""
        return self.lane.typical_seconds if self.lane is not None else None

    @property
    def speedup(self) -> float | None:
        """Eager's seconds over this lane's, eager in the same precision and build; None where it was not measured."""
        theirs = self.eager.typical_seconds if self.eager is not None else None
        return None if theirs is None or self.seconds is None else theirs / self.seconds

    @property
    def items(self) -> int:
        """Items of a step, as far as it is known."""
        return self.lane.items if self.lane is not None else 0

    @property
    def compile_seconds(self) -> float | None:
        """Of a cold compilation; where that was not measured, of the first launch that compiled."""
        if self.lane is None:
            return None
        if self.counts.cold_seconds is not None:
            return self.counts.cold_seconds
        return next((one.compile_seconds for one in self.lane.launches if one.compile_seconds is not None), None)

    @property
    def peak_memory_bytes(self) -> int | None:
        """The highest of all launches."""
        return _peak(self.lane)

    @property
    def eager_memory_bytes(self) -> int | None:
        """The highest of all launches of eager."""
        return _peak(self.eager)

    @property
    def counts(self) -> Compilation:
        """What the compiler told; all None where it told nothing."""
        return self.lane.compilation if self.lane is not None and self.lane.compilation is not None else Compilation()


def rows(run: Run) -> list[Row]:
    """A row per test of the run's head, in its order, then those of the plan that have no result.

    Tests that were skipped because they cannot exist are left out: other tools do not list them either.
    """
    head = run.header.plan.head
    lanes: dict[tuple[str, str, str], LaneRecord] = {}
    for test in run.tests:
        for lane in test.lanes:
            if lane.build == head and (lane.mode != test.mode or test.status == "pass"):
                # The later one, where base and head bear the same name.
                lanes[test.suite, test.group, lane.mode] = lane
    return [*(_row(test, head, lanes) for test in run.tests if test.status != "skip"), *_absent(run)]


def _row(test: Test, head: str, lanes: dict[tuple[str, str, str], LaneRecord]) -> Row:
    own = [lane for lane in test.lanes if lane.build == head and lane.mode == test.mode and lane.typical_seconds]
    lane = own[-1] if own and test.status == "pass" else None
    # A pass without a time is one of accuracy alone; without that it is nothing.
    told = lane is not None or test.status != "pass" or test.accuracy is not None
    eager = lanes.get((test.suite, test.group, join_mode(EAGER, split_mode(test.mode)[1])))
    return Row(
        test=test.test,
        suite=test.suite,
        benchmark=test.benchmark,
        type=test.type,
        device=test.device,
        mode=test.mode,
        status=test.status if told else "inconclusive",
        reason=test.reason,
        word=_word(test.status, test.accuracy, lane),
        checked=test.accuracy is not None,
        lane=lane,
        eager=eager,
    )


def _word(status: Status, accuracy: Accuracy | None, lane: LaneRecord | None) -> str | None:
    if accuracy is not None and (status == "pass" or not accuracy.passed):
        return accuracy.status
    if status == "pass":
        return None if lane is not None else ABSENT
    return status


def _absent(run: Run) -> Iterator[Row]:
    suites = {test.benchmark: test.suite for test in run.tests}
    planned = [pathlib.PurePath(suite).stem for suite in run.header.plan.suites] or ["unknown"]
    for test in run.missing:
        if is_test_name(test):
            name = parse_test_name(test)
            suite = suites.get(name.model, planned[0])
            found = {**{field: getattr(name, field) for field in ("type", "device", "mode")}, "benchmark": name.model}
            yield Row(test=test, suite=suite, **found, status=None, reason="no result", word=ABSENT)


def _peak(lane: LaneRecord | None) -> int | None:
    launches = lane.launches if lane is not None else ()
    return max((one.peak_memory_bytes for one in launches if one.peak_memory_bytes is not None), default=None)
