"""Workloads of the built-in suites for tests: built for a request that is put together in a few words.

workload, request = workloads.build("drq", "train", compat="v1", train_batch=8)
"""

from __future__ import annotations

from typing import Any

from harness.benchmark import Request, Workload, load


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
