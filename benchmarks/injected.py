"""A known slow-down of real extra work in every test of the smoke suite: is it found, and with what size?

The same samples judged by V1's rule on plain means stand beside it.

    python benchmarks/injected.py --percent 10 --runs 2 --out out/injected
"""

from __future__ import annotations

import argparse
import pathlib
import statistics

from entries import entries, log_ratio, measure, summary

from harness import plan


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--percent", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/injected"))
    arguments, options = parser.parse_known_args()
    tests = [
        plan.test_name(type, description.name, "cpu", "eager")
        for description in plan.describe_suites(["smoke"])
        for type in description.types
    ]
    injections = [word for test in tests for word in ("--inject", f"{test}={arguments.percent:g}%")]
    paths = [
        measure(
            arguments.out / f"injected-{arguments.percent:g}-{seed}.jsonl",
            *("--suite", "smoke", "--base", "current", "--head", "current", "--seed", str(seed)),
            *injections,
            *options,
        )
        for seed in range(1, arguments.runs + 1)
    ]
    found = entries(paths)
    summary(found)
    changes = [log_ratio(entry) for entry in found if entry.change is not None]
    extent = f"{min(changes):+.2%} to {max(changes):+.2%}"
    print(f"size found (log ratio): mean {statistics.fmean(changes):+.2%}, {extent}")
    plain = entries(paths, "v1")
    slower, faster = (sum(entry.outcome == outcome for entry in plain) for outcome in ("regressed", "improved"))
    print(f"by V1's rule on the means of the same samples: {slower} regressed, {faster} improved, of {len(plain)}")
    for entry in sorted(found, key=lambda entry: entry.test):
        print(f"  {entry.test:48} {entry.outcome:12} {entry.change:+.2%} [{entry.low:+.2%}, {entry.high:+.2%}]")


if __name__ == "__main__":
    main()
