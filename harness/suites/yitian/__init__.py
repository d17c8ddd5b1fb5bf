"""The suite `yitian`: four networks in inference, by which torch is judged on ARM servers.

ResNet-50, SSD, Mask R-CNN and BERT for question answering, with random weights. Sizes: `full` is one image or text,
which is what a latency is; `full_batch` several of them; `small` and `small_batch` the same cut down so that a step
takes well under a second on one core. docs/arm-and-convnet.md says what stands behind the numbers.
"""

from harness.suites.yitian import models  # noqa: F401  (importing it registers the models)
