"""The suite `convnet`: the eleven convolutional networks by which CPU vendors have long compared PyTorch builds.

Training and inference with random weights, in three sizes: `full` with that benchmark's batches and images, `single`
the same images one at a time, `small` cut down so that a step takes well under a second on one core. What its own
script does otherwise is in docs/arm-and-convnet.md.
"""

from harness.suites.convnet import models  # noqa: F401  (importing it registers the models)
