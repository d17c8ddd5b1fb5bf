"""What the order in which workers are created does to them: why rounds are thrown away and orders go A B, A B, B A, B
A.

A/A pairs of workers, sampled in rounds of random order from the first one on. Two tables come out. First: how much
faster the worker created last is, by round. Second: the change that a whole test shows, by launch, when the order is
swapped at every launch and when it is swapped at every second one; once with huge pages and once without.

    python benchmarks/order.py
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import statistics
import tempfile
from collections.abc import Callable, Mapping

import numpy as np

from harness import allocators, builds, buildspec, machine
from harness.plan import describe_suites
from harness.pool import Pool, Settings

BUILDS = ("base", "head")
ROUNDS = 12
SKIPPED = 3
PATTERNS: dict[str, Callable[[int], bool]] = {
    "A B, B A": lambda index: index % 2 == 1,
    "A B, A B, B A, B A": lambda index: index % 4 >= 2,
}


def launch(pool: Pool, order: Mapping[str, object], index: int, *, swapped: bool) -> np.ndarray:
    """Log ratios of head to base by round, of one launch whose workers are created in the given order."""
    names = BUILDS[::-1] if swapped else BUILDS
    workers = {name: pool.nursery(name, {}, index).launch(order, 120) for name in names}
    rows = []
    for _ in range(ROUNDS):
        taken = {name: workers[name].sample(1, 1, 120)["seconds"] for name in random.sample(BUILDS, 2)}
        rows.append(np.log(taken["head"] / taken["base"]))
    for name in names:
        workers[name].finish(120)
    return np.array(rows)


def main() -> None:
    """Measure every test with both allocator settings and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", default="eval:dlrm,eval:resnet18,train:mobilenet_v3_large")
    parser.add_argument("--launches", type=int, default=12)
    arguments = parser.parse_args()
    environment = dict(os.environ)
    both = [builds.resolve(buildspec.parse("current", name), environment) for name in BUILDS]
    descriptions = {entry.name: entry for entry in describe_suites(["smoke"])}
    cpus = machine.choose_cpus(1)
    print(f"torch {both[0].torch_version}; changes in percent")
    plain = allocators.environment("keep")
    plain.pop("GLIBC_TUNABLES")
    for pages, setting in (("huge pages", allocators.environment("keep")), ("4 KiB pages", plain)):
        # The pool's own allocator is the system's: the variables under test are given with the environment.
        settings = Settings(2, 1, cpus, "system", "shared", ("torchvision", "torch._dynamo"), ("smoke",))
        with (
            machine.stepping_aside(cpus),
            Pool(both, settings, {**environment, **setting}, pathlib.Path(tempfile.gettempdir())) as pool,
        ):
            pool.start([(name, {}) for name in BUILDS])
            for test in arguments.tests.split(","):
                type, name = test.split(":")
                order = {
                    **{"suite": "smoke", "benchmark": name, "type": type, "device": "cpu", "mode": "eager"},
                    **{"size": dict(descriptions[name].sizes["small"]), "seed": 1, "threads": 1, "cpus": cpus},
                    **{"warmup_steps": 25, "warmup_seconds": 1.0},
                }
                later: list[np.ndarray] = []
                for pattern, swapped in PATTERNS.items():
                    effects = []
                    for index in range(arguments.launches):
                        rows = launch(pool, order, index, swapped=swapped(index))
                        later.append(-rows if swapped(index) else rows)
                        effects.append(float(np.median(rows[SKIPPED:])))
                    print(
                        f"{pages:11} {test:26} {pattern:18} mean {statistics.fmean(effects):+.1%}  "
                        + " ".join(f"{effect:+.1%}" for effect in effects)
                    )
                by_round = np.median(np.array(later), axis=0)
                print(
                    f"{pages:11} {test:26} created last, against created first, by round: "
                    + " ".join(f"{effect:+.1%}" for effect in by_round)
                )


if __name__ == "__main__":
    main()
