"""From the samples of lanes to a change with its interval: one comparison at a time, no thresholds.

Promises that every figure of a verdict is made here from `harness.stats`, in three ways: a lane against another lane
of the same rounds, a lane against a stored norm, and V1's plain means. A comparison that the samples do not allow is
None, never a made-up number. Seconds throughout.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bot.policy import relative
from bot.reference import Entry, Measured
from bot.verdict import LaneSamples, LaunchSummary
from harness import stats
from harness.records import LaneRecord, Launch, Run, Test

CONTROL_SUITE = "control"
"""The suite whose steps use no torch (`harness.suites.control`)."""

REFERENCE = "reference"
"""What a lane is compared with when it is a stored norm."""

SAMPLES_KEPT = 200
"""Most samples of a launch that a verdict keeps for drawing; more cannot be told apart in a plot."""


@dataclass(frozen=True)
class Comparison:
    """A lane against another or against a norm. `change` is relative, 0.08 is 8 % slower.

    `log_ratio` is ln(head / base); `standard_error` its error, None where nothing is known of the spread, as are
    `low`, `high`, `p_value` and `detectable` then. `pairs` counts the pairs of nurseries that the launches came from.
    `cut` says that a lane lacked rounds of a launch, so that its partner's were left out.
    """

    lane: str
    against: str
    log_ratio: float
    change: float
    base_seconds: float
    head_seconds: float
    standard_error: float | None = None
    degrees_of_freedom: float = 0.0
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    detectable: float | None = None
    pairs: int = 0
    cut: bool = False
    launches: tuple[LaunchSummary, ...] = ()
    estimate: stats.Estimate | None = None
    """What the figures are from, where they have an interval."""


def between_lanes(base: LaneRecord, head: LaneRecord, confidence: float) -> Comparison | None:
    """Head against base from launch effects, paired by launch index and round; None when they share no round.

    The pair of nurseries is named by the head's, for within a test bases and heads are paired one to one.
    """
    effects, summaries, cut = [], [], False
    for ours, theirs in _paired(base, head):
        rounds = min(len(ours.seconds), len(theirs.seconds))
        cut = cut or len(ours.seconds) != len(theirs.seconds)
        before, after = ours.seconds[:rounds], theirs.seconds[:rounds]
        effect = stats.launch_effect(before, after)
        effects.append(effect)
        summaries.append(
            LaunchSummary(
                pair=theirs.nursery,
                base_seconds=statistics.median(before),
                head_seconds=statistics.median(after),
                change=relative(effect),
            )
        )
    if not effects:
        return None
    estimate = stats.estimate(effects, [summary.pair for summary in summaries], confidence)
    base_seconds = statistics.median(summary.base_seconds for summary in summaries if summary.base_seconds is not None)
    return _comparison(head.name, base.name, estimate, base_seconds, summaries, cut)


def with_norm(lane: LaneRecord, entry: Entry, confidence: float) -> Comparison | None:
    """A lane against a stored norm, by the levels of its launches; None when it has no sample.

    The norm's own error is its recorded spread over the root of its launches; without them the interval holds for this
    run only. How the machine's speed moves between two runs is in neither: see `wander`.
    """
    launches = [launch for launch in lane.launches if launch.seconds]
    if not launches:
        return None
    levels = [stats.launch_level(launch.seconds) for launch in launches]
    norm = math.log(entry.norm)
    summaries = [
        LaunchSummary(
            pair=launch.nursery,
            base_seconds=None,
            head_seconds=statistics.median(launch.seconds),
            change=relative(level - norm),
        )
        for launch, level in zip(launches, levels, strict=True)
    ]
    estimate = stats.estimate(levels, [launch.nursery for launch in launches], confidence)
    return _comparison(lane.name, REFERENCE, estimate.shifted(norm, norm_error(entry) or 0.0), entry.norm, summaries)


def joined(first: Comparison, second: Comparison, estimate: stats.Estimate) -> Comparison:
    """Two comparisons of the same lanes as one, with the estimate that was made of both; seconds are the second's."""
    return dataclasses.replace(
        second,
        log_ratio=estimate.log_ratio,
        change=relative(estimate.log_ratio),
        pairs=first.pairs + second.pairs,
        cut=first.cut or second.cut,
        launches=(*first.launches, *second.launches),
        **_interval(estimate),
    )


