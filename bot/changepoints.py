"""Steps in series of nightly figures: where they were, and whether tonight shows a new level.

Promises two answers for each series, from one notion of evidence. **Looking back**, the steps of a long series, each
with the nights and commits it lies between, its size with a 95 % interval and a q-value over all series. **Tonight**,
whether the last nights are a new level: a filter walks through the nights once, all series side by side, and never
looks ahead, so what it says of the last night is what it would have said then, and a replay costs no more than a night.

The evidence that nights come from a shifted level is the log likelihood ratio of "as before, but moved by some amount"
against "as before", where "as before" is the density of the series' own old nights (`bot.noise`). One night gives no
more than `CAP`, so that no outlier is a step; a night at a level seen before says little for a new one, and the less
the longer the series' moods last. docs/changepoints.md has the method and what was measured.

Pure: series in, results out. Nights without a figure are no nights, and a new machine or harness begins a new segment.
Figures are seconds or log ratios; inside, all are natural logarithms, and results are relative (0.08 is 8 % slower).
"""

from __future__ import annotations

import datetime
import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from bot import noise
from bot.noise import Array, NoiseClass
from harness import stats
from harness.errors import UserError

MEMORY = 60
"""Old nights that tonight is judged by."""
LATEST = 12
"""Most nights that can be a new level tonight; older ones are history."""
FEWEST_OLD = 12
"""Old nights below which nothing is said of tonight."""
THRESHOLDS = {3: 10.5, 4: 10.0, 5: 9.0, 6: 9.5, 8: 11.0, 10: 12.5, 12: 14.0}
"""Evidence (in nats) at which so many nights are a new level. Chosen on the training part of the evaluation set for one
false alarm in a thousand nights; many nights need more, for that is where slow moods of a machine show up.
"""
PAIRED_THRESHOLDS = {2: 8.5, **THRESHOLDS}
"""With standard errors two nights can be enough: what moves a machine moves both lanes."""
CAP = 4.5
"""Most that one night says for a new level, about the log of the number of old nights."""
LEAST = -3.0
"""Most that one night says against it."""
ODD = 0.5
"""How much less likely (nats) than the most usual night the newest one must be for anything to be raised."""
SMALLEST_TONIGHT = 0.04
"""Smallest new level (log) that tonight's answer gives for plain series, so that 7 % is seen and drift is not."""
SMALLEST_PAIRED = 0.02
CLEAR = 0.025
"""How far (log) the new level lies from all but one of the `BEFORE` nights before it; what drifts, does not."""
BEFORE = 15
RECALL = 150
"""Nights in which a level counts as seen before."""
SEEN = 3
"""Nights at a level that make it one seen before."""
DWELL = 20
"""A level left for another after fewer nights and found again was a mood, not two steps."""

SIDE = 30
"""Nights on either side that a step is judged by when looking back."""
STRIDE = 3
"""Looking back, every third night is tried first, and those beside it where something shows."""
FEWEST_SIDE = 5
"""Nights that a level lasts at least, looking back."""
BACK_THRESHOLD = 36.0
"""Evidence from either side that a step needs, looking back."""
SHORT_SIDE, SHORT_THRESHOLD = 10, 12.0
"""Evidence that it also needs from the nights right beside it: a drift is far from where it began, and never steps."""
SMALLEST_BACK = 0.02
LEVEL = 0.01
"""False-discovery rate over the steps of all series."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One night's figure of one test. `value` is seconds or a log ratio, as the series says; None is a missing night.

    `machine` and `harness` are the fingerprint of the machine and the version of what measured; figures on both sides
    of a change in either are never compared.
    """

    night: datetime.date
    value: float | None
    standard_error: float | None = None
    run: str = ""
    commit: str = ""
    machine: str = ""
    harness: str = ""


