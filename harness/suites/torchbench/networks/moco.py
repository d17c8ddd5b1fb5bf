"""Momentum contrast: an encoder that learns to tell an image's other view from the keys of many other images.

Own definition after He et al., "Momentum Contrast for Unsupervised Visual Representation Learning" (2019), version 1,
with the hyper-parameters of TorchBench V1, on one device: so without distributed data parallel, and without shuffling
a batch between devices, which changes nothing on one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.classification import images
from harness.suites.torchbench.networks.updates import descend, follow

FEATURES = 128
MOMENTUM = 0.999
TEMPERATURE = 0.07


class Queue:
    """The keys [128, length] of the latest batches, each of length one; the newest replace the oldest."""

    def __init__(self, length: int, device: str) -> None:
        self.keys = functional.normalize(torch.randn(FEATURES, length), dim=0).to(device)
        self._next = 0

    def put(self, keys: Tensor) -> None:
        """Replace the oldest keys by these [batch, 128]; the batch divides the length."""
        count = keys.shape[0]
        with torch.no_grad():
            self.keys[:, self._next : self._next + count] = keys.T
        self._next = (self._next + count) % self.keys.shape[1]


def similarities(queries: Tensor, keys: Tensor, others: Tensor) -> Tensor:
    """Scores [batch, 1 + length]: of each query [batch, 128] with its own key, then with the `others` [128, length].

    All are normalised to length one, so a score is a cosine over the temperature.
    """
    queries, keys = functional.normalize(queries), functional.normalize(keys)
    own = (queries * keys).sum(1, keepdim=True)
    return torch.cat([own, queries @ others], dim=1) / TEMPERATURE


def momentum_contrast(request: Request) -> Workload:
    """The scores of some batches of pairs, or one update by one batch; SGD, lr 0.03, momentum 0.9, decay 1e-4.

    In V1 the second encoder followed the first, and the queue moved on, in eval too; under v1 so they do here.
    """
    torch.manual_seed(request.seed)
    size, device = request.size, request.device
    encoder, follower = (
        resnet50(num_classes=FEATURES, width_per_group=size["width_per_group"]).to(device).train(request.training)
        for _ in range(2)
    )
    follower.load_state_dict(encoder.state_dict())
    follower.requires_grad_(False)
    queue = Queue(size["queue"], device)
    count = 1 if request.training else size["batches"]
    batches = [(images(request), images(request)) for _ in range(count)]

    def scores(workload: Workload, query: Tensor, other: Tensor, learning: bool) -> Tensor:
        queries = workload.model["query"](query)
        with torch.no_grad():
            if learning:
                follow(follower.parameters(), encoder.parameters(), 1 - MOMENTUM)
            keys = workload.model["key"](other)
        # A copy, for the backward pass needs the queue as it was.
        found = similarities(queries, keys, queue.keys.clone() if learning else queue.keys)
        if learning:
            queue.put(functional.normalize(keys))
        return found

    def evaluate(workload: Workload, clock: Any) -> list[Tensor]:
        with torch.inference_mode():
            return [scores(workload, *pair, learning=request.v1) for pair in batches]

    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)
    first = torch.zeros(request.batch, dtype=torch.long).to(device)

    def train(workload: Workload, clock: Any) -> Tensor:
        loss = functional.cross_entropy(scores(workload, *batches[0], learning=True), first)
        descend(loss, optimizer, clock)
        return loss.detach()

    networks: dict[str, nn.Module] = {"query": encoder, "key": follower}
    return Workload(
        model=networks,
        examples=dict.fromkeys(networks, (batches[0][0],)),
        inputs=tuple(tensor for pair in batches for tensor in pair),
        items=request.batch * count,
        step=train if request.training else evaluate,
    )
