"""Coverage of the 95 % interval under sequential stopping, on normal and heavy-tailed noise, by simulation.

Behind `harness.stats.LOOK_FACTOR`: with it and, for comparison, without it.

    python benchmarks/coverage.py
"""

from __future__ import annotations

import numpy as np

from harness import stats

SPREADS = [(0, 0.015), (0.005, 0.015), (0.01, 0.01), (0.01, 0.02), (0.005, 0.006), (0, 0.008)]
PAIRS, BUDGET, REPLAYS = 6, 36, 2000


def coverage(pair: float, launch: float, *, heavy: bool, generator: np.random.Generator) -> tuple[float, float]:
    """Share of replays whose interval covers zero, and the mean number of launches; spreads are of log ratios."""
    covered, launches = 0, 0
    for _ in range(REPLAYS):
        luck = generator.normal(0, pair, PAIRS)

        def effect(index: int, luck: np.ndarray = luck) -> float:
            # Student's t with 3 degrees of freedom has a standard deviation of sqrt(3).
            noise = generator.standard_t(3) / 3**0.5 if heavy else generator.normal()
            return float(luck[index % PAIRS] + launch * noise)

        estimate, _ = stats.run_until_stop(effect, stats.StoppingRule(), PAIRS, BUDGET)
        covered += estimate.low <= 0 <= estimate.high
        launches += estimate.launches
    return covered / REPLAYS, launches / REPLAYS


def main() -> None:
    """Print a row per spread of pairs and launches."""
    print("pair, launch spread | coverage (launches): normal | heavy tails | normal without the look factor")
    chosen = stats.LOOK_FACTOR
    for pair, launch in SPREADS:
        cells = []
        for factor, heavy in ((chosen, False), (chosen, True), (1.0, False)):
            stats.LOOK_FACTOR = factor
            share, launches = coverage(pair, launch, heavy=heavy, generator=np.random.default_rng(1))
            cells.append(f"{share:.1%} ({launches:.0f})")
        print(f"{pair:.1%}, {launch:.1%} | " + " | ".join(cells))


if __name__ == "__main__":
    main()
