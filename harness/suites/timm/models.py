"""The models of the suite `timm`, as data: a row of `MODELS` is a benchmark, and the loop at the end registers it.

Keys of a size beyond `batch`, `image` and `train_image` are arguments of the network; a size without any is the network
as timm has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.benchmark import Build, Request, Workload, benchmark

SMALL_IMAGE = 64
"""Side of an image in `small`, in pixels, unless a row says otherwise."""


@dataclass(frozen=True)
class Model:
    """What tells one model from the others.

    `image` is the side of an image in pixels as timm's configuration of the weights has it, with `train_image` where it
    differs in training. `current` is the batch size that the list of today comes to, `list_2025` that of the list of
    2025, `cpu` that of the file for CPUs; None where it is not there. `small` are the numbers in which the small size
    differs, and `small_parameters` its count where it has another. `resizable` says that the network is built for one
    size of image, as its argument `img_size`. `library_name` is today's name of what was renamed. The loss is over
    `divisor`; SGD trains it where it `descends`, and Adam otherwise.
    """

    summary: str
    parameters: int
    image: int = 224
    train_image: int | None = None
    current: int | None = None
    list_2025: int | None = None
    cpu: int | None = None
    small: Mapping[str, Any] = field(default_factory=dict)
    small_parameters: int | None = None
    resizable: bool = False
    library_name: str = ""
    divisor: float = 1
    descends: bool = False
    unsupported: Mapping[str, str] = field(default_factory=dict)

    @property
    def lists(self) -> tuple[str, ...]:
        """The published lists that hold the model."""
        entries = {"current": self.current, "2025": self.list_2025}
        return tuple(name for name, batch in entries.items() if batch is not None)

    def sizes(self) -> dict[str, dict[str, Any]]:
        """The sizes; `current` of a model that today's list has no more is that of the list of 2025."""
        images = {"image": self.image} | ({"train_image": self.train_image} if self.train_image else {})
        small = {"batch": 2, "image": SMALL_IMAGE, **self.small}
        if self.resizable:
            small["img_size"] = small["image"]
        sizes = {"small": small, "current": {"batch": self.current or self.list_2025, **images}}
        if self.cpu is not None:
            sizes["cpu"] = {"batch": self.cpu, **images}
        return sizes

    def counts(self) -> dict[str, int]:
        """The number of parameters by size."""
        counts = dict.fromkeys(self.sizes(), self.parameters)
        return counts | ({"small": self.small_parameters} if self.small_parameters else {})


