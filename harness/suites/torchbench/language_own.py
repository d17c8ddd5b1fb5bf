"""Language, the models that no library has: an own BERT, a translator, a bag of embeddings and a neural grammar."""

from __future__ import annotations

from harness.benchmark import Request, Workload, benchmark


@benchmark(
    "BERT_pytorch",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes={
        # V1 asked for 64 pairs of a corpus that has 2; its words and the 5 special tokens make 15.
        "v1": {
            "batch": 2,
            "sequence": 128,
            "vocabulary": 15,
            "width": 768,
            "layers": 12,
            "heads": 12,
            "hidden": 3072,
            "iterations": 1,
        },
        "current": {
            "batch": 16,
            "sequence": 128,
            "vocabulary": 20_005,
            "width": 768,
            "layers": 12,
            "heads": 12,
            "hidden": 3072,
            "iterations": 1,
        },
        "small": {
            "batch": 2,
            "sequence": 64,
            "vocabulary": 1000,
            "width": 192,
            "layers": 3,
            "heads": 4,
            "hidden": 768,
            "iterations": 1,
        },
    },
    parameters={"v1": 85_081_361, "current": 115_805_991, "small": 1_720_554},
)
def bert_pytorch(request: Request) -> Workload:
    """BERT of the days before fused kernels, with both of its tasks; Adam with warm-up and two likelihoods."""
    from harness.suites.torchbench.networks import bert_pytorch

    return bert_pytorch.bert_pytorch(request)


# The merged vocabulary of Multi30k is about this large, and its first validation batch has these lengths.
_TRANSLATOR = {
    "batch": 128,
    "sequence": 32,
    "target": 31,
    "vocabulary": 9521,
    "width": 512,
    "layers": 6,
    "heads": 8,
    "hidden": 2048,
    "positions": 200,
    "iterations": 1,
}


@benchmark(
    "attention_is_all_you_need_pytorch",
    category="NLP",
    domain="TRANSLATION",
    sizes={
        "v1": _TRANSLATOR,
        "current": {**_TRANSLATOR, "train_batch": 256, "batch": 32},
        "small": {
            "batch": 2,
            "sequence": 16,
            "target": 15,
            "vocabulary": 2000,
            "width": 128,
            "layers": 2,
            "heads": 4,
            "hidden": 512,
            "positions": 200,
            "iterations": 1,
        },
    },
    parameters={"v1": 58_727_936, "current": 58_727_936, "small": 1_691_136},
)
def attention_is_all_you_need(request: Request) -> Workload:
    """The first transformer, a translator; Adam with warm-up and summed cross entropy."""
    from harness.suites.torchbench.networks import attention

    return attention.translator(request)


# No batch size of today is known.
_BAG = {"batch": 32, "tokens": 1215, "vocabulary": 95_812, "hidden": 64, "classes": 4, "iterations": 1}


@benchmark(
    "fastNLP",
    category="NLP",
    domain="OTHER_NLP",
    sizes={"v1": _BAG, "current": _BAG, "small": {**_BAG, "vocabulary": 30_000}},
    parameters={"v1": 6_132_228, "current": 6_132_228, "small": 1_920_260},
)
def fastnlp(request: Request) -> Workload:
    """Text classifier: the mean of a sentence's embeddings and one linear layer; SGD and cross entropy."""
    from harness.suites.torchbench.networks import fastnlp

    return fastnlp.bag_classifier(request)


# Batches of V1 hold about 100 words, those of today's 200. Its vocabulary, the words that UDPOS has three times, cannot
# be had here; this many is of its order.
_GRAMMAR = {
    "batch": 8,
    "sequence": 12,
    "vocabulary": 5000,
    "terminals": 30,
    "nonterminals": 30,
    "width": 256,
    "iterations": 1,
}


@benchmark(
    "pytorch_struct",
    category="OTHER",
    domain="OTHER_TASKS",
    sizes={
        "v1": _GRAMMAR,
        "current": {**_GRAMMAR, "batch": 16},
        "small": {**_GRAMMAR, "batch": 4, "sequence": 8, "vocabulary": 1000, "width": 64},
    },
    parameters={"v1": 2_882_816, "current": 2_882_816, "small": 341_824},
)
def pytorch_struct(request: Request) -> Workload:
    """Neural grammar whose training sums over all parses by the inside algorithm; Adam with clipped gradients."""
    from harness.suites.torchbench.networks import pcfg

    return pcfg.grammar(request)
