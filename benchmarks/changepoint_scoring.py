"""How benchmarks/changepoints.py counts: what is a find, what a false alarm, the same for every method.

Tonight: a planted step is found with k nights if by its k-th night an alarm names it, within three nights of its place.
Every other alarm after the warm-up is false, a second one for the same step too.
Looking back: a step counts within one night of its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from changepoint_series import WARM_UP, Planted

from bot import changepoints

NEAR_TONIGHT, NEAR_BACK = 3, 1
HISTORY = 100
"""Nights that a peer sees of a series when it is run again every night; its own windows are shorter."""

Said = tuple[int, int]
"""The night on which an alarm was raised, and the first night at the new level that it names."""


@dataclass
class Tally:
    """Sums over series. `found` counts steps by the nights they took."""

    steps: int = 0
    nights: int = 0
    false: int = 0
    found: tuple[int, ...] = ()

    def share(self, nights: int) -> float:
        return sum(taken <= nights for taken in self.found) / max(1, self.steps)

    @property
    def per_thousand(self) -> float:
        return 1000 * self.false / max(1, self.nights)


def tonight(series: Sequence[Planted], said: Sequence[Sequence[Said]]) -> Tally:
    """Count the alarms of every series."""
    total, found = Tally(), []
    for one, alarms in zip(series, said, strict=True):
        total.steps += len(one.starts)
        total.nights += len(one.values) - WARM_UP
        used = set()
        for start in one.starts:
            fitting = [
                (night, number)
                for number, (night, place) in enumerate(alarms)
                if night >= start and abs(place - start) <= NEAR_TONIGHT and number not in used
            ]
            if fitting:
                night, number = min(fitting)
                used.add(number)
                found.append(night - start + 1)
        total.false += sum(night >= WARM_UP for number, (night, _) in enumerate(alarms) if number not in used)
    total.found = tuple(found)
    return total


def ours_tonight(series: Sequence[Planted]) -> list[list[Said]]:
    """What our filter raises."""
    errors = [np.zeros(len(one.values)) if one.errors is None else one.errors for one in series]
    watched = changepoints.watch([one.values for one in series], errors)
    return [
        [(alarm.raised, alarm.start) for alarm in one.alarms if alarm.kind is changepoints.Kind.NEW] for one in watched
    ]


def replayed(one: Planted, steps: Callable[[list[float]], list[int]]) -> list[Said]:
    """A peer run again every night: each place it has not named before (within three nights) is an alarm."""
    values, named, said = np.exp(one.values).tolist(), [], []
    for night in range(WARM_UP // 2, len(values)):
        begin = max(0, night + 1 - HISTORY)
        for place in (begin + index for index in steps(values[begin : night + 1])):
            # What leaves the history behind is no news.
            if all(abs(place - other) > NEAR_TONIGHT for other in named) and place > begin + 5:
                named.append(place)
                said.append((night, place))
    return said


@dataclass
class Back:
    """Looking back: steps planted, named rightly and wrongly."""

    steps: int
    right: int
    wrong: int

    @property
    def recall(self) -> float:
        return self.right / max(1, self.steps)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, self.right + self.wrong + self.steps)


def back(series: Sequence[Planted], places: Sequence[Sequence[int]]) -> Back:
    """Count the places of every series."""
    total = Back(0, 0, 0)
    for one, named in zip(series, places, strict=True):
        left = list(named)
        for start in one.starts:
            fitting = [place for place in left if abs(place - start) <= NEAR_BACK]
            if fitting:
                left.remove(min(fitting, key=lambda place: abs(place - start)))
                total.right += 1
        total.steps += len(one.starts)
        total.wrong += len(left)
    return total


def ours_back(one: Planted) -> list[int]:
    """What we find looking back."""
    return [place.start for place in changepoints.look_back(one.values, one.errors)]
