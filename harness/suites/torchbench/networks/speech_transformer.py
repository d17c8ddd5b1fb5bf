"""The speech transformer: frames of sound to characters, found by beam search.

Own definition after Dong, Xu and Xu, "Speech-Transformer: A No-Recurrence Sequence-to-Sequence Model for Speech
Recognition" (2018), with the hyper-parameters of TorchBench V1.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.attention import TransformerLayer, WarmedUpAdam, sinusoids

START, END, PADDING = 0, 1, 2
POSITIONS = 5000


class Encoder(nn.Module):
    """Frames [batch, frames, features] to [batch, frames, width]; `lengths` [batch] are the frames that count.

    A linear layer and a norm, places added, then `layers` layers of attention with biases and feed-forward. With A =
    4 * width**2 + 4 * width, F = 2 * width * hidden + hidden + width and N = 2 * width it has
    features * width + width + N + layers * (A + F + 2 N) parameters.
    """

    def __init__(self, features: int, width: int, layers: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.entry = nn.Linear(features, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, hidden, dropout, decodes=False, bias=True) for _ in range(layers)
        )
        self.register_buffer("places", sinusoids(POSITIONS, width), persistent=False)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode; gives also which frames are visible, [batch, 1, 1, frames]."""
        count = frames.shape[1]
        visible = (torch.arange(count, device=frames.device) < lengths[:, None])[:, None, None]
        vectors = self.dropout(self.norm(self.entry(frames)) + self.places[:count])
        for layer in self.layers:
            vectors = layer(vectors, (None, visible))
        return vectors, visible


class Decoder(nn.Module):
    """Characters so far [batch, length] and an encoded utterance to scores of the next [batch, length, vocabulary].

    Embedding and output share their weights, the embedding scaled by the root of the width. With A, F and N as in the
    encoder it has vocabulary * width + layers * (2 A + F + 3 N) parameters.
    """

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary, width)
        nn.init.xavier_normal_(self.characters.weight)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, hidden, dropout, decodes=True, bias=True) for _ in range(layers)
        )
        self.register_buffer("places", sinusoids(POSITIONS, width), persistent=False)

    def forward(self, characters: Tensor, encoded: Tensor, visible: Tensor) -> Tensor:
        """Score the next character at every place."""
        length, weights = characters.shape[1], self.characters.weight
        past = torch.ones(length, length, dtype=torch.bool, device=characters.device).tril()
        vectors = self.dropout(self.characters(characters) * weights.shape[1] ** 0.5 + self.places[:length])
        for layer in self.layers:
            vectors = layer(vectors, (None, past), (encoded, visible))
        return vectors @ weights.T


def beam_search(encoder: Any, decoder: Any, frames: Tensor, beams: int, length: int, *, apart: bool) -> Tensor:
    """The `beams` best sentences [beams, 1 + length] for one utterance [1, frames, features], the best first.

    Every step decodes all sentences from their beginning, as the original does: in one batch, or with `apart` one after
    the other. Random weights would end a sentence anywhere, and the work would hang on the seed, so the end does not
    count: all sentences have the full length.
    """
    encoded, visible = encoder(frames, torch.tensor([frames.shape[1]], device=frames.device))
    sentences = torch.full((1, 1), START, device=frames.device)
    scores = torch.zeros(1, device=frames.device)
    for _ in range(length):
        parts = sentences.split(1) if apart else [sentences]
        last = torch.cat([decoder(part, encoded.expand(len(part), -1, -1), visible)[:, -1] for part in parts])
        last[:, END] = -torch.inf
        reached = (scores[:, None] + last.log_softmax(dim=1)).flatten()
        scores, places = reached.topk(beams)
        kept = places.div(last.shape[1], rounding_mode="floor")
        sentences = torch.cat([sentences[kept], (places % last.shape[1])[:, None]], dim=1)
    return sentences


def recogniser(request: Request) -> Workload:
    """The sentences found for one utterance, or one update by a batch of utterances.

    Trained by Adam, betas 0.9 and 0.98, warmed up for a single step, on the cross entropy with labels smoothed by 0.1.
    Utterances are random, of half to all of the frames, and so are their transcripts. With the mistakes of V1 the beams
    are decoded one after the other, and a train step is followed by the forward pass of a validation.
    """
    size, device = request.size, request.device
    torch.manual_seed(request.seed)
    shared = {name: size[name] for name in ("width", "layers", "heads", "hidden")}
    encoder = Encoder(size["features"], **shared, dropout=0.1)
    decoder = Decoder(size["vocabulary"], **shared, dropout=0.1)
    networks = {"encoder": encoder.to(device), "decoder": decoder.to(device)}
    for network in networks.values():
        network.train(request.training)
    count = size["train_frames" if request.training else "frames"]
    frames = torch.randn(request.batch, count, size["features"]).to(device)
    if not request.training:

        def find(workload: Workload, clock: Any) -> Tensor:
            with torch.inference_mode():
                return beam_search(
                    *workload.model.values(), frames, size["beams"], size["characters"], apart=request.v1
                )

        # Lengths stay free in tracing: the operations are recorded with the sizes they read from their inputs.
        begun = torch.full((size["beams"], 2), START, device=device)
        whole = torch.tensor([count], device=device)
        return Workload(
            model=networks,
            inputs=(frames,),
            items=request.batch,
            step=find,
            examples=_examples(frames, whole, begun, size["width"]),
        )

    lengths = torch.randint((count + 1) // 2, count + 1, (request.batch,)).to(device)
    written = torch.randint(PADDING + 1, size["vocabulary"], (request.batch, size["train_characters"])).to(device)
    given = functional.pad(written, (1, 0), value=START)
    answers = functional.pad(written, (0, 1), value=END)
    loss_of = partial(functional.cross_entropy, ignore_index=PADDING, label_smoothing=0.1)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = WarmedUpAdam(parameters, size["width"], warm_up=1, factor=0.2, betas=(0.9, 0.98), eps=1e-9)

    def loss(workload: Workload) -> Tensor:
        encoded, visible = workload.model["encoder"](frames, lengths)
        scores = workload.model["decoder"](given, encoded, visible)
        return loss_of(scores.flatten(0, 1), answers.flatten())

    def learn(workload: Workload, clock: Any) -> Tensor:
        optimizer.zero_grad()
        value = loss(workload)
        clock.mark("forward")
        value.backward()
        clock.mark("backward")
        optimizer.step()
        clock.mark("update")
        if request.v1:
            for network in workload.networks():
                network.eval()
            with torch.no_grad():
                loss(workload)
            for network in workload.networks():
                network.train()
            clock.mark("validation")
        return value.detach()

    return Workload(
        model=networks,
        inputs=(frames, lengths, given, answers),
        items=request.batch,
        step=learn,
        examples=_examples(frames, lengths, given, size["width"]),
    )


def _examples(frames: Tensor, lengths: Tensor, characters: Tensor, width: int) -> dict[str, tuple[Tensor, ...]]:
    """Inputs to trace both networks with."""
    shape = (len(characters), frames.shape[1])
    encoded = torch.zeros(*shape, width, device=frames.device)
    visible = torch.ones(shape, dtype=torch.bool, device=frames.device)[:, None, None]
    return {"encoder": (frames, lengths), "decoder": (characters, encoded, visible)}
