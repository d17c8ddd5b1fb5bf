"""CycleGAN: two generators and two discriminators that learn to turn horses into zebras and back, without pairs.

Own definition after Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
(2017), with the hyper-parameters of TorchBench V1. Its residual block and its discriminator serve other translators of
images in this package too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.updates import descend

CYCLE = 10.0
"""Weight of the distance between an image and what it is after going there and back."""
IDENTITY = 0.5
"""Weight, in cycles, of the distance between an image and what the generator of its own kind makes of it."""
POOL = 50


class ResidualBlock(nn.Module):
    """Maps [batch, width, height, width] to the same: two 3 x 3 convolutions, each with a norm, added to the input.

    2 * 9 * width^2 parameters, with 2 * width more for biases, and those of two norms.
    """

    def __init__(
        self, width: int, norm: Callable[[int], nn.Module], bias: bool = True, padding_mode: str = "reflect"
    ) -> None:
        super().__init__()
        first, second = (nn.Conv2d(width, width, 3, padding=1, padding_mode=padding_mode, bias=bias) for _ in range(2))
        self.layers = nn.Sequential(first, norm(width), nn.ReLU(), second, norm(width))

    def forward(self, maps: Tensor) -> Tensor:
        """Add to the maps what the layers make of them."""
        return maps + self.layers(maps)


class Generator(nn.Module):
    """Images [batch, 3, height, width] to images of the same shape with values in (-1, 1).

    A 7 x 7 convolution, two that halve the maps and double the filters, residual blocks, and the way back by
    transposed convolutions; instance norm without parameters, biases everywhere. With f filters and b blocks
    (147 + 1) f + 9 * (2 + 8) f^2 + 6 f, b * (2 * 9 * 16 f^2 + 8 f), 9 * (8 + 2) f^2 + 3 f and 147 f + 3 parameters:
    11,378,179 with 64 filters and nine blocks.
    """

    def __init__(self, filters: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, filters, 7, padding=3, padding_mode="reflect"),
            nn.InstanceNorm2d(filters),
            nn.ReLU(),
        ]
        for width in (filters, 2 * filters):
            down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
            layers += [down, nn.InstanceNorm2d(2 * width), nn.ReLU()]
        layers += [ResidualBlock(4 * filters, nn.InstanceNorm2d) for _ in range(blocks)]
        for width in (2 * filters, filters):
            up = nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1)
            layers += [up, nn.InstanceNorm2d(width), nn.ReLU()]
        layers += [nn.Conv2d(filters, 3, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Translate the images."""
        return self.layers(images)


