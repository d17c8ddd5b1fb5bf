"""StarGAN: one generator that changes several attributes of a face, and a discriminator that also names them.

Own definition after Choi et al., "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image
Translation" (2018), with the hyper-parameters of TorchBench V1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.cyclegan import ResidualBlock, pictures
from harness.suites.torchbench.networks.updates import descend

RECONSTRUCTION = 10.0
PENALTY = 10.0

_norm = partial(nn.InstanceNorm2d, affine=True, track_running_stats=True)


class Generator(nn.Module):
    """Images [batch, 3, height, width] and wanted labels [batch, labels] to images in (-1, 1).

    A 7 x 7 convolution, two 4 x 4 that halve the maps, residual blocks, two 4 x 4 transposed ones and a 7 x 7; no
    biases, instance norm with weights and with running statistics. With f filters, l labels and b blocks 49 (3 + l) f,
    16 * (2 + 8) f^2, b * 2 * 9 * 16 f^2, 16 * (8 + 2) f^2 and 147 f weights, and norms of 2 * (1 + 2 + 4) f,
    b * 16 f and 2 * (2 + 1) f: 8,430,528 with 64, 5 and 6.
    """

    def __init__(self, filters: int, blocks: int, labels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3 + labels, filters, 7, padding=3, bias=False), _norm(filters), nn.ReLU()]
        for width in (filters, 2 * filters):
            down = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)
            layers += [down, _norm(2 * width), nn.ReLU()]
        layers += [ResidualBlock(4 * filters, _norm, bias=False, padding_mode="zeros") for _ in range(blocks)]
        for width in (2 * filters, filters):
            up = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False)
            layers += [up, _norm(width), nn.ReLU()]
        layers += [nn.Conv2d(filters, 3, 7, padding=3, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Change the images; each label is a channel of its own, the same everywhere."""
        spread = labels[:, :, None, None].expand(-1, -1, images.shape[2], images.shape[3])
        return self.layers(torch.cat([images, spread], dim=1))


class Discriminator(nn.Module):
    """Images [batch, 3, image, image] to how real they look [batch, 1, s, s] and scores of labels [batch, labels].

    `depth` 4 x 4 convolutions of stride two with biases, the first to f filters and the others doubling them, leaky
    ReLU 0.01; a 3 x 3 convolution and one over the whole of the maps that are left. With f filters and depth 6
    (48 + 1) f, 16 * (2 + 8 + 32 + 128 + 512) f^2 + (2 + 4 + 8 + 16 + 32) f, 9 * 32 f and l * s^2 * 32 f parameters:
    44,762,048 with 64 filters, images of 128 pixels (so s is 2) and 5 labels.
    """

    def __init__(self, filters: int, depth: int, image: int, labels: int) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(depth)]
        layers: list[nn.Module] = []
        for narrow, wide in zip([3, *widths], widths, strict=False):
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers)
        self.real = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.labels = nn.Conv2d(widths[-1], labels, image // 2**depth, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge and label the images."""
        maps = self.layers(images)
        return self.real(maps), self.labels(maps).flatten(1)


def labelling_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy of scores [batch, labels], summed over the labels and averaged over the batch."""
    return functional.binary_cross_entropy_with_logits(scores, labels, reduction="sum") / scores.shape[0]


def gradient_penalty(judge: Callable[[Tensor], tuple[Tensor, Tensor]], real: Tensor, other: Tensor) -> Tensor:
    """Mean squared distance from one of the norm of the judgement's gradient, somewhere between the two images."""
    share = torch.rand(real.shape[0], 1, 1, 1, device=real.device)
    between = (share * real + (1 - share) * other).requires_grad_(True)
    judgement = judge(between)[0]
    (gradient,) = torch.autograd.grad(judgement, between, torch.ones_like(judgement), create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def face_changer(request: Request) -> Workload:
    """Changed images, or one update of the discriminator and one of the generator; Adam, lr 1e-4.

    With the mistakes of V1 the generator is never updated: V1 stops before the step in which it would have been.
    """
    torch.manual_seed(request.seed)
    size, device = request.size, request.device
    generator = Generator(size["filters"], size["blocks"], size["labels"]).to(device).train(request.training)
    images = pictures(request)
    labels = torch.randint(2, (request.batch, size["labels"])).float().to(device)
    wanted = labels[torch.randperm(request.batch).to(device)]
    if not request.training:
        return Workload(model=generator, inputs=(images, wanted), items=request.batch)

    discriminator = Discriminator(size["filters"], size["depth"], size["image"], size["labels"]).to(device)
    generator_optimizer, discriminator_optimizer = (
        torch.optim.Adam(network.parameters(), lr=1e-4, betas=(0.5, 0.999)) for network in (generator, discriminator)
    )

    def step(workload: Workload, clock: Any) -> tuple[Tensor, ...]:
        generate, judge = workload.model["generator"], workload.model["discriminator"]
        real, scores = judge(images)
        changed = generate(images, wanted).detach()
        other, _ = judge(changed)
        penalty = gradient_penalty(judge, images, changed)
        discriminator_loss = other.mean() - real.mean() + labelling_loss(scores, labels) + PENALTY * penalty
        descend(discriminator_loss, discriminator_optimizer, clock)
        if request.v1:
            return (discriminator_loss.detach(),)

        changed = generate(images, wanted)
        other, scores = judge(changed)
        restored = functional.l1_loss(generate(changed, labels), images)
        generator_loss = labelling_loss(scores, wanted) - other.mean() + RECONSTRUCTION * restored
        descend(generator_loss, generator_optimizer, clock)
        return discriminator_loss.detach(), generator_loss.detach()

    return Workload(
        model={"generator": generator, "discriminator": discriminator},
        examples={"generator": (images, wanted), "discriminator": (images,)},
        inputs=(images, labels, wanted),
        items=request.batch,
        step=step,
    )
