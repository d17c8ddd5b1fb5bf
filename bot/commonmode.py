"""Whether what looks like a regression is one thing that moved everything: the machine or the environment.

Models of different kinds share little code, so when nearly all of them move together, by about the same amount, no
single model regressed. And a control lane, which uses no torch at all (`harness.suites.control`), moves only when the
surroundings of the code do. Promises that a signal is withdrawn only where it is no larger than what moved in common,
and that where the controls stayed as they were the signals stand: then the cause is in what all models share.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bot import numbers
from bot.comparison import Comparison

FEWEST_BENCHMARKS = 8
"""Fewer benchmarks may well move together because they are alike."""

SHARE = 0.8
"""Share of the benchmarks that move in one direction, from which they move together."""

CONTROL_ALPHA = 0.001
"""Level at which a control lane has moved; there are two of them in every run, which must not spoil a verdict."""

Controls = Literal["moved", "still", "none"]


@dataclass(frozen=True)
class CommonMode:
    """What moved in common: by how much (relative), seen in which way, and what the control lanes did."""

    change: float
    benchmarks: int
    moved: int
    """Of the benchmarks, how many moved in this direction; 0 where only controls did."""
    controls: Controls

    def covers(self, change: float, threshold: float) -> bool:
        """Whether a change is no further from the common one than a change that does not matter."""
        apart = math.log1p(max(change, -0.999)) - math.log1p(self.change)
        return abs(apart) < math.log1p(threshold) and change * self.change > 0

    @property
    def withdraws(self) -> bool:
        """Whether signals that it covers are no regressions; not when controls show that the surroundings are well."""
        return self.controls != "still"

    @property
    def sentence(self) -> str:
        """What is to be said of it."""
        by = numbers.signed_percent(self.change)
        if self.controls == "moved":
            lane = "The control lanes, which use no torch, moved too"
            return f"Machine or environment, not the models: {lane[0].lower()}{lane[1:]} (by about {by})."
        together = f"{self.moved} of {self.benchmarks} unrelated models moved together, by about {by}"
        if self.controls == "still":
            return (
                f"{together}, and the control lanes, which use no torch, did not: look for one cause in what all "
                "models share, such as dispatch, the allocator, threads or compiler flags."
            )
        return f"Machine or environment, or something that all models share: {together}."


def common_mode(
    models: Sequence[tuple[str, Comparison]], controls: Sequence[Comparison], threshold: float
) -> CommonMode | None:
    """What moved in common, or None. `models` are comparisons with the name of the benchmark each is of.

    Controls count as moved from half the threshold, models from half the threshold in the median.
    """
    sound = [one for one in controls if one.p_value is not None]
    least = math.log1p(threshold) / 2
    moved = [one.log_ratio for one in sound if one.p_value <= CONTROL_ALPHA and abs(one.log_ratio) >= least]  # type: ignore[operator]
    by_benchmark: dict[str, list[Comparison]] = {}
    for name, compared in models:
        by_benchmark.setdefault(name, []).append(compared)
    # Eval and train of a model, or several modes, are not unrelated; one of each model speaks for it.
    middles = {name: statistics.median(one.log_ratio for one in found) for name, found in by_benchmark.items()}
    if moved:
        return CommonMode(math.expm1(max(moved, key=abs)), len(middles), 0, "moved")
    if len(middles) < FEWEST_BENCHMARKS:
        return None
    middle = statistics.median(middles.values())
    if abs(middle) < least:
        return None
    same = sum(
        value * middle > 0 and any(_excludes_zero(one, value) for one in by_benchmark[name])
        for name, value in middles.items()
    )
    spread = statistics.median(abs(value - middle) for value in middles.values())
    if same < SHARE * len(middles) or spread > abs(middle) / 2:
        return None
    return CommonMode(math.expm1(middle), len(middles), same, "still" if sound else "none")


def _excludes_zero(one: Comparison, direction: float) -> bool:
    if one.low is None or one.high is None:
        return False
    return one.low > 0 if direction > 0 else one.high < 0
