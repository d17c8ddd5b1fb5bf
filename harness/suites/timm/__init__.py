"""The suite `timm`: the image models of the TorchDynamo benchmark's lists, built by timm with random weights.

It holds every model of the list of today (`current`, 18 models) and of the one before October 2025 (`2025`, 62).
Three sizes: `current` with the batch sizes of the lists, for GPUs; `cpu` with those of the harness's file for CPUs,
where that has the model; `small` on images of 64 pixels where the network allows it, and with fewer layers where it is
large, so that a step takes well under a second on one core. A step is the harness's: docs/compilers.md says where it is
not.
"""

from harness.suites.timm import models  # noqa: F401  (importing it registers the models)
