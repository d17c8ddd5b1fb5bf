"""Ways of learning: to learn quickly (MAML), without labels (MoCo), and without giving the data away (Opacus)."""

from __future__ import annotations

from harness.benchmark import Request, Workload, benchmark

# V1's 32 tasks serve both, and today too: the batch sizes given now, 1 and 5, are those of eval.
TASKS = {"small": 2, "v1": 32, "current": 32}

WHY_NOT_TRACED = "torch.func.functional_call refuses modules under torch.jit"


@benchmark(
    "maml",
    category="OTHER",
    domain="OTHER_TASKS",
    sizes={
        size: {
            "batch": 1,
            "train_batch": tasks,
            "iterations": 1,
            "image": 28,
            "ways": 5,
            "shots": 1,
            "queries": queries,
            "filters": filters,
        }
        for (size, tasks), queries, filters in zip(TASKS.items(), (15, 75, 75), (32, 64, 64), strict=True)
    },
    unsupported={"jit": WHY_NOT_TRACED},
    parameters={"small": 23_365, "v1": 91_781, "current": 91_781},
)
def maml(request: Request) -> Workload:
    """Model-agnostic meta-learning, first order: five inner steps by hand for each task, then Adam; cross entropy."""
    from harness.suites.torchbench.networks import maml

    return maml.first_order(request)


@benchmark(
    "maml_omniglot",
    category="OTHER",
    domain="OTHER_TASKS",
    sizes={
        size: {
            "batch": 5,
            "train_batch": tasks,
            "iterations": iterations,
            "image": 28,
            "ways": 5,
            "shots": 1,
            "queries": queries,
            "filters": filters,
        }
        for (size, tasks), iterations, queries, filters in zip(
            TASKS.items(), (1, 3, 1), (15, 75, 75), (16, 64, 64), strict=True
        )
    },
    unsupported={
        "train-jit": WHY_NOT_TRACED,
        "train-inductor": "torch.compile does not support the second derivatives of a compiled network",
    },
    parameters={"small": 4_981, "v1": 75_205, "current": 75_205},
)
def maml_omniglot(request: Request) -> Workload:
    """Model-agnostic meta-learning, second order: gradients through five inner steps of SGD; Adam, cross entropy."""
    from harness.suites.torchbench.networks import maml

    return maml.second_order(request)


@benchmark(
    "moco",
    category="OTHER",
    domain="OTHER_TASKS",
    sizes={
        "small": {"batch": 4, "iterations": 1, "batches": 1, "image": 64, "width_per_group": 16, "queue": 1024},
        "v1": {"batch": 32, "iterations": 2, "batches": 2, "image": 224, "width_per_group": 64, "queue": 32_000},
        "current": {"batch": 32, "iterations": 1, "batches": 1, "image": 224, "width_per_group": 64, "queue": 32_000},
    },
    needs=("torchvision",),
    # Both encoders: 2 * (25,557,032 - 1000 * 2049 + 128 * 2049) in the full size.
    parameters={"small": 12_259_072, "v1": 47_540_608, "current": 47_540_608},
)
def moco(request: Request) -> Workload:
    """Momentum contrast: two ResNet-50, the second following the first, a queue of keys; SGD and cross entropy."""
    from harness.suites.torchbench.networks import moco

    return moco.momentum_contrast(request)


@benchmark(
    "opacus_cifar10",
    category="OTHER",
    domain="OTHER_TASKS",
    sizes={
        "small": {"batch": 4, "train_batch": 2, "iterations": 1, "image": 32, "layers": (1, 1, 1, 1)},
        "v1": {"batch": 64, "train_batch": 64, "iterations": 1, "image": 32, "layers": (2, 2, 2, 2)},
        "current": {"batch": 64, "train_batch": 64, "iterations": 1, "image": 32, "layers": (2, 2, 2, 2)},
    },
    unsupported={
        "train-jit": "torch.jit.trace refuses modules with backward hooks, by which Opacus takes gradients per image",
        "train-inductor": "Opacus' hooks break the graph at every layer, and most of it falls back to eager",
    },
    needs=("torchvision", "opacus"),
    # The full one is torchvision's with a layer for 10 classes: 11,689,512 - 990 * 513.
    parameters={"small": 4_910_922, "v1": 11_181_642, "current": 11_181_642},
)
def opacus_cifar10(request: Request) -> Workload:
    """ResNet-18 with group norms, trained with differential privacy by Opacus: Adam on clipped, noisy gradients."""
    from harness.suites.torchbench.networks import private

    return private.private_resnet(request)