class Reading(str, enum.Enum):
    """What the values of a series are."""

    SECONDS = "seconds"
    LOG_RATIO = "log ratio"


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one test on one machine, in any order."""

    name: str
    points: tuple[Point, ...]
    reading: Reading = Reading.SECONDS


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Where a step lies: after the last night at the old level, not after the first at the new one."""

    last_old_night: datetime.date
    first_new_night: datetime.date
    last_old_commit: str
    first_new_commit: str
    last_old_run: str = ""
    first_new_run: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step found looking back. `change`, `low` and `high` are relative; `nights` is how long the new level lasts.

    `q_value` is the false-discovery rate at which the step stands among the steps of all series looked at together.
    """

    window: Window
    change: float
    low: float
    high: float
    evidence: float
    q_value: float
    nights: int


class State(str, enum.Enum):
    """What tonight is."""

    STEADY = "steady"
    WATCH = "watch"
    """Half of the evidence for a new level is there."""
    NEW_LEVEL = "new level"
    RETURNED = "returned"
    """A level that was left not long ago is back: a mood of the series, no new level."""
    TOO_SHORT = "too short"
    MISSING = "missing"


class Tonight(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the series on the night asked about.

    With a new level, `window` says since when, `change` how large, `nights` how many nights have shown it and `raised`
    on which night it was first said. `evidence` stands against `threshold` (nats) for the nights that say most.
    """

    state: State
    evidence: float = 0.0
    threshold: float = 0.0
    change: float | None = None
    nights: int = 0
    window: Window | None = None
    raised: datetime.date | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one series. `noise_floor` and `persistence` describe its noise between steps."""

    name: str
    noise_class: NoiseClass
    noise_floor: float | None
    persistence: float
    segments: int
    steps: tuple[Step, ...]
    tonight: Tonight

    @property
    def suggested_threshold(self) -> float | None:
        """See `suggested_threshold`, at one night."""
        return suggested_threshold(self.noise_floor)


class Kind(enum.Enum):
    """What an alarm of the filter is."""

    NEW = "new"
    RETURNED = "returned"
    """A level seen before, left not long ago."""
    REFINED = "refined"
    """A level just raised that lies elsewhere than its first nights said."""


@dataclass(frozen=True)
class Alarm:
    """A new level as first said: on the night `raised` (index), of `nights` nights, `size` on the log scale.

    Only those of kind `NEW` are raised to anyone.
    """

    raised: int
    nights: int
    size: float
    evidence: float
    kind: Kind

    @property
    def start(self) -> int:
        """Index of the first night at the new level."""
        return self.raised - self.nights + 1


@dataclass
class _Segment:
    """Nights of one series that may be compared: logs, standard errors and the points they come from."""

    points: list[Point] = field(default_factory=list)
    values: Array = field(default_factory=lambda: np.zeros(0))
    errors: Array = field(default_factory=lambda: np.zeros(0))

    def window(self, start: int) -> Window:
        old, new = self.points[start - 1], self.points[start]
        return Window(
            last_old_night=old.night,
            first_new_night=new.night,
            last_old_commit=old.commit,
            first_new_commit=new.commit,
            last_old_run=old.run,
            first_new_run=new.run,
        )


def analyse(series: Sequence[Series], night: datetime.date | None = None) -> list[Result]:
    """Both answers for every series, in their order. `night` is tonight; by default the last night of any series.

    Raises UserError for a value that is no time, or not finite.
    """
    night = night or max((point.night for one in series for point in one.points), default=datetime.date.min)
    cut = [_segments(one, night) for one in series]
    lasts = [segments[-1] if segments else _Segment() for segments in cut]
    watched = watch([last.values for last in lasts], [last.errors for last in lasts])
    found = [[look_back(segment.values, segment.errors) for segment in segments] for segments in cut]
    flat = [step for segments in found for steps in segments for step in steps]
    # Series without a step take part with p = 1: the more series, the more by chance.
    silent = sum(not any(segments) for segments in found)
    q_values = iter(stats.benjamini_hochberg([step.p_value for step in flat] + [1.0] * silent))
    results = []
    for one, segments, steps_of, last, seen in zip(series, cut, found, lasts, watched, strict=True):
        steps = [
            _step(segment, at, following, next(q_values))
            for segment, places in zip(segments, steps_of, strict=True)
            for number, at in enumerate(places)
            for following in [places[number + 1].start if number + 1 < len(places) else len(segment.values)]
        ]
        described = noise.describe(levelled(last.values, steps_of[-1] if steps_of else ()))
        results.append(
            Result(
                name=one.name,
                noise_class=described.noise_class,
                noise_floor=None if described.floor is None else math.expm1(described.floor),
                persistence=described.persistence,
                segments=len(segments),
                steps=tuple(step for step in steps if step.q_value <= LEVEL),
                tonight=_tonight(last, seen, night),
            )
        )
    return results


def suggested_threshold(noise_floor: float | None, nights: int = 1, false_alarms: float = 0.001) -> float | None:
    """The change from which `nights` nights at this noise are beyond chance, as a threshold per test (0.07 is 7 %).

    It is the normal quantile of `false_alarms` (two-sided, per night) times the noise of their mean; None without a
    noise floor. What tails are heavier than normal ones need more nights, not a wider threshold.
    """
    if noise_floor is None:
        return None
    quantile = float(distributions.norm.isf(false_alarms / 2))
    return math.expm1(quantile * math.log1p(noise_floor) / math.sqrt(nights))


# --- tonight ----------------------------------------------------------------------------------------------------------


TOGETHER = 200
"""Series walked through side by side; many more no longer fit a processor's cache."""


