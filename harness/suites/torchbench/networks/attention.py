"""The translator of "Attention Is All You Need" (Vaswani et al., 2017), and the parts it shares with BERT_pytorch.

Attention is written out (product, mask, softmax, dropout, product), as it was in V1: a fused kernel would be another
benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.updates import OfEachCall

PADDING = 1
"""The token that fills a sentence up to the length of the batch."""


class MultiHeadAttention(nn.Module):
    """Attention of `heads` heads, each `width / heads` wide: queries [batch, length, width] to the same shape.

    Parameters: 4 * width * width, and 4 * width with `bias`.
    """

    def __init__(self, width: int, heads: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, visible: Tensor) -> Tensor:
        """Attend to `keys`, which are the values too; `visible` broadcasts to [batch, heads, queries, keys]."""
        query, key, value = self._split(self.query(queries)), self._split(self.key(keys)), self._split(self.value(keys))
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        weights = self.dropout(scores.masked_fill(~visible, -1e9).softmax(dim=-1))
        return self.output((weights @ value).transpose(1, 2).flatten(2))

    def _split(self, vectors: Tensor) -> Tensor:
        return vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def sinusoids(positions: int, width: int) -> Tensor:
    """Vaswani's position encodings [positions, width]: sine and cosine in turn, each pair slower than the last."""
    rates = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(positions)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class WarmedUpAdam:
    """Adam whose learning rate rises for `warm_up` steps and then falls with the root of the step's number.

    In step n it is `factor * width**-0.5 * min(n**-0.5, n * warm_up**-1.5)`.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        width: int,
        warm_up: int,
        factor: float = 1.0,
        **options: Any,
    ) -> None:
        self.adam = torch.optim.Adam(parameters, lr=0.0, **options)
        self._scale, self._warm_up, self._steps = factor * width**-0.5, warm_up, 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients."""
        self.adam.zero_grad(set_to_none)

    def step(self) -> None:
        """Update the parameters with the learning rate of this step."""
        self._steps += 1
        rate = self._scale * min(self._steps**-0.5, self._steps * self._warm_up**-1.5)
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()


class _FeedForward(nn.Module):
    """Two layers with ReLU between; 2 * width * hidden + hidden + width parameters."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, width)

    def forward(self, vectors: Tensor) -> Tensor:
        return self.outer(self.inner(vectors).relu())


class TransformerLayer(nn.Module):
    """Attention to its own side, in a decoder also to the encoder's, and feed-forward; each added, then normalised.

    `bias` is that of the attention.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, dropout: float, *, decodes: bool, bias: bool = False
    ) -> None:
        super().__init__()
        attentions = 2 if decodes else 1
        self.attentions = nn.ModuleList(MultiHeadAttention(width, heads, dropout, bias) for _ in range(attentions))
        self.feed_forward = _FeedForward(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(attentions + 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, *sources: tuple[Tensor | None, Tensor]) -> Tensor:
        """Attend to each source in turn: its vectors (None for the layer's own) and which of them are visible."""
        for attention, norm, (keys, visible) in zip(self.attentions, self.norms, sources, strict=False):
            attended = attention(vectors, vectors if keys is None else keys, visible)
            vectors = norm(vectors + self.dropout(attended))
        return self.norms[-1](vectors + self.dropout(self.feed_forward(vectors)))


class _Embedding(nn.Module):
    """Tokens to vectors with their places in the sentence, normalised."""

    def __init__(self, vocabulary: int, width: int, positions: int, dropout: float) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("places", sinusoids(positions, width), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm(self.dropout(self.tokens(tokens) + self.places[: tokens.shape[1]]))


class Translator(nn.Module):
    """Source [batch, source] and target [batch, target] tokens to scores [batch, target, vocabulary].

    Encoder and decoder of `layers` layers each, normalised after every sublayer; no two weights are shared. With
    attention A = 4 * width**2, feed-forward F = 2 * width * hidden + hidden + width and norm N = 2 * width, it has
    layers * (A + F + 2 N) + layers * (2 A + F + 3 N) + 2 N + 3 * vocabulary * width parameters.
    """

    def __init__(
        self, vocabulary: int, width: int, layers: int, heads: int, hidden: int, positions: int, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.source = _Embedding(vocabulary, width, positions, dropout)
        self.target = _Embedding(vocabulary, width, positions, dropout)
        self.encoder = nn.ModuleList(
            TransformerLayer(width, heads, hidden, dropout, decodes=False) for _ in range(layers)
        )
        self.decoder = nn.ModuleList(
            TransformerLayer(width, heads, hidden, dropout, decodes=True) for _ in range(layers)
        )
        self.output = nn.Linear(width, vocabulary, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score the next token at every place of the target, from the source and the target so far."""
        written = (source != PADDING)[:, None, None, :]
        length = target.shape[1]
        past = torch.ones(length, length, dtype=torch.bool, device=target.device).tril()
        vectors = self.source(source)
        for layer in self.encoder:
            vectors = layer(vectors, (None, written))
        answers = self.target(target)
        for layer in self.decoder:
            answers = layer(answers, (None, (target != PADDING)[:, None, None, :] & past), (vectors, written))
        return self.output(answers)


def translator(request: Request) -> Workload:
    """The translator on random sentences of half to all of the batch's length; an item is a pair of sentences.

    Trained by Adam, betas 0.9 and 0.98, warmed up for 128 steps, on the sum of the cross entropy over what is not
    padding. With the mistakes of V1 the optimizer is made anew in every timed call.
    """
    size, batch = request.size, request.batch
    torch.manual_seed(request.seed)
    numbers = ("vocabulary", "width", "layers", "heads", "hidden", "positions")
    model = Translator(**{name: size[name] for name in numbers}).to(request.device).train(request.training)
    source = _sentences(batch, size["sequence"], size["vocabulary"]).to(request.device)
    # One longer than the decoder's input: it reads all but the last token and is to answer all but the first.
    target = _sentences(batch, size["target"] + 1, size["vocabulary"]).to(request.device)
    workload = Workload(model=model, inputs=(source, target[:, :-1].contiguous()), items=batch)
    if request.training:
        workload.loss = partial(summed_cross_entropy, answers=target[:, 1:].contiguous())

        def make() -> WarmedUpAdam:
            numbers = {"warm_up": 128, "factor": 2.0, "betas": (0.9, 0.98), "eps": 1e-9}
            return WarmedUpAdam(model.parameters(), size["width"], **numbers)

        workload.optimizer = OfEachCall(make, request.iterations) if request.v1 else make()
    return workload


def _sentences(batch: int, length: int, vocabulary: int) -> Tensor:
    """Random tokens [batch, length]; the first sentence is of full length, no other shorter than half of it."""
    tokens = torch.randint(PADDING + 1, vocabulary, (batch, length))
    lengths = torch.randint((length + 1) // 2, length + 1, (batch, 1))
    lengths[0] = length
    return tokens.masked_fill(torch.arange(length) >= lengths, PADDING)


def summed_cross_entropy(scores: Tensor, answers: Tensor) -> Tensor:
    """Sum of the cross entropy of scores [batch, length, vocabulary] over the answers that are not padding."""
    return functional.cross_entropy(scores.flatten(0, 1), answers.flatten(), ignore_index=PADDING, reduction="sum")
