"""Language models of transformers, from configurations and never from the hub, and the step that V1 gave them.

The networks are the library's own, with random weights. `ARCHITECTURES` says for each of them which of its
configuration's numbers are data of a size, and what else differs from the configuration's defaults. Attention is the
library's default of today, the fused one where a network has it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from harness.benchmark import Request, Workload


@dataclass(frozen=True)
class Architecture:
    """A network of transformers, and how a size's numbers reach its configuration.

    `names` maps the name of a number in a size to its name, or names with spaces between, in the configuration;
    `fixed` is what every size has. With `decodes` the network has an encoder and a decoder, which in evaluation needs
    tokens of its own (in training it takes them from the labels). `reckons` says that its forward pass computes with
    arrays of numpy, which torch.compile refuses under inference mode: it is evaluated under `no_grad`, as in V1.
    """

    module: str
    configuration: str
    model: str
    names: Mapping[str, str]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    decodes: bool = False
    reckons: bool = False

    def build(self, size: Mapping[str, Any]) -> Any:
        """The network; a number that the size does not have is the configuration's default."""
        package = f"transformers.models.{self.module}"
        configuration = getattr(importlib.import_module(f"{package}.configuration_{self.module}"), self.configuration)
        model = getattr(importlib.import_module(f"{package}.modeling_{self.module}"), self.model)
        numbers = {name: size[key] for key, names in self.names.items() if key in size for name in names.split()}
        return model(configuration(**numbers, **self.fixed))


_ENCODER = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
}

# A decoder's keys and values are kept for generating text, which no step here does; copying them costs time.
_NO_CACHE = {"use_cache": False}

ARCHITECTURES: Mapping[str, Architecture] = {
    "albert": Architecture("albert", "AlbertConfig", "AlbertForMaskedLM", {**_ENCODER, "embedding": "embedding_size"}),
    "bart": Architecture(
        "bart",
        "BartConfig",
        "BartForConditionalGeneration",
        {
            "layers": "encoder_layers decoder_layers",
            "hidden": "d_model",
            "heads": "encoder_attention_heads decoder_attention_heads",
            "feed_forward": "encoder_ffn_dim decoder_ffn_dim",
            "vocabulary": "vocab_size",
            "positions": "max_position_embeddings",
        },
        # bart-base drops more than the defaults, which are those of bart-large.
        {"attention_dropout": 0.1, "activation_dropout": 0.1, **_NO_CACHE},
        decodes=True,
    ),
    "bert": Architecture("bert", "BertConfig", "BertForMaskedLM", _ENCODER),
    "big_bird": Architecture(
        "big_bird",
        "BigBirdConfig",
        "BigBirdForMaskedLM",
        {**_ENCODER, "block": "block_size", "random_blocks": "num_random_blocks"},
        {"attention_type": "block_sparse", **_NO_CACHE},
        reckons=True,
    ),
    "distilbert": Architecture(
        "distilbert",
        "DistilBertConfig",
        "DistilBertForMaskedLM",
        {
            "layers": "n_layers",
            "hidden": "dim",
            "heads": "n_heads",
            "feed_forward": "hidden_dim",
            "vocabulary": "vocab_size",
            "positions": "max_position_embeddings",
        },
    ),
    "gpt2": Architecture(
        "gpt2",
        "GPT2Config",
        "GPT2LMHeadModel",
        {
            "layers": "n_layer",
            "hidden": "n_embd",
            "heads": "n_head",
            "feed_forward": "n_inner",
            "vocabulary": "vocab_size",
            "positions": "n_positions",
        },
        # By default these two tokens are the last of the full vocabulary, which a smaller one does not have.
        {"bos_token_id": None, "eos_token_id": None, **_NO_CACHE},
    ),
    "longformer": Architecture(
        "longformer",
        "LongformerConfig",
        "LongformerForMaskedLM",
        {**_ENCODER, "window": "attention_window"},
        # As in longformer-base-4096; the defaults are BERT's.
        {"type_vocab_size": 1, "layer_norm_eps": 1e-5},
    ),
    "reformer": Architecture(
        "reformer",
        "ReformerConfig",
        "ReformerForMaskedLM",
        {
            "layers": "attn_layers",
            "hidden": "hidden_size",
            "heads": "num_attention_heads",
            "head": "attention_head_size",
            "feed_forward": "feed_forward_size",
            "vocabulary": "vocab_size",
            "positions": "max_position_embeddings",
            "chunk": "local_attn_chunk_length lsh_attn_chunk_length",
            "buckets": "num_buckets",
            "axial_shape": "axial_pos_shape",
            "axial_hidden": "axial_pos_embds_dim",
        },
        {"is_decoder": False, **_NO_CACHE},
        reckons=True,
    ),
    "t5": Architecture(
        "t5",
        "T5Config",
        "T5ForConditionalGeneration",
        {
            "layers": "num_layers",
            "hidden": "d_model",
            "heads": "num_heads",
            "head": "d_kv",
            "feed_forward": "d_ff",
            "vocabulary": "vocab_size",
        },
        {"decoder_start_token_id": 0, **_NO_CACHE},
        decodes=True,
    ),
}
"""The networks by the name that transformers gives their module."""


def language_model(name: str, request: Request) -> Workload:
    """The network `name` of `ARCHITECTURES`: tokens [batch, sequence] to scores [batch, sequence, vocabulary].

    Tokens and labels are random. Labels are given when training only, as in V1; then the model computes its own cross
    entropy, over every position. `train_sequence` of the size is the length in training where it differs. Trained by
    Adam, lr 1e-3; with the mistakes of V1, which never cleared them, gradients add up. Dropout is the configuration's.
    An item is a sequence.
    """
    size, architecture = request.size, ARCHITECTURES[name]
    sequence = size.get("train_sequence", size["sequence"]) if request.training else size["sequence"]
    torch.manual_seed(request.seed)
    model = architecture.build(size).to(request.device).train(request.training)

    def tokens() -> torch.Tensor:
        return torch.randint(size["vocabulary"], (request.batch, sequence)).to(request.device)

    workload = Workload(model=model, inputs=(), items=request.batch, keywords={"input_ids": tokens()})
    if request.training:
        workload.keywords["labels"] = tokens()
        workload.loss = _own_loss
        workload.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        workload.clears_gradients = not request.v1
        return workload
    if architecture.decodes:
        workload.keywords["decoder_input_ids"] = tokens()
    if architecture.reckons:
        workload.step = _evaluate_without_gradients
    return workload


def _evaluate_without_gradients(workload: Workload, clock: Any) -> Any:
    with torch.no_grad():
        return workload.model(**workload.keywords)


def _own_loss(output: Any) -> Any:
    return output.loss
