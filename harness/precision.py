"""The precision of a step: casts a built workload, or lets autocast choose by operator.

Runs inside foreign builds: standard library and torch only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from harness.benchmark import Workload

_CAST = {"bf16": "bfloat16", "fp16": "float16", "float64": "float64"}
_AUTOCAST = {"amp_bf16": "bfloat16", "amp_fp16": "float16"}


def cast(workload: Workload, precision: str) -> Workload:
    """The workload with networks, inputs and keywords cast to a precision of `modenames.PRECISIONS`, or to `float64`.

    Networks are cast in place, before an optimizer has any state. Precisions that cast nothing return it as it is;
    `tf32` allows TF32 for the whole process.
    """
    import torch

    if precision == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    if precision not in _CAST:
        return workload
    dtype = getattr(torch, _CAST[precision])

    def converted(value: Any) -> Any:
        return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    for network in workload.networks():
        if isinstance(network, torch.nn.Module):
            network.to(dtype)
    mapped = torch.utils._pytree.tree_map
    return dataclasses.replace(
        workload,
        inputs=mapped(converted, workload.inputs),
        keywords=mapped(converted, workload.keywords),
        examples=mapped(converted, workload.examples),
    )


def wrap(workload: Workload, precision: str, device: str) -> Workload:
    """The workload whose networks, compiled or not, run under autocast where the precision says so."""
    import torch

    device = device.partition(":")[0]
    name = precision if precision != "amp" else ("amp_fp16" if device == "cuda" else "amp_bf16")
    if name not in _AUTOCAST:
        return workload
    dtype = getattr(torch, _AUTOCAST[name])

    def autocast(network: Any) -> Callable[..., Any]:
        def call(*inputs: Any, **keywords: Any) -> Any:
            with torch.autocast(device, dtype):
                return network(*inputs, **keywords)

        return call

    if isinstance(workload.model, dict):
        return dataclasses.replace(workload, model={name: autocast(it) for name, it in workload.model.items()})
    return dataclasses.replace(workload, model=autocast(workload.model))
