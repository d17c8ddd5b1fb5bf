"""What the benchmarks share: measuring runs through the command line, and judging them."""

from __future__ import annotations

import math
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence

from bot import policy, replay
from bot.verdict import TestVerdict, Verdict


def measure(out: pathlib.Path, *options: str) -> pathlib.Path:
    """Run `torchwarden run` with these options into the file `out`, unless it is there already."""
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bot.cli", "run", *options, "--out", str(out)]
    if not out.exists():
        subprocess.run(command, check=True)
    return out


def judged(path: pathlib.Path, rule: str = "torchwarden") -> Verdict:
    """The verdict on one run under a policy by its name."""
    return replay.judge_files([path], policy=policy.Policy(name=rule))


def entries(paths: Iterable[pathlib.Path], rule: str = "torchwarden") -> list[TestVerdict]:
    """All entries of some runs, each run judged by itself."""
    return [entry for path in paths for entry in judged(path, rule).tests]


def benchmark_of(entry: TestVerdict) -> str:
    """The benchmark an entry belongs to: its name without type, device and mode."""
    return entry.test.partition("[")[2].rsplit("-", 2)[0]


def log_ratio(entry: TestVerdict) -> float:
    """The change of an entry as a log ratio."""
    assert entry.change is not None
    return math.log1p(entry.change)


def half_width(entry: TestVerdict) -> float:
    """Half-width of an entry's interval on the log scale."""
    assert entry.low is not None and entry.high is not None
    return (math.log1p(entry.high) - math.log1p(entry.low)) / 2


def summary(found: Sequence[TestVerdict]) -> None:
    """Print how the entries came out: outcomes, coverage of zero, widths, time."""
    outcomes = {outcome: sum(entry.outcome == outcome for entry in found) for outcome in {e.outcome for e in found}}
    print(f"{len(found)} entries: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    measured = [entry for entry in found if entry.low is not None and entry.high is not None]
    if measured:
        excluding = sum(not (entry.low <= 0 <= entry.high) for entry in measured)
        widths = sorted(half_width(entry) for entry in measured)
        print(f"interval excludes zero: {excluding} of {len(measured)}")
        print(f"half-width: median {statistics.median(widths):.2%}, largest {widths[-1]:.2%}")
        print(f"seconds per entry: median {statistics.median(entry.elapsed_seconds for entry in measured):.1f}")