@dataclass(frozen=True)
class Watched:
    """What the filter has said of one series: its alarms in order, and the evidence of the last night."""

    alarms: tuple[Alarm, ...]
    evidence: float
    threshold: float
    ready: bool


def watch(values: Sequence[Array], errors: Sequence[Array] | None = None) -> list[Watched]:
    """Walk through the nights of all series at once, oldest first; each gives logs without NaN, and standard errors.

    Never looks ahead: the alarms of a beginning are the first alarms of the whole.
    """
    if errors is None:
        errors = [np.zeros(len(one)) for one in values]
    if len(values) > TOGETHER:
        return [
            one
            for begin in range(0, len(values), TOGETHER)
            for one in watch(values[begin : begin + TOGETHER], errors[begin : begin + TOGETHER])
        ]
    rows, nights = len(values), max((len(one) for one in values), default=0)
    filter_ = _Filter(rows, np.array([bool(len(one)) and bool(np.any(one > 0)) for one in errors], dtype=bool))
    lengths = np.array([len(one) for one in values], dtype=int)
    grid, error_grid = np.full((rows, nights), np.nan), np.zeros((rows, nights))
    for row, (one, of_one) in enumerate(zip(values, errors, strict=True)):
        grid[row, : len(one)], error_grid[row, : len(one)] = one, of_one
    for night in range(nights):
        now = np.flatnonzero(lengths > night)
        filter_.see(now, night, grid[now, night], error_grid[now, night], lengths[now] == night + 1)
    return [
        Watched(
            tuple(filter_.alarms[row]),
            float(filter_.evidence[row]),
            float(filter_.needed[row]),
            bool(filter_.ready[row]),
        )
        for row in range(rows)
    ]