MODELS: dict[str, Model] = {
    "adv_inception_v3": Model(
        "Inception V3, trained to resist adversarial images; factorised convolutions side by side.",
        parameters=23_834_568,
        image=299,
        current=128,
        list_2025=128,
        cpu=128,
        small={"image": 96},
        library_name="inception_v3.tf_adv_in1k",
        descends=True,
    ),
    "beit_base_patch16_224": Model(
        "BEiT base, a transformer of 12 layers with relative positions on patches of 16 pixels.",
        parameters=86_530_984,
        current=64,
        list_2025=128,
        cpu=64,
        small={"depth": 3},
        small_parameters=22_629_688,
        resizable=True,
    ),
    "convnextv2_nano.fcmae_ft_in22k_in1k": Model(
        "ConvNeXt V2 nano, depthwise convolutions of 7 x 7 with global response normalisation.",
        parameters=15_623_800,
        image=288,
        train_image=224,
        current=128,
        cpu=128,
    ),
    "deit_base_distilled_patch16_224": Model(
        "DeiT base, a vision transformer with a second token for distillation.",
        parameters=87_338_192,
        current=64,
        list_2025=128,
        cpu=64,
        small={"depth": 3},
        small_parameters=23_409_104,
        resizable=True,
    ),
    "deit_tiny_patch16_224.fb_in1k": Model(
        "DeiT tiny, a vision transformer of width 192.",
        parameters=5_717_416,
        current=128,
        cpu=128,
        small_parameters=5_682_856,
        resizable=True,
    ),
    "dm_nfnet_f0": Model(
        "NFNet-F0, residual without batch norm, standardised weights.",
        parameters=71_489_284,
        image=256,
        train_image=192,
        current=128,
        list_2025=128,
        cpu=128,
        small={"depths": (1, 1, 2, 1)},
        small_parameters=31_383_549,
    ),
    "ghostnet_100": Model(
        "GhostNet, half of the maps made from the others by cheap convolutions.",
        parameters=5_182_508,
        current=512,
        list_2025=128,
        cpu=128,
        descends=True,
    ),
    "inception_v3": Model(
        "Inception V3, factorised convolutions side by side.",
        parameters=23_834_568,
        image=299,
        current=128,
        list_2025=128,
        cpu=128,
        small={"image": 96},
    ),
    "mobilenetv2_100": Model(
        "MobileNet V2, inverted residuals of depthwise convolutions.",
        parameters=3_504_872,
        current=128,
        list_2025=128,
        cpu=32,
    ),
    "mobilenetv3_large_100": Model(
        "MobileNet V3 large, squeeze and excitation, hard swish.",
        parameters=5_483_032,
        current=512,
        list_2025=128,
        cpu=32,
    ),
    "mobilevit_s": Model(
        "MobileViT small, transformers between inverted residuals.",
        parameters=5_578_632,
        image=256,
        current=64,
        list_2025=128,
        cpu=256,
        divisor=1000,
    ),
    "nfnet_l0": Model(
        "NFNet-L0, a lighter residual network without batch norm.",
        parameters=35_074_488,
        image=288,
        train_image=224,
        current=128,
        list_2025=128,
        cpu=128,
        small={"depths": (1, 1, 2, 1)},
        small_parameters=17_808_696,
    ),
    "repvgg_a2": Model(
        "RepVGG-A2, branches of 3 x 3 and 1 x 1 convolutions that can be merged after training.",
        parameters=28_210_600,
        current=128,
        list_2025=128,
        cpu=128,
    ),
    "swin_base_patch4_window7_224": Model(
        "Swin base, attention within windows that are shifted from layer to layer.",
        parameters=87_768_224,
        current=64,
        list_2025=128,
        cpu=64,
        small={"depths": (2, 2, 4, 1)},
        small_parameters=30_982_560,
        resizable=True,
    ),
    "tf_efficientnet_b0": Model(
        "EfficientNet-B0 with TensorFlow's padding, found by search, scaled by rule.",
        parameters=5_288_548,
        current=128,
        list_2025=128,
        cpu=128,
        descends=True,
    ),
    "visformer_small": Model(
        "Visformer small, convolutions below and attention above.",
        parameters=40_219_592,
        current=128,
        list_2025=128,
        cpu=128,
        small_parameters=39_977_672,
        resizable=True,
    ),
    "vit_base_patch14_dinov2.lvd142m": Model(
        "Vision transformer base of DINOv2 on 1369 patches of 14 pixels, features without classes.",
        parameters=86_579_712,
        image=518,
        current=128,
        cpu=128,
        small={"depth": 3},
        small_parameters=21_735_936,
        resizable=True,
    ),
    "vit_base_patch16_siglip_256": Model(
        "Vision transformer base of SigLIP with attention pooling, features without classes.",
        parameters=92_930_304,
        image=256,
        current=128,
        cpu=128,
        small={"depth": 3},
        small_parameters=28_955_136,
        resizable=True,
    ),
    "botnet26t_256": Model(
        "BoTNet-26, a residual network with attention in its last stages.",
        parameters=12_488_672,
        image=256,
        list_2025=128,
        small_parameters=12_476_384,
        resizable=True,
        descends=True,
    ),
    "cait_m36_384": Model(
        "CaiT-M36, 36 layers of talking heads and two of class attention.",
        parameters=271_221_352,
        image=384,
        list_2025=8,
        small={"depth": 3},
        small_parameters=36_822_856,
        resizable=True,
        descends=True,
    ),
    "coat_lite_mini": Model(
        "CoaT-Lite mini, attention factorised over channels with convolutional positions.",
        parameters=11_011_560,
        list_2025=128,
        resizable=True,
        descends=True,
    ),
    "convit_base": Model(
        "ConViT base, attention that starts out as convolution.",
        parameters=86_540_040,
        list_2025=128,
        small={"depth": 3, "local_up_to_layer": 2},
        small_parameters=22_631_048,
        resizable=True,
        descends=True,
    ),
    "convmixer_768_32": Model(
        "ConvMixer, 32 blocks of one depthwise and one pointwise convolution at one resolution.",
        parameters=21_110_248,
        list_2025=64,
        small={"image": 32},
    ),
    "convnext_base": Model(
        "ConvNeXt base, depthwise convolutions of 7 x 7 with layer norm.",
        parameters=88_591_464,
        image=288,
        train_image=224,
        list_2025=128,
        small={"depths": (2, 2, 4, 1)},
        small_parameters=22_100_328,
    ),
    "crossvit_9_240": Model(
        "CrossViT-9, two transformers on patches of two sizes that exchange class tokens.",
        parameters=8_553_296,
        image=240,
        list_2025=128,
    ),
    "cspdarknet53": Model(
        "CSPDarknet-53, half of the channels pass each stage.",
        parameters=27_642_184,
        image=256,
        list_2025=128,
    ),
    "dla102": Model(
        "DLA-102, layers aggregated in trees.",
        parameters=33_268_888,
        list_2025=128,
    ),
    "dpn107": Model(
        "DPN-107, residual and dense paths side by side.",
        parameters=86_917_800,
        list_2025=64,
        small={"k_sec": (2, 2, 2, 1)},
        small_parameters=17_272_640,
        descends=True,
    ),
    "eca_botnext26ts_256": Model(
        "BoTNeXt-26, grouped bottlenecks with attention and efficient channel attention.",
        parameters=10_593_301,
        image=256,
        list_2025=128,
        small_parameters=10_591_381,
        resizable=True,
    ),
    "eca_halonext26ts": Model(
        "HaloNeXt-26, attention within blocks and the halo around them.",
        parameters=10_756_885,
        image=256,
        list_2025=128,
        small={"image": 256, "batch": 1},
    ),
    "ese_vovnet19b_dw": Model(
        "VoVNet-19b, depthwise convolutions aggregated once per block.",
        parameters=6_543_080,
        image=288,
        train_image=224,
        list_2025=128,
    ),
    "fbnetc_100": Model(
        "FBNet-C, found by search for the latency of a phone.",
        parameters=5_572_200,
        list_2025=128,
    ),
    "fbnetv3_b": Model(
        "FBNet V3-B, network and training found by search together.",
        parameters=8_598_464,
        image=256,
        train_image=224,
        list_2025=128,
        descends=True,
    ),
    "gernet_l": Model(
        "GENet large, found by search for GPUs.",
        parameters=31_078_280,
        image=256,
        list_2025=128,
        descends=True,
    ),
    "gluon_inception_v3": Model(
        "Inception V3 with the weights' configuration of Gluon.",
        parameters=23_834_568,
        image=299,
        list_2025=128,
        small={"image": 96},
        library_name="inception_v3.gluon_in1k",
    ),
    "gluon_xception65": Model(
        "Xception-65, separable convolutions; today's timm has it as xception65.",
        parameters=39_916_312,
        image=299,
        list_2025=64,
        library_name="xception65",
    ),
    "gmixer_24_224": Model(
        "Gated mixer of 24 layers, gates within the perceptrons of an MLP-Mixer.",
        parameters=24_721_096,
        list_2025=128,
        small_parameters=22_228_456,
        resizable=True,
        descends=True,
    ),
    "gmlp_s16_224": Model(
        "gMLP small, perceptrons gated across positions.",
        parameters=19_422_656,
        list_2025=128,
        small_parameters=18_272_456,
        resizable=True,
    ),
    "hrnet_w18": Model(
        "HRNet-W18, branches of four resolutions that exchange maps throughout.",
        parameters=21_299_004,
        list_2025=128,
    ),
    "jx_nest_base": Model(
        "NesT base, attention within blocks that are merged level by level.",
        parameters=67_723_368,
        list_2025=128,
        small_parameters=67_078_248,
        resizable=True,
        library_name="nest_base_jx",
    ),
    "lcnet_050": Model(
        "PP-LCNet of half the width, for CPUs.",
        parameters=1_880_856,
        list_2025=128,
        descends=True,
    ),
    "levit_128": Model(
        "LeViT-128, attention at falling resolution with learnt biases.",
        parameters=9_213_936,
        list_2025=128,
        small_parameters=9_206_736,
        resizable=True,
    ),
    "mixer_b16_224": Model(
        "MLP-Mixer base, perceptrons across positions and across channels in turn.",
        parameters=59_880_472,
        list_2025=128,
        small_parameters=58_219_432,
        resizable=True,
    ),
    "mixnet_l": Model(
        "MixNet large, depthwise convolutions with kernels of several sizes.",
        parameters=7_329_252,
        list_2025=128,
        descends=True,
    ),
    "mnasnet_100": Model(
        "MNASNet, found by search for phones.",
        parameters=4_383_312,
        list_2025=128,
    ),
    "pit_b_224": Model(
        "PiT base, a vision transformer with pooling between its stages.",
        parameters=73_764_840,
        list_2025=128,
        small={"depth": (1, 2, 1)},
        small_parameters=21_557_480,
        resizable=True,
    ),
    "pnasnet5large": Model(
        "PNASNet-5 large, cells found by progressive search.",
        parameters=86_057_668,
        image=331,
        list_2025=32,
    ),
    "poolformer_m36": Model(
        "PoolFormer-M36, pooling in place of attention.",
        parameters=56_172_520,
        list_2025=128,
    ),
    "regnety_002": Model(
        "RegNetY-200MF, group convolutions with squeeze and excitation.",
        parameters=3_162_996,
        list_2025=128,
    ),
    "res2net101_26w_4s": Model(
        "Res2Net-101, scales within each bottleneck.",
        parameters=45_206_688,
        list_2025=128,
        small={"layers": (1, 1, 4, 1)},
        small_parameters=13_230_088,
        descends=True,
    ),
    "res2net50_14w_8s": Model(
        "Res2Net-50, eight scales within each bottleneck.",
        parameters=25_059_816,
        list_2025=128,
        descends=True,
    ),
    "res2next50": Model(
        "Res2NeXt-50, scales and groups within each bottleneck.",
        parameters=24_671_464,
        list_2025=128,
        descends=True,
    ),
    "resmlp_12_224": Model(
        "ResMLP-12, linear layers across patches and perceptrons across channels.",
        parameters=15_350_872,
        list_2025=128,
        small_parameters=14_890_792,
        resizable=True,
    ),
    "resnest101e": Model(
        "ResNeSt-101, attention between the halves of a convolution.",
        parameters=48_275_016,
        image=256,
        list_2025=128,
        small={"layers": (1, 1, 4, 1)},
        small_parameters=14_366_920,
        descends=True,
    ),
    "rexnet_100": Model(
        "ReXNet, channels that grow linearly through inverted residuals.",
        parameters=4_796_873,
        list_2025=128,
    ),
    "sebotnet33ts_256": Model(
        "BoTNet-33 with squeeze and excitation, attention in its last stages.",
        parameters=13_701_984,
        image=256,
        list_2025=128,
        small_parameters=13_686_624,
        resizable=True,
        descends=True,
    ),
    "selecsls42b": Model(
        "SelecSLS-42b, concatenations of selected long and short connections.",
        parameters=32_458_248,
        list_2025=128,
    ),
    "spnasnet_100": Model(
        "Single-path NAS, found by search for the latency of a phone.",
        parameters=4_421_616,
        list_2025=128,
    ),
    "swsl_resnext101_32x16d": Model(
        "ResNeXt-101 32x16d, bottlenecks of 32 wide groups.",
        parameters=194_026_792,
        list_2025=64,
        small={"layers": (1, 1, 2, 1)},
        small_parameters=33_203_496,
        library_name="resnext101_32x16d.fb_swsl_ig1b_ft_in1k",
        descends=True,
    ),
    "tf_mixnet_l": Model(
        "MixNet large with TensorFlow's padding.",
        parameters=7_329_252,
        list_2025=128,
    ),
    "tinynet_a": Model(
        "TinyNet-A, an EfficientNet shrunk in resolution, depth and width.",
        parameters=6_187_972,
        image=192,
        list_2025=128,
        descends=True,
    ),
    "tnt_s_patch16_224": Model(
        "TNT small, a transformer within each patch and one across patches.",
        parameters=23_768_584,
        list_2025=128,
        small_parameters=23_699_464,
        resizable=True,
    ),
    "twins_pcpvt_base": Model(
        "Twins-PCPVT base, attention to pooled keys, positions from convolutions.",
        parameters=43_828_456,
        list_2025=128,
        small={"depths": (1, 1, 4, 1)},
        small_parameters=12_046_568,
    ),
    "vit_base_patch16_224": Model(
        "Vision transformer base, 12 layers on patches of 16 pixels.",
        parameters=86_567_656,
        list_2025=128,
        small={"depth": 3},
        small_parameters=22_638_568,
        resizable=True,
    ),
    "volo_d1_224": Model(
        "VOLO-D1, attention outlooks on neighbours before a transformer.",
        parameters=26_632_040,
        list_2025=128,
        small_parameters=26_562_920,
        resizable=True,
    ),
    "xcit_large_24_p8_224": Model(
        "XCiT large, attention across channels in place of positions, on patches of 8 pixels.",
        parameters=188_932_648,
        list_2025=23,
        small={"depth": 3},
        small_parameters=39_651_544,
    ),
}


def _builder(name: str, row: Model) -> Build:
    def build(request: Request) -> Workload:
        from harness.suites.timm.networks import image_model

        return image_model(row.library_name or name, request, divisor=row.divisor, descends=row.descends)

    build.__doc__ = row.summary
    return build


for _name, _row in MODELS.items():
    benchmark(
        _name,
        category="COMPUTER_VISION",
        domain="CLASSIFICATION",
        sizes=_row.sizes(),
        unsupported=_row.unsupported,
        needs=("timm",),
        parameters=_row.counts(),
        lists=_row.lists,
        answers="classification",
    )(_builder(_name, _row))
