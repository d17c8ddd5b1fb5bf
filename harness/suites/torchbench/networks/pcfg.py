"""A neural probabilistic grammar: rules scored by embeddings, and the inside algorithm that sums over all parses.

After Kim, Dyer and Rush, "Compound Probabilistic Context-Free Grammars for Grammar Induction" (2019), without the
latent vector. The grammar is in Chomsky's form: a root S -> A, rules A -> B C, and A terminal for every word.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from harness.benchmark import Request, Workload

IMPOSSIBLE = -1e5
"""Log-probability of what cannot be: as good as minus infinity, but sums of nothing else keep a gradient."""


class Residual(nn.Module):
    """Vectors [..., width] to the same shape: a linear layer, then two residual pairs of linear layers.

    Parameters: 5 * (width**2 + width).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.pairs = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()) for _ in range(2)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """Transform each vector."""
        vectors = self.first(vectors)
        for pair in self.pairs:
            vectors = vectors + pair(vectors)
        return vectors


class NeuralGrammar(nn.Module):
    """Words [batch, length] to the log-probabilities of a grammar: `terms`, `rules` and `roots`.

    `terms` [batch, length, terminals] is of each word given a terminal; `rules` [nonterminals, symbols, symbols] of a
    pair of symbols given a nonterminal, where the nonterminals come before the terminals among the symbols; `roots`
    [nonterminals] of the topmost one. Embeddings of `width` for words, terminals, nonterminals twice (as a parent and
    as a root), the start and every pair of symbols; two `Residual`: with T, N and V words that is
    width * (V + T + 2 N + 1 + (T + N)**2) + 10 * (width**2 + width) parameters.
    """

    def __init__(self, vocabulary: int, terminals: int, nonterminals: int, width: int) -> None:
        super().__init__()
        symbols = nonterminals + terminals
        shapes = {
            "words": (vocabulary, width),
            "terminals": (terminals, width),
            "parents": (nonterminals, width),
            "pairs": (symbols, symbols, width),
            "tops": (nonterminals, width),
            "start": (1, width),
        }
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self.of_terminals = Residual(width)
        self.of_tops = Residual(width)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score the grammar, and these words under it."""
        emissions = (self.of_terminals(self.terminals) @ self.words.T).log_softmax(dim=-1)
        terms = emissions.T[words]
        scores = torch.einsum("ah,bch->abc", self.parents, self.pairs)
        rules = scores.flatten(1).log_softmax(dim=-1).view_as(scores)
        roots = (self.of_tops(self.tops) @ self.start.T).squeeze(-1).log_softmax(dim=-1)
        return terms, rules, roots


def log_partition(terms: Tensor, rules: Tensor, roots: Tensor, lengths: Tensor) -> Tensor:
    """Log-probability of each sentence [batch] under a grammar, summed over all its parse trees.

    The inside algorithm, over spans from short to long: beta(i, j, A) is the sum over splits k and children B, C of
    rules(A, B, C) beta(i, k, B) beta(k, j, C). All sentences, spans of one width, splits and symbols are computed at
    once, in log space; splits are summed first, so that the sum over children is one matrix product per width. Takes
    what `NeuralGrammar` gives and the `lengths` [batch] of the sentences, 2 at least; words behind a sentence's end
    have no influence.
    """
    batch, length, terminals = terms.shape
    nonterminals = len(roots)
    probabilities = rules.flatten(1).exp()
    # inside[w - 1] holds spans of w words: [batch, where they begin, symbols], nonterminals first.
    inside = [torch.cat([terms.new_full((batch, length, nonterminals), IMPOSSIBLE), terms], dim=-1)]
    tops = [terms.new_full((batch, nonterminals), IMPOSSIBLE)]
    for width in range(2, length + 1):
        begins = length - width + 1
        left = torch.stack([inside[split - 1][:, :begins] for split in range(1, width)])
        right = torch.stack([inside[width - split - 1][:, split : split + begins] for split in range(1, width)])
        children = (left.unsqueeze(-1) + right.unsqueeze(-2)).logsumexp(dim=0).flatten(2)
        # Around its greatest term, or the exponentials of long spans would be zero.
        greatest = children.detach().amax(dim=-1, keepdim=True)
        parents = ((children - greatest).exp() @ probabilities.T).log() + greatest
        inside.append(torch.cat([parents, parents.new_full((batch, begins, terminals), IMPOSSIBLE)], dim=-1))
        tops.append(parents[:, 0])
    whole = torch.stack(tops, dim=1)[torch.arange(batch, device=lengths.device), lengths - 1]
    return (whole + roots).logsumexp(dim=-1)


def grammar(request: Request) -> Workload:
    """The grammar on random sentences of half to all of the batch's length; an item is a sentence.

    Eval scores the grammar, as in V1; a train step also sums over all parses, and minimises the mean negative
    log-probability by Adam, lr 1e-3, betas 0.75 and 0.999, with the norm of the gradient clipped at 3.
    """
    size, batch = request.size, request.batch
    torch.manual_seed(request.seed)
    model = NeuralGrammar(size["vocabulary"], size["terminals"], size["nonterminals"], size["width"])
    model = model.to(request.device).train(request.training)
    words = torch.randint(size["vocabulary"], (batch, size["sequence"])).to(request.device)
    workload = Workload(model=model, inputs=(words,), items=batch)
    if request.training:
        lengths = torch.randint((size["sequence"] + 1) // 2, size["sequence"] + 1, (batch,))
        lengths[0] = size["sequence"]
        workload.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.75, 0.999))
        workload.loss = _Improbability(lengths.to(request.device))
        workload.step = _clipped_step
    return workload


class _Improbability:
    """Mean negative log-probability of sentences of these lengths."""

    def __init__(self, lengths: Tensor) -> None:
        self._lengths = lengths

    def __call__(self, output: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return -log_partition(*output, self._lengths).mean()


def _clipped_step(workload: Workload, clock: Any) -> Tensor:
    workload.optimizer.zero_grad(set_to_none=True)
    loss = workload.loss(workload.model(*workload.inputs))
    clock.mark("forward")
    loss.backward()
    clock.mark("backward")
    nn.utils.clip_grad_norm_(workload.model.parameters(), 3.0)
    workload.optimizer.step()
    clock.mark("update")
    return loss
