"""The models of the suite `convnet`, as data: a row of `MODELS` is a benchmark, and the loop at the end registers it.

Keys of a size beyond the batch and `shape` are arguments of the network's builder in `networks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.benchmark import Build, Request, Workload, benchmark

_NO_CONCATENATION = "torch concatenates no tensors in mkldnn layout, and this network concatenates its branches"
_NO_RELU6 = "torch has no ReLU6 for tensors in mkldnn layout"
_NO_VOLUMES = "torch has no transposed convolution and no concatenation for tensors in mkldnn layout"


@dataclass(frozen=True)
class Model:
    """What tells one model from the others.

    `shape` is that of one input, channels first; `train_batch` the batch of the benchmark, with `batch` where its
    inference takes another. `small` are the numbers in which the small size differs, `small_parameters` its count
    where it has another. `arguments` go to the network in every size. `segments` says that the output is a map, whose
    sum stands for a loss. `no_mkldnn` is the reason why the network does not run in mkldnn layout, if any.
    """

    summary: str
    parameters: int
    shape: tuple[int, ...]
    train_batch: int
    small: Mapping[str, Any]
    batch: int | None = None
    small_parameters: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    segments: bool = False
    no_mkldnn: str = ""

    def sizes(self) -> dict[str, dict[str, Any]]:
        """The sizes; a batch of inference stands apart only where the benchmark has another for training."""
        batches = {"batch": self.batch or self.train_batch}
        if self.batch is not None:
            batches["train_batch"] = self.train_batch
        whole = {"shape": list(self.shape), **self.arguments}
        return {
            "small": {"batch": 2, **whole, **self.small},
            "full": {**batches, **whole},
            "single": {"batch": 1, **whole},
        }

    def counts(self) -> dict[str, int]:
        """The number of parameters by size."""
        counts = dict.fromkeys(self.sizes(), self.parameters)
        return counts | ({"small": self.small_parameters} if self.small_parameters else {})

    def unsupported(self) -> dict[str, str]:
        """The modes of mkldnn layout, where the network does not run in it."""
        return {mode: self.no_mkldnn for mode in ("mkldnn", "mkldnn_cached") if self.no_mkldnn}


MODELS: dict[str, Model] = {
    "alexnet": Model(
        "AlexNet, most of its weights in fully connected layers.",
        parameters=61_100_840,
        shape=(3, 224, 224),
        train_batch=128,
        small={"shape": [3, 64, 64], "hidden": 512, "pooled": 1},
        small_parameters=3_376_936,
    ),
    "vgg11": Model(
        "VGG-11, 3 x 3 convolutions in a row and large fully connected layers.",
        parameters=132_863_336,
        shape=(3, 224, 224),
        train_batch=64,
        small={"shape": [3, 32, 32], "hidden": 512, "pooled": 1},
        small_parameters=10_258_792,
    ),
    "inception_v3": Model(
        "Inception V3, factorised convolutions side by side, without the auxiliary classifier.",
        parameters=23_834_568,
        shape=(3, 299, 299),
        train_batch=32,
        small={"shape": [3, 80, 80]},
        no_mkldnn=_NO_CONCATENATION,
    ),
    "resnet50": Model(
        "ResNet-50, 50 layers in bottlenecks.",
        parameters=25_557_032,
        shape=(3, 224, 224),
        train_batch=128,
        batch=64,
        small={"batch": 1, "shape": [3, 64, 64]},
    ),
    "resnext101_32x8d": Model(
        "ResNeXt-101 32x8d, bottlenecks of 32 groups of 8 channels.",
        parameters=88_791_336,
        shape=(3, 224, 224),
        train_batch=32,
        small={"shape": [3, 64, 64], "layers": [1, 1, 2, 1]},
        small_parameters=17_162_536,
        arguments={"layers": [3, 4, 23, 3]},
    ),
    "squeezenet1_0": Model(
        "SqueezeNet 1.0, few parameters, no batch norm.",
        parameters=1_248_424,
        shape=(3, 224, 224),
        train_batch=128,
        small={"shape": [3, 96, 96]},
        no_mkldnn=_NO_CONCATENATION,
    ),
    "densenet121": Model(
        "DenseNet-121, layers that each read all before them in their block.",
        parameters=7_978_856,
        shape=(3, 224, 224),
        train_batch=32,
        small={"shape": [3, 64, 64]},
        no_mkldnn=_NO_CONCATENATION,
    ),
    "mobilenet_v2": Model(
        "MobileNet V2, inverted residuals of depthwise convolutions.",
        parameters=3_504_872,
        shape=(3, 224, 224),
        train_batch=128,
        small={"shape": [3, 96, 96]},
        no_mkldnn=_NO_RELU6,
    ),
    "shufflenet": Model(
        "ShuffleNet V2, half of the channels pass each block and are shuffled.",
        parameters=2_278_604,
        shape=(3, 224, 224),
        train_batch=128,
        small={"shape": [3, 96, 96]},
        no_mkldnn=_NO_CONCATENATION,
    ),
    "unet": Model(
        "U-Net, down four times and up again with what was seen on the way down.",
        parameters=31_037_698,
        shape=(3, 128, 128),
        train_batch=32,
        small={"batch": 1, "shape": [3, 64, 64], "widths": [16, 32, 64, 128, 256]},
        small_parameters=1_942_594,
        arguments={"widths": [64, 128, 256, 512, 1024], "classes": 2},
        segments=True,
        no_mkldnn=_NO_VOLUMES,
    ),
    "unet3d": Model(
        "U-Net on volumes, down three times and up again.",
        parameters=5_603_812,
        shape=(4, 64, 64, 64),
        train_batch=6,
        small={"batch": 1, "shape": [4, 16, 16, 16], "widths": [16, 32, 64, 128]},
        small_parameters=1_402_612,
        arguments={"widths": [32, 64, 128, 256], "classes": 4},
        segments=True,
        no_mkldnn=_NO_VOLUMES,
    ),
}


def _builder(name: str, row: Model) -> Build:
    def build(request: Request) -> Workload:
        from harness.suites.convnet.networks import workload

        return workload(name, request, segments=row.segments)

    build.__doc__ = row.summary
    return build


for _name, _row in MODELS.items():
    benchmark(
        _name,
        category="COMPUTER_VISION",
        domain="SEGMENTATION" if _row.segments else "CLASSIFICATION",
        sizes=_row.sizes(),
        unsupported=_row.unsupported(),
        needs=("torchvision",),
        parameters=_row.counts(),
    )(_builder(_name, _row))
