"""The suite `torchbench`: the 51 models that TorchBench score V1 weighs, offline, with random weights.

Names, tasks, losses and optimizers are V1's. Every model has three sizes: `v1` with the shapes of V1, `current` with
the batch sizes of today's TorchBench (for GPUs), and `small`, the same class of network shrunk until a step takes well
under a second on one core. What V1 did wrong is done right here, and as V1 did it under `--compat v1` where that
changes the timing: docs/torchbench.md has a row for each model.

One module per family holds its descriptions, without torch; the networks that no library has are in `networks/`.
"""

from harness.suites.torchbench import (  # noqa: F401  (importing a family registers it)
    classification,
    control,
    imaging,
    language,
    learning,
    physics,
    recommendation,
    speech,
)