class PatchDiscriminator(nn.Module):
    """Images [batch, 3, height, width] to how real each of many overlapping patches looks, one number each.

    4 x 4 convolutions with biases: three of stride two and two of stride one; instance norm without parameters between
    the first and the last, leaky ReLU 0.2. With f filters 48 f + f, 16 * (2 + 8 + 32) f^2 + (2 + 4 + 8) f and
    16 * 8 f + 1 parameters: 2,764,737 with 64. `padding` is that of every convolution.
    """

    def __init__(self, filters: int, padding: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, filters, 4, stride=2, padding=padding), nn.LeakyReLU(0.2)]
        for width, stride in ((filters, 2), (2 * filters, 2), (4 * filters, 1)):
            wider = nn.Conv2d(width, 2 * width, 4, stride=stride, padding=padding)
            layers += [wider, nn.InstanceNorm2d(2 * width), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(8 * filters, 1, 4, padding=padding)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Judge the patches."""
        return self.layers(images)


class ImagePool:
    """Fifty earlier images, so that a discriminator does not see the latest of a generator only.

    All of it is on the device and nothing waits for it. The pool is full from the beginning, of random images, so that
    every step does the same work.
    """

    def __init__(self, like: Tensor) -> None:
        self.images = torch.rand(POOL, *like.shape[1:]).mul(2).sub(1).to(like.device)

    def exchange(self, images: Tensor) -> Tensor:
        """For each image of at most fifty, with even chances itself, or one of the pool, whose place it takes."""
        count, device = images.shape[0], images.device
        places = torch.randperm(POOL, device=device)[:count]
        stays = (torch.rand(count, device=device) < 0.5).view(-1, 1, 1, 1)
        images, earlier = images.detach(), self.images[places]
        self.images[places] = torch.where(stays, earlier, images)
        return torch.where(stays, images, earlier)


def pictures(request: Request, channels: int = 3, pixels: int | None = None) -> Tensor:
    """Random images [batch, channels, image, image] with values in (-1, 1) on the device of the request."""
    side = int(pixels or request.size["image"])
    return torch.rand(request.batch, channels, side, side).mul(2).sub(1).to(request.device)


def started(network: nn.Module, request: Request) -> nn.Module:
    """The network with normal random weights of deviation 0.02 in its convolutions, on the device and in its mode."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network.to(request.device).train(request.training)


def least_squares(answers: Tensor, real: bool) -> Tensor:
    """Mean squared distance of a discriminator's answers from one for real images or from zero for others."""
    return (answers - float(real)).square().mean()


def discriminator_loss(discriminator: Callable[[Tensor], Tensor], real: Tensor, other: Tensor) -> Tensor:
    """Half the least squares of real images and of others, through which no gradient goes."""
    answers = discriminator(real), discriminator(other.detach())
    return (least_squares(answers[0], True) + least_squares(answers[1], False)) / 2


def translators(request: Request) -> Workload:
    """One generator's images, or one update of both generators and one of both discriminators; Adam, lr 2e-4."""
    torch.manual_seed(request.seed)
    size = request.size

    def generator() -> nn.Module:
        return started(Generator(size["generator_filters"], size["blocks"]), request)

    def discriminator() -> nn.Module:
        return started(PatchDiscriminator(size["discriminator_filters"], padding=1), request)

    if not request.training:
        return Workload(model=generator(), inputs=(pictures(request),), items=request.batch)

    networks = {
        "to_zebra": generator(),
        "to_horse": generator(),
        "is_zebra": discriminator(),
        "is_horse": discriminator(),
    }
    horses, zebras = pictures(request), pictures(request)
    zebra_pool, horse_pool = ImagePool(zebras), ImagePool(horses)
    generating = [*networks["to_zebra"].parameters(), *networks["to_horse"].parameters()]
    judging = [*networks["is_zebra"].parameters(), *networks["is_horse"].parameters()]
    generator_optimizer = torch.optim.Adam(generating, lr=2e-4, betas=(0.5, 0.999))
    discriminator_optimizer = torch.optim.Adam(judging, lr=2e-4, betas=(0.5, 0.999))

    def step(workload: Workload, clock: Any) -> tuple[Tensor, ...]:
        to_zebra, to_horse, is_zebra, is_horse = (workload.model[name] for name in networks)
        # As in the original: the generators' loss goes through the discriminators, but not into their weights.
        for parameter in judging:
            parameter.requires_grad_(False)
        new_zebras, new_horses = to_zebra(horses), to_horse(zebras)
        cycle = functional.l1_loss(to_horse(new_zebras), horses) + functional.l1_loss(to_zebra(new_horses), zebras)
        identity = functional.l1_loss(to_zebra(zebras), zebras) + functional.l1_loss(to_horse(horses), horses)
        adversarial = least_squares(is_zebra(new_zebras), True) + least_squares(is_horse(new_horses), True)
        generator_loss = adversarial + CYCLE * (cycle + IDENTITY * identity)
        descend(generator_loss, generator_optimizer, clock)

        for parameter in judging:
            parameter.requires_grad_(True)
        zebra_loss = discriminator_loss(is_zebra, zebras, zebra_pool.exchange(new_zebras))
        horse_loss = discriminator_loss(is_horse, horses, horse_pool.exchange(new_horses))
        # No parameter is in both, so one backward pass does what the original does in two.
        descend(zebra_loss + horse_loss, discriminator_optimizer, clock)
        return generator_loss.detach(), zebra_loss.detach(), horse_loss.detach()

    return Workload(
        model=networks,
        examples=dict.fromkeys(networks, (horses,)),
        inputs=(horses, zebras),
        items=request.batch,
        step=step,
    )