def less(compared: Comparison, log_ratio: float) -> Comparison:
    """A comparison after taking away a part of its change that is known exactly."""
    changed = compared.log_ratio - log_ratio
    figures = {} if compared.estimate is None else _interval(compared.estimate.shifted(log_ratio))
    return dataclasses.replace(compared, log_ratio=changed, change=relative(changed), **figures)


def wander(found: Iterable[Comparison]) -> float | None:
    """How far the machine's speed has moved between norms and run, test by test; None where too few tests tell."""
    return stats.wander([(one.log_ratio, one.standard_error) for one in found if one.standard_error is not None])


def widened(compared: Comparison, error: float, tests: int) -> Comparison:
    """A comparison with a norm whose interval also holds the machine's wander, as `tests` tests have shown it."""
    if compared.estimate is None or compared.against != REFERENCE:
        return compared
    estimate = stats.with_more_error(compared.estimate, error, tests - 1)
    return dataclasses.replace(compared, **_interval(estimate))


def norm_error(entry: Entry) -> float | None:
    """Standard error of the log of a norm, or None when the reference does not record what it follows from."""
    if entry.spread is None or entry.launches is None:
        return None
    return entry.spread / math.sqrt(entry.launches)


def of_means(head: LaneRecord, base: LaneRecord | Entry) -> Comparison | None:
    """V1's figures: the mean of all samples against the base's mean or the norm, without interval."""
    after = _mean(head)
    before = base.norm if isinstance(base, Entry) else _mean(base)
    if after is None or before is None:
        return None
    return Comparison(
        lane=head.name,
        against=REFERENCE if isinstance(base, Entry) else base.name,
        log_ratio=math.log(after) - math.log(before),
        change=(after - before) / before,
        base_seconds=before,
        head_seconds=after,
    )


def ratio_of_lanes(numerator: LaneRecord, denominator: LaneRecord, confidence: float) -> stats.Estimate | None:
    """Log ratio of two lanes of the same build and rounds; None when they share no round."""
    pairs = list(_paired(denominator, numerator))
    if not pairs:
        return None
    effects = []
    for below, above in pairs:
        rounds = min(len(below.seconds), len(above.seconds))
        effects.append(stats.launch_effect(below.seconds[:rounds], above.seconds[:rounds]))
    return stats.estimate(effects, [above.nursery for _, above in pairs], confidence)


def typical_seconds(lane: LaneRecord) -> float | None:
    """Median over launches of the launches' medians, in seconds; None without a sample."""
    return lane.typical_seconds


def phase_changes(base: LaneRecord, head: LaneRecord) -> dict[str, float]:
    """Relative change by phase, from the medians of all samples of the launches both lanes have."""
    before: dict[str, list[float]] = {}
    after: dict[str, list[float]] = {}
    for ours, theirs in _paired(base, head):
        for phases, into in ((ours.phases, before), (theirs.phases, after)):
            for phase, seconds in phases.items():
                into.setdefault(phase, []).extend(seconds)
    changes = {}
    for phase, earlier in before.items():
        old, new = _median(earlier), _median(after.get(phase, []))
        if old is not None and new is not None and old > 0 and math.isfinite(new / old):
            changes[phase] = new / old - 1
    return changes


def figures(lane: LaneRecord) -> dict[str, float]:
    """What a lane is known by beside its time; only what was measured.

    `throughput` is items per second, `peak_memory_bytes` the highest of all launches, `minor_faults` the median per
    step, `compile_seconds` that of the first launch, which alone found the caches empty; `parameters` and `flops` (of
    a step) are counts.
    """
    launches = lane.launches
    found: dict[str, float | None] = {
        "peak_memory_bytes": max(
            (launch.peak_memory_bytes for launch in launches if launch.peak_memory_bytes is not None), default=None
        ),
        "minor_faults": _median([launch.minor_faults for launch in launches if launch.minor_faults is not None]),
        "compile_seconds": next(
            (launch.compile_seconds for launch in launches if launch.compile_seconds is not None), None
        ),
    }
    found |= {"parameters": lane.parameters, "flops": lane.flops}
    seconds = typical_seconds(lane)
    if seconds is not None:
        found["throughput"] = lane.items / seconds
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def samples(lanes: Iterable[LaneRecord]) -> tuple[LaneSamples, ...]:
    """The lanes' raw samples by launch, thinned evenly to `SAMPLES_KEPT` per launch."""
    return tuple(
        LaneSamples(lane=lane.name, launches=tuple(_thinned(launch.seconds) for launch in lane.launches))
        for lane in lanes
    )


