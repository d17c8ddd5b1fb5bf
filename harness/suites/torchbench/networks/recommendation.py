"""Recommenders: DLRM (embedding bags and MLPs) and NVIDIA's deep autoencoder.

Own definitions of the networks of Naumov et al., "Deep Learning Recommendation Model for Personalization and
Recommendation Systems" (2019), and of Kuchaiev and Ginsburg, "Training Deep AutoEncoders for Collaborative Filtering"
(2017), with the hyper-parameters of TorchBench V1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload


def _relu_layers(widths: Sequence[int]) -> nn.Sequential:
    pairs = pairwise(widths)
    return nn.Sequential(*(layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())))


class DLRM(nn.Module):
    """Dense features [batch, dense] and categorical lookups to one number per item [batch, 1].

    The bottom MLP (`dense` features to the widths `bottom`) makes a vector as wide as an embedding; one embedding bag
    per table (`tables` holds their rows) sums its lookups; the dot products of all pairs of these vectors, behind the
    bottom vector, feed the top MLP with the widths `top`. ReLU follows every layer, the last one too: V1 uses no
    sigmoid. Gradients of the tables are sparse.
    """

    def __init__(self, dense: int, bottom: Sequence[int], tables: Sequence[int], top: Sequence[int]) -> None:
        super().__init__()
        width, vectors = bottom[-1], 1 + len(tables)
        self.bottom = _relu_layers((dense, *bottom))
        self.tables = nn.ModuleList(nn.EmbeddingBag(rows, width, mode="sum", sparse=True) for rows in tables)
        self.top = _relu_layers((width + vectors * (vectors - 1) // 2, *top))
        self.register_buffer("pairs", torch.tril_indices(vectors, vectors, offset=-1), persistent=False)
        for table, rows in zip(self.tables, tables, strict=True):
            nn.init.uniform_(table.weight, -(rows**-0.5), rows**-0.5)
        # Behind a last ReLU, weights of either sign give zero for every item with about half of the seeds, and then
        # nothing is trained. Its inputs are not negative, so positive weights keep it alive.
        with torch.no_grad():
            self.top[-2].weight.abs_()
            self.top[-2].bias.abs_()

    def forward(self, dense: Tensor, indices: tuple[Tensor, ...], offsets: tuple[Tensor, ...]) -> Tensor:
        """Predict; `indices[t]` holds the rows all items look up in table t, `offsets[t]` where each item begins."""
        bottom = self.bottom(dense)
        bags = [table(rows, starts) for table, rows, starts in zip(self.tables, indices, offsets, strict=True)]
        vectors = torch.stack([bottom, *bags], dim=1)
        products = torch.bmm(vectors, vectors.transpose(1, 2))
        return self.top(torch.cat([bottom, products[:, self.pairs[0], self.pairs[1]]], dim=1))


class DeepAutoencoder(nn.Module):
    """Ratings [batch, items] to predicted ratings [batch, items].

    The encoder has the widths `layers`; the decoder mirrors it with weights of its own. SELU follows every layer, the
    last one too; dropout 0.8 on the code.
    """

    def __init__(self, items: int, layers: Sequence[int]) -> None:
        super().__init__()
        widths = (items, *layers)
        down = pairwise(widths)
        up = pairwise(reversed(widths))
        self.encoder = nn.ModuleList(nn.Linear(*pair) for pair in down)
        self.decoder = nn.ModuleList(nn.Linear(*pair) for pair in up)
        self.dropout = nn.Dropout(0.8)
        for layer in (*self.encoder, *self.decoder):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, ratings: Tensor) -> Tensor:
        """Predict all ratings from the known ones (zero where unknown)."""
        code = ratings
        for layer in self.encoder:
            code = functional.selu(layer(code))
        code = self.dropout(code)
        for layer in self.decoder:
            code = functional.selu(layer(code))
        return code


def dlrm(request: Request) -> Workload:
    """DLRM on random features and lookups, trained by SGD, lr 0.01, on the mean squared error to random clicks.

    Every item looks up `lookups[t]` random rows in table t.
    """
    size, batch = request.size, request.batch
    torch.manual_seed(request.seed)
    model = DLRM(size["dense"], size["bottom"], size["tables"], size["top"])
    model = model.to(request.device).train(request.training)
    dense = torch.rand(batch, size["dense"]).to(request.device)
    lookups = list(zip(size["tables"], size["lookups"], strict=True))
    indices = tuple(torch.randint(rows, (batch * count,)).to(request.device) for rows, count in lookups)
    offsets = tuple((torch.arange(batch) * count).to(request.device) for _, count in lookups)
    clicks = torch.randint(2, (batch, 1)).float().to(request.device)
    workload = Workload(model=model, inputs=(dense, indices, offsets), items=batch)
    if request.training:
        workload.loss = partial(functional.mse_loss, target=clicks)
        workload.optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return workload


def deeprecommender(request: Request) -> Workload:
    """NVIDIA's autoencoder on normal random ratings; SGD, lr 0.005, momentum 0.9, on the masked mean squared error."""
    size = request.size
    torch.manual_seed(request.seed)
    model = DeepAutoencoder(size["items"], size["layers"]).to(request.device).train(request.training)
    ratings = torch.randn(request.batch, size["items"]).to(request.device)
    workload = Workload(model=model, inputs=(ratings,), items=request.batch)
    if request.training:
        workload.loss = partial(masked_mse, ratings=ratings)
        workload.optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9)
    return workload


def masked_mse(predicted: Tensor, ratings: Tensor) -> Tensor:
    """Mean squared error over the known ratings (those that are not zero); both tensors [batch, items]."""
    known = (ratings != 0).to(predicted.dtype)
    return functional.mse_loss(predicted * known, ratings, reduction="sum") / known.sum()
