"""Workloads of the built-in suites for tests: built for a request that is put together in a few words.

workload, request = workloads.build("drq", "train", compat="v1", train_batch=8)
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

import harness
from harness import facts
from harness.benchmark import TYPES, Description, Request, Workload, load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of

ROOT = pathlib.Path(harness.__file__).resolve().parents[1]
FULL = pytest.mark.skipif("TORCHWARDEN_FULL" not in os.environ, reason="takes long; `make test-full` runs it")


def build(
    name: str,
    type: str,
    size: str = "small",
    device: str = "cpu",
    *,
    suite: str = "torchbench",
    seed: int = 1337,
    wanted_iterations: int | None = None,
    compat: str | None = None,
    **changes: Any,
) -> tuple[Workload, Request]:
    """A benchmark's workload and the request it was built for; `changes` replace numbers of the size."""
    entry = load(suite)[name]
    numbers = {**entry.description.sizes[size], **changes}
    request = Request(type, device, numbers, seed, wanted_iterations, compat)
    return entry.build(request), request


def meta(name: str, type: str, size: str = "v1", **more: Any) -> Workload:
    """A workload on the meta device, where nothing is computed and no memory is taken, so any size costs nothing."""
    import torch

    with torch.device("meta"):
        return build(name, type, size, "meta", **more)[0]


def check_description(description: Description) -> None:
    """Assert that a description of a built-in suite says all it should, in the vocabulary it should."""
    assert description.devices in (("cpu", "cuda"), ("cpu",))
    assert description.devices == ("cpu", "cuda") or "cuda" in description.unsupported
    assert description.summary.endswith(".")
    if description.why_not("eval", "cpu", "eager") is None:
        assert set(description.parameters) == set(description.sizes)
    for key, reason in description.unsupported.items():
        assert set(key.split("-")) <= {*TYPES, "cpu", "cuda", *MODES}
        assert len(reason.split()) > 2
    # Sizes go to workers as JSON.
    assert json.loads(json.dumps(description.sizes))


def libraries_loaded_by(suite: str) -> str:
    """What a fresh process has loaded of the large libraries after it has imported a suite, as the text of a set."""
    code = (
        f"import sys, harness.benchmark as b; b.load({suite!r});"
        " print({'torch', 'numpy', 'timm', 'transformers', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


def trained(workload: Workload) -> list[Any]:
    """Parameters that a step may move, in order, each once."""
    found = {}
    for network in workload.networks():
        for parameter in getattr(network, "parameters", list)():
            if parameter.requires_grad:
                found[id(parameter)] = parameter.detach()
    return list(found.values())


def check_steps(workload: Workload, request: Request) -> None:
    """Take two steps; assert that they are finite, timed by phase, and move parameters in training and only there."""
    import torch

    assert workload.items >= 1
    before = [tensor.clone() for tensor in trained(workload)]
    step = step_of(workload, request)
    clock = CpuClock()
    for _ in range(2):
        clock.start()
        output = step(clock)
        clock.stop()
        found = list(facts.tensors(output))
        assert found
        assert all(bool(tensor.isfinite().all()) for tensor in found if tensor.is_floating_point())
    if request.training:
        assert {"forward", "backward", "update"} <= set(clock.phases)
        assert sum(clock.phases.values()) <= clock.elapsed
        changed = [not torch.equal(*pair) for pair in zip(before, trained(workload), strict=True)]
        assert sum(changed) > len(changed) / 2, "training must move most parameters"
    else:
        assert all(torch.equal(*pair) for pair in zip(before, trained(workload), strict=True))


def published(text: str) -> dict[str, int]:
    """Batch sizes by name from words such as `BertForMaskedLM:32` or, with a divisor, `BertForMaskedLM:32:2`."""
    found = {}
    for word in text.split():
        name, number, *divisor = word.split(":")
        found[name] = max(int(number) // int(*divisor or [1]), 1)
    return found


def batches(suite: str, wanted_list: str, size: str = "current") -> dict[str, int]:
    """Batch sizes by name of a suite's benchmarks on a published list, those with the size alone."""
    descriptions = [entry.description for entry in load(suite).values()]
    return {
        one.name: one.sizes[size]["batch"] for one in descriptions if wanted_list in one.lists and size in one.sizes
    }
