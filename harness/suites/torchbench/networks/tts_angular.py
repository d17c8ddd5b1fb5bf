"""The speaker encoder of Mozilla TTS: stretches of speech to vectors that are near each other for one speaker.

Own definition of the network with the hyper-parameters of TorchBench V1, trained on the angular prototypical loss of
Chung et al., "In defence of metric learning for speaker recognition" (2020).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload


class ProjectedLSTM(nn.Module):
    """Frames [batch, time, features] to [batch, time, width]: an LSTM whose every output is projected."""

    def __init__(self, features: int, hidden: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.projection = nn.Linear(hidden, width, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Encode."""
        return self.projection(self.lstm(frames)[0])


class SpeakerEncoder(nn.Module):
    """Frames [batch, time, features] to vectors [batch, width] of length one.

    `layers` projected LSTMs; what counts is the last frame. One that reads n numbers has 4 h (n + h + 2) + h w
    parameters: 9,381,888 for 40 features and three of h = 768 projected to w = 256.
    """

    def __init__(self, features: int, hidden: int, width: int, layers: int) -> None:
        super().__init__()
        read = (features, *(width,) * (layers - 1))
        self.layers = nn.Sequential(*(ProjectedLSTM(entering, hidden, width) for entering in read))

    def forward(self, frames: Tensor) -> Tensor:
        """Encode."""
        return functional.normalize(self.layers(frames)[:, -1], dim=1)


class AngularPrototypicalLoss(nn.Module):
    """Vectors [speakers, utterances, width] to a loss: each speaker's first utterance has to find its own speaker.

    A speaker is the mean of the other utterances. The scores are cosines times a learned weight, kept positive, plus a
    learned bias; the loss is their cross entropy. With a single utterance there is no other, and the mean of nothing is
    not a number.
    """

    def __init__(self, weight: float = 10.0, bias: float = -5.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, vectors: Tensor) -> Tensor:
        """The loss, a scalar."""
        prototypes = vectors[:, 1:].mean(dim=1)
        cosines = functional.cosine_similarity(vectors[:, None, 0], prototypes[None], dim=2)
        scores = self.weight.clamp(min=1e-6) * cosines + self.bias
        return functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def speaker_encoder(request: Request) -> Workload:
    """Vectors of random speech, or one update by RAdam, lr 1e-4.

    `batch` utterances, `utterances` from each speaker. V1 had one from each, which made its loss NaN and its gradients
    too: that changes no timing, so it is not repeated.
    """
    size = request.size
    torch.manual_seed(request.seed)
    encoder = SpeakerEncoder(size["features"], size["hidden"], size["width"], size["layers"])
    encoder = encoder.to(request.device).train(request.training)
    frames = torch.rand(request.batch, size["frames"], size["features"]).to(request.device)
    if not request.training:
        return Workload(model=encoder, inputs=(frames,), items=request.batch)
    loss = AngularPrototypicalLoss().to(request.device)
    optimizer = torch.optim.RAdam([*encoder.parameters(), *loss.parameters()], lr=1e-4)

    def step(workload: Workload, clock: Any) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        vectors = workload.model["encoder"](frames)
        value = workload.model["loss"](vectors.view(-1, size["utterances"], vectors.shape[1]))
        clock.mark("forward")
        value.backward()
        clock.mark("backward")
        optimizer.step()
        clock.mark("update")
        return value

    # Tracing fixes the number of speakers.
    vectors = torch.rand(request.batch // size["utterances"], size["utterances"], size["width"]).to(request.device)
    return Workload(
        model={"encoder": encoder, "loss": loss},
        inputs=(frames,),
        items=request.batch,
        step=step,
        examples={"encoder": (frames,), "loss": (vectors,)},
    )