def measured(run: Run) -> list[Measured]:
    """What the run found out about each test on its head build, for a reference or a score of its own, in its order.

    `seconds` is the exponential of the estimate that `with_norm` compares, so a run differs from its own norms by
    nothing. Control lanes are left out, for they are no models. Tests without samples are given too (as not a number),
    with their status.
    """
    found = []
    for test in run.tests:
        if test.suite == CONTROL_SUITE:
            continue
        lane = head_lane(test, run)
        launches = [launch for launch in lane.launches if launch.seconds] if lane else []
        levels = [stats.launch_level(launch.seconds) for launch in launches]
        level = stats.estimate(levels, [launch.nursery for launch in launches]).log_ratio
        spread = statistics.stdev(levels) if len(levels) > 1 else None
        # A passing test without samples is no reference either.
        status = test.status if levels or test.status != "pass" else "no samples"
        found.append(Measured(test.test, math.exp(level), spread, len(levels), status))
    return found


def head_lane(test: Test, run: Run) -> LaneRecord | None:
    """The test's lane on the run's head build; the later one where base and head bear the same name."""
    found = _lanes(test, run.header.plan.head)
    return found[-1] if found else None


def base_lane(test: Test, run: Run) -> LaneRecord | None:
    """The test's lane on the run's base build, or None."""
    plan = run.header.plan
    if plan.base is None:
        return None
    found = _lanes(test, plan.base)
    if plan.base == plan.head:
        return found[0] if len(found) > 1 else None
    return found[0] if found else None


def _lanes(test: Test, build: str) -> list[LaneRecord]:
    return [lane for lane in test.lanes if lane.build == build and lane.mode == test.mode]


def _comparison(
    lane: str,
    against: str,
    estimate: stats.Estimate,
    base_seconds: float,
    launches: Sequence[LaunchSummary],
    cut: bool = False,
) -> Comparison:
    return Comparison(
        lane=lane,
        against=against,
        log_ratio=estimate.log_ratio,
        change=relative(estimate.log_ratio),
        base_seconds=base_seconds,
        head_seconds=statistics.median(launch.head_seconds for launch in launches),
        pairs=estimate.pairs,
        cut=cut,
        launches=tuple(launches),
        **_interval(estimate),
    )


def _interval(estimate: stats.Estimate) -> dict[str, Any]:
    """The fields of a comparison that hang on the spread; none where nothing is known of it."""
    if not math.isfinite(estimate.standard_error) or estimate.degrees_of_freedom <= 0:
        return {"degrees_of_freedom": estimate.degrees_of_freedom}
    return {
        "standard_error": estimate.standard_error,
        "degrees_of_freedom": estimate.degrees_of_freedom,
        "low": relative(estimate.low),
        "high": relative(estimate.high),
        "p_value": estimate.p_value,
        "detectable": _detectable(estimate),
        "estimate": estimate,
    }


def _detectable(estimate: stats.Estimate) -> float | None:
    # More than a factor of 10^300 can be asked for by a foreign file only.
    try:
        found = stats.detectable_change(estimate.standard_error, estimate.degrees_of_freedom, estimate.confidence)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _paired(base: LaneRecord, head: LaneRecord) -> Iterator[tuple[Launch, Launch]]:
    """Launches with the same index that both have samples, in order of the index."""
    before = {launch.index: launch for launch in base.launches if launch.seconds}
    after = {launch.index: launch for launch in head.launches if launch.seconds}
    for index in sorted(before.keys() & after.keys()):
        yield before[index], after[index]


def _mean(lane: LaneRecord) -> float | None:
    every = [seconds for launch in lane.launches for seconds in launch.seconds]
    return math.fsum(every) / len(every) if every else None


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _thinned(seconds: tuple[float, ...]) -> tuple[float, ...]:
    if len(seconds) <= SAMPLES_KEPT:
        return seconds
    return tuple(seconds[number * len(seconds) // SAMPLES_KEPT] for number in range(SAMPLES_KEPT))
