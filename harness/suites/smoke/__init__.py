"""The suite `smoke`: eight real models across domains whose step takes 1 to 100 ms on one CPU core.

It is what `make run` measures and what a newcomer sees first: small enough for minutes on a laptop, varied enough
(vision, language, recommendation, reinforcement learning; bound by compute, by memory or by overhead) that a verdict
means something. Names, tasks, losses and optimizers are those of TorchBench V1, so a run of it can be scored with V1's
weights.

Sizes: `small` is the one the promise above holds for; `v1` has the shapes of TorchBench V1 and no bound on its time.
`batch` and `train_batch` count the items of a step, `image` is the height and width in pixels, `sequence` the length in
tokens. Weights and inputs are random, made from the request's seed on the CPU and then moved to the device, so that
they are the same on every device and in every launch. A train step is one iteration that clears its gradients first;
V1's torchvision and transformers models did three iterations, the latter without clearing.

Only descriptions live here, without torch: the networks are those of the suite `torchbench`, in sizes of their own.
"""

from __future__ import annotations

from typing import Any

from harness.benchmark import Request, Workload, benchmark


def _images(pixels: int, batch: int, train_batch: int, v1_train_batch: int = 32) -> dict[str, dict[str, Any]]:
    return {
        "small": {"batch": batch, "train_batch": train_batch, "image": pixels},
        "v1": {"batch": 1, "train_batch": v1_train_batch, "image": 224},
    }


@benchmark(
    "resnet18",
    category="COMPUTER_VISION",
    domain="CLASSIFICATION",
    answers="classification",
    sizes=_images(pixels=64, batch=4, train_batch=1),
    needs=("torchvision",),
)
def resnet18(request: Request) -> Workload:
    """Residual network of torchvision, 18 layers, 1000 classes; Adam and cross entropy."""
    from harness.suites.torchbench.networks.torchvision_models import torchvision_classifier

    return torchvision_classifier("resnet18", request)


@benchmark(
    "squeezenet1_1",
    category="COMPUTER_VISION",
    domain="CLASSIFICATION",
    answers="classification",
    sizes=_images(pixels=128, batch=2, train_batch=2),
    needs=("torchvision",),
)
def squeezenet1_1(request: Request) -> Workload:
    """SqueezeNet 1.1 of torchvision, few parameters, 1000 classes; Adam and cross entropy."""
    from harness.suites.torchbench.networks.torchvision_models import torchvision_classifier

    return torchvision_classifier("squeezenet1_1", request)


@benchmark(
    "mobilenet_v3_large",
    category="COMPUTER_VISION",
    domain="CLASSIFICATION",
    answers="classification",
    sizes=_images(pixels=64, batch=4, train_batch=2),
    needs=("torchvision",),
)
def mobilenet_v3_large(request: Request) -> Workload:
    """MobileNet V3 large of torchvision, depthwise convolutions, 1000 classes; Adam and cross entropy."""
    from harness.suites.torchbench.networks.torchvision_models import torchvision_classifier

    return torchvision_classifier("mobilenet_v3_large", request)


@benchmark(
    "timm_regnet",
    category="COMPUTER_VISION",
    domain="CLASSIFICATION",
    answers="classification",
    sizes=_images(pixels=96, batch=2, train_batch=2, v1_train_batch=64),
    needs=("timm",),
)
def timm_regnet(request: Request) -> Workload:
    """RegNetY-200MF of timm (regnety_002), group convolutions with squeeze and excitation; SGD and cross entropy."""
    from harness.suites.torchbench.networks.timm_models import timm_classifier

    return timm_classifier("regnety_002", request)


@benchmark(
    "hf_Bert",
    category="NLP",
    domain="LANGUAGE_MODELING",
    sizes={
        "small": {
            "batch": 1,
            "train_batch": 1,
            "sequence": 64,
            "layers": 4,
            "hidden": 256,
            "heads": 4,
            "feed_forward": 1024,
            "vocabulary": 8192,
        },
        "v1": {
            "batch": 1,
            "train_batch": 4,
            "sequence": 512,
            "layers": 12,
            "hidden": 768,
            "heads": 12,
            "feed_forward": 3072,
            "vocabulary": 30522,
        },
    },
    unsupported={"jit": "torch.jit.trace cannot return the dictionary that transformers models return"},
    needs=("transformers.models.bert.modeling_bert",),
)
def hf_bert(request: Request) -> Workload:
    """BERT of transformers for masked language modelling, from a configuration; Adam and the model's own loss."""
    from harness.suites.torchbench.networks.transformers_models import language_model

    return language_model("bert", request)


@benchmark(
    "dlrm",
    category="RECOMMENDATION",
    domain="RECOMMENDATION",
    sizes={
        "small": {
            "batch": 512,
            "dense": 128,
            "bottom": (128, 64, 32),
            "tables": (10_000,) * 8,
            "lookups": (20,) * 8,
            "top": (256, 256, 128, 1),
        },
        # The total of lookups per table (6, 6 and 4 for the two items) is that of V1's seeded batch.
        "v1": {
            "batch": 2,
            "dense": 4,
            "bottom": (3, 2),
            "tables": (4, 3, 2),
            "lookups": (3, 3, 2),
            "top": (4, 2, 1),
        },
    },
)
def dlrm(request: Request) -> Workload:
    """Deep learning recommendation model: embedding bags, dot interaction, two MLPs; SGD and MSE."""
    from harness.suites.torchbench.networks import recommendation

    return recommendation.dlrm(request)


@benchmark(
    "LearningToPaint",
    category="REINFORCEMENT_LEARNING",
    domain="OTHER_RL",
    sizes={"small": {"batch": 8, "linear": (256, 512, 1024)}, "v1": {"batch": 64, "linear": (512, 1024, 2048)}},
)
def learning_to_paint(request: Request) -> Workload:
    """Renderer of LearningToPaint: stroke parameters to a 128 x 128 canvas; Adam and MSE."""
    from harness.suites.torchbench.networks import painting

    return painting.renderer(request)


@benchmark(
    "nvidia_deeprecommender",
    category="RECOMMENDATION",
    domain="RECOMMENDATION",
    sizes={
        "small": {"batch": 1, "train_batch": 8, "items": 10_000, "layers": (512, 512, 1024)},
        "v1": {"batch": 1, "train_batch": 128, "items": 15178, "layers": (512, 512, 1024)},
    },
)
def nvidia_deeprecommender(request: Request) -> Workload:
    """Deep autoencoder that fills in missing ratings; SGD with momentum and MSE over the known ratings."""
    from harness.suites.torchbench.networks import recommendation

    return recommendation.deeprecommender(request)
