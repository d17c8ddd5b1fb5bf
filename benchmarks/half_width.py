"""How narrow one test's interval gets within a budget: the median half-width over several A/A runs.

python benchmarks/half_width.py --runs 5 --budget 60s --out out/half_width
"""

from __future__ import annotations

import argparse
import pathlib
import statistics

from entries import entries, half_width, measure


def main() -> None:
    """Measure what is not measured yet, and print the widths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="test_eval[resnet18-cpu-eager]")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/half_width"))
    arguments, options = parser.parse_known_args()
    fixed = ["--suite", "smoke", "--only", arguments.only, "--base", "current", "--head", "current", "--threads", "1"]
    widths = []
    for seed in range(1, arguments.runs + 1):
        path = measure(
            arguments.out / f"half_width-{seed}.jsonl",
            *(*fixed, "--budget", arguments.budget, "--seed", str(seed), *options),
        )
        (entry,) = entries([path])
        widths.append(half_width(entry))
        print(
            f"{entry.change:+.2%} ± {widths[-1]:.2%} in {entry.elapsed_seconds:.0f} s, "
            f"{len(entry.launches)} launches, stopped: {entry.stopped}"
        )
    print(f"median half-width: {statistics.median(widths):.2%}")


if __name__ == "__main__":
    main()
