"""Learning with differential privacy: no image may leave a trace, so the gradient of each is clipped by itself."""

from __future__ import annotations

from functools import partial

import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, ResNet

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.classification import images

CLASSES = 10
LONGEST_GRADIENT = 1.0
NOISE = 1.0
"""Standard deviation of the noise on the sum of gradients, in units of the longest one."""


def group_norm(channels: int) -> nn.GroupNorm:
    """What stands for batch norm, which would mix the images of a batch: 32 groups, as Opacus itself replaces it."""
    return nn.GroupNorm(min(32, channels), channels)


class Block(BasicBlock):
    """torchvision's block that changes nothing in place: Opacus' hooks on its layers forbid it."""

    def forward(self, x: Tensor) -> Tensor:
        """Two convolutions, to which the input is added."""
        shortcut = x if self.downsample is None else self.downsample(x)
        found = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(found)) + shortcut)


def private_resnet(request: Request) -> Workload:
    """The ResNet-18 of torchvision for 10 classes with group norms; Opacus around Adam, lr 1e-3, and cross entropy."""
    torch.manual_seed(request.seed)
    network = ResNet(Block, list(request.size["layers"]), num_classes=CLASSES, norm_layer=group_norm)
    network.relu.inplace = False
    network.to(request.device).train(request.training)
    workload = Workload(model=network, inputs=(images(request),), items=request.batch)
    if request.training:
        classes = torch.randint(CLASSES, (request.batch,)).to(request.device)
        # Opacus' engine would put these two together from a data loader, which there is none of.
        workload.model = GradSampleModule(network)
        workload.loss = partial(functional.cross_entropy, target=classes)
        workload.optimizer = DPOptimizer(
            torch.optim.Adam(network.parameters(), lr=1e-3),
            noise_multiplier=NOISE,
            max_grad_norm=LONGEST_GRADIENT,
            expected_batch_size=request.batch,
        )
    return workload
