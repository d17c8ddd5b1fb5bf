"""How much faster a mode is than its baseline, in the same build and the same rounds.

The baseline is eager in the mode's precision; that of eager in another precision is eager itself. Promises one entry
per test of another mode and per build, wherever the lane of the baseline passed too; ratios are the baseline's seconds
over the mode's (above 1 is faster), with their interval.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot.comparison import ratio_of_lanes, typical_seconds
from bot.policy import relative
from bot.verdict import Speedup
from harness.modenames import baseline
from harness.records import LaneRecord, Test


def speedups(tests: Iterable[Test], confidence: float) -> tuple[Speedup, ...]:
    """Speedups of all tests that have an eager lane to be compared with, in the order given."""
    passed = [test for test in tests if test.status == "pass"]
    every: dict[tuple[str, str, str, str], LaneRecord] = {}
    for test in passed:
        for lane in test.lanes:
            every.setdefault((test.suite, test.group, lane.build, lane.mode), lane)
    found = []
    for test in passed:
        if baseline(test.mode) == test.mode:
            continue
        for lane in test.lanes:
            against = every.get((test.suite, test.group, lane.build, baseline(test.mode)))
            if lane.mode == test.mode and against is not None:
                entry = _speedup(test.test, lane, against, confidence)
                found += [entry] if entry else []
    return tuple(found)


def _speedup(test: str, lane: LaneRecord, eager: LaneRecord, confidence: float) -> Speedup | None:
    estimate = ratio_of_lanes(eager, lane, confidence)
    seconds, against_seconds = typical_seconds(lane), typical_seconds(eager)
    if estimate is None or seconds is None or against_seconds is None:
        return None
    known = estimate.degrees_of_freedom > 0
    return Speedup(
        test=test,
        lane=lane.name,
        against=eager.name,
        ratio=1 + relative(estimate.log_ratio),
        low=1 + relative(estimate.low) if known else None,
        high=1 + relative(estimate.high) if known else None,
        against_seconds=against_seconds,
        seconds=seconds,
    )
