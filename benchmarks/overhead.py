"""What the engine adds to a short step: samples taken through a worker, as the engine takes them, against a bare loop.

The bare loop is a benchmark of its own: one step of it runs the other's operation many times and times that itself.
Workers of both live side by side and are sampled in turn. The figure is the ratio of the times per operation.

The first row is the way the engine samples a step of this length.

    python benchmarks/overhead.py --others 2:0 2:1 4:1 8:8
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import statistics
import tempfile

from harness import builds, buildspec, interleave, machine, stats
from harness.pool import Pool, Settings

SUITE = """
import torch
from harness.benchmark import Workload, benchmark

def product():
    torch.manual_seed(0)
    return torch.randn(448, 448), torch.randn(448, 448)

@benchmark("step", category="OTHER", domain="OTHER_TASKS", sizes={"small": {}}, types=("eval",))
def step(request):
    a, b = product()
    return Workload(model=lambda: a @ b, inputs=(), items=1)

@benchmark("loop", category="OTHER", domain="OTHER_TASKS", sizes={"small": {}}, types=("eval",))
def loop(request):
    import time
    a, b = product()
    def bare(workload, clock):
        with torch.inference_mode():
            for _ in range(5):
                a @ b
            begin = time.perf_counter()
            for _ in range(COUNT):
                a @ b
            clock.mark("bare")
            clock.phases["bare"] = (time.perf_counter() - begin) / COUNT
            return a
    return Workload(model=None, inputs=(), items=COUNT, step=bare)

COUNT = 25
"""


LAUNCHES, ROUNDS = 24, 20


def main() -> None:
    """Sample both in turn over several launches and print the ratio with its interval, for every way to sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--others", nargs="*", default=[], metavar="STEPS:SETTLE", help="other ways to take a sample")
    others = [tuple(map(int, words.split(":"))) for words in parser.parse_args().others]
    environment = dict(os.environ)
    build = builds.resolve(buildspec.parse("current", "head"), environment)
    cpus = machine.choose_cpus(1)
    with machine.stepping_aside(cpus), tempfile.TemporaryDirectory() as folder:
        suite = pathlib.Path(folder) / "overhead_suite.py"
        suite.write_text(SUITE)
        settings = Settings(6, 1, cpus, "keep", "shared", (), (str(suite),))
        order = {
            **{"suite": str(suite), "type": "eval", "device": "cpu", "mode": "eager", "size": {}},
            **{"seed": 1, "threads": 1, "cpus": cpus, "warmup_steps": 25, "warmup_seconds": 1.0},
        }
        ways: list[tuple[int, int]] = []
        effects: dict[tuple[int, int], list[float]] = {}
        bare = []
        with Pool([build], settings, environment, pathlib.Path(folder)) as pool:
            pool.start([("head", {})])
            for index in range(LAUNCHES):
                names = ["loop", "step"] if interleave.is_swapped(index, 6, 0) else ["step", "loop"]
                nursery = pool.nursery("head", {}, index)
                workers = {name: nursery.launch({**order, "benchmark": name}, 60) for name in names}
                # As many steps a sample as the engine takes, and as many to settle.
                ways = ways or [interleave.steps_of_a_sample(workers["step"].birth["step_seconds"]), *others]
                taken = {way: ([], []) for way in ways}
                for _ in range(ROUNDS):
                    for way in random.sample(ways, len(ways)):
                        loop, step = taken[way]
                        for name in random.sample(names, 2):
                            if name == "step":
                                step.append(workers[name].sample(*way, 60)["seconds"])
                            else:
                                loop.append(workers[name].sample(1, 0, 60)["phases"]["bare"])
                for worker in workers.values():
                    worker.close()
                for way, (loop, step) in taken.items():
                    effects.setdefault(way, []).append(stats.launch_effect(loop, step))
                    bare.append(statistics.median(loop))
    print(f"bare loop {statistics.median(bare) * 1e3:.2f} ms a step; through the engine")
    for (steps, settle), found in effects.items():
        estimate = stats.estimate(found, [index % 6 for index in range(LAUNCHES)])
        interval = f"[{estimate.change_low:+.2%}, {estimate.change_high:+.2%}]"
        print(f"  {settle} untimed steps, {steps} timed: {estimate.change:+.2%} {interval}")


if __name__ == "__main__":
    main()
