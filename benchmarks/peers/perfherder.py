"""Mozilla Perfherder's rule, written anew from its description (facts: treeherder, `perfalert`).

At each point the 12 to 24 points before (none from before the last alarm) and the 12 from it on are compared by a t
statistic whose means weigh near points more, linearly. A point is a step where t exceeds 7, is a local maximum, both
windows are full, and the means differ by 2 % at least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

FEWEST_BEFORE, MOST_BEFORE, AFTER = 12, 24, 12
T = 7.0
MAGNITUDE = 0.02


def _moments(window: Sequence[float]) -> tuple[float, float]:
    """Linearly weighted mean (first point heaviest) and its unweighted squared error over n - 1."""
    n = len(window)
    weights = [(n - i) / n for i in range(n)]
    mean = sum(w * x for w, x in zip(weights, window, strict=True)) / sum(weights)
    return mean, sum((x - mean) ** 2 for x in window) / (n - 1) if n > 1 else 0.0


def steps(values: Sequence[float]) -> list[int]:
    """First points at a new level."""
    scores: list[float] = []
    full: list[bool] = []
    change: list[float] = []
    since = MOST_BEFORE
    for place in range(len(values)):
        before = list(reversed(values[max(0, place - min(since, MOST_BEFORE)) : place]))
        after = values[place : place + AFTER]
        if not before:
            scores.append(0.0)
            full.append(False)
            change.append(0.0)
            since += 1
            continue
        (old, old_spread), (new, new_spread) = _moments(before), _moments(after)
        error = math.sqrt(old_spread / len(before) + new_spread / len(after))
        score = abs(new - old) / error if error > 0 else (math.inf if new != old else 0.0)
        scores.append(score)
        full.append(len(before) >= FEWEST_BEFORE and len(after) >= AFTER)
        change.append(abs(new / old - 1))
        since = 0 if score > T and full[-1] else since + 1
        since = max(since, FEWEST_BEFORE)
    return [
        place
        for place in range(1, len(values))
        if full[place]
        and scores[place] > T
        and scores[place] >= scores[place - 1]
        and (place + 1 == len(values) or scores[place] >= scores[place + 1])
        and change[place] >= MAGNITUDE
    ]
