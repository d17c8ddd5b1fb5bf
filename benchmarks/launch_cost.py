"""What a launch of a worker costs against a fresh interpreter that imports the same and builds the same model.

Both run in turn on the same CPU, so the ratio holds whatever the machine is doing.

    python benchmarks/launch_cost.py
"""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from harness import builds, buildspec, machine
from harness.plan import describe_suites
from harness.pool import Pool, Settings

FRESH = "import torch, torchvision; torch.set_num_threads(1); torchvision.models.resnet18().eval()"


def main() -> None:
    """Time both, alternately, and print the ratio of medians."""
    environment = dict(os.environ)
    build = builds.resolve(buildspec.parse("current", "head"), environment)
    cpus = machine.choose_cpus(1)
    description = next(entry for entry in describe_suites(["smoke"]) if entry.name == "resnet18")
    order = {
        "suite": "smoke",
        "benchmark": "resnet18",
        "type": "eval",
        "device": "cpu",
        "mode": "eager",
        "size": dict(description.sizes["small"]),
        "seed": 1,
        "threads": 1,
        "cpus": cpus,
        # The fresh interpreter takes no step; the worker takes the fewest it can.
        "warmup_steps": 1,
        "warmup_seconds": 0.0,
    }
    settings = Settings(1, 1, cpus, "keep", "shared", ("torchvision",), ("smoke",))
    launches, fresh = [], []
    folder = pathlib.Path(tempfile.gettempdir())
    with machine.stepping_aside(cpus), Pool([build], settings, environment, folder) as pool:
        pool.start([("head", {})])
        for _ in range(10):
            begin = time.perf_counter()
            with pool.nursery("head", {}, 0).launch(order, 60):
                launches.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            command = ["taskset", "-c", ",".join(map(str, cpus)), sys.executable, "-c", FRESH]
            subprocess.run(command, check=True)
            fresh.append(time.perf_counter() - begin)
    ours, theirs = statistics.median(launches), statistics.median(fresh)
    print(f"launch {ours:.2f} s, fresh interpreter {theirs:.2f} s: ratio {ours / theirs:.3f}")


if __name__ == "__main__":
    main()
