"""Apache Otava as published on PyPI (`apache-otava`): its own code, its defaults, and a floor on the magnitude."""

from __future__ import annotations

from collections.abc import Sequence


def steps(values: Sequence[float], smallest: float = 0.0) -> list[int]:
    """Change points by `compute_change_points` with window 50 and p < 0.001, of at least `smallest` magnitude."""
    from otava.analysis import compute_change_points

    points, _ = compute_change_points(list(values), window_len=50, max_pvalue=0.001, min_magnitude=smallest)
    return [point.index for point in points]
