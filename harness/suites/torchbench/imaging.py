"""Images to images, and objects in them: matting, translation, frames between frames, and a detector.

`parameters` are those of eval, which runs the generator only; training has discriminators, teachers and features too.
"""

from __future__ import annotations

from harness.benchmark import Request, Workload, benchmark

WHY_NO_SECOND_DERIVATIVES = "torch.compile does not support the second derivatives of a compiled network"


@benchmark(
    "Background_Matting",
    category="COMPUTER_VISION",
    domain="OTHER_COMPUTER_VISION",
    sizes={
        "small": {"batch": 1, "train_batch": 1, "iterations": 1, "image": 64, "filters": 16, "shared": 2, "own": 1},
        "v1": {"batch": 1, "train_batch": 1, "iterations": 2, "image": 512, "filters": 64, "shared": 7, "own": 3},
        "current": {"batch": 1, "train_batch": 4, "iterations": 1, "image": 512, "filters": 64, "shared": 7, "own": 3},
    },
    parameters={"small": 466_228, "v1": 17_908_420, "current": 17_908_420},
)
def background_matting(request: Request) -> Workload:
    """Alpha and foreground from an image and its background, taught by a frozen network and a discriminator; Adam."""
    from harness.suites.torchbench.networks import background_matting

    return background_matting.background_matting(request)


@benchmark(
    "pytorch_CycleGAN_and_pix2pix",
    category="COMPUTER_VISION",
    domain="GENERATION",
    # V1's call trains for six epochs of ten pairs of images.
    sizes={
        size: {
            "batch": 1,
            "iterations": iterations,
            "image": image,
            "generator_filters": filters,
            "blocks": blocks,
            "discriminator_filters": filters,
        }
        for size, iterations, image, filters, blocks in (
            ("small", 1, 64, 16, 3),
            ("v1", 60, 256, 64, 9),
            ("current", 1, 256, 64, 9),
        )
    },
    parameters={"small": 272_515, "v1": 11_378_179, "current": 11_378_179},
)
def cyclegan(request: Request) -> Workload:
    """CycleGAN, two generators and two patch discriminators with pools of images; Adam, least squares and L1."""
    from harness.suites.torchbench.networks import cyclegan

    return cyclegan.translators(request)


@benchmark(
    "pytorch_stargan",
    category="COMPUTER_VISION",
    domain="GENERATION",
    sizes={
        "small": {"batch": 2, "iterations": 1, "image": 64, "filters": 8, "blocks": 2, "depth": 5, "labels": 5},
        "v1": {"batch": 17, "iterations": 1, "image": 128, "filters": 64, "blocks": 6, "depth": 6, "labels": 5},
        "current": {"batch": 16, "iterations": 1, "image": 128, "filters": 64, "blocks": 6, "depth": 6, "labels": 5},
    },
    unsupported={"train-inductor": WHY_NO_SECOND_DERIVATIVES},
    parameters={"small": 62_072, "v1": 8_430_528, "current": 8_430_528},
)
def stargan(request: Request) -> Workload:
    """StarGAN, a generator for five attributes and a Wasserstein discriminator with a gradient penalty; Adam."""
    from harness.suites.torchbench.networks import stargan

    return stargan.face_changer(request)


@benchmark(
    "Super_SloMo",
    category="COMPUTER_VISION",
    domain="OTHER_COMPUTER_VISION",
    sizes={
        size: {
            "batch": batch,
            "train_batch": train_batch,
            "iterations": 1,
            "image": image,
            "widths": tuple(width // narrower for width in (32, 64, 128, 256, 512)),
            "kernels": (7, 5, 3, 3, 3, 3),
            "perception": tuple(
                layer if layer == "M" else layer // narrower
                for layer in (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512)
            ),
        }
        for size, batch, train_batch, image, narrower in (
            ("small", 1, 1, 64, 4),
            ("v1", 6, 6, 352, 1),
            ("current", 10, 6, 352, 1),
        )
    },
    needs=("torchvision",),
    parameters={"small": 2_485_665, "v1": 39_610_473, "current": 39_610_473},
)
def super_slomo(request: Request) -> Workload:
    """Super SloMo, two U-nets that warp frames to a time between them by optical flow; Adam, L1, perceptual loss."""
    from harness.suites.torchbench.networks import super_slomo

    return super_slomo.slow_motion(request)


# `candidates`: how many boxes of the (first) image are good enough for suppression to look at.
@benchmark(
    "yolov3",
    category="COMPUTER_VISION",
    domain="SEGMENTATION",
    sizes={
        "small": {
            "batch": 1,
            "train_batch": 1,
            "iterations": 1,
            "image": (96, 128),
            "train_image": (96, 96),
            "width": 8,
            "repeats": (1, 1, 2, 2, 1),
            "candidates": 40,
        },
        "v1": {
            "batch": 1,
            "train_batch": 8,
            "iterations": 4,
            "image": (384, 512),
            "train_image": (416, 416),
            "width": 32,
            "repeats": (1, 2, 8, 8, 4),
            "candidates": 100,
        },
        "current": {
            "batch": 8,
            "train_batch": 16,
            "iterations": 1,
            "image": (384, 512),
            "train_image": (416, 416),
            "width": 32,
            "repeats": (1, 2, 8, 8, 4),
            "candidates": 100,
        },
    },
    needs=("torchvision",),
    parameters={"small": 2_425_621, "v1": 62_998_749, "current": 62_998_749},
)
def yolov3(request: Request) -> Workload:
    """YOLOv3 with pyramid pooling, boxes after non-maximum suppression; SGD, generalised IoU, averaged weights."""
    from harness.suites.torchbench.networks import yolov3

    return yolov3.detector(request)
