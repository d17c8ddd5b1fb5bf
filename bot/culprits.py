"""Where along a row of builds a test's time stepped, from noisy readings: a posterior, and what a reading would tell.

The model: the log of a test's time stays level from build to build and steps at few of them, by any amount and in
either direction. Nobody says how many steps there are; each position is one with the same small probability, so that
one step is what the model believes until readings say otherwise, and two steps that undo each other are found as well.
A reading is the level against the good end, with Student's t for its error; each build has a little luck of its own
(where its code and data happen to lie), which repeated readings of it share; and any reading may be altogether wrong.
Levels lie on a grid and are summed out by the forward-backward algorithm for hidden Markov models (Rabiner 1989).

Promises that probabilities add up to one and that the order of readings does not matter. Pure: numpy and scipy, no
files, no torch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

EXPECTED_STEPS = 0.1
"""Steps expected in a whole row beyond the one that is sought: a second one is to be believed only when it is seen."""

SOME_STEP = 0.9
"""Probability beforehand that there is a step at all: nobody bisects without having seen a difference."""

STEP_SCALE = 0.05
"""Half of all steps are larger than this (log ratio); a Cauchy distribution, for some are enormous."""

LUCK = 0.002
"""Standard deviation of a build's own luck, a log ratio.

It must be there, for else readings of two builds that are repeated often enough would always prove a difference.
"""

WRONG = 0.02
"""Share of readings that say nothing of their build: a neighbour was busy, a file was cold."""

_MOST_LEVELS = 6000
_Levels = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """A test's log ratio against the good end, read at a position of the row, with its error.

    `degrees_of_freedom` are those of the standard error.
    """

    position: int
    log_ratio: float
    standard_error: float
    degrees_of_freedom: float


@dataclass(frozen=True)
class Step:
    """A step between two neighbouring positions that were read: after `before`, at the latest at `after`.

    `probability` is that of at least one step there, `large` that of one of at least the smallest size sought; `size`
    is the expected log ratio across it.
    """

    before: int
    after: int
    probability: float
    large: float
    size: float


class Posterior:
    """What readings say of a row of positions 0 (the good end) to `last` (the bad end).

    `none` is the probability that nothing stepped, `single[k - 1]` that there is one step and position k is the first
    behind it, `several` the rest: no single step explains the readings. They add up to one. `steps` has an entry for
    each stretch between positions that were read.
    """

    def __init__(self, readings: Iterable[Reading], last: int, smallest: float = 0.0) -> None:
        self.last, self._smallest = last, smallest
        self._readings = sorted(
            readings, key=lambda one: (one.position, one.log_ratio, one.standard_error, one.degrees_of_freedom)
        )
        self._levels = _grid(self._readings)
        self._pitch = float(self._levels[1] - self._levels[0])
        self._prior = _normalised(1 / (1 + (self._levels / STEP_SCALE) ** 2))
        self._places = sorted({one.position for one in self._readings} | {0, last})
        self._likelihoods = [self._likelihood(place) for place in self._places]
        self._no_step = 1 - EXPECTED_STEPS / last
        self._sum_out()

    def _likelihood(self, place: int) -> _Levels:
        """How likely the readings of one build are, at each level of it."""
        there = [one for one in self._readings if one.position == place]
        logs = np.zeros_like(self._levels)
        wrong = 1 / (math.pi * STEP_SCALE * (1 + (self._levels / STEP_SCALE) ** 2))
        for one in there:
            scale = math.hypot(one.standard_error, self._pitch / 2)
            density = _student(self._levels - one.log_ratio, scale, one.degrees_of_freedom)
            astray = float(np.interp(one.log_ratio, self._levels, wrong))
            logs += np.log((1 - WRONG) * density + WRONG * astray)
        likelihood: _Levels = np.exp(logs - logs.max())
        return _blurred(likelihood, LUCK / self._pitch) if there else likelihood

    def _stay(self, positions: int) -> float:
        """Probability beforehand that nothing steps in as many positions."""
        return float(self._no_step**positions)

    def _sum_out(self) -> None:
        likelihoods, places, prior = self._likelihoods, self._places, self._prior
        gaps = [after - before for before, after in itertools.pairwise(places)]
        stays = [self._stay(gap) for gap in gaps]
        # The good end is read against itself: its level is nothing but its luck.
        start = _normalised(np.exp(-0.5 * (self._levels / math.hypot(LUCK, self._pitch / 2)) ** 2)) * likelihoods[0]
        forward, kept = [start], [start]
        for stay, likelihood in zip(stays, likelihoods[1:], strict=True):
            level = forward[-1]
            forward.append((stay * level + (1 - stay) * prior * level.sum()) * likelihood)
            kept.append(kept[-1] * likelihood)
        backward, joined = [np.ones_like(prior)], [np.ones_like(prior)]
        for stay, likelihood in zip(reversed(stays), reversed(likelihoods[1:]), strict=True):
            beyond = likelihood * backward[0]
            backward.insert(0, stay * beyond + (1 - stay) * float(prior @ beyond))
            joined.insert(0, joined[0] * likelihood)
        self._forward, self._backward = forward, backward
        total = float(forward[-1].sum())
        never = self._stay(self.last)
        none = never * float(kept[-1].sum())
        stepped = max(total - none, 1e-300)
        # Beforehand `never` and the rest; asked for are 1 - SOME_STEP and SOME_STEP.
        weights = np.array([none * (1 - SOME_STEP) / never, stepped * SOME_STEP / (1 - never)])
        self._overrated = (1 - float(weights[0] / none / (weights[1] / stepped))) * never * kept[-1] if none else 0.0
        weights /= weights.sum()
        self.none, scale = float(weights[0]), float(weights[1]) / stepped
        self.steps: list[Step] = []
        single = np.zeros(self.last)
        for index, (stay, gap) in enumerate(zip(stays, gaps, strict=True)):
            before, after = forward[index], prior * likelihoods[index + 1] * backward[index + 1]
            weight = (1 - stay) * float(before.sum()) * float(after.sum()) * scale
            alone = gap * (1 - self._no_step) * self._no_step ** (self.last - 1) * float(kept[index].sum())
            alone *= float((prior * likelihoods[index + 1]) @ joined[index + 1]) * scale
            single[places[index] : places[index + 1]] = alone / gap
            before, after = _normalised(before), _normalised(after)
            self.steps.append(
                Step(
                    before=places[index],
                    after=places[index + 1],
                    probability=min(weight, 1.0),
                    large=min(weight, 1.0) * self._share_of_large(before, after),
                    size=float((after - before) @ self._levels),
                )
            )
        self.single = single
        self.several = max(0.0, 1 - self.none - float(single.sum()))

    def _share_of_large(self, before: _Levels, after: _Levels) -> float:
        """Probability that two independent levels differ by at least the smallest size sought."""
        if self._smallest <= 0:
            return 1.0
        reach = math.ceil(self._smallest / self._pitch)
        summed = np.concatenate([[0.0], np.cumsum(after)])
        places = np.arange(len(after))
        low, high = np.clip(places - reach + 1, 0, len(after)), np.clip(places + reach, 0, len(after))
        return 1 - min(1.0, float(before @ (summed[high] - summed[low])))

    def probability(self, before: int, after: int) -> float:
        """Probability of a step of the size sought behind position `before` and not behind `after`."""
        return sum(
            one.large * max(0, min(after, one.after) - max(before, one.before)) / (one.after - one.before)
            for one in self.steps
        )

    def size(self, before: int, after: int) -> float:
        """Expected log ratio across the stretch, weighted by where its steps are."""
        inside = [
            (one.large * max(0, min(after, one.after) - max(before, one.before)) / (one.after - one.before), one.size)
            for one in self.steps
        ]
        total = sum(weight for weight, _ in inside)
        return sum(weight * size for weight, size in inside) / total if total > 0 else 0.0

    def information(self, position: int, error: float) -> float:
        """Nats that a reading with this error at a position would tell of which sides of it the steps lie on.

        It is the mutual information of the reading and of whether something steps on either side of the position up to
        the nearest ones that were read. That the sizes of steps become better known counts for nothing.
        """
        index = next(number for number, place in enumerate(self._places) if place >= position)
        flat = np.ones_like(self._prior)
        there = self._places[index] == position
        likelihood = self._likelihoods[index] if there else flat
        before = self._forward[index - 1]
        left = self._stay(position - self._places[index - 1])
        if not there:
            after, beyond = self._likelihoods[index] * self._backward[index], self._places[index]
        elif index + 1 < len(self._places):
            after, beyond = self._likelihoods[index + 1] * self._backward[index + 1], self._places[index + 1]
        else:
            after, beyond = flat, position
        right = self._stay(beyond - position)
        come, go = float(before.sum()), float(self._prior @ after)
        parts = np.stack(
            [
                left * right * before * likelihood * after,
                (1 - left) * right * come * self._prior * likelihood * after,
                left * (1 - right) * before * likelihood * go,
                (1 - left) * (1 - right) * come * go * self._prior * likelihood,
            ]
        )
        # That nothing steps anywhere is one of the first's ways, and less likely than the model has it.
        parts[0] = np.maximum(parts[0] - self._overrated, 0)
        weights = parts.sum(axis=1)
        weights = weights / weights.sum()
        width = math.hypot(error, LUCK) / self._pitch
        told = _entropy(_blurred(parts.sum(axis=0), width))
        for weight, part in zip(weights, parts, strict=True):
            if weight > 1e-9:
                told -= float(weight) * _entropy(_blurred(part, width))
        return max(0.0, told)


def _grid(readings: Sequence[Reading]) -> _Levels:
    """Levels from below the lowest reading to above the highest, finer than any error."""
    values = [one.log_ratio for one in readings] or [0.0]
    finest = min((one.standard_error for one in readings), default=LUCK)
    margin = 8 * max([LUCK, *(min(one.standard_error, 0.05) for one in readings)])
    low, high = min(0.0, *values) - margin, max(0.0, *values) + margin
    pitch = math.hypot(finest, LUCK) / 2.5
    return np.linspace(low, high, min(_MOST_LEVELS, max(64, math.ceil((high - low) / pitch))))


def _student(deviations: _Levels, scale: float, freedom: float) -> _Levels:
    """Density of Student's t at these deviations."""
    constant = math.exp(special.gammaln((freedom + 1) / 2) - special.gammaln(freedom / 2))
    constant /= math.sqrt(freedom * math.pi) * scale
    density: _Levels = constant * (1 + (deviations / scale) ** 2 / freedom) ** (-(freedom + 1) / 2)
    return density


def _blurred(values: _Levels, width: float) -> _Levels:
    """Values along the grid after adding a normal error of this width, in steps of the grid."""
    if width < 0.2:
        return values
    reach = min(math.ceil(4 * width), len(values) - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    blurred: _Levels = np.convolve(values, kernel / kernel.sum(), mode="full")[reach : reach + len(values)]
    return blurred


def _normalised(values: _Levels) -> _Levels:
    normalised: _Levels = values / values.sum()
    return normalised


def _entropy(values: _Levels) -> float:
    return float(special.entr(_normalised(values)).sum())
