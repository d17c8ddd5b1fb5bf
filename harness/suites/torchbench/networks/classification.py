"""The step that all image classifiers share: random images, random classes, cross entropy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from harness.benchmark import Request, Workload

CLASSES = 1000

STEP_KEYS = frozenset({"batch", "train_batch", "iterations", "image"})
"""Keys of a size that are about the step; the others are arguments of the network."""


def arguments(size: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments for the network that a size holds."""
    return {key: value for key, value in size.items() if key not in STEP_KEYS}


def images(request: Request) -> torch.Tensor:
    """Normal random images [batch, 3, image, image] on the device of the request."""
    pixels = int(request.size["image"])
    return torch.randn(request.batch, 3, pixels, pixels).to(request.device)


def classification(network: nn.Module, request: Request) -> Workload:
    """The workload of a network that maps images to scores [batch, 1000], as yet without an optimizer."""
    pictures = images(request)
    classes = torch.randint(CLASSES, (request.batch,)).to(request.device)
    return Workload(
        model=network.to(request.device).train(request.training),
        inputs=(pictures,),
        items=request.batch,
        loss=partial(functional.cross_entropy, target=classes),
    )


def cross_entropy_with_new_classes(scores: torch.Tensor) -> torch.Tensor:
    """Cross entropy of scores [batch, classes] to random classes, drawn from the global generator at every call.

    A network cannot learn them by heart, as it does within a few steps of Adam where they stay the same: the gradients
    of a batch of one are exactly zero then.
    """
    return functional.cross_entropy(scores, torch.randint(scores.shape[1], scores.shape[:1], device=scores.device))
