"""Image classifiers: those of torchvision, of timm, and two of torchvision quantized by torch.ao.

A row of `TORCHVISION`, `QUANTIZED` or `TIMM` is a benchmark; the loop below each table registers its rows. Keys of a
size beyond `batch`, `train_batch`, `iterations` and `image` are arguments of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.benchmark import Build, Request, Workload, benchmark


@dataclass(frozen=True)
class Classifier:
    """What tells one image classifier from the others of its library.

    `parameters` is that of the network of V1, `small_parameters` that of the shrunk one where the two differ;
    `current` the batch sizes of today's TorchBench, train and eval; `network` the arguments of the network in V1 and
    today, and `small` the numbers in which the small size differs; `library_name` what the library calls the network
    where that is not the benchmark's name.
    """

    summary: str
    parameters: int
    current: tuple[int, int]
    small: Mapping[str, Any]
    small_parameters: int | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    image: int = 224
    library_name: str = ""
    domain: str = "CLASSIFICATION"
    unsupported: Mapping[str, str] = field(default_factory=dict)

    def sizes(self, train_batch: int, iterations: int) -> dict[str, dict[str, Any]]:
        """The three sizes, given the two numbers that V1 has by library."""
        v1 = {
            "batch": 1,
            "train_batch": train_batch,
            "iterations": iterations,
            "image": self.image,
            **self.network,
        }
        once = {**v1, "iterations": 1}
        today_train, today = self.current
        return {
            "small": {**once, "batch": 4, "train_batch": 2, "image": 64, **self.small},
            "v1": v1,
            "current": {**once, "batch": today, "train_batch": today_train},
        }

    def counts(self) -> dict[str, int]:
        """The number of parameters by size."""
        return {
            "small": self.small_parameters or self.parameters,
            "v1": self.parameters,
            "current": self.parameters,
        }


def _register(name: str, row: Classifier, build: Build, train_batch: int, iterations: int, *needs: str) -> None:
    build.__doc__ = row.summary
    benchmark(
        name,
        category="COMPUTER_VISION",
        domain=row.domain,
        sizes=row.sizes(train_batch, iterations),
        unsupported=row.unsupported,
        needs=needs,
        parameters=row.counts(),
        answers="classification",
    )(build)


TORCHVISION: dict[str, Classifier] = {
    "alexnet": Classifier(
        "AlexNet of torchvision, most of its weights in fully connected layers; Adam and cross entropy.",
        parameters=61_100_840,
        current=(128, 128),
        # The maps are pooled to the size they have anyway: oneDNN, which optimises `jit` for inference, cannot enlarge.
        small={"train_batch": 4, "hidden": 1024, "pooled": 1},
        small_parameters=4_807_464,
        network={"hidden": 4096, "pooled": 6},
    ),
    "densenet121": Classifier(
        "DenseNet of torchvision, 121 layers that each read all before them in their block; Adam and cross entropy.",
        parameters=7_978_856,
        current=(256, 64),
        small={"batch": 2},
    ),
    "mnasnet1_0": Classifier(
        "MNASNet of torchvision, found by search for phones, depthwise convolutions; Adam and cross entropy.",
        parameters=4_383_312,
        current=(32, 32),
        small={},
    ),
    "mobilenet_v2": Classifier(
        "MobileNet V2 of torchvision, inverted residuals of depthwise convolutions; Adam and cross entropy.",
        parameters=3_504_872,
        current=(96, 16),
        small={},
    ),
    "mobilenet_v3_large": Classifier(
        "MobileNet V3 large of torchvision, squeeze and excitation, hard swish; Adam and cross entropy.",
        parameters=5_483_032,
        current=(32, 32),
        small={},
    ),
    "resnet18": Classifier(
        "Residual network of torchvision, 18 layers of 3 x 3 convolutions; Adam and cross entropy.",
        parameters=11_689_512,
        current=(16, 8),
        small={"batch": 2},
    ),
    "resnet50": Classifier(
        "Residual network of torchvision, 50 layers in bottlenecks; Adam and cross entropy.",
        parameters=25_557_032,
        current=(32, 32),
        small={"batch": 2, "width_per_group": 16},
        small_parameters=7_916_264,
        network={"width_per_group": 64},
    ),
    "resnext50_32x4d": Classifier(
        "ResNeXt of torchvision, 50 layers in bottlenecks of 32 groups; Adam and cross entropy.",
        parameters=25_028_904,
        current=(8, 8),
        small={"batch": 2, "image": 32},
    ),
    "shufflenet_v2_x1_0": Classifier(
        "ShuffleNet V2 of torchvision, half of the channels pass each block and are shuffled; Adam and cross entropy.",
        parameters=2_278_604,
        current=(128, 64),
        small={},
    ),
    "squeezenet1_1": Classifier(
        "SqueezeNet 1.1 of torchvision, few parameters, no batch norm; Adam and cross entropy.",
        parameters=1_235_496,
        current=(32, 16),
        small={"train_batch": 4},
    ),
    "vgg16": Classifier(
        "VGG of torchvision, 13 plain convolutions and three large fully connected layers; Adam and cross entropy.",
        parameters=138_357_544,
        current=(64, 4),
        # Pooled to the size they have anyway, as for alexnet.
        small={"batch": 1, "train_batch": 1, "hidden": 512, "pooled": 2},
        small_parameters=16_539_432,
        network={"hidden": 4096, "pooled": 7},
    ),
}

_UNSUPPORTED_BY_TORCH_AO = {
    "cuda-eval": "the int8 kernels of torch.ao run on CPUs only",
    # Tried: 155 graph breaks and 48 graphs of one operator each for MobileNet V2 in training, one for eval.
    "inductor": "Dynamo does not trace the modules of torch.ao, so that almost all would run in eager mode",
}

QUANTIZED: dict[str, Classifier] = {
    "mobilenet_v2_quantized_qat": Classifier(
        "MobileNet V2 of torchvision through torch.ao: trains with fake quantization, evaluates in int8; Adam.",
        parameters=3_504_872,
        # Today's TorchBench no longer has it.
        current=(32, 1),
        small={},
        library_name="mobilenet_v2",
        unsupported=_UNSUPPORTED_BY_TORCH_AO,
    ),
    "resnet50_quantized_qat": Classifier(
        "ResNet-50 of torchvision through torch.ao: trains with fake quantization, evaluates in int8; Adam.",
        parameters=25_557_032,
        current=(32, 32),
        small={"width_per_group": 16},
        small_parameters=7_916_264,
        network={"width_per_group": 64},
        library_name="resnet50",
        unsupported=_UNSUPPORTED_BY_TORCH_AO,
    ),
}

TIMM: dict[str, Classifier] = {
    "timm_efficientnet": Classifier(
        "MixNet-M of timm (mixnet_m), depthwise convolutions with kernels of several sizes; SGD and cross entropy.",
        parameters=5_014_382,
        current=(32, 64),
        small={"batch": 2},
        library_name="mixnet_m",
    ),
    "timm_nfnet": Classifier(
        "NFNet-F0 of timm (dm_nfnet_f0), residual without batch norm, standardised weights; SGD and cross entropy.",
        parameters=71_489_284,
        current=(128, 128),
        small={"batch": 1, "depths": (1, 1, 1, 1), "channels": (256, 256, 256, 256), "num_features": 512},
        small_parameters=2_668_412,
        network={"depths": (1, 2, 6, 3), "channels": (256, 512, 1536, 1536), "num_features": 3072},
        image=192,
        library_name="dm_nfnet_f0",
    ),
    "timm_regnet": Classifier(
        "RegNetY-200MF of timm (regnety_002), group convolutions with squeeze and excitation; SGD and cross entropy.",
        parameters=3_162_996,
        current=(32, 32),
        small={},
        library_name="regnety_002",
    ),
    "timm_resnest": Classifier(
        "ResNeSt-14 of timm (resnest14d), attention between the halves of a convolution; SGD and cross entropy.",
        parameters=10_611_688,
        current=(32, 32),
        small={"batch": 2},
        library_name="resnest14d",
    ),
    "timm_vision_transformer": Classifier(
        "Vision transformer of timm, 8 layers of width 768 on patches of 16 x 16 pixels; SGD and cross entropy.",
        # By hand, with d = 768 and 196 patches: patches 3 * 16^2 * d + d, class token d, positions 197 * d, 8 layers
        # of 4d (norms) + 3d^2 (query, key, value) + d^2 + d (projection) + 6d^2 + 4d (feed-forward of width 3d), last
        # norm 2d, head 1000 * (d + 1).
        parameters=48_754_408,
        current=(32, 32),
        small={"img_size": 64, "embed_dim": 256, "depth": 4},
        small_parameters=3_089_640,
        # What timm 0.4.5 meant by vit_small_patch16_224; later versions mean another network by that name.
        network={
            "img_size": 224,
            "embed_dim": 768,
            "depth": 8,
            "num_heads": 8,
            "mlp_ratio": 3,
            "qkv_bias": False,
        },
        library_name="vit_base_patch16_224",
        domain="GENERATION",
    ),
    "timm_vovnet": Classifier(
        "VoVNet-39a of timm (vovnet39a), blocks that aggregate all of their layers once; SGD and cross entropy.",
        parameters=22_600_296,
        current=(32, 32),
        small={
            "batch": 2,
            "stem_chs": (32, 32, 64),
            "stage_conv_chs": (64, 80, 96, 112),
            "stage_out_chs": (128, 256, 384, 512),
        },
        small_parameters=5_912_360,
        network={
            "stem_chs": (64, 64, 128),
            "stage_conv_chs": (128, 160, 192, 224),
            "stage_out_chs": (256, 512, 768, 1024),
        },
        library_name="vovnet39a",
        domain="DETECTION",
    ),
}


def _torchvision(name: str) -> Build:
    def build(request: Request) -> Workload:
        from harness.suites.torchbench.networks.torchvision_models import torchvision_classifier

        return torchvision_classifier(name, request, new_classes=True)

    return build


def _quantized(name: str) -> Build:
    def build(request: Request) -> Workload:
        from harness.suites.torchbench.networks.quantized import quantized_classifier

        return quantized_classifier(name, request)

    return build


def _timm(name: str) -> Build:
    def build(request: Request) -> Workload:
        from harness.suites.torchbench.networks.timm_models import timm_classifier

        return timm_classifier(name, request)

    return build


for _name, _row in TORCHVISION.items():
    _register(_name, _row, _torchvision(_name), 32, 3, "torchvision")
for _name, _row in QUANTIZED.items():
    _register(_name, _row, _quantized(_row.library_name), 32, 3, "torchvision", "torch.ao.quantization.quantize_fx")
for _name, _row in TIMM.items():
    _register(_name, _row, _timm(_row.library_name), 64, 1, "timm")
