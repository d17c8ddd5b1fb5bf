"""Networks of the suite `convnet` with random weights: torchvision's, and U-Nets in two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torchvision import models

from harness.benchmark import Request, Workload

_OF_THE_STEP = ("batch", "train_batch", "iterations", "shape")
"""Keys of a size that are no arguments of the network."""


def workload(name: str, request: Request, *, segments: bool) -> Workload:
    """The network `name` on random inputs; trained by SGD, lr 0.01.

    Image i of the batch, counted from 1, is of class i; the loss of networks that segment is the sum of their output
    over a million. An item is an image or a volume.
    """
    size = request.size
    arguments = {key: value for key, value in size.items() if key not in _OF_THE_STEP}
    torch.manual_seed(request.seed)
    shape = size["shape"]
    model = NETWORKS[name](channels=shape[0], dimensions=len(shape) - 1, **arguments)
    model = model.to(request.device).train(request.training)
    images = torch.randn(request.batch, *shape).to(request.device)
    built = Workload(model=model, inputs=(images,), items=request.batch)
    if request.training:
        built.loss = _sum if segments else _cross_entropy(request)
        built.optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return built


def _sum(output: Any) -> Any:
    return output.sum() / 1e6


def _cross_entropy(request: Request) -> Callable[[Any], Any]:
    criterion = nn.CrossEntropyLoss()
    classes = torch.arange(1, request.batch + 1).to(request.device)
    return lambda output: criterion(output, classes)


def _classifier(build: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """A network of torchvision, whose number of channels and dimensions is what it always is."""

    def network(channels: int, dimensions: int, **arguments: Any) -> Any:
        return build(weights=None, **fixed, **arguments)

    return network


def _narrowed(build: Callable[..., Any]) -> Callable[..., Any]:
    """A network of torchvision whose fully connected layers can be made narrower, for which it has no argument.

    They are `hidden` wide then and read maps that were pooled to `pooled` by `pooled`.
    """

    def network(channels: int, dimensions: int, hidden: int | None = None, pooled: int | None = None) -> Any:
        if hidden is None or pooled is None:
            return build(weights=None)
        # On the meta device first: making 100 million weights only to throw them away takes more than a second.
        with torch.device("meta"):
            model = build(weights=None)
            places = [index for index, layer in enumerate(model.classifier) if isinstance(layer, nn.Linear)]
            maps = model.classifier[places[0]].in_features // model.avgpool.output_size[0] ** 2
            widths = (maps * pooled**2, *(hidden,) * (len(places) - 1), model.classifier[places[-1]].out_features)
            for place, pair in zip(places, pairwise(widths), strict=True):
                model.classifier[place] = nn.Linear(*pair)
            model.avgpool = nn.AdaptiveAvgPool2d(pooled)
        model.to_empty(device=torch.get_default_device())
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                # As He et al. (2015): with PyTorch's defaults little would come through without batch norm.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.Linear):
                # As torchvision has it: wider scores would make plain descent run away.
                layer.reset_parameters()
        return model

    return network


def _resnext101(channels: int, dimensions: int, layers: Sequence[int]) -> Any:
    return models.ResNet(models.resnet.Bottleneck, list(layers), groups=32, width_per_group=8)


class _Twice(nn.Sequential):
    """Two convolutions of side 3, each normalised and rectified."""

    def __init__(self, kinds: Mapping[str, Any], inputs: int, outputs: int) -> None:
        steps: list[nn.Module] = []
        for width in (inputs, outputs):
            convolution = kinds["convolution"](width, outputs, 3, padding=1, bias=False)
            steps += [convolution, kinds["norm"](outputs), nn.ReLU(inplace=True)]
        super().__init__(*steps)


_KINDS: Mapping[int, Mapping[str, Any]] = {
    2: {"convolution": nn.Conv2d, "norm": nn.BatchNorm2d, "pool": nn.MaxPool2d, "up": nn.ConvTranspose2d},
    3: {"convolution": nn.Conv3d, "norm": nn.BatchNorm3d, "pool": nn.MaxPool3d, "up": nn.ConvTranspose3d},
}
"""Layers by the number of dimensions."""


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015; Çiçek et al. 2016) with padded convolutions and batch norm.

    `widths` are the channels from the top to the bottom, each level half as large as the one above: max pooling down,
    transposed convolution up, and beside it what the way down gave at that level. The output has `classes` channels
    and the sides of the input, which must be divisible by 2 as often as the network goes down.
    """

    def __init__(self, channels: int, dimensions: int, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        kinds = _KINDS[dimensions]
        pairs = list(pairwise(widths))
        self.top = _Twice(kinds, channels, widths[0])
        self.down = nn.ModuleList(nn.Sequential(kinds["pool"](2), _Twice(kinds, above, here)) for above, here in pairs)
        self.up = nn.ModuleList(kinds["up"](here, above, 2, stride=2) for above, here in reversed(pairs))
        self.joined = nn.ModuleList(_Twice(kinds, 2 * above, above) for above, _ in reversed(pairs))
        self.last = kinds["convolution"](widths[0], classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Maps [batch, classes, ...] of images [batch, channels, ...]."""
        seen = [self.top(image)]
        for down in self.down:
            seen.append(down(seen[-1]))
        value = seen.pop()
        for up, joined in zip(self.up, self.joined, strict=True):
            value = joined(torch.cat((seen.pop(), up(value)), dim=1))
        return self.last(value)


NETWORKS: Mapping[str, Callable[..., Any]] = {
    "alexnet": _narrowed(models.alexnet),
    "vgg11": _narrowed(models.vgg11),
    "inception_v3": _classifier(models.inception_v3, aux_logits=False, transform_input=False, init_weights=False),
    "resnet50": _classifier(models.resnet50),
    "resnext101_32x8d": _resnext101,
    "squeezenet1_0": _classifier(models.squeezenet1_0),
    "densenet121": _classifier(models.densenet121),
    "mobilenet_v2": _classifier(models.mobilenet_v2),
    "shufflenet": _classifier(models.shufflenet_v2_x1_0),
    "unet": UNet,
    "unet3d": UNet,
}
"""Builders by the name of the model, called with the channels and dimensions of the input and what the size adds."""
