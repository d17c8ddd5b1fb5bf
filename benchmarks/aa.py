"""A/A: the same build as base and head, every test of the smoke suite, several runs with different seeds.

Shows that nothing is reported where nothing changed: signals under the default policy and under V1's rule on the same
samples, coverage of zero by the 95 % intervals, mean log ratio by benchmark and over all. `--record FILE` keeps the
launch effects for the replays of tests/harness/test_stats.py.

    python benchmarks/aa.py --runs 4 --out out/aa
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics

from entries import benchmark_of, entries, log_ratio, measure, summary

from harness import records, stats


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/aa"))
    parser.add_argument("--record", type=pathlib.Path)
    arguments, options = parser.parse_known_args()
    builds = ["--base", "current", "--head", "current"]
    paths = [
        measure(arguments.out / f"aa-{seed}.jsonl", "--suite", "smoke", *builds, "--seed", str(seed), *options)
        for seed in range(1, arguments.runs + 1)
    ]
    found = entries(paths)
    summary(found)
    covering = [entry.low <= 0 <= entry.high for entry in found if entry.low is not None and entry.high is not None]
    print(f"95 % intervals cover zero: {sum(covering)} of {len(covering)} ({statistics.fmean(covering):.1%})")
    naive = sum(entry.signal for entry in entries(paths, "v1"))
    print(f"signals: {sum(entry.signal for entry in found)}; by V1's rule on the means of the same samples: {naive}")
    print(f"mean log ratio over all: {statistics.fmean(map(log_ratio, found)):+.3%}")
    for name in sorted({benchmark_of(entry) for entry in found}):
        changes = [log_ratio(entry) for entry in found if benchmark_of(entry) == name]
        print(f"  {name:28} {statistics.fmean(changes):+.3%}  ({', '.join(f'{change:+.2%}' for change in changes)})")
    if arguments.record:
        record(paths, arguments.record)


def record(paths: list[pathlib.Path], target: pathlib.Path) -> None:
    """Write the launch effects of every test by pair of nurseries."""
    noise: dict[str, list[list[float]]] = {}
    for path in paths:
        run = records.read(path)
        for test in run.tests:
            base, head = test.lane(run.header.plan.base or ""), test.lane(run.header.plan.head)
            if base is None or head is None:
                continue
            ours = {launch.index: launch.seconds for launch in base.launches}
            pairs: dict[int, list[float]] = {}
            for launch in head.launches:
                if launch.index in ours:
                    effect = stats.launch_effect(ours[launch.index], launch.seconds)
                    pairs.setdefault(launch.nursery, []).append(round(effect, 6))
            if len(pairs) == run.header.plan.nurseries:
                noise[f"{test.test} seed {run.header.plan.seed}"] = [pairs[pair] for pair in sorted(pairs)]
    about = "launch effects (log ratios) of A/A runs by pair of nurseries; made by benchmarks/aa.py --record"
    target.write_text(json.dumps({"about": about, "effects": noise}, indent=0) + "\n")


if __name__ == "__main__":
    main()
