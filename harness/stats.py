"""From samples to a change, its interval, and the decision to go on or stop.

What is estimated is the log of a ratio of times. The model has three levels: rounds inside a launch, launches of one
pair of nurseries, and pairs. A launch's effect is the median over its rounds; launches of one pair share an
address-space layout and are not independent, so the pair is the cluster. No assumption is made on the shape of the
samples; effects of pairs are taken to be independent with a finite variance, and coverage of the interval is checked
by replaying recorded noise (tests/harness/test_stats.py) and by A/A runs (docs/method.md).

Imports numpy and scipy, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
POWER = 0.8

LOOK_FACTOR = 1.05
"""Widening of the standard error that pays for stopping as soon as the interval is narrow.

Stopping on width favours moments when the spread is underestimated. In simulation, with at least two launches per pair
and up to ten looks, 5 % brings coverage to 93-97 % over ratios of pair to launch spread from 0 to 1
(benchmarks/coverage.py).
"""

MINIMUM_LAUNCHES_PER_PAIR = 2
INTERIM_ALPHA = 0.001
"""Level of the interim looks that may end a test early because the question is decided.

Haybittle (1971) and Peto et al. (1976): looks this strict leave the error rate of the final 95 % interval as it is, all
but 0.1 % per look.
"""


@dataclass(frozen=True)
class Estimate:
    """A change as a log ratio, with its interval at `confidence`.

    `low` and `high` are infinite when there are fewer than two independent launches. `p_value` is two-sided against "no
    change". The properties `change`, `change_low`, `change_high` give relative changes: 0.08 is 8 % slower.
    """

    log_ratio: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float
    p_value: float
    launches: int
    pairs: int
    confidence: float = CONFIDENCE

    @property
    def half_width(self) -> float:
        """Half the width of the interval, on the log scale."""
        return (self.high - self.low) / 2

    @property
    def change(self) -> float:
        """Relative change."""
        return math.expm1(self.log_ratio)

    @property
    def change_low(self) -> float:
        """Lower end of the interval, as a relative change."""
        return math.expm1(self.low)

    @property
    def change_high(self) -> float:
        """Upper end of the interval, as a relative change."""
        return math.expm1(self.high)

    @property
    def detectable(self) -> float:
        """Smallest slow-down this estimate would have told from none, at its confidence, with 80 % power."""
        return detectable_change(self.standard_error, self.degrees_of_freedom, self.confidence)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The interval at level 1 - alpha, on the log scale."""
        half = _quantile(1 - alpha / 2, self.degrees_of_freedom) * self.standard_error
        return self.log_ratio - half, self.log_ratio + half

    def shifted(self, log_ratio: float, standard_error: float = 0.0) -> Estimate:
        """This estimate after subtracting a quantity known up to an independent `standard_error`."""
        return _from_spread(
            self.log_ratio - log_ratio,
            math.hypot(self.standard_error, standard_error),
            self.degrees_of_freedom,
            self.launches,
            self.pairs,
            self.confidence,
        )


def with_more_error(given: Estimate, standard_error: float, degrees_of_freedom: float) -> Estimate:
    """The estimate with another independent error added; degrees of freedom after Welch and Satterthwaite."""
    shares = given.standard_error**2, standard_error**2
    total = sum(shares)
    if not math.isfinite(total) or total == 0 or standard_error == 0:
        return given
    freedom = total**2 / (shares[0] ** 2 / given.degrees_of_freedom + shares[1] ** 2 / degrees_of_freedom)
    return _from_spread(given.log_ratio, math.sqrt(total), freedom, given.launches, given.pairs, given.confidence)


def launch_effect(base: Sequence[float], head: Sequence[float]) -> float:
    """Effect of one launch: the median over its rounds of log(head / base); samples are seconds, paired by round."""
    if len(base) != len(head) or not base:
        raise ValueError("a launch needs the same rounds, at least one, in both lanes")
    return float(np.median(np.log(np.asarray(head)) - np.log(np.asarray(base))))


def launch_level(seconds: Sequence[float]) -> float:
    """Level of one lane in one launch: the log of the median sample."""
    return float(np.log(np.median(np.asarray(seconds))))


