"""The suite `huggingface`: the language models of the TorchDynamo benchmark's lists, by transformers, random weights.

It holds every model of the list of today (`current`, 40 with Reformer), of the one before October 2025 (`2025`, 55) and
five of older ones (`earlier`). Three sizes: `current` with the batch sizes of the lists, for GPUs; `cpu` with those of
the harness's file for CPUs, where that has the model; `small`, the same class of network shrunk until a step takes well
under a second on one core. A step is the harness's: docs/compilers.md says where it is not.
"""

from harness.suites.huggingface import models  # noqa: F401  (importing it registers the models)
