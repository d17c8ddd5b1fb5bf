"""Preparations that change how tensors lie in memory, or in which precision oneDNN multiplies them.

Promises that inputs are put in their layout before anything is timed, and that a build or a benchmark which cannot do
it is refused in one sentence. Runs inside foreign builds: standard library and torch only.
"""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from harness.benchmark import Request, Workload

FAST_MATH: Mapping[str, str] = {"DNNL_DEFAULT_FPMATH_MODE": "BF16"}
"""Allows oneDNN, and by it the Arm Compute Library, to multiply float32 in bfloat16; read once, at its first use."""


def mkldnn(workload: Workload, request: Request) -> Workload:
    """Inputs in mkldnn layout, weights as they are: oneDNN reorders the weights in every step."""
    return _in_mkldnn_layout(workload, lambda network: network)


def mkldnn_cached(workload: Workload, request: Request) -> Workload:
    """Inputs in mkldnn layout, and weights reordered once: the network is converted, scripted, saved and loaded."""
    return _in_mkldnn_layout(workload, _reordered)


def _reordered(network: Any) -> Any:
    import torch
    import torch.utils.mkldnn

    converted = torch.jit.script(torch.utils.mkldnn.to_mkldnn(network.eval()))
    with tempfile.NamedTemporaryFile(suffix=".script.pt") as file:
        torch.jit.save(converted, file.name)
        return torch.jit.load(file.name)


def _in_mkldnn_layout(workload: Workload, convert: Callable[[Any], Any]) -> Workload:
    import torch

    if not torch.backends.mkldnn.is_available():
        raise RuntimeError("this build of torch has no oneDNN (mkldnn), whose layout this mode is about")
    given = torch.utils._pytree.tree_leaves((workload.inputs, workload.keywords))
    tensors = [value for value in given if isinstance(value, torch.Tensor)]
    if not tensors or any(value.dtype != torch.float32 for value in tensors):
        raise ValueError(
            "only float32 tensors can be put in mkldnn layout here, and this step has other inputs or none"
        )
    if isinstance(workload.model, dict):
        raise ValueError("mkldnn layout is for a workload of one network, and this one has several")
    moved = torch.utils._pytree.tree_map_only(
        torch.Tensor, torch.Tensor.to_mkldnn, (workload.inputs, workload.keywords)
    )
    network = convert(workload.model)

    def call(*inputs: Any, **keywords: Any) -> Any:
        # Back within the step, for whoever reads the output reads it dense; a few numbers of a classifier.
        return torch.utils._pytree.tree_map_only(torch.Tensor, _dense, network(*inputs, **keywords))

    return dataclasses.replace(workload, model=call, inputs=moved[0], keywords=moved[1])


def _dense(tensor: Any) -> Any:
    return tensor.to_dense() if tensor.is_mkldnn else tensor


def channels_last(workload: Workload, request: Request) -> Workload:
    """Images and their convolutions' weights with the channels of a pixel side by side, volumes likewise.

    Networks are changed in place, so an optimizer keeps its parameters.
    """
    import torch

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}

    def moved(value: Any) -> Any:
        return value.to(memory_format=formats[value.dim()]) if value.dim() in formats else value

    for network in workload.networks():
        if isinstance(network, torch.nn.Module):
            for tensor in itertools.chain(network.parameters(), network.buffers()):
                tensor.data = moved(tensor.data)
    mapped = torch.utils._pytree.tree_map_only
    return dataclasses.replace(
        workload,
        inputs=mapped(torch.Tensor, moved, workload.inputs),
        keywords=mapped(torch.Tensor, moved, workload.keywords),
        examples=mapped(torch.Tensor, moved, workload.examples),
    )


def bf16_math(workload: Workload, request: Request) -> Workload:
    """Float32 tensors, whose products may be computed in bfloat16, by the switch that the build listens to.

    The Arm Compute Library heeds `FAST_MATH`, which the lane's environment holds. Where a build has none, PyTorch's
    own switch is set for the whole process: it is for matrix products only.
    """
    import torch

    if not getattr(torch._C, "_has_mkldnn_acl", False):
        torch.set_float32_matmul_precision("medium")
    return workload
