"""Networks of timm with random weights, and the step that the TorchDynamo benchmark gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import timm
import torch

from harness.benchmark import Request, Workload

_OF_THE_STEP = ("batch", "train_batch", "iterations", "image", "train_image")
"""Keys of a size that are no arguments of the network."""


def image_model(name: str, request: Request, *, divisor: float = 1, descends: bool = False) -> Workload:
    """The timm network `name`: images [batch, 3, image, image] to scores, or to features where it has no classes.

    Pixels are whole numbers below 256, then shifted and scaled to mean 0 and deviation 1, the whole batch together.
    Dropout is off. The loss is the mean of the output over `divisor`; it is cross entropy towards random classes where
    the harness of 2022 is wanted. Trained by Adam, or by SGD where it `descends`, lr 0.01. An item is an image.
    """
    size = request.size
    arguments = {key: value for key, value in size.items() if key not in _OF_THE_STEP}
    torch.manual_seed(request.seed)
    model = timm.create_model(name, pretrained=False, drop_rate=0.0, **arguments)
    model = model.to(request.device).train(request.training)
    side = size.get("train_image", size["image"]) if request.training else size["image"]
    pixels = torch.randint(256, (request.batch, 3, side, side)).to(request.device, torch.float32)
    images = (pixels - pixels.mean()) / pixels.std()
    workload = Workload(model=model, inputs=(images,), items=request.batch)
    if request.training:
        workload.loss = _loss(model, request, divisor)
        workload.optimizer = _optimizer(model, request, descends)
    return workload


def _loss(model: Any, request: Request, divisor: float) -> Callable[[Any], Any]:
    if request.compat != "dynamo-2022":
        return lambda output: mean(output) / divisor
    # A network without classes gives features, of which each is taken for a class then.
    classes = torch.randint(model.num_classes or model.num_features, (request.batch,)).to(request.device)
    criterion = torch.nn.CrossEntropyLoss()
    return lambda output: criterion(next(_tensors(output)), classes)


def _optimizer(model: Any, request: Request, descends: bool) -> Any:
    if descends:
        return torch.optim.SGD(model.parameters(), lr=0.01, foreach=True)
    return torch.optim.Adam(model.parameters(), lr=0.01, foreach=True, capturable=request.device == "cuda")


def mean(output: Any) -> Any:
    """The mean of a tensor, or of the means of all tensors in a tuple or list."""
    means = [tensor.mean() for tensor in _tensors(output)]
    return sum(means) / len(means)


def _tensors(output: Any) -> Iterator[Any]:
    if isinstance(output, torch.Tensor):
        yield output
        return
    for part in output:
        yield from _tensors(part)
