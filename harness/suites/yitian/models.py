"""The models of the suite `yitian`, as data: a row of `MODELS` is a benchmark, and the loop at the end registers it.

Keys of a size beyond `batch`, `image` and `tokens` are arguments of the network's builder in `networks`; `full` has
none, and is the network as its library has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.benchmark import Build, Request, Workload, benchmark

_INFERENCE_ONLY = "the benchmark measures inference only"
_LISTS_OF_IMAGES = "torch resizes and pools regions of no tensors in mkldnn layout"
_TOKENS = "the inputs are numbers of tokens, and mkldnn layout is for floating-point tensors"
_HOOKED = "TorchScript takes no network with hooks, which keep the boxes in float32"
_MKLDNN_MODES = ("mkldnn", "mkldnn_cached")


@dataclass(frozen=True)
class Model:
    """What tells one model from the others.

    `full` are the numbers of one input, `small` those in which the small sizes differ, with their own count of
    parameters; `batches` are the batch sizes of `small_batch` and `full_batch`. `answers` and `unsupported` are as in
    `benchmark`.
    """

    summary: str
    category: str
    domain: str
    needs: tuple[str, ...]
    parameters: int
    small_parameters: int
    full: Mapping[str, Any]
    small: Mapping[str, Any]
    batches: tuple[int, int]
    answers: str
    unsupported: Mapping[str, str] = field(default_factory=dict)

    def sizes(self) -> dict[str, dict[str, Any]]:
        """The sizes: one input and several, of each of the two networks."""
        small, full = {**self.full, **self.small}, dict(self.full)
        return {
            "small": {"batch": 1, **small},
            "small_batch": {"batch": self.batches[0], **small},
            "full": {"batch": 1, **full},
            "full_batch": {"batch": self.batches[1], **full},
        }

    def counts(self) -> dict[str, int]:
        """The number of parameters by size."""
        return {size: self.small_parameters if size.startswith("small") else self.parameters for size in self.sizes()}


MODELS: dict[str, Model] = {
    "resnet50": Model(
        "ResNet-50, an image to 1000 scores.",
        category="COMPUTER_VISION",
        domain="CLASSIFICATION",
        needs=("torchvision",),
        parameters=25_557_032,
        small_parameters=25_557_032,
        full={"image": [224, 224]},
        small={"image": [64, 64]},
        batches=(2, 32),
        answers="classification",
    ),
    "ssd": Model(
        "SSD300 on VGG-16, an image to at most 200 boxes in one pass.",
        category="COMPUTER_VISION",
        domain="DETECTION",
        needs=("torchvision",),
        parameters=35_641_826,
        small_parameters=12_747_986,
        full={"image": [300, 300]},
        small={
            "image": [272, 272],
            "side": 272,
            "widths": [8, "M", 16, "M", 32, "M", 512, "M", 512, "M"],
            "classes": 11,
        },
        batches=(2, 8),
        answers="detection",
        unsupported={**dict.fromkeys(_MKLDNN_MODES, _LISTS_OF_IMAGES), "jit": _HOOKED},
    ),
    "maskrcnn": Model(
        "Mask R-CNN on ResNet-50 with a pyramid, an image to at most 100 boxes with a mask each.",
        category="COMPUTER_VISION",
        domain="DETECTION",
        needs=("torchvision",),
        parameters=44_454_513,
        small_parameters=31_385_713,
        full={"image": [480, 640]},
        small={
            "image": [64, 96],
            "backbone": "resnet18",
            "min_size": 64,
            "max_size": 96,
            "rpn_pre_nms_top_n_test": 32,
            "rpn_post_nms_top_n_test": 32,
            "box_detections_per_img": 4,
            "box_score_thresh": 0.0,
        },
        batches=(2, 2),
        answers="detection",
        unsupported={**dict.fromkeys(_MKLDNN_MODES, _LISTS_OF_IMAGES), "jit": _HOOKED},
    ),
    "bert": Model(
        "BERT base for question answering, a text to the scores of where an answer begins and ends.",
        category="NLP",
        domain="LANGUAGE_MODELING",
        needs=("transformers.models.bert.modeling_bert",),
        parameters=108_893_186,
        small_parameters=9_525_762,
        full={"tokens": 384},
        small={
            "tokens": 64,
            "hidden_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 1024,
        },
        batches=(2, 8),
        answers="span",
        unsupported=dict.fromkeys(_MKLDNN_MODES, _TOKENS),
    ),
}


def _builder(name: str, row: Model) -> Build:
    def build(request: Request) -> Workload:
        from harness.suites.yitian.networks import NETWORKS

        return NETWORKS[name](request)

    build.__doc__ = row.summary
    return build


for _name, _row in MODELS.items():
    benchmark(
        _name,
        category=_row.category,
        domain=_row.domain,
        sizes=_row.sizes(),
        types=("eval",),
        unsupported={"train": _INFERENCE_ONLY, **_row.unsupported},
        needs=_row.needs,
        parameters=_row.counts(),
        answers=_row.answers,
    )(_builder(_name, _row))
