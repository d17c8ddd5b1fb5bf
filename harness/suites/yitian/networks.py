"""Networks of the suite `yitian` with random weights, and inputs of the right form.

Detectors keep the thresholds of torchvision: with random weights more candidates pass them than an image has objects,
so as many boxes remain as may, and what follows the convolutions is done in earnest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torchvision import models
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from harness.benchmark import Request, Workload

_OF_THE_INPUT = ("batch", "image", "tokens")
"""Keys of a size that are no arguments of the network."""


def _arguments(request: Request) -> dict[str, Any]:
    return {key: value for key, value in request.size.items() if key not in _OF_THE_INPUT}


def _classifier(request: Request) -> Workload:
    torch.manual_seed(request.seed)
    model = models.resnet50(weights=None).to(request.device).eval()
    images = torch.randn(request.batch, 3, *request.size["image"]).to(request.device)
    return Workload(model=model, inputs=(images,), items=request.batch)


def _detector(build: Callable[..., Any], hooks: Mapping[str, Iterable[str]]) -> Callable[[Request], Workload]:
    """A detector, called with a list of images of pixels from 0 to 1; it answers with a dictionary for each.

    `hooks` are the parts that see to it that boxes are in float32 whatever the weights are.
    """

    def workload(request: Request) -> Workload:
        torch.manual_seed(request.seed)
        model = build(**_arguments(request)).to(request.device).eval()
        for name, words in hooks.items():
            for word in words:
                _HOOKS[word](model.get_submodule(name))
        images = [torch.rand(3, *request.size["image"]).to(request.device) for _ in range(request.batch)]
        return Workload(model=model, inputs=(images,), items=request.batch)

    return workload


def _in_dtype(values: Any, dtype: torch.dtype) -> Any:
    # A tensor that has the type already is passed on as it is.
    return torch.utils._pytree.tree_map_only(
        torch.Tensor, lambda one: one.to(dtype) if one.is_floating_point() else one, values
    )


_HOOKS: Mapping[str, Callable[[Any], Any]] = {
    "reads float32": lambda part: part.register_forward_pre_hook(lambda _, inputs: _in_dtype(inputs, torch.float32)),
    "reads as its weights": lambda part: part.register_forward_pre_hook(
        lambda part, inputs: _in_dtype(inputs, next(part.parameters()).dtype)
    ),
    "gives float32": lambda part: part.register_forward_hook(lambda _, inputs, out: _in_dtype(out, torch.float32)),
}
"""What can be asked of a part of a detector. torchvision selects and pools regions in float32 only, on a CPU."""

_SSD_IN_FLOAT32 = {"anchor_generator": ("reads float32",), "head": ("gives float32",)}
_MASKRCNN_IN_FLOAT32 = {
    "rpn.anchor_generator": ("reads float32",),
    "rpn.head": ("gives float32",),
    "roi_heads.box_roi_pool": ("reads float32",),
    "roi_heads.box_head": ("reads as its weights",),
    "roi_heads.box_predictor": ("gives float32",),
    "roi_heads.mask_roi_pool": ("reads float32",),
    "roi_heads.mask_head": ("reads as its weights",),
    "roi_heads.mask_predictor": ("gives float32",),
}


def _ssd(side: int = 300, widths: list[Any] | None = None, classes: int = 91) -> Any:
    """SSD300 of torchvision, or one on a VGG of other widths.

    The network above the VGG wants 512 channels of it, and an image of at least 268 pixels a side.
    """
    if widths is None:
        return detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=classes)
    # The classifier of a whole VGG, 120 million weights, would be thrown away.
    vgg: Any = SimpleNamespace(features=models.vgg.make_layers(widths))
    return detection.ssd.SSD(
        detection.ssd._vgg_extractor(vgg, highres=False, trainable_layers=5),
        detection.anchor_utils.DefaultBoxGenerator(
            [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
            scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
            steps=[8, 16, 32, 64, 100, 300],
        ),
        (side, side),
        classes,
        image_mean=[0.48235, 0.45882, 0.40784],
        image_std=[1.0 / 255.0] * 3,
    )


def _maskrcnn(backbone: str | None = None, **cut: Any) -> Any:
    """Mask R-CNN of torchvision, or one on another ResNet and with what else is cut."""
    if backbone is None:
        return detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, **cut)
    features = resnet_fpn_backbone(
        backbone_name=backbone, weights=None, norm_layer=torch.nn.BatchNorm2d, trainable_layers=5
    )
    return detection.MaskRCNN(features, num_classes=91, **cut)


def _answering(request: Request) -> Workload:
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertForQuestionAnswering

    torch.manual_seed(request.seed)
    configuration = BertConfig(**_arguments(request))
    model = BertForQuestionAnswering(configuration).to(request.device).eval()
    shape = request.batch, request.size["tokens"]
    tokens = torch.randint(1, configuration.vocab_size, shape)
    # Question and context: a third of the tokens and the rest.
    part = (torch.arange(shape[1]) >= shape[1] // 3).long().expand(shape).contiguous()
    named = {"input_ids": tokens, "token_type_ids": part, "attention_mask": torch.ones(shape, dtype=torch.long)}
    keywords = {name: value.to(request.device) for name, value in named.items()}
    return Workload(model=model, inputs=(), keywords=keywords, items=request.batch)


NETWORKS: Mapping[str, Callable[[Request], Workload]] = {
    "resnet50": _classifier,
    "ssd": _detector(_ssd, _SSD_IN_FLOAT32),
    "maskrcnn": _detector(_maskrcnn, _MASKRCNN_IN_FLOAT32),
    "bert": _answering,
}
"""Builders of workloads by the name of the model."""
