"""A compiler's speedup by this project's method and by that of the TorchDynamo benchmark harness, repeated in turn.

The harness's method: one process, eager and compiled steps in strict alternation, thirty of each, the ratio of medians.
It gives no interval; the one shown beside it is Student's t over its thirty paired log ratios, which is what those
samples alone can know. For every method: the ratios, their spread from repeat to repeat, and how many of its intervals
hold the other repeats' mean. Each repeat of ours is judged by the mean of the other nine, and each of the harness's by
the mean of the other nine of its own, so that no method is judged by the other.

    python benchmarks/dynamo_method.py --repeats 10 --out out/dynamo
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
from dataclasses import dataclass

from entries import judged, measure
from scipy.stats import t as student

HARNESS = """
import json, os, sys, time
name, cpus, rounds = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
os.sched_setaffinity(0, cpus)
import torch
torch.set_num_threads(len(cpus))
from harness import benchmark, lanes
from harness.clock import CpuClock
entry = benchmark.load("smoke")[name]
request = benchmark.Request("eval", "cpu", entry.description.sizes["small"])
torch.manual_seed(1337)
workload = entry.build(request)
steps = [lanes.step_of(lanes.mode_of(mode).prepare(workload, request), request) for mode in ("eager", "inductor")]
for step in steps:
    for _ in range(5):
        step(CpuClock())
taken = [[], []]
for _ in range(rounds):
    for step, into in zip(steps, taken):
        torch.manual_seed(1337)
        began = time.perf_counter()
        step(CpuClock())
        into.append(time.perf_counter() - began)
print(json.dumps(taken))
"""


@dataclass(frozen=True)
class Repeat:
    """One repeat of a method: log of the speedup and its interval."""

    log: float
    low: float
    high: float


def main() -> None:
    """Repeat both methods in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmark", default="resnet18")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--budget", default="40s")
    parser.add_argument("--cpus", default="1")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/dynamo"))
    arguments = parser.parse_args()
    found: dict[str, list[Repeat]] = {"interleaved launches": [], "one process, alternating": []}
    for seed in range(1, arguments.repeats + 1):
        found["interleaved launches"].append(ours(arguments, seed))
        found["one process, alternating"].append(theirs(arguments, seed))
    for name, repeats in found.items():
        logs = [repeat.log for repeat in repeats]
        held = sum(
            repeat.low <= statistics.fmean(logs[:n] + logs[n + 1 :]) <= repeat.high for n, repeat in enumerate(repeats)
        )
        half = statistics.median((repeat.high - repeat.low) / 2 for repeat in repeats)
        print(f"{name:26} {', '.join(f'{math.exp(log):.3f}' for log in logs)}")
        print(
            f"{'':26} mean {math.exp(statistics.fmean(logs)):.3f}, spread {statistics.stdev(logs):.1%}, half-width "
            f"{half:.1%} in the median, {held} of {len(repeats)} intervals hold the others' mean"
        )
    mean = statistics.fmean(repeat.log for repeat in found["one process, alternating"])
    agreeing = sum(repeat.low <= mean <= repeat.high for repeat in found["interleaved launches"])
    print(f"{agreeing} of ours hold the mean of the harness's method")


def ours(arguments: argparse.Namespace, seed: int) -> Repeat:
    """A run of two modes."""
    path = measure(
        arguments.out / f"ours-{seed}.jsonl",
        *("--suite", "smoke", "--only", f"^test_eval.{arguments.benchmark}-", "--modes", "eager,inductor"),
        *("--budget", arguments.budget, "--cpus", arguments.cpus, "--seed", str(seed)),
    )
    (entry,) = judged(path).speedups
    assert entry.low is not None and entry.high is not None
    return Repeat(math.log(entry.ratio), math.log(entry.low), math.log(entry.high))


def theirs(arguments: argparse.Namespace, seed: int) -> Repeat:
    """Thirty alternations in a process of its own."""
    path = arguments.out / f"theirs-{seed}.json"
    if not path.exists():
        cpus = json.dumps([int(cpu) for cpu in arguments.cpus.split(",")])
        command = [sys.executable, "-W", "ignore", "-c", HARNESS, arguments.benchmark, cpus, "30"]
        path.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    eager, compiled = json.loads(path.read_text())
    log = math.log(statistics.median(eager) / statistics.median(compiled))
    pairs = [math.log(one / other) for one, other in zip(eager, compiled, strict=True)]
    half = float(student.ppf(0.975, len(pairs) - 1)) * statistics.stdev(pairs) / math.sqrt(len(pairs))
    return Repeat(log, log - half, log + half)


if __name__ == "__main__":
    main()
