"""What a lane answers: the outputs of one forward pass, for comparison with another lane's on the same inputs.

Outputs are taken apart by the kind that the benchmark declares (`KINDS`) and never by what they look like: an output
that is not of its kind is an error. They are handed over as 32-bit floats in one file: a line of JSON, which lists
names, shapes and how far apart the numbers of the tensor's own type are, then the numbers in that order.

Runs inside foreign builds, in a worker of its own: standard library and torch only.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness import benchmark, facts, lanes
from harness.clock import clock_for

MOST_IMAGES = 8
"""Images that are handed over for people to look at."""


def collect(order: Mapping[str, Any]) -> dict[str, Any]:
    """Run one step of the lane that an order names, and write what it answers to the file that the order names.

    `order` is as in `harness.worker.serve`, with result (a path) and weights (the path of a state dict, or None).
    Returns `digest` of inputs and weights before the mode had its way with them, equal for lanes that were given the
    same, and `labels`, what the items are called. Raises whatever benchmark or mode raise, and ValueError for weights
    or outputs that do not fit.
    """
    import torch

    torch.set_num_threads(int(order["threads"]))
    entry = benchmark.load(order["suite"])[order["benchmark"]]
    request = benchmark.request_of(order)
    torch.manual_seed(request.seed)
    built = entry.build(request)
    if order.get("weights"):
        _load(built, pathlib.Path(order["weights"]))
    given = {"digest": _digest(built), "labels": list(built.labels)}
    images = list(_images(built.inputs))[:MOST_IMAGES] if entry.description.answers == "detection" else []
    workload = lanes.mode_of(order["mode"]).prepare(built, request)
    step = lanes.step_of(workload, request)
    torch.manual_seed(request.seed)
    found = KINDS[entry.description.answers](step(clock_for(request.device)))
    _write(pathlib.Path(order["result"]), {**found, **{f"image {n}": image for n, image in enumerate(images)}})
    return given


def _load(built: benchmark.Workload, path: pathlib.Path) -> None:
    import torch

    networks = built.networks()
    if len(networks) != 1 or not isinstance(networks[0], torch.nn.Module):
        raise ValueError("weights can be loaded into a benchmark of one network only")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(str(path))
    else:
        # Only tensors are read: a file of weights must not run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
    networks[0].load_state_dict(state.get("state_dict", state))


def _digest(built: benchmark.Workload) -> str:
    hashed = hashlib.sha256()
    states = [network.state_dict() for network in built.networks() if hasattr(network, "state_dict")]
    for tensor in facts.tensors([states, built.inputs, built.keywords]):
        if not tensor.is_quantized:
            hashed.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + _bytes(tensor))
    return hashed.hexdigest()


def _bytes(tensor: Any) -> bytes:
    """The numbers of a tensor as they lie in memory, without numpy, which a build need not have."""
    held = tensor.detach().cpu().contiguous()
    return ctypes.string_at(held.data_ptr(), held.numel() * held.element_size()) if held.numel() else b""


def _images(inputs: Any) -> Iterator[Any]:
    for tensor in facts.tensors(inputs):
        for image in tensor if tensor.dim() == 4 else [tensor]:
            if image.dim() == 3:
                yield image


def _write(path: pathlib.Path, tensors: Mapping[str, Any]) -> None:
    import torch

    listed = [
        {
            "name": name,
            "shape": list(tensor.shape),
            "spacing": torch.finfo(tensor.dtype).eps if tensor.is_floating_point() else 0.0,
        }
        for name, tensor in tensors.items()
    ]
    with path.open("wb") as file:
        file.write(json.dumps(listed).encode() + b"\n")
        for tensor in tensors.values():
            file.write(_bytes(tensor.float()))


def _field(output: Any, *names: str) -> list[Any]:
    """The tensors of an output by their names where it has names, else its first ones."""
    if isinstance(output, Mapping) and all(name in output for name in names):
        return [output[name] for name in names]
    if all(hasattr(output, name) for name in names):
        return [getattr(output, name) for name in names]
    return list(facts.tensors(output))[: len(names)]


def _rows(name: str, field: str) -> Callable[[Any], dict[str, Any]]:
    """Takes an output for a matrix with a row for each item."""

    def taken(output: Any) -> dict[str, Any]:
        (tensor,) = _field(output, field)
        if tensor.dim() != 2:
            raise ValueError(f"{name} are a matrix with a row for each item, not of shape {tuple(tensor.shape)}")
        return {name: tensor}

    return taken


def _span(output: Any) -> dict[str, Any]:
    found = _field(output, "start_logits", "end_logits")
    if len(found) != 2 or any(tensor.dim() != 2 or tensor.shape != found[0].shape for tensor in found):
        raise ValueError("a span is two matrices, of beginnings and ends, with a row for each item")
    return dict(zip(("start_logits", "end_logits"), found, strict=True))


def _detection(output: Any) -> dict[str, Any]:
    if not isinstance(output, Sequence) or not all(isinstance(one, Mapping) for one in output):
        raise ValueError("detections are a list with a mapping of boxes, labels and scores for each image")
    return {f"{name} {n}": one[name] for n, one in enumerate(output) for name in ("boxes", "labels", "scores")}


def _anything(output: Any) -> dict[str, Any]:
    return {
        f"output {number}": tensor for number, tensor in enumerate(facts.tensors(output)) if not tensor.is_complex()
    }


KINDS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "": _anything,
    "classification": _rows("logits", "logits"),
    "detection": _detection,
    "embedding": _rows("embeddings", "embeddings"),
    "span": _span,
}
"""How the output of each kind of `harness.benchmark.ANSWERS` becomes tensors with names."""
