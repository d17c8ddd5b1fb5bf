"""Two interpreters of the same torch as base and head, on the benchmark of the smoke suite with the largest
activations.

Once with the default set-up, once with the system's allocator and a single nursery per build: what these two protect
from.

    python -m venv other && other/bin/pip install torch==... torchvision==...
    python benchmarks/two_interpreters.py --other other/bin/python --out out/two
"""

from __future__ import annotations

import argparse
import pathlib

from entries import entries, measure

VARIANTS = {
    "six nurseries, glibc keeps memory": (),
    "one nursery, system allocator": ("--allocator", "system", "--nurseries", "1"),
}


def main() -> None:
    """Measure both variants in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--other", required=True)
    parser.add_argument("--only", default="test_train[squeezenet1_1-cpu-eager]")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/two"))
    arguments, options = parser.parse_known_args()
    fixed = ["--suite", "smoke", "--only", arguments.only, "--budget", arguments.budget, *options]
    builds = ["--base", "current", "--head", f"other={arguments.other}"]
    for seed in range(1, arguments.runs + 1):
        for number, (name, extra) in enumerate(VARIANTS.items()):
            path = measure(arguments.out / f"two-{number}-{seed}.jsonl", *fixed, *builds, *extra, "--seed", str(seed))
            for entry in entries([path]):
                faults = entry.head_figures.get("minor_faults")
                print(
                    f"{name:36} {entry.change:+.2%} [{entry.low:+.2%}, {entry.high:+.2%}]  faults per step {faults:.0f}"
                )


if __name__ == "__main__":
    main()
