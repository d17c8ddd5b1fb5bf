"""How much slower a step is right after another lane has had the CPU, by how many untimed steps go before it.

Two workers of the same test live side by side. One of them is sampled after the other has done two steps: at once, or
after some untimed steps of its own. The figure is against a step in the middle of many.

    python benchmarks/settling.py
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import statistics
import tempfile

from harness import builds, buildspec, machine
from harness.plan import describe_suites
from harness.pool import Pool, Settings

SETTLED = (0, 1, 2, 3, 6)
LAUNCHES, ROUNDS = 4, 5
NEEDS = ("torchvision", "timm", "torch._dynamo", "transformers.models.bert.modeling_bert")
TESTS = (
    "train:timm_regnet,train:mobilenet_v3_large,train:nvidia_deeprecommender,train:dlrm,eval:timm_regnet,eval:hf_Bert"
)


def main() -> None:
    """Measure every test and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", nargs="*", default=TESTS, metavar="TYPE:NAME")
    arguments = parser.parse_args()
    environment = dict(os.environ)
    build = builds.resolve(buildspec.parse("current", "head"), environment)
    descriptions = {entry.name: entry for entry in describe_suites(["smoke"])}
    cpus = machine.choose_cpus(1)
    settings = Settings(2, 1, cpus, "keep", "shared", NEEDS, ("smoke",))
    folder = pathlib.Path(tempfile.gettempdir())
    with machine.stepping_aside(cpus), Pool([build], settings, environment, folder) as pool:
        pool.start([("head", {})])
        for test in arguments.tests:
            type, name = test.split(":")
            order = {
                **{"suite": "smoke", "benchmark": name, "type": type, "device": "cpu", "mode": "eager"},
                **{"size": dict(descriptions[name].sizes["small"]), "seed": 1, "threads": 1, "cpus": cpus},
                **{"warmup_steps": 25, "warmup_seconds": 1.0},
            }
            # Six steps in a row after six untimed ones stand for a step in the middle of many.
            ways = {**{f"{settle}": (1, settle) for settle in SETTLED}, "warm": (6, 6)}
            taken: dict[str, list[float]] = {way: [] for way in ways}
            for index in range(LAUNCHES):
                ours, other = (pool.nursery("head", {}, index).launch(order, 60) for _ in range(2))
                with ours, other:
                    for number in range(ROUNDS + 1):
                        for way in random.sample(list(ways), len(ways)):
                            other.sample(2, 0, 60)
                            seconds = ours.sample(*ways[way], 60)["seconds"]
                            # The first round only makes the memory of both workers warm.
                            if number:
                                taken[way].append(seconds)
            warm = statistics.median(taken["warm"])
            changes = (f"after {way}: {statistics.median(taken[way]) / warm - 1:+.1%}" for way in ways if way != "warm")
            print(f"{test:30} {warm * 1e3:6.2f} ms  " + "  ".join(changes), flush=True)


if __name__ == "__main__":
    main()