def estimate(effects: Sequence[float], pairs: Sequence[int], confidence: float = CONFIDENCE) -> Estimate:
    """Combine launch effects into one estimate; `pairs[i]` names the pair of nurseries that launch i came from.

    The point is the mean of the pairs' means. Where pairs differ by more than launches explain (one-way random
    effects, F > 1), the spread is that of the pairs' means, with Student's t on pairs - 1 degrees of freedom;
    otherwise pairs add nothing that can be seen and all launches are pooled. With a single pair, launches themselves
    stand as the clusters: what its layout contributes cannot be known then.
    """
    values = np.asarray(effects, dtype=float)
    labels = np.asarray(pairs)
    if len(values) != len(labels):
        raise ValueError("each launch effect needs its pair")
    if len(values) == 0:
        return _from_spread(math.nan, math.nan, 0, 0, 0, confidence)
    names, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means: NDArray[np.float64] = np.bincount(inverse, weights=values) / counts
    launches, clusters = len(values), len(names)
    if clusters == 1:
        spread, freedom = _standard_error(values), launches - 1
        return _from_spread(float(values.mean()), spread, freedom, launches, 1, confidence)
    point = float(means.mean())
    error, freedom = _standard_error(means), clusters - 1
    if launches > clusters:
        within = float(((values - means[inverse]) ** 2).sum()) / (launches - clusters)
        if float(means.var(ddof=1)) <= within * float(np.mean(1 / counts)):
            error, freedom = _standard_error(values), launches - 1
    return _from_spread(point, error * LOOK_FACTOR, freedom, launches, clusters, confidence)


FEWEST_FOR_WANDER = 8
"""Tests from which their scatter says anything about its own size."""


def wander(estimates: Sequence[tuple[float, float]]) -> float | None:
    """How far tests scatter beyond their own errors: the standard deviation of what moves each of them by itself.

    `estimates` are log ratios with their standard errors, of one occasion against another on the same machine. Between
    two occasions a machine's speed moves, by another amount at each moment, and nothing inside a run shows it. Most
    tests of a suite do not change, so their scatter does: its square is that of the median absolute deviation (scaled
    to a normal distribution) less the median of the squared errors, which neither a few changed tests nor a shift of
    all moves. None for fewer than eight tests.
    """
    if len(estimates) < FEWEST_FOR_WANDER:
        return None
    scatter = float(stats.median_abs_deviation([value for value, _ in estimates], scale="normal"))
    explained = float(np.median([error**2 for _, error in estimates]))
    return math.sqrt(max(0.0, scatter**2 - explained))


@dataclass(frozen=True)
class Part:
    """One term of a weighted mean: a log ratio with its standard error and degrees of freedom."""

    weight: float
    log_ratio: float
    standard_error: float
    degrees_of_freedom: float


def weighted_mean(parts: Sequence[Part], confidence: float = CONFIDENCE) -> Estimate:
    """The weighted mean of independent estimates; degrees of freedom after Welch (1947) and Satterthwaite (1946)."""
    total = math.fsum(part.weight for part in parts)
    shares = [(part.weight / total * part.standard_error) ** 2 for part in parts] if total > 0 else []
    variance = math.fsum(shares)
    point = math.fsum(part.weight / total * part.log_ratio for part in parts) if total > 0 else math.nan
    if not variance > 0:
        freedom = min((part.degrees_of_freedom for part in parts), default=0.0)
    else:
        freedom = variance**2 / math.fsum(
            share**2 / part.degrees_of_freedom for share, part in zip(shares, parts, strict=True)
        )
    return _from_spread(point, math.sqrt(variance), freedom, len(parts), len(parts), confidence)


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf


def _quantile(probability: float, freedom: float) -> float:
    return float(stats.t.ppf(probability, freedom)) if freedom > 0 else math.inf


def _from_spread(point: float, error: float, freedom: float, launches: int, pairs: int, confidence: float) -> Estimate:
    if freedom <= 0 or not math.isfinite(error):
        return Estimate(point, -math.inf, math.inf, math.inf, 0, 1.0, launches, pairs, confidence)
    half = _quantile((1 + confidence) / 2, freedom) * error
    # Identical effects leave no spread to judge by: equal to nothing, or surely different.
    certain = 1.0 if point == 0 else 0.0
    p_value = 2 * float(stats.t.sf(abs(point) / error, freedom)) if error > 0 else certain
    return Estimate(point, point - half, point + half, error, freedom, p_value, launches, pairs, confidence)


