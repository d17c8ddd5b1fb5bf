"""Background matting: a person's outline and colours from a photograph and one of the background alone.

Own definition after Sengupta et al., "Background Matting: The World is Your Green Screen" (2020), with the
hyper-parameters of TorchBench V1: its second stage, in which a student learns without labels from a frozen teacher,
and from a discriminator that is shown the person before another background.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.cyclegan import (
    PatchDiscriminator,
    ResidualBlock,
    discriminator_loss,
    least_squares,
    pictures,
    started,
)
from harness.suites.torchbench.networks.updates import descend

FRAMES = 4
PERIOD = 5
"""Updates of the generator for one of the discriminator, counted from the beginning of each timed call as in V1."""


def _normed(*layers: nn.Module, width: int) -> list[nn.Module]:
    return [*layers, nn.BatchNorm2d(width), nn.ReLU()]


def _large(narrow: int, wide: int) -> nn.Conv2d:
    return nn.Conv2d(narrow, wide, 7, padding=3, padding_mode="reflect")


def _up(width: int) -> list[nn.Module]:
    """Maps of twice the height and width with half of the filters."""
    larger = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    return _normed(larger, nn.Conv2d(width, width // 2, 3, padding=1), width=width // 2)


class Encoder(nn.Module):
    """Images [batch, channels, h, w] to maps [batch, 2 f, h/2, w/2] and [batch, 4 f, h/4, w/4], with f filters.

    49 c f + 9 * (2 + 8) f^2 weights, (1 + 2 + 4) f biases and norms of 2 * (1 + 2 + 4) f.
    """

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        down = [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1) for width in (filters, 2 * filters)]
        self.shallow = nn.Sequential(
            *_normed(_large(channels, filters), width=filters), *_normed(down[0], width=2 * filters)
        )
        self.deep = nn.Sequential(*_normed(down[1], width=4 * filters))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the images."""
        half = self.shallow(images)
        return half, self.deep(half)


