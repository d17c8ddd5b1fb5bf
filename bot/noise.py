"""The noise of a series of nightly figures: what it looks like when nothing changes.

Promises a density learnt from a series' own nights, for judging how strange new ones are: two levels that come and go,
heavy tails and outliers are part of it and no special cases. Everything is vectorised over rows (series), with NaN for
"no figure", and values are natural logarithms. Numpy only.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHARE_OF_NEIGHBOURS = 5
"""The width of the kernel follows from the stretch that holds one night in five: narrow where levels are two."""
BAND = 0.6
"""Width of the kernel as a share of that stretch; chosen on the training part of benchmarks/changepoints.py."""
NARROWEST = 0.001
"""Least width of the kernel: figures that agree to a tenth of a percent are the same."""
ANYWHERE = 0.03
"""Share of nights that may lie anywhere: what an outlier is taken for."""
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Where in the old nights the middle of the new ones may have come from. Several, as levels may be two."""

FEWEST_FOR_CLASS = 12
"""Nights before anything is said about a series' noise."""
NOISY = 0.03
"""Robust standard deviation from which a series is noisy: at 3 % the usual 7 % is little more than two of them."""


class NoiseClass(str, enum.Enum):
    """What kind of series it is, for those who read its figures."""

    STABLE = "stable"
    NOISY = "noisy"
    BIMODAL = "bimodal"
    TOO_SHORT = "too short"


@dataclass(frozen=True)
class Noise:
    """The noise of one series about its levels, on the log scale (0.01 is 1 %).

    `floor` is the robust standard deviation from night to night; `persistence` the correlation of successive nights, 0
    to 0.9; `gap` the distance of the two levels of a bimodal series, else None.
    """

    noise_class: NoiseClass
    floor: float | None
    persistence: float = 0.0
    gap: float | None = None


def widths(ordered: Array) -> Array:
    """Width of the kernel of each row, from its values in ascending order with NaN last."""
    counts = (~np.isnan(ordered)).sum(axis=1)
    stretch = np.maximum(2, counts // SHARE_OF_NEIGHBOURS)
    columns = np.arange(ordered.shape[1])[None] + stretch[:, None]
    ends = np.take_along_axis(ordered, np.minimum(columns, ordered.shape[1] - 1), axis=1)
    spans = np.where(columns < counts[:, None], ends - ordered, np.nan)
    middle = _middle(spans)
    return np.maximum(BAND * np.nan_to_num(middle), NARROWEST)


def _middle(values: Array) -> Array:
    """Median of each row but for NaN; NaN where there is nothing else. Quicker than numpy's for many short rows."""
    ordered = np.sort(values, axis=1)
    counts = (~np.isnan(ordered)).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = np.maximum(counts - 1, 0) // 2, counts // 2
    middle: Array = (ordered[rows, low] + ordered[rows, np.minimum(high, ordered.shape[1] - 1)]) / 2
    return np.where(counts > 0, middle, np.nan)


def log_density(points: Array, old: Array, width: Array, point_errors: Array, old_errors: Array) -> Array:
    """Log density of `points` (rows, k) among `old` (rows, m), relative to the peak of one kernel.

    The kernel is Student's t with three degrees of freedom; the standard errors of both sides widen it, so that an
    uncertain night is strange nowhere. NaN among `old` is no night.
    """
    scale = np.sqrt(
        width[:, None, None] ** 2 + point_errors[:, :, None] ** 2 + np.nan_to_num(old_errors)[:, None, :] ** 2
    )
    distance = (points[:, :, None] - old[:, None, :]) / scale
    kernel = width[:, None, None] / scale / (1 + distance * distance / 3) ** 2
    nights = (~np.isnan(old)).sum(axis=1)
    density = np.nansum(kernel, axis=2) / np.maximum(nights, 1)[:, None]
    result: Array = np.log((1 - ANYWHERE) * density + ANYWHERE / (nights + 1)[:, None])
    return result


def quantiles(ordered: Array) -> Array:
    """`QUANTILES` of each row of ascending values with NaN last, as values that occur."""
    counts = (~np.isnan(ordered)).sum(axis=1)
    columns = np.stack([np.minimum((q * counts).astype(int), np.maximum(counts - 1, 0)) for q in QUANTILES], axis=1)
    found: Array = np.take_along_axis(ordered, columns, axis=1)
    return found


def persistence(values: Array) -> Array:
    """Correlation of successive nights of each row (NaN: none), from 0 to 0.9, with outliers clipped."""
    centred = values - _middle(values)[:, None]
    spread = 1.4826 * _middle(np.abs(centred))[:, None] + 1e-12
    clipped = np.clip(centred, -2.5 * spread, 2.5 * spread)
    present = ~np.isnan(clipped)
    clipped -= (np.nansum(clipped, axis=1) / np.maximum(present.sum(axis=1), 1))[:, None]
    total = np.maximum(np.nansum(clipped * clipped, axis=1), 1e-12)
    found: Array = np.clip(np.nansum(clipped[:, 1:] * clipped[:, :-1], axis=1) / total, 0.0, 0.9)
    return found


def describe(residuals: Array) -> Noise:
    """The noise of one series from its nights less their levels, oldest first, without NaN."""
    if len(residuals) < FEWEST_FOR_CLASS:
        return Noise(NoiseClass.TOO_SHORT, None)
    spread = 1.4826 * float(np.median(np.abs(residuals - np.median(residuals))))
    lasting = float(persistence(residuals[None])[0])
    gap = _gap(residuals)
    if gap is not None:
        return Noise(NoiseClass.BIMODAL, spread, lasting, gap)
    return Noise(NoiseClass.NOISY if spread > NOISY else NoiseClass.STABLE, spread, lasting)


FEWEST_IN_LEVEL = 0.1
"""Share of the nights that each of two levels holds at least; less are outliers."""
CLEARNESS = 4.0
"""How many robust deviations of their own two levels must be apart."""
VISITS = 3
"""How often at least the series goes from one level to the other; less are steps."""


def _gap(values: Array) -> float | None:
    """Distance of the two levels of a bimodal series; None for others.

    The split is the widest space between sorted values with enough of them on both sides, and counts if the levels are
    far apart for their own spread and are visited again and again.
    """
    ordered = np.sort(values)
    fewest = max(3, int(FEWEST_IN_LEVEL * len(ordered)))
    inner = np.diff(ordered)[fewest - 1 : len(ordered) - fewest]
    if len(inner) == 0:
        return None
    split = int(np.argmax(inner)) + fewest
    below, above = ordered[:split], ordered[split:]
    distance = float(np.median(above) - np.median(below))
    own = max(1.4826 * float(np.median(np.abs(part - np.median(part)))) for part in (below, above))
    upper = values > (ordered[split - 1] + ordered[split]) / 2
    changes = int(np.count_nonzero(upper[1:] != upper[:-1]))
    return distance if distance > CLEARNESS * max(own, NARROWEST) and changes >= VISITS else None
