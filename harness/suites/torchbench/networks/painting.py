"""The neural renderer of LearningToPaint: a stroke's ten numbers to the canvas it paints.

Own definition of the network of Huang, Heng and Zhou, "Learning to Paint With Model-based Deep Reinforcement Learning"
(2019), with the hyper-parameters of TorchBench V1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload

STROKE = 10
CANVAS = 128


class Renderer(nn.Module):
    """Strokes [batch, 10] to canvases [batch, 128, 128] with values in (0, 1).

    Linear layers of the widths `linear` and one of 4096 make a 16 x 16 map of 16 channels; three pairs of 3 x 3
    convolutions, each followed by a pixel shuffle of 2, bring it to 128 x 128. The output is 1 - sigmoid. With
    the widths 512, 1024 and 2048 it has 11.04 million parameters.
    """

    def __init__(self, linear: Sequence[int]) -> None:
        super().__init__()
        widths = (STROKE, *linear, 4096)
        pairs = pairwise(widths)
        self.linear = nn.Sequential(*(layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())))
        self.convolutions = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(entering, between, 3, padding=1),
                    nn.ReLU(),
                    nn.Conv2d(between, leaving, 3, padding=1),
                    nn.PixelShuffle(2),
                )
                for entering, between, leaving in ((16, 32, 32), (8, 16, 16), (4, 8, 4))
            )
        )

    def forward(self, strokes: Tensor) -> Tensor:
        """Render the strokes."""
        maps = self.linear(strokes).reshape(-1, 16, 16, 16)
        return 1 - torch.sigmoid(self.convolutions(maps).reshape(-1, CANVAS, CANVAS))


def renderer(request: Request) -> Workload:
    """The renderer on random strokes, trained by Adam, lr 3e-6, on the mean squared error to random canvases."""
    torch.manual_seed(request.seed)
    model = Renderer(request.size["linear"]).to(request.device).train(request.training)
    strokes = torch.rand(request.batch, STROKE).to(request.device)
    canvases = torch.rand(request.batch, CANVAS, CANVAS).to(request.device)
    workload = Workload(model=model, inputs=(strokes,), items=request.batch)
    if request.training:
        workload.loss = partial(functional.mse_loss, target=canvases)
        workload.optimizer = torch.optim.Adam(model.parameters(), lr=3e-6)
    return workload
