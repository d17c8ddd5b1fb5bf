"""Language: BERT and its relatives, sequence to sequence models, a bag of embeddings and a neural grammar.

`sequence` counts the tokens of a sentence, with `train_sequence` in training where that differs; `layers`, `hidden`
(width between the layers), `heads`, `feed_forward` (width inside one), `vocabulary` and `positions` (the longest
sentence) are those of a transformer, of encoder and decoder alike. `current` has V1's numbers but for the batch, where
nothing else is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.benchmark import Request, Workload, benchmark
from harness.suites.torchbench import language_own  # noqa: F401  (importing it registers it)


def _sizes(v1: Mapping[str, Any], current: Mapping[str, Any], small: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The three sizes; what `current` and `small` do not say is as in `v1`, but they do one iteration."""
    one = {**v1, "iterations": 1}
    return {"v1": dict(v1), "current": {**one, **current}, "small": {**one, **small}}


_NO_JIT = {"jit": "torch.jit.trace cannot return the dictionary that transformers models return"}


def _counts(v1: int, small: int) -> dict[str, int]:
    return {"v1": v1, "current": v1, "small": small}


def _needs(module: str) -> tuple[str, ...]:
    return (f"transformers.models.{module}.modeling_{module}",)


@benchmark(
    "hf_Albert",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes=_sizes(
        v1={
            "batch": 1,
            "train_batch": 8,
            "iterations": 3,
            "sequence": 512,
            "layers": 12,
            "hidden": 768,
            "embedding": 128,
            "heads": 12,
            "feed_forward": 3072,
            "vocabulary": 30000,
            "positions": 512,
        },
        current={},
        small={
            "train_batch": 2,
            "sequence": 64,
            "layers": 4,
            "hidden": 192,
            "embedding": 64,
            "heads": 4,
            "feed_forward": 768,
            "vocabulary": 4096,
        },
    ),
    unsupported=_NO_JIT,
    needs=_needs("albert"),
    parameters=_counts(11_221_680, small=769_088),
)
def hf_albert(request: Request) -> Workload:
    """ALBERT base of transformers for masked language modelling, one layer used twelve times; Adam and its own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("albert", request)


@benchmark(
    "hf_Bart",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes=_sizes(
        v1={
            "batch": 1,
            "train_batch": 4,
            "iterations": 3,
            "sequence": 512,
            "layers": 6,
            "hidden": 768,
            "heads": 12,
            "feed_forward": 3072,
            "vocabulary": 50265,
            "positions": 1024,
        },
        current={},
        small={
            "train_batch": 1,
            "sequence": 64,
            "layers": 2,
            "hidden": 128,
            "heads": 4,
            "feed_forward": 512,
            "vocabulary": 4096,
            "positions": 128,
        },
    ),
    unsupported=_NO_JIT,
    needs=_needs("bart"),
    parameters=_counts(139_420_416, small=1_483_776),
)
def hf_bart(request: Request) -> Workload:
    """BART base of transformers, encoder and decoder; Adam and its own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("bart", request)


@benchmark(
    "hf_Bert",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes=_sizes(
        v1={
            "batch": 1,
            "train_batch": 4,
            "iterations": 3,
            "sequence": 512,
            "layers": 12,
            "hidden": 768,
            "heads": 12,
            "feed_forward": 3072,
            "vocabulary": 30522,
            "positions": 512,
        },
        current={},
        small={
            "train_batch": 1,
            "sequence": 64,
            "layers": 4,
            "hidden": 256,
            "heads": 4,
            "feed_forward": 1024,
            "vocabulary": 8192,
        },
    ),
    unsupported=_NO_JIT,
    needs=_needs("bert"),
    parameters=_counts(109_514_298, small=5_462_784),
)
def hf_bert(request: Request) -> Workload:
    """BERT base of transformers for masked language modelling; Adam and its own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("bert", request)


# Below (5 + 2 * random_blocks) * block tokens it would attend to everything: 704 here, 88 in `small`.
@benchmark(
    "hf_BigBird",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes=_sizes(
        v1={
            "batch": 1,
            "train_batch": 2,
            "iterations": 3,
            "sequence": 4096,
            "train_sequence": 1024,
            "layers": 12,
            "hidden": 768,
            "heads": 12,
            "feed_forward": 3072,
            "vocabulary": 50358,
            "positions": 4096,
            "block": 64,
            "random_blocks": 3,
        },
        current={},
        small={
            "train_batch": 1,
            "sequence": 256,
            "train_sequence": 128,
            "layers": 2,
            "hidden": 128,
            "heads": 4,
            "feed_forward": 512,
            "vocabulary": 4096,
            "positions": 256,
            "block": 8,
        },
    ),
    unsupported=_NO_JIT,
    needs=_needs("big_bird"),
    parameters=_counts(128_111_286, small=991_488),
)
def hf_bigbird(request: Request) -> Workload:
    """BigBird of transformers: attention over blocks that are near, global or random; Adam and its own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("big_bird", request)


