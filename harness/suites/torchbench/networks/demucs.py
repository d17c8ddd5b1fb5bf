"""Demucs: separates a mixture of sound into its sources, from waveform to waveforms.

Own definition after Défossez et al., "Music Source Separation in the Waveform Domain" (2019), with the hyper-parameters
of TorchBench V1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload

KERNEL, STRIDE, CONTEXT = 8, 4, 3


class Demucs(nn.Module):
    """Mixtures [batch, sounds, time] to their parts [batch, sources, sounds, shorter time].

    `depth` encoders, each a convolution of kernel 8 and stride 4 to c maps (`channels`, then twice as many each time),
    ReLU, and a 1 x 1 convolution to 2 c maps halved by a gated linear unit; a bidirectional LSTM of two layers with as
    many units as the last encoder has maps, brought back to that width by a linear layer; and the decoders: the
    encoder's output added, a convolution of kernel 3 to 2 c maps and a gated linear unit, a transposed convolution of
    kernel 8 and stride 4, ReLU but for the last. Convolutions are not padded, so the parts are shorter than the
    mixture.

    From n to c maps an encoder has 8 n c + c + 2 c^2 + 2 c parameters, a decoder from c to n 6 c^2 + 2 c + 8 c n + n;
    an LSTM of c units that reads n numbers has 4 c (n + c + 2) each way, the linear layer 2 c^2 + c: 66,443,592 with 32
    channels, depth 6, two sounds and four sources.
    """

    def __init__(self, sounds: int, sources: int, channels: int, depth: int) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(depth)]
        entering = [sounds, *widths[:-1]]
        leaving = [sources * sounds, *widths[:-1]]
        self.sources = sources
        self.encoders = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(before, width, KERNEL, stride=STRIDE),
                nn.ReLU(),
                nn.Conv1d(width, 2 * width, 1),
                nn.GLU(dim=1),
            )
            for before, width in zip(entering, widths, strict=True)
        )
        self.lstm = nn.LSTM(widths[-1], widths[-1], num_layers=2, bidirectional=True)
        self.linear = nn.Linear(2 * widths[-1], widths[-1])
        self.decoders = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, 2 * width, CONTEXT),
                nn.GLU(dim=1),
                nn.ConvTranspose1d(width, after, KERNEL, stride=STRIDE),
                *([nn.ReLU()] if level else []),
            )
            for level, (width, after) in reversed(list(enumerate(zip(widths, leaving, strict=True))))
        )

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate."""
        sounds = mixture
        saved = []
        for encoder in self.encoders:
            sounds = encoder(sounds)
            saved.append(sounds)
        sounds = self.linear(self.lstm(sounds.permute(2, 0, 1))[0]).permute(1, 2, 0)
        for decoder, skipped in zip(self.decoders, reversed(saved), strict=True):
            sounds = decoder(sounds + middle(skipped, sounds.shape[-1]))
        return sounds.unflatten(1, (self.sources, -1))


def middle(sounds: Tensor, length: int) -> Tensor:
    """The middle `length` moments of sounds [..., time]."""
    surplus = sounds.shape[-1] - length
    return sounds[..., surplus // 2 : surplus // 2 + length]


class Augmentation(nn.Module):
    """Sources [batch, sources, 2, time] to [batch, sources, 2, time - shift], in training at random.

    Every source begins at another moment, left and right may change places, the sign may change, and sources of
    different items are mixed with each other. In eval mode the end is cut off and nothing else is done.
    """

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, sources: Tensor) -> Tensor:
        """Change the sources."""
        batch, count, sides, time = sources.shape
        length = time - self.shift
        if not self.training:
            return sources[..., :length]
        device = sources.device
        begins = torch.randint(self.shift, (batch, count, 1, 1), device=device)
        moments = (begins + torch.arange(length, device=device)).expand(-1, -1, sides, -1)
        shifted = sources.gather(3, moments)
        swaps = torch.randint(2, (batch, count, 1, 1), device=device)
        order = (torch.arange(sides, device=device)[:, None] + swaps) % sides
        swapped = shifted.gather(2, order.expand(-1, -1, -1, length))
        signed = swapped * (2.0 * torch.randint(2, (batch, count, 1, 1), device=device) - 1)
        partners = torch.rand(batch, count, 1, 1, device=device).argsort(dim=0)
        return signed.gather(0, partners.expand_as(signed))


class Separation(nn.Module):
    """Streams [batch, 1 + sources, 2, time] to the augmented sources and what is made of their mixture.

    The first stream, the mixture as recorded, is not used: the sources are mixed after they were changed. Both results
    are [batch, sources, 2, shorter time].
    """

    def __init__(self, network: Demucs, shift: int) -> None:
        super().__init__()
        self.augmentation, self.network = Augmentation(shift), network

    def forward(self, streams: Tensor) -> tuple[Tensor, Tensor]:
        """Change, mix, separate."""
        sources = self.augmentation(streams[:, 1:])
        found = self.network(sources.sum(dim=1))
        return middle(sources, found.shape[-1]), found


def separation_loss(output: tuple[Tensor, Tensor]) -> Tensor:
    """Mean absolute difference between sources and what was found."""
    return functional.l1_loss(*output)


def separator(request: Request) -> Workload:
    """Separates random sound, trained by Adam, lr 3e-4, on `separation_loss`.

    With the mistakes of V1 eval computes the loss too.
    """
    size = request.size
    torch.manual_seed(request.seed)
    network = Demucs(2, size["sources"], size["channels"], size["depth"])
    model = Separation(network, size["shift"]).to(request.device).train(request.training)
    streams = torch.rand(request.batch, 1 + size["sources"], 2, size["time"]).to(request.device)
    workload = Workload(model=model, inputs=(streams,), items=request.batch)
    if request.training:
        workload.loss = separation_loss
        workload.optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    elif request.v1:

        def evaluate(workload: Workload, clock: Any) -> Tensor:
            with torch.inference_mode():
                return separation_loss(workload.model(streams))

        workload.step = evaluate
    return workload
