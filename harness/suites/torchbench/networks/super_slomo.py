"""Super SloMo: the frame at any time between two frames, by optical flow.

Own definition after Jiang et al., "Super SloMo: High Quality Estimation of Multiple Intermediate Frames for Video
Interpolation" (2018), with the hyper-parameters of TorchBench V1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.vgg import make_layers

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.cyclegan import pictures
from harness.suites.torchbench.networks.updates import descend

TIMES = 8
"""Frames between the first and the last are at 1/8, 2/8 ... 7/8."""


def _pair(inputs: Sequence[int], width: int, kernel: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Conv2d(narrow, width, kernel, padding=kernel // 2) for narrow in inputs)


class UNet(nn.Module):
    """Maps [batch, inputs, h, w] to [batch, outputs, h, w]; h and w are multiples of 2^(number of widths).

    Every level has two convolutions with leaky ReLU 0.1. On the way down each is entered by average pooling and has
    its own width and kernel, the deepest the width of the one before it; on the way up by bilinear upsampling, kernels
    are 3 and the second convolution also sees the maps of the same level from the way down.

    With widths 32, 64, 128, 256, 512 and kernels 7, 5, 3, 3, 3, 3, weights and biases, i inputs and o outputs:
    first level 49 * (32 i + 32^2) + 64; down 25 * (32 * 64 + 64^2) + 128, 9 * (64 * 128 + 128^2) + 256,
    9 * (128 * 256 + 256^2) + 512, 9 * (256 * 512 + 512^2) + 1024, 9 * (512^2 + 512^2) + 1024; up, for the pairs
    (512, 512), (512, 256), (256, 128), (128, 64), (64, 32), 9 * (a b + 2 b^2) + 2 b; last 9 * 32 o + o.
    19,794,116 with 6 and 4, 19,816,357 with 20 and 5.
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        levels = [*widths, widths[-1]]
        self.down = nn.ModuleList(
            _pair((narrow, width), width, kernel)
            for narrow, width, kernel in zip([inputs, *levels], levels, kernels, strict=False)
        )
        self.up = nn.ModuleList(_pair((deep, 2 * width), width, 3) for deep, width in pairwise(reversed(levels)))
        self.last = nn.Conv2d(widths[0], outputs, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Go down and up again."""
        passed: list[Tensor] = []
        for level, (first, second) in enumerate(self.down):
            if level:
                maps = functional.avg_pool2d(maps, 2)
            maps = _leaky(second(_leaky(first(maps))))
            passed.append(maps)
        for (first, second), beside in zip(self.up, reversed(passed[:-1]), strict=True):
            maps = functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
            maps = _leaky(second(torch.cat([_leaky(first(maps)), beside], dim=1)))
        return _leaky(self.last(maps))


def _leaky(maps: Tensor) -> Tensor:
    return functional.leaky_relu(maps, 0.1)


def warped(image: Tensor, flow: Tensor) -> Tensor:
    """What an image [batch, c, h, w] looks like when each pixel is fetched from where the flow [batch, 2, h, w] points.

    Flow is in pixels, to the right and down; between pixels values are interpolated, outside the image they are zero.
    """
    height, width = image.shape[2:]
    columns = torch.arange(width, device=image.device) + flow[:, 0]
    rows = torch.arange(height, device=image.device)[:, None] + flow[:, 1]
    # In the coordinates of grid_sample the image reaches from -1 to 1, and a pixel's own place is its centre.
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=3)
    return functional.grid_sample(image, grid, align_corners=False)


class Interpolator(nn.Module):
    """Two frames [batch, 3, h, w] and times [batch, 1, 1, 1] between 0 and 1 to the frame at that time.

    Gives also what the loss needs: both flows between the frames, and both frames warped to that time by flows that
    are only combined from these. 39,610,473 parameters in the widths of V1.
    """

    def __init__(self, widths: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        self.flows = UNet(6, 4, widths, kernels)
        self.refinement = UNet(20, 5, widths, kernels)

    def forward(self, first: Tensor, last: Tensor, time: Tensor) -> tuple[Tensor, ...]:
        """The frame, flow from first to last, from last to first, first warped, last warped."""
        onward, back = self.flows(torch.cat([first, last], dim=1)).split(2, dim=1)
        to_first = time * (time * back - (1 - time) * onward)
        to_last = (1 - time) * ((1 - time) * onward - time * back)
        from_first, from_last = warped(first, to_first), warped(last, to_last)
        refined = self.refinement(
            torch.cat([first, last, onward, back, to_last, to_first, from_last, from_first], dim=1)
        )
        seen_first = (1 - time) * torch.sigmoid(refined[:, 4:])
        seen_last = time * (1 - torch.sigmoid(refined[:, 4:]))
        fetched_first = warped(first, to_first + refined[:, :2])
        fetched_last = warped(last, to_last + refined[:, 2:4])
        frame = (seen_first * fetched_first + seen_last * fetched_last) / (seen_first + seen_last)
        return frame, onward, back, from_first, from_last


def roughness(flow: Tensor) -> Tensor:
    """Mean absolute difference of a flow between neighbours, across and down."""
    return flow.diff(dim=3).abs().mean() + flow.diff(dim=2).abs().mean()


def perceiving(layers: Sequence[int | str]) -> nn.Module:
    """The layers of torchvision's VGG-16 up to the third convolution of its fourth group, frozen; random weights."""
    features = make_layers(list(layers))[:-1]
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return features.requires_grad_(False)


def slow_motion(request: Request) -> Workload:
    """Frames between pairs of frames, or one update by such triples; Adam, lr 1e-4.

    Like the original, V1 computes the losses in eval too, so with its mistakes they are computed here.
    """
    torch.manual_seed(request.seed)
    size, device = request.size, request.device
    interpolator = Interpolator(size["widths"], size["kernels"]).to(device).train(request.training)
    first, last, between = (pictures(request) for _ in range(3))
    time = (torch.randint(1, TIMES, (request.batch, 1, 1, 1)) / TIMES).to(device)
    seen = first, last, time
    networks: dict[str, nn.Module] = {"interpolator": interpolator}
    if request.training or request.v1:
        networks["features"] = perceiving(size["perception"]).to(device).train(request.training)

    def loss_of(workload: Workload) -> tuple[Tensor, Tensor]:
        frame, onward, back, from_first, from_last = workload.model["interpolator"](*seen)
        perceive, l1 = workload.model["features"], functional.l1_loss
        perceptual = functional.mse_loss(perceive(frame), perceive(between))
        warping = l1(from_first, between) + l1(from_last, between)
        warping = warping + l1(warped(first, back), last) + l1(warped(last, onward), first)
        smoothness = roughness(onward) + roughness(back)
        return frame, 204 * l1(frame, between) + 102 * warping + 0.005 * perceptual + smoothness

    def evaluate(workload: Workload, clock: Any) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            return loss_of(workload) if request.v1 else workload.model["interpolator"](*seen)[:1]

    optimizer = torch.optim.Adam(interpolator.parameters(), lr=1e-4)

    def train(workload: Workload, clock: Any) -> Tensor:
        _, loss = loss_of(workload)
        descend(loss, optimizer, clock)
        return loss.detach()

    return Workload(
        model=networks,
        examples={"interpolator": seen, "features": (between,)},
        inputs=(*seen, between),
        items=request.batch,
        step=train if request.training else evaluate,
    )
