"""What the engine adds to a short step: samples taken through a worker, as the engine takes them, against a bare loop.

The bare loop is a benchmark of its own: one step of it runs the other's operation many times and times that itself.
Workers of both live side by side and are sampled in turn. The figure is the ratio of the times per operation.

    python benchmarks/overhead.py
"""

from __future__ import annotations

import os
import pathlib
import random
import statistics
import tempfile

from harness import builds, interleave, machine, stats
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


def main() -> None:
    """Sample both in turn over several launches and print the ratio with its interval."""
    environment = dict(os.environ)
    build = builds.resolve("current", "head", environment)
    cpus = machine.choose_cpus(1)
    with machine.stepping_aside(cpus), tempfile.TemporaryDirectory() as folder:
        suite = pathlib.Path(folder) / "overhead_suite.py"
        suite.write_text(SUITE)
        settings = Settings(6, 1, cpus, "keep", (), (str(suite),))
        effects, pairs, steps = [], [], []
        with Pool([build], settings, environment, pathlib.Path(folder)) as pool:
            pool.start([("head", {})])
            for index in range(24):
                order = {
                    **{"suite": str(suite), "type": "eval", "device": "cpu", "mode": "eager", "size": {}},
                    **{"seed": 1, "threads": 1, "cpus": cpus, "warmup_steps": 25, "warmup_seconds": 1.0},
                }
                names = ["step", "loop"] if index % 2 == 0 else ["loop", "step"]
                nursery = pool.nursery("head", {}, index)
                workers = {name: nursery.launch({**order, "benchmark": name}, 60) for name in names}
                taken: dict[str, list[float]] = {"step": [], "loop": []}
                # As many steps a sample as the engine takes, and one to settle.
                count = max(1, round(interleave.SAMPLE_SECONDS / workers["step"].birth["step_seconds"] + 0.5))
                for _ in range(20):
                    for name in random.sample(names, 2):
                        if name == "step":
                            taken[name].append(workers[name].sample(count, 1, 60)["seconds"])
                        else:
                            taken[name].append(workers[name].sample(1, 0, 60)["phases"]["bare"])
                for worker in workers.values():
                    worker.close()
                effects.append(stats.launch_effect(taken["loop"], taken["step"]))
                pairs.append(index % 6)
                steps.append(statistics.median(taken["loop"]))
        estimate = stats.estimate(effects, pairs)
    print(f"bare loop {statistics.median(steps) * 1e3:.2f} ms a step; through the engine {estimate.change:+.2%}")
    print(f"95 % interval [{estimate.change_low:+.2%}, {estimate.change_high:+.2%}]")


if __name__ == "__main__":
    main()
