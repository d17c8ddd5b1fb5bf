"""Recommenders: DLRM and NVIDIA's deep autoencoder."""

from __future__ import annotations

from harness.benchmark import Request, Workload, benchmark


@benchmark(
    "dlrm",
    category="RECOMMENDATION",
    domain="RECOMMENDATION",
    sizes={
        "small": {
            "batch": 256,
            "train_batch": 256,
            "iterations": 1,
            "dense": 128,
            "bottom": (128, 64, 32),
            "tables": (10_000,) * 8,
            "lookups": (20,) * 8,
            "top": (256, 256, 128, 1),
        },
        # The total of lookups per table (6, 6 and 4 for the two items) is that of V1's seeded batch.
        "v1": {
            "batch": 2,
            "train_batch": 2,
            "iterations": 1,
            "dense": 4,
            "bottom": (3, 2),
            "tables": (4, 3, 2),
            "lookups": (3, 3, 2),
            "top": (4, 2, 1),
        },
        # Today's TorchBench has the size of the paper.
        "current": {
            "batch": 2048,
            "train_batch": 2048,
            "iterations": 1,
            "dense": 512,
            "bottom": (512, 64),
            "tables": (1_000_000,) * 8,
            "lookups": (100,) * 8,
            "top": (1024, 1024, 1024, 1),
        },
    },
    # Bottom MLP, tables and top MLP; the top one reads the bottom vector and a product for each pair of vectors.
    parameters={
        "small": (128 * 128 + 128 + 128 * 64 + 64 + 64 * 32 + 32)
        + 8 * 10_000 * 32
        + ((32 + 36) * 256 + 256 + 256 * 256 + 256 + 256 * 128 + 128 + 128 + 1),
        "v1": (4 * 3 + 3 + 3 * 2 + 2) + (4 + 3 + 2) * 2 + ((2 + 6) * 4 + 4 + 4 * 2 + 2 + 2 + 1),
        "current": (512 * 512 + 512 + 512 * 64 + 64)
        + 8 * 1_000_000 * 64
        + ((64 + 36) * 1024 + 1024 + 2 * (1024 * 1024 + 1024) + 1024 + 1),
    },
)
def dlrm(request: Request) -> Workload:
    """Deep learning recommendation model: embedding bags, dot interaction, two MLPs; SGD and MSE."""
    from harness.suites.torchbench.networks import recommendation

    return recommendation.dlrm(request)


@benchmark(
    "nvidia_deeprecommender",
    category="RECOMMENDATION",
    domain="RECOMMENDATION",
    sizes={
        "small": {"batch": 1, "train_batch": 8, "iterations": 1, "items": 4_000, "layers": (256, 256, 512)},
        "v1": {"batch": 1, "train_batch": 128, "iterations": 1, "items": 15_178, "layers": (512, 512, 1024)},
        "current": {"batch": 256, "train_batch": 256, "iterations": 1, "items": 197_951, "layers": (512, 512, 1024)},
    },
    # Weights of encoder and decoder, and the biases of both.
    parameters={
        size: 2 * (items * first + first * second + second * third) + 2 * (first + second) + third + items
        for size, items, first, second, third in (
            ("small", 4_000, 256, 256, 512),
            ("v1", 15_178, 512, 512, 1024),
            ("current", 197_951, 512, 512, 1024),
        )
    },
)
def nvidia_deeprecommender(request: Request) -> Workload:
    """Deep autoencoder that fills in missing ratings; SGD with momentum and MSE over the known ratings."""
    from harness.suites.torchbench.networks import recommendation

    return recommendation.deeprecommender(request)
