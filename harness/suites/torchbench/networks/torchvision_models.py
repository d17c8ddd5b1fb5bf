"""Image classifiers of torchvision, with random weights, and the step that V1 gave them.

The networks are the library's own; only what AlexNet and VGG have behind their convolutions can be made narrower here,
for the library offers no argument for that and most of their weights are there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torchvision
from torch import nn

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.classification import (
    arguments,
    classification,
    cross_entropy_with_new_classes,
)
from harness.suites.torchbench.networks.updates import OfEachCall


def torchvision_classifier(name: str, request: Request, new_classes: bool = False) -> Workload:
    """The torchvision network `name`: images [batch, 3, image, image] to scores [batch, 1000].

    Trained by `adam`; with `new_classes` towards other random classes in every step. With the mistakes of V1, eval
    leaves the network in training mode, so that batch norm takes the statistics of the batch and updates its running
    ones, and dropout drops; `jit` was put in eval mode by V1 too. Raises AttributeError when this torchvision has no
    such network.
    """
    torch.manual_seed(request.seed)
    workload = classification(_network(name, **arguments(request.size)), request)
    if new_classes:
        workload.loss = cross_entropy_with_new_classes
    if request.training:
        workload.optimizer = adam(workload.model, request)
    elif request.v1:
        workload.model.train()
    return workload


def adam(model: nn.Module, request: Request) -> Any:
    """Adam, lr 1e-3, for the parameters of a model; with the mistakes of V1 it is made anew in every timed call."""

    def make() -> torch.optim.Adam:
        return torch.optim.Adam(model.parameters(), lr=1e-3)

    return OfEachCall(make, request.iterations) if request.v1 else make()


def _network(name: str, hidden: int | None = None, pooled: int | None = None, **options: Any) -> nn.Module:
    """The network, where given with maps of `pooled` x `pooled` before fully connected layers of `hidden` units."""
    build = getattr(torchvision.models, name)
    if hidden is None or pooled is None:
        return build(**options)
    # On the meta device first: making 100 million weights only to throw them away takes more than a second.
    with torch.device("meta"):
        network = build(**options)
        linear = [index for index, layer in enumerate(network.classifier) if isinstance(layer, nn.Linear)]
        first, last = network.classifier[linear[0]], network.classifier[linear[-1]]
        channels = first.in_features // network.avgpool.output_size[0] ** 2
        widths = (channels * pooled**2, *(hidden,) * (len(linear) - 1), last.out_features)
        for index, pair in zip(linear, pairwise(widths), strict=True):
            network.classifier[index] = nn.Linear(*pair)
        network.avgpool = nn.AdaptiveAvgPool2d((pooled, pooled))
    network.to_empty(device=torch.get_default_device())
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            # As He et al. (2015): with PyTorch's defaults nothing would come through 16 layers without batch norm.
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return network