class _Filter:
    """The nights that matter for tonight, by row: levelled ones (each step taken out) and raw ones."""

    def __init__(self, rows: int, paired: NDArray[np.bool_]) -> None:
        self.paired = paired
        self.levelled = np.full((rows, MEMORY + LATEST), np.nan)
        self.errors = np.full((rows, MEMORY + LATEST), np.nan)
        self.raw = np.full((rows, RECALL + LATEST), np.nan)
        self.alarms: list[list[Alarm]] = [[] for _ in range(rows)]
        self.evidence = np.zeros(rows)
        self.needed = np.full(rows, THRESHOLDS[3])
        self.ready = np.zeros(rows, dtype=bool)

    def see(self, rows: NDArray[np.int64], night: int, values: Array, errors: Array, last: NDArray[np.bool_]) -> None:
        """Take in one more night of these rows, and raise what it shows; of the `last` evidence is kept in any case."""
        for memory, new in ((self.levelled, values), (self.errors, errors), (self.raw, values)):
            memory[rows, :-1] = memory[rows, 1:]
            memory[rows, -1] = new
        self.evidence[rows] = 0.0
        old = np.sort(self.levelled[rows, :MEMORY], axis=1)
        enough = (~np.isnan(old)).sum(axis=1) >= FEWEST_OLD
        self.ready[rows] = enough
        rows, old, last = rows[enough], old[enough], last[enough]
        if len(rows) == 0:
            return
        # Sorting parts values from their errors: each row's typical error stands for all of its old nights.
        history_errors = self.errors[rows, :MEMORY]
        typical = np.sqrt(np.nansum(history_errors**2, axis=1) / (~np.isnan(history_errors)).sum(axis=1))
        width = noise.widths(old)
        origins = noise.quantiles(old)
        recent, recent_errors = self.levelled[rows, MEMORY:], np.nan_to_num(self.errors[rows, MEMORY:])
        old_errors = np.broadcast_to(typical[:, None], old.shape)
        peak = noise.log_density(origins, old, width, np.zeros_like(origins), old_errors).max(axis=1)
        newest = noise.log_density(recent[:, -1:], old, width, recent_errors[:, -1:], old_errors)[:, 0]
        # A night that looks like any other raises nothing, whatever came before it.
        speaking = np.flatnonzero(peak - newest >= ODD)
        if len(speaking) == 0:
            return
        rows, old, last, width, origins = (
            rows[speaking],
            old[speaking],
            last[speaking],
            width[speaking],
            origins[speaking],
        )
        recent, recent_errors, old_errors = recent[speaking], recent_errors[speaking], old_errors[speaking]
        as_before = noise.log_density(recent, old, width, recent_errors, old_errors)
        # No shift can say more than that every night lies where the density is highest.
        bound = np.cumsum(np.clip(peak[speaking, None] - as_before, 0, CAP)[:, ::-1], axis=1)
        for paired, thresholds in ((False, THRESHOLDS), (True, PAIRED_THRESHOLDS)):
            possible = np.zeros(len(rows), dtype=bool)
            for nights, needed in thresholds.items():
                possible |= bound[:, nights - 1] >= np.where(last, needed / 2, needed)
            chosen = np.flatnonzero(possible & (self.paired[rows] == paired))
            if len(chosen):
                self._judge(
                    rows[chosen],
                    night,
                    thresholds,
                    SMALLEST_PAIRED if paired else SMALLEST_TONIGHT,
                    (old[chosen], old_errors[chosen], width[chosen], origins[chosen]),
                    (recent[chosen], recent_errors[chosen], as_before[chosen]),
                )

    def _judge(
        self,
        rows: NDArray[np.int64],
        night: int,
        thresholds: dict[int, float],
        smallest: float,
        history: tuple[Array, Array, Array, Array],
        latest: tuple[Array, Array, Array],
    ) -> None:
        old, old_errors, width, origins = history
        recent, recent_errors, as_before = latest
        trust = _trust(recent, old, width, noise.persistence(self.levelled[rows, :MEMORY]))
        best = np.full(len(rows), -np.inf)
        nights_of, sizes = np.zeros(len(rows), dtype=int), np.zeros(len(rows))
        for nights, needed in thresholds.items():
            part, part_errors = recent[:, -nights:], recent_errors[:, -nights:]
            middle = np.median(part, axis=1)
            before = self.levelled[rows, MEMORY + LATEST - nights - BEFORE : MEMORY + LATEST - nights]
            # All but one: a single odd night among them hides no step.
            clear = np.sort(np.abs(before - middle[:, None]), axis=1)[:, 1] >= min(CLEAR, 0.6 * smallest)
            for origin in range(origins.shape[1]):
                size = middle - origins[:, origin]
                moved = noise.log_density(part - size[:, None], old, width, part_errors, old_errors)
                gain = np.clip(moved - as_before[:, -nights:], LEAST, CAP) * trust[:, -nights:]
                above = np.where(clear & (np.abs(size) >= smallest), gain.sum(axis=1) - needed, -np.inf)
                better = above > best
                best[better], nights_of[better], sizes[better] = above[better], nights, size[better]
        for index in np.flatnonzero(np.isfinite(best)):
            row, nights = int(rows[index]), int(nights_of[index])
            self.needed[row] = thresholds[nights]
            self.evidence[row] = max(0.0, best[index] + thresholds[nights])
            if best[index] >= 0:
                self._raise(row, night, nights, float(sizes[index]), float(width[index]))

    def _raise(self, row: int, night: int, nights: int, size: float, width: float) -> None:
        said = self.alarms[row]
        fresh = bool(said) and night - nights + 1 - said[-1].start <= LATEST
        kind = Kind.REFINED if fresh else Kind.NEW
        if said and (night - said[-1].raised <= DWELL or any(alarm.kind is Kind.RETURNED for alarm in said)):
            middle = float(np.median(self.raw[row, -nights:]))
            with np.errstate(invalid="ignore"):
                if int((np.abs(self.raw[row, :-nights] - middle) <= max(width, 0.01)).sum()) >= SEEN:
                    kind = Kind.RETURNED
        said.append(Alarm(night, nights, size, float(self.evidence[row]), kind))
        if kind is Kind.RETURNED:
            # Both levels are this series' own from now on.
            self.levelled[row] = self.raw[row, -self.levelled.shape[1] :]
        else:
            self.levelled[row, :-nights] += size


