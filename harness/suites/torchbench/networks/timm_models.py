"""Image classifiers of timm, with random weights, and the step that V1 gave them."""

from __future__ import annotations

import timm
import torch

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.classification import CLASSES, arguments, classification


def timm_classifier(name: str, request: Request) -> Workload:
    """The timm network `name`: images [batch, 3, image, image] to scores [batch, 1000].

    Trained by SGD with lr 1e-4, momentum 0.9 and weight decay 1e-4. Raises RuntimeError when this timm has no such
    network.
    """
    torch.manual_seed(request.seed)
    network = timm.create_model(name, pretrained=False, num_classes=CLASSES, **arguments(request.size))
    workload = classification(network, request)
    if request.training:
        workload.optimizer = torch.optim.SGD(workload.model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    return workload
