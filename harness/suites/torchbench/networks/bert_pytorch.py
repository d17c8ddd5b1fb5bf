"""The BERT that TorchBench calls BERT_pytorch: an own definition that predates the fused kernels.

After Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (2018), in the form of V1: normalisation
before each sublayer and none at the end, fixed position encodings, and heads without a hidden layer.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.attention import MultiHeadAttention, WarmedUpAdam, sinusoids

PADDING, MASK, SPECIAL = 0, 4, 5
"""The token of no word, the one that hides a word, and how many tokens are no words."""


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.attention = MultiHeadAttention(width, heads, dropout, bias=True)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, visible: Tensor) -> Tensor:
        normed = self.attention_norm(vectors)
        vectors = vectors + self.dropout(self.attention(normed, normed, visible))
        vectors = vectors + self.dropout(self.feed_forward(self.norm(vectors)))
        return self.dropout(vectors)


class Bert(nn.Module):
    """Tokens and segments [batch, sequence] to log-probabilities: [batch, 2] and [batch, sequence, vocabulary].

    The first says whether the second half follows the first, the second which word stands at a place. Embeddings of
    tokens and of 3 segments; per layer an attention of 4 * (width**2 + width), feed-forward of 2 * width * hidden +
    hidden + width and two norms of 2 * width; heads of (width + 1) * 2 and (width + 1) * vocabulary parameters.
    """

    def __init__(
        self, vocabulary: int, width: int, layers: int, heads: int, hidden: int, positions: int, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.segments = nn.Embedding(3, width, padding_idx=PADDING)
        self.register_buffer("places", sinusoids(positions, width), persistent=False)
        self.layers = nn.ModuleList(_Layer(width, heads, hidden, dropout) for _ in range(layers))
        self.follows = nn.Linear(width, 2)
        self.words = nn.Linear(width, vocabulary)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        """Encode both sentences and judge them."""
        visible = (tokens != PADDING)[:, None, None, :]
        vectors = self.tokens(tokens) + self.places[: tokens.shape[1]] + self.segments(segments)
        vectors = self.dropout(vectors)
        for layer in self.layers:
            vectors = layer(vectors, visible)
        return self.follows(vectors[:, 0]).log_softmax(dim=-1), self.words(vectors).log_softmax(dim=-1)


def bert_pytorch(request: Request) -> Workload:
    """BERT on pairs of random sentences of full length, every seventh word hidden; an item is a pair.

    Trained by Adam, lr warmed up for 10000 steps, weight decay 0.01, on the sum of both negative log-likelihoods.
    """
    size, batch = request.size, request.batch
    torch.manual_seed(request.seed)
    numbers = ("vocabulary", "width", "layers", "heads", "hidden")
    model = Bert(**{name: size[name] for name in numbers}, positions=size["sequence"])
    model = model.to(request.device).train(request.training)
    words = torch.randint(SPECIAL, size["vocabulary"], (batch, size["sequence"]))
    place = torch.arange(size["sequence"])
    hidden = (place % 7 == 3).expand(batch, -1)
    tokens = words.masked_fill(hidden, MASK).to(request.device)
    segments = (1 + (place >= size["sequence"] // 2).long()).expand(batch, -1).contiguous().to(request.device)
    workload = Workload(model=model, inputs=(tokens, segments), items=batch)
    if request.training:
        answers = words.masked_fill(~hidden, PADDING).to(request.device)
        follows = torch.randint(2, (batch,)).to(request.device)
        workload.loss = partial(both_losses, follows=follows, words=answers)
        workload.optimizer = WarmedUpAdam(
            model.parameters(), size["width"], warm_up=10_000, betas=(0.9, 0.999), weight_decay=0.01
        )
    return workload


def both_losses(output: tuple[Tensor, Tensor], follows: Tensor, words: Tensor) -> Tensor:
    """Sum of the two negative log-likelihoods: of `follows` [batch], and of `words` [batch, sequence] where hidden.

    V1 left the pairs that do not follow out of the first as if their 0 were padding, which is not repeated: it makes
    no time, and a batch without another pair has no loss then.
    """
    following, predicted = output
    return functional.nll_loss(following, follows) + functional.nll_loss(
        predicted.flatten(0, 1), words.flatten(), ignore_index=PADDING
    )