class Matting(nn.Module):
    """Image, background, outline and frames to alpha [batch, 1, h, w] in (-1, 1) and foreground [batch, 3, h, w].

    Four encoders; the image's maps beside those of the background, the outline and (so named in the original) the
    motion, each of the three combined with the image's by a 1 x 1 convolution to f maps; a 1 x 1 convolution from 7 f
    to 4 f; residual blocks, `shared` ones and then `own` ones for alpha and as many for the foreground; two decoders
    by bilinear upsampling, the foreground's seeing the image's maps of half the size too. As in V1 the combiner for
    motion is fed with the background: the frames are encoded and the result is not used.

    Parameters, with f filters: encoders 49 * 11 f + 4 * (90 f^2 + 21 f); combiners 3 * (8 f^2 + 2 f);
    28 f^2 + 8 f; s + 2 o residual blocks of 288 f^2 + 24 f; alpha 9 * (8 + 2) f^2 + 9 f and 49 f + 1;
    foreground 9 * (8 + 4) f^2 + 9 f and 147 f + 3. 17,908,420 with 64 filters, seven blocks shared and three own.
    """

    def __init__(self, filters: int, shared: int, own: int) -> None:
        super().__init__()
        deep = 4 * filters
        self.image, self.background, self.outline, self.motion = (
            Encoder(channels, filters) for channels in (3, 3, 1, FRAMES)
        )
        self.with_background, self.with_outline, self.with_motion = (
            nn.Sequential(*_normed(nn.Conv2d(2 * deep, filters, 1, bias=False), width=filters)) for _ in range(3)
        )
        together = nn.Conv2d(deep + 3 * filters, deep, 1, bias=False)
        self.shared = nn.Sequential(*_normed(together, width=deep), *_blocks(shared, deep))
        self.alpha = nn.Sequential(*_blocks(own, deep), *_up(deep), *_up(2 * filters), _large(filters, 1), nn.Tanh())
        self.foreground = nn.Sequential(*_blocks(own, deep), *_up(deep))
        self.colours = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            *_normed(nn.Conv2d(deep, filters, 3, padding=1), width=filters),
            _large(filters, 3),
        )

    def forward(self, image: Tensor, background: Tensor, outline: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and foreground."""
        half, maps = self.image(image)
        behind = torch.cat([maps, self.background(background)[1]], dim=1)
        around = torch.cat([maps, self.outline(outline)[1]], dim=1)
        self.motion(frames)
        combined = self.with_background(behind), self.with_outline(around), self.with_motion(behind)
        shared = self.shared(torch.cat([maps, *combined], dim=1))
        return self.alpha(shared), self.colours(torch.cat([self.foreground(shared), half], dim=1))


def _blocks(count: int, width: int) -> list[nn.Module]:
    return [ResidualBlock(width, nn.BatchNorm2d) for _ in range(count)]


def composed(alpha: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """The foreground before a background, where alpha is between -1 (nothing of it) and 1 (all)."""
    share = (alpha + 1) / 2
    return share * foreground + (1 - share) * background


def masked_l1(one: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """Mean over the batch of the absolute differences where the mask [batch, 1, h, w] is one, per pixel of the mask.

    Summed over the channels; zero for an empty mask.
    """
    difference = ((one - other).abs() * mask).flatten(1).sum(1)
    return (difference / (mask.flatten(1).sum(1) + 1e-6)).mean()


def gradient_loss(one: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """The masked differences of Sobel gradients of two images [batch, 1, h, w], both directions summed."""
    row = torch.tensor([1.0, 0.0, -1.0], device=one.device)
    across = torch.tensor([1.0, 2.0, 1.0], device=one.device)[:, None] * row
    sobel = torch.stack([across, across.T])[:, None]
    return masked_l1(*(functional.conv2d(image, sobel, padding=1) for image in (one, other)), mask)


def background_matting(request: Request) -> Workload:
    """Alpha and foreground, or one update of the student; Adam, lr 1e-4 and for the discriminator 1e-5.

    Teacher and student have weights of their own, as in V1, which has no trained ones either. The discriminator's
    losses are computed in every step, but it is updated in the first of each timed call only, and in every fifth after
    it, as in V1.
    """
    torch.manual_seed(request.seed)
    size, device = request.size, request.device

    def matting() -> Matting:
        return Matting(size["filters"], size["shared"], size["own"])

    student = started(matting(), request)
    image, background, elsewhere = (pictures(request) for _ in range(3))
    frames = pictures(request, channels=FRAMES)
    outline = _disc(size["image"]).expand(request.batch, -1, -1, -1).contiguous().to(device)
    seen = image, background, outline, frames
    if not request.training:
        return Workload(model=student, inputs=seen, items=request.batch)

    teacher = matting().to(device).eval().requires_grad_(False)
    discriminator = started(PatchDiscriminator(size["filters"], padding=2), request)
    student_optimizer = torch.optim.Adam(student.parameters(), lr=1e-4)
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-5)
    everywhere = torch.ones_like(outline)
    done = 0

    def step(workload: Workload, clock: Any) -> tuple[Tensor, ...]:
        nonlocal done
        teach, learn, judge = (workload.model[name] for name in ("teacher", "student", "discriminator"))
        with torch.no_grad():
            alpha_taught, foreground_taught = teach(*seen)
            not_behind = (alpha_taught > -0.98).float()
        alpha, foreground = learn(*seen)
        alpha_loss = masked_l1(alpha_taught, alpha, everywhere)
        alpha_loss = alpha_loss + 0.5 * gradient_loss(alpha_taught, alpha, everywhere)
        foreground_loss = masked_l1(foreground_taught, foreground, not_behind)
        composition_loss = masked_l1(image, composed(alpha, foreground, background), outline)
        # Where the student is sure, the colours are those of the photograph.
        sure = (alpha.detach() > 0.95).float()
        moved = composed(alpha, image * sure + foreground * (1 - sure), elsewhere)
        adversarial = least_squares(judge(moved), True)
        student_loss = adversarial + 0.05 * (composition_loss + alpha_loss + foreground_loss)
        descend(student_loss, student_optimizer, clock)

        judging_loss = discriminator_loss(judge, image, moved)
        if done % request.iterations % PERIOD == 0:
            descend(judging_loss, discriminator_optimizer, clock)
        else:
            clock.mark("forward")
        done += 1
        return student_loss.detach(), judging_loss.detach()

    return Workload(
        model={"student": student, "teacher": teacher, "discriminator": discriminator},
        examples={"student": seen, "teacher": seen, "discriminator": (image,)},
        inputs=(*seen, elsewhere),
        items=request.batch,
        step=step,
    )


def _disc(pixels: int) -> Tensor:
    """An outline [1, 1, pixels, pixels]: one within a disc of half the width, zero elsewhere."""
    along = torch.linspace(-1, 1, pixels).square()
    return (along + along[:, None] < 0.25).float()[None, None]