@benchmark(
    "hf_DistilBert",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes=_sizes(
        v1={
            "batch": 1,
            "train_batch": 8,
            "iterations": 3,
            "sequence": 512,
            "layers": 6,
            "hidden": 768,
            "heads": 12,
            "feed_forward": 3072,
            "vocabulary": 30522,
            "positions": 512,
        },
        current={},
        small={
            "train_batch": 2,
            "sequence": 64,
            "layers": 3,
            "hidden": 192,
            "heads": 4,
            "feed_forward": 768,
            "vocabulary": 4096,
        },
    ),
    unsupported=_NO_JIT,
    needs=_needs("distilbert"),
    parameters=_counts(66_985_530, small=2_261_248),
)
def hf_distilbert(request: Request) -> Workload:
    """DistilBERT of transformers for masked language modelling; Adam and its own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("distilbert", request)


@benchmark(
    "hf_GPT2",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes=_sizes(
        v1={
            "batch": 1,
            "train_batch": 4,
            "iterations": 3,
            "sequence": 1024,
            "train_sequence": 512,
            "layers": 12,
            "hidden": 768,
            "heads": 12,
            "feed_forward": 3072,
            "vocabulary": 50257,
            "positions": 1024,
        },
        current={},
        small={
            "train_batch": 1,
            "sequence": 128,
            "train_sequence": 64,
            "layers": 3,
            "hidden": 192,
            "heads": 4,
            "feed_forward": 768,
            "vocabulary": 4096,
            "positions": 128,
        },
    ),
    unsupported=_NO_JIT,
    needs=_needs("gpt2"),
    parameters=_counts(124_439_808, small=2_145_984),
)
def hf_gpt2(request: Request) -> Workload:
    """GPT-2 of transformers, which predicts the next token; Adam and its own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("gpt2", request)


# A window is of this many tokens to both sides together; a sentence of one window would be attended to whole.
@benchmark(
    "hf_Longformer",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes=_sizes(
        v1={
            "batch": 1,
            "train_batch": 2,
            "iterations": 3,
            "sequence": 4096,
            "train_sequence": 1024,
            "layers": 12,
            "hidden": 768,
            "heads": 12,
            "feed_forward": 3072,
            "vocabulary": 50265,
            # Two more than tokens: they are counted from behind the padding's, which is 1.
            "positions": 4098,
            "window": 512,
        },
        current={},
        small={
            "train_batch": 1,
            "sequence": 256,
            "train_sequence": 128,
            "layers": 2,
            "hidden": 128,
            "heads": 4,
            "feed_forward": 512,
            "vocabulary": 4096,
            "positions": 258,
            "window": 32,
        },
    ),
    unsupported=_NO_JIT,
    needs=_needs("longformer"),
    parameters=_counts(148_711_257, small=1_074_176),
)
def hf_longformer(request: Request) -> Workload:
    """Longformer base of transformers: attention within a sliding window; Adam and its own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("longformer", request)


# Sentences must be longer than a chunk, or they would be attended to whole, and as long as the axial shape in training.
@benchmark(
    "hf_Reformer",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes=_sizes(
        v1={
            "batch": 1,
            "train_batch": 8,
            "iterations": 3,
            "sequence": 4096,
            "layers": ("local", "lsh", "local", "lsh", "local", "lsh"),
            "hidden": 256,
            "heads": 12,
            "head": 64,
            "feed_forward": 512,
            "vocabulary": 320,
            "positions": 4096,
            "chunk": 64,
            "buckets": 128,
            "axial_shape": (64, 64),
            "axial_hidden": (64, 192),
        },
        current={},
        small={
            "train_batch": 1,
            "sequence": 256,
            "layers": ("local", "lsh"),
            "hidden": 64,
            "heads": 4,
            "head": 16,
            "feed_forward": 128,
            "positions": 256,
            "chunk": 16,
            "buckets": 32,
            "axial_shape": (16, 16),
            "axial_hidden": (16, 48),
        },
    ),
    unsupported={"jit": "torch.jit.trace fails on its reversible layers with the internal error unordered_map::at"},
    needs=_needs("reformer"),
    parameters=_counts(5_975_872, small=125_376),
    nondeterministic="transformers seeds every layer of a train step anew from the system's own randomness",
)
def hf_reformer(request: Request) -> Workload:
    """Reformer of transformers: reversible layers, local and hashed attention in turn; Adam and its own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("reformer", request)


@benchmark(
    "hf_T5",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes=_sizes(
        v1={
            "batch": 1,
            "train_batch": 2,
            "iterations": 3,
            "sequence": 2048,
            "train_sequence": 1024,
            "layers": 6,
            "hidden": 512,
            "heads": 8,
            "head": 64,
            "feed_forward": 2048,
            "vocabulary": 32128,
        },
        current={"train_batch": 8},
        small={
            "train_batch": 1,
            "sequence": 128,
            "train_sequence": 64,
            "layers": 2,
            "hidden": 128,
            "heads": 4,
            "head": 32,
            "feed_forward": 512,
            "vocabulary": 4096,
        },
    ),
    unsupported=_NO_JIT,
    needs=_needs("t5"),
    parameters=_counts(60_506_624, small=1_443_584),
)
def hf_t5(request: Request) -> Workload:
    """T5 small of transformers, encoder and decoder with relative positions; Adam and its own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("t5", request)