def _trust(recent: Array, old: Array, width: Array, lasting: Array) -> Array:
    """What a night's evidence is worth: 1 at a level never seen, less at one seen, by how long moods last.

    Nights of one mood are one visit: with correlation r of successive nights, n of them are worth n (1 - r) / (1 + r).
    """
    near = (np.abs(recent[:, :, None] - old[:, None, :]) <= 2 * width[:, None, None]).sum(axis=2)
    seen = near >= np.maximum(2, 0.03 * (~np.isnan(old)).sum(axis=1))[:, None]
    worth = (1 - lasting) / (1 + lasting)
    return np.where(seen, worth[:, None], 1.0)


# --- looking back -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A step of one segment: index of its first night, size with interval (log), evidence, and its p-value."""

    start: int
    size: float
    low: float
    high: float
    evidence: float
    p_value: float


def look_back(values: Array, errors: Array | None = None, smallest: float = SMALLEST_BACK) -> list[Place]:
    """The steps of one segment (logs without NaN, oldest first), in order.

    Every night is tried as the first of a new level, by the `SIDE` nights before and after; the strongest is taken, the
    steps taken out, and so on until none is strong enough. A step must be seen from both sides: what was before is
    nowhere after, nor the other way round, unless moved.
    """
    nights = len(values)
    if errors is None:
        errors = np.zeros(nights)
    if nights < 2 * FEWEST_SIDE:
        return []
    every = np.arange(FEWEST_SIDE, nights - FEWEST_SIDE + 1)
    taken: dict[int, float] = {}
    flat = values.copy()
    evidence, sizes = np.full(len(every), -np.inf), np.zeros(len(every))
    coarse = np.arange(0, len(every), STRIDE)
    evidence[coarse], sizes[coarse] = _two_sided(flat, errors, every[coarse], smallest)
    promising = np.convolve(evidence > BACK_THRESHOLD / 4, np.ones(2 * STRIDE - 1), "same") > 0
    promising[coarse] = False
    evidence[promising], sizes[promising] = _two_sided(flat, errors, every[promising], smallest)
    for _ in range(nights // FEWEST_SIDE):
        best = int(np.argmax(evidence))
        if evidence[best] < BACK_THRESHOLD:
            break
        start, size = _placed(flat, errors, int(every[best]), float(sizes[best]))
        if any(abs(start - other) < FEWEST_SIDE for other in taken) or not FEWEST_SIDE <= start <= nights - FEWEST_SIDE:
            evidence[best] = -np.inf
            continue
        beside, _ = _two_sided(flat, errors, np.array([start]), smallest / 2, SHORT_SIDE)
        if beside[0] < SHORT_THRESHOLD:
            evidence[best] = -np.inf
            continue
        taken[start] = float(evidence[best])
        flat[start:] -= size
        near = np.flatnonzero(np.abs(every - start) <= SIDE + FEWEST_SIDE)
        evidence[near], sizes[near] = _two_sided(flat, errors, every[near], smallest)
        evidence[np.abs(every - start) < FEWEST_SIDE] = -np.inf
    found = _measured(values, sorted(taken), taken, smallest)
    for place in sorted(found, key=lambda one: one.evidence):
        others = [one for one in found if one is not place]
        without = levelled(values, others)
        if _visited(without, place) or _drifting(without, place):
            found = _measured(values, [one.start for one in others], taken, smallest)
    return [place for place in found if place.evidence >= BACK_THRESHOLD]


VISIT = 0.04
"""Share of the other nights at which both levels of a step are visited when they are a series' two levels."""


def _visited(values: Array, place: Place) -> bool:
    """Whether the new level was there before, and the old is there after: two levels of the series, and no step.

    `values` has the other steps taken out. Levels are those of the median of five nights, which a single night does not
    visit.
    """
    padded = np.pad(values, 2, mode="edge")
    course = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    # Five nights around the step hold both levels in any case.
    before, after = course[: max(place.start - 2, 0)], course[place.start + 2 :]
    if not len(before) or not len(after):
        return False
    old, new = float(np.median(before[-SIDE:])), float(np.median(after[:SIDE]))
    near = abs(new - old) / 3
    shares = (float(np.mean(np.abs(before - new) < near)), float(np.mean(np.abs(after - old) < near)))
    return min(shares) >= VISIT


SLOPED = 3.0
"""Standard errors from which the nights around a step slope."""


def _drifting(values: Array, place: Place) -> bool:
    """Whether a slope explains what looked like a step: with one allowed for, less than half of the step is left.

    Least squares on the `SIDE` nights on either side, outliers drawn in; `values` has the other steps taken out.
    """
    low, high = max(place.start - SIDE, 0), min(place.start + SIDE, len(values))
    nights = np.arange(low, high) - place.start
    after = nights >= 0
    near = values[low:high].copy()
    for side in (after, ~after):
        middle = float(np.median(near[side]))
        reach = 3 * 1.4826 * float(np.median(np.abs(near[side] - middle))) + noise.NARROWEST
        near[side] = np.clip(near[side], middle - reach, middle + reach)
    design = np.stack([np.ones(len(nights)), nights + 0.5, after], axis=1).astype(float)
    inverse = np.linalg.pinv(design.T @ design)
    _, slope, step = inverse @ design.T @ near
    rest = near - design @ np.array([inverse @ design.T @ near]).ravel()
    lasting = float(noise.persistence(rest[None])[0])
    variance = float(rest @ rest) / max(1, len(rest) - 3) * (1 + lasting) / (1 - lasting)
    sloped = abs(float(slope)) > SLOPED * math.sqrt(variance * float(inverse[1, 1]))
    return sloped and float(step) * math.copysign(1, place.size) < abs(place.size) / 2


def levelled(values: Array, places: Sequence[Place]) -> Array:
    """The series with its steps taken out."""
    flat = values.copy()
    for place in places:
        flat[place.start :] -= place.size
    return flat


def _two_sided(
    values: Array, errors: Array, starts: NDArray[np.int64], smallest: float, side: int = SIDE
) -> tuple[Array, Array]:
    """Evidence for a step at each start, the lesser of both sides (of `side` nights), and its size."""
    evidence, sizes = np.full(len(starts), -np.inf), np.zeros(len(starts))
    if len(starts) == 0:
        return evidence, sizes
    padded = np.concatenate([np.full(side, np.nan), values, np.full(side, np.nan)])
    padded_errors = np.concatenate([np.zeros(side), errors, np.zeros(side)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, side)
    error_windows = np.lib.stride_tricks.sliding_window_view(padded_errors, side)
    before, after = windows[starts], windows[starts + side]
    before_errors, after_errors = error_windows[starts], error_windows[starts + side]
    # A cheap look first: most nights are no step by any measure.
    tried = np.flatnonzero(_apart(before, after))
    if len(tried) == 0:
        return evidence, sizes
    forward = (before[tried], before_errors[tried], after[tried], after_errors[tried])
    gains, moves = _one_sided(*forward, smallest)
    against, back = _one_sided(*forward[2:], *forward[:2], smallest)
    same = np.sign(moves) != np.sign(back)
    evidence[tried] = np.where(same, np.minimum(gains, against), -np.inf)
    sizes[tried] = (moves - back) / 2
    return evidence, sizes


def _apart(before: Array, after: Array) -> NDArray[np.bool_]:
    """Whether any of the quartiles of both sides differ by more than half of a percent."""
    quartiles = [np.nanquantile(side, (0.25, 0.5, 0.75), axis=1) for side in (before, after)]
    distances = np.abs(np.asarray(quartiles[0]) - np.asarray(quartiles[1]))
    apart: NDArray[np.bool_] = distances.max(axis=0) > 0.005
    return apart


def _one_sided(old: Array, old_errors: Array, new: Array, new_errors: Array, smallest: float) -> tuple[Array, Array]:
    """Evidence that `new` is `old` moved, and by how much; rows are places."""
    ordered = np.sort(old, axis=1)
    width = noise.widths(ordered)
    typical = np.broadcast_to(np.sqrt(np.nanmean(old_errors**2, axis=1))[:, None], old.shape)
    present = ~np.isnan(new)
    points = np.where(present, new, 0.0)
    as_before = noise.log_density(points, ordered, width, new_errors, typical)
    lasting = np.maximum(noise.persistence(old), noise.persistence(new))
    trust = _trust(points, ordered, width, lasting) * present
    middles = noise.quantiles(np.sort(new, axis=1))
    best, sizes = np.full(len(old), -np.inf), np.zeros(len(old))
    origins = noise.quantiles(ordered)
    for origin in range(origins.shape[1]):
        size = middles[:, origin] - origins[:, origin]
        moved = noise.log_density(points - size[:, None], ordered, width, new_errors, typical)
        gain = (np.clip(moved - as_before, LEAST, CAP) * trust).sum(axis=1)
        gain = np.where(np.abs(size) >= smallest, gain, -np.inf)
        better = gain > best
        best[better], sizes[better] = gain[better], size[better]
    return best, sizes


REACH = 6
"""How far the place of a step is looked for around where it is strongest."""


def _placed(values: Array, errors: Array, start: int, size: float) -> tuple[int, float]:
    """The most likely first night near `start`: where nights change from fitting the old level to fitting the new."""
    nights = len(values)
    low, high = max(start - SIDE, 0), min(start + SIDE, nights)
    # Both sides, moved onto each other and without the doubtful nights between them, tell what the noise is.
    old = np.concatenate(
        [values[low : max(start - REACH, low + 1)], values[min(start + REACH, high - 1) : high] - size]
    )
    ordered = np.sort(old)[None]
    width = noise.widths(ordered)
    inside = values[low:high][None]
    own = errors[low:high][None]
    typical = np.full_like(ordered, math.sqrt(float(np.mean(own**2))))
    stay = noise.log_density(inside, ordered, width, own, typical)[0]
    move = noise.log_density(inside - size, ordered, width, own, typical)[0]
    gain = np.clip(move - stay, -CAP, CAP)
    tail = np.cumsum(gain[::-1])[::-1]
    first = max(start - REACH, low)
    last = min(start + REACH, high - 1)
    return first + int(np.argmax(tail[first - low : last - low + 1])), size


def _measured(values: Array, starts: list[int], evidence: dict[int, float], smallest: float) -> list[Place]:
    """Size, interval and p-value of each step from the levels beside it; steps that are none by these are left out."""
    bounds = [0, *starts, len(values)]
    places = []
    for left, start, right in zip(bounds, bounds[1:], bounds[2:], strict=False):
        before, after = values[max(left, start - MEMORY) : start], values[start : min(right, start + MEMORY)]
        size, low, high = _shift(before, after)
        if abs(size) >= smallest:
            # A likelihood ratio of e^x has, by Markov's inequality, a chance below e^-x; any night might have been the
            # place, and any of the quantiles where the middle came from.
            chance = math.exp(-evidence[start]) * len(values) * len(noise.QUANTILES) ** 2
            places.append(Place(start, size, low, high, evidence[start], min(1.0, chance)))
    return places


def _shift(before: Array, after: Array) -> tuple[float, float, float]:
    """Hodges-Lehmann shift with its 95 % interval, from the Mann-Whitney statistic.

    It is widened for nights that resemble their neighbours, as far as `noise.persistence` sees them do.
    """
    differences = np.sort((after[:, None] - before[None, :]).ravel())
    count, m, n = len(differences), len(before), len(after)
    lasting = float(max(noise.persistence(before[None])[0], noise.persistence(after[None])[0]))
    spread = math.sqrt(m * n * (m + n + 1) / 12 * (1 + lasting) / (1 - lasting))
    reach = 1.96 * spread
    low = differences[max(0, math.floor(count / 2 - reach))]
    high = differences[min(count - 1, math.ceil(count / 2 + reach))]
    return float(np.median(differences)), float(low), float(high)


# --- from series to segments and back ---------------------------------------------------------------------------------


def _segments(series: Series, night: datetime.date) -> list[_Segment]:
    """The series up to `night`, cut where machine or harness change; nights without a figure are left out."""
    points = sorted(
        (point for point in series.points if point.value is not None and point.night <= night),
        key=lambda point: point.night,
    )
    segments: list[_Segment] = []
    for point in points:
        if not segments or _fingerprint(segments[-1].points[-1]) != _fingerprint(point):
            segments.append(_Segment())
        segments[-1].points.append(point)
    for segment in segments:
        segment.values = np.array([_logarithm(point, series) for point in segment.points])
        segment.errors = np.array([point.standard_error or 0.0 for point in segment.points])
    return segments


def _fingerprint(point: Point) -> tuple[str, str]:
    return point.machine, point.harness


def _logarithm(point: Point, series: Series) -> float:
    value = point.value
    if value is None or not math.isfinite(value) or (series.reading is Reading.SECONDS and value <= 0):
        raise UserError(f"{series.name} has {value!r} on {point.night}; remove that night or measure it again")
    return math.log(value) if series.reading is Reading.SECONDS else value


def _step(segment: _Segment, place: Place, following: int, q_value: float) -> Step:
    return Step(
        window=segment.window(place.start),
        change=math.expm1(place.size),
        low=math.expm1(place.low),
        high=math.expm1(place.high),
        evidence=place.evidence,
        q_value=q_value,
        nights=following - place.start,
    )


def _standing(alarms: Sequence[Alarm]) -> Alarm | None:
    """The last alarm with what has been learnt of its size since, or None."""
    standing: Alarm | None = None
    for alarm in alarms:
        if alarm.kind is Kind.REFINED and standing is not None and standing.kind is Kind.NEW:
            standing = replace(standing, size=standing.size + alarm.size)
        else:
            standing = alarm
    return standing


def _tonight(segment: _Segment, watched: Watched, night: datetime.date) -> Tonight:
    """What the filter says of tonight; a new level stays one until it is history (`LATEST` nights)."""
    if not segment.points or segment.points[-1].night != night:
        return Tonight(state=State.MISSING)
    if not watched.ready:
        return Tonight(state=State.TOO_SHORT)
    plain = Tonight(state=State.STEADY, evidence=watched.evidence, threshold=watched.threshold)
    last = _standing(watched.alarms)
    if last is not None and last.start > len(segment.points) - 1 - LATEST:
        return Tonight(
            state=State.RETURNED if last.kind is Kind.RETURNED else State.NEW_LEVEL,
            evidence=last.evidence,
            threshold=watched.threshold,
            change=math.expm1(last.size),
            nights=len(segment.points) - last.start,
            window=segment.window(last.start),
            raised=segment.points[last.raised].night,
        )
    if watched.evidence >= watched.threshold / 2:
        return msgspec.structs.replace(plain, state=State.WATCH)
    return plain
