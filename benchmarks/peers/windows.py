"""Plain rules: 7 % against last night, 7 % against the median of ten, and a t-test over a rolling window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

THRESHOLD = 0.07


def last_night(values: Sequence[float]) -> list[int]:
    """Every night that differs from the night before by 7 %."""
    series = np.asarray(values)
    return [int(night) + 1 for night in np.flatnonzero(np.abs(series[1:] / series[:-1] - 1) >= THRESHOLD)]


def median_of_ten(values: Sequence[float], nights: int = 10) -> list[int]:
    """First nights of runs of nights that differ from the median of the ten nights before by 7 %."""
    series = np.asarray(values)
    if len(series) <= nights:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(series, nights)[:-1]
    beyond = np.abs(series[nights:] / np.median(windows, axis=1) - 1) >= THRESHOLD
    first = beyond & ~np.concatenate([[False], beyond[:-1]])
    return [int(night) + nights for night in np.flatnonzero(first)]


def rolling_t(values: Sequence[float], before: int = 20, after: int = 5, level: float = 0.001) -> list[int]:
    """Local minima of the p-value of a t-test of the five nights from here on against the twenty before."""
    series = np.asarray(values)
    if len(series) < before + after:
        return []
    old = np.lib.stride_tricks.sliding_window_view(series, before)[: len(series) - before - after + 1]
    new = np.lib.stride_tricks.sliding_window_view(series, after)[before:]
    p_values = stats.ttest_ind(new, old, axis=1, equal_var=False).pvalue
    found: list[int] = []
    for place in np.flatnonzero(p_values < level):
        low, high = max(0, place - after), place + after + 1
        if p_values[place] == p_values[low:high].min():
            found.append(int(place) + before)
    return found