def detectable_change(
    standard_error: float, freedom: float, confidence: float = CONFIDENCE, power: float = POWER
) -> float:
    """Minimum detectable effect as a relative slow-down: expm1((t(1 - alpha/2) + t(power)) * standard error)."""
    if freedom <= 0 or not math.isfinite(standard_error):
        return math.inf
    return math.expm1((_quantile((1 + confidence) / 2, freedom) + _quantile(power, freedom)) * standard_error)


Stop = Literal["precise", "decided", ""]


@dataclass(frozen=True)
class StoppingRule:
    """When a test has been measured enough. Looks are taken after each full cycle over the pairs.

    `half_width` is the wanted precision (0.01: plus or minus 1 %); `threshold` the change that matters. A test stops as
    "precise" when the half-width is small enough after at least two launches per pair, and as "decided" when even the
    99.9 % interval lies beyond the threshold on one side, or, with `equivalence`, within it on both.
    """

    half_width: float = 0.01
    threshold: float = 0.07
    equivalence: bool = False

    def look(self, estimates: Sequence[Estimate], launches: int, pairs: int) -> Stop:
        """Decide after `launches` launches from `pairs` pairs; all comparisons of the group must agree to stop."""
        if not estimates or launches % pairs or launches < 2:
            return ""
        reasons = [self._reason(estimate, launches, pairs) for estimate in estimates]
        if not all(reasons):
            return ""
        return "precise" if "precise" in reasons else "decided"

    def _reason(self, estimate: Estimate, launches: int, pairs: int) -> Stop:
        enough = launches >= max(MINIMUM_LAUNCHES_PER_PAIR * pairs, 4)
        if enough and estimate.half_width <= math.log1p(self.half_width):
            return "precise"
        low, high = estimate.interval(INTERIM_ALPHA)
        if low > math.log1p(self.threshold) or high < -math.log1p(self.threshold):
            return "decided"
        if self.equivalence and low > -math.log1p(self.threshold) and high < math.log1p(self.threshold):
            return "decided"
        return ""

    def launches_wanted(self, estimate: Estimate) -> float:
        """About how many launches more will settle a test, by its spread so far and if its change stays what it is."""
        if estimate.launches < 2 or not math.isfinite(estimate.standard_error):
            return float(MINIMUM_LAUNCHES_PER_PAIR)
        size, limit = abs(estimate.log_ratio), math.log1p(self.threshold)
        apart = size - limit if size > limit or not self.equivalence else limit - size
        # As narrow as asked settles any test; otherwise the interim interval has to clear the threshold.
        enough = math.log1p(self.half_width) / _quantile((1 + CONFIDENCE) / 2, estimate.launches)
        clear = apart / _quantile(1 - INTERIM_ALPHA / 2, estimate.launches)
        wanted = (estimate.standard_error / max(enough, clear)) ** 2
        return max(1.0, estimate.launches * (wanted - 1))


def run_until_stop(
    next_effect: Callable[[int], float], rule: StoppingRule, pairs: int, budget_launches: int
) -> tuple[Estimate, Stop]:
    """Draw launch effects until the rule stops or the budget is spent: the engine's loop without the engine.

    `next_effect(i)` gives the effect of launch i, which came from pair i mod `pairs`. For simulation and replay.
    """
    effects: list[float] = []
    labels: list[int] = []
    for index in range(budget_launches):
        effects.append(next_effect(index))
        labels.append(index % pairs)
        if (index + 1) % pairs == 0:
            current = estimate(effects, labels)
            if stop := rule.look([current], len(effects), pairs):
                return current, stop
    return estimate(effects, labels), ""


def rounds_per_launch(launch_seconds: float, round_seconds: float, within: float, between: float) -> float:
    """Rounds per launch that give the narrowest interval for the time, by Kalibera & Jones (ISMM 2013), equation 4.

    `launch_seconds` is what a launch costs before its first round, `round_seconds` what a round costs; `within` is the
    variance of the log ratio of one round, `between` the variance of launch effects beyond what rounds explain.
    """
    if between <= 0 or round_seconds <= 0:
        return math.inf
    return math.sqrt(launch_seconds / round_seconds * within / between)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (q-values) in the order given: Benjamini & Hochberg (1995), step-up."""
    if not p_values:
        return []
    return [float(value) for value in stats.false_discovery_control(np.asarray(p_values, dtype=float), method="bh")]
