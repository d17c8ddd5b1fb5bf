"""Image classifiers of torchvision and timm on random images and random classes.

The networks are the libraries' own, with random weights; what is decided here is the step: V1's optimizer and cross
entropy.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional

from harness.benchmark import Request, Workload

CLASSES = 1000


def torchvision_classifier(name: str, request: Request) -> Workload:
    """The torchvision network `name`: images [batch, 3, image, image] to scores [batch, 1000].

    Trained by Adam, lr 1e-3. Raises AttributeError when this torchvision has no such network.
    """
    import torchvision

    torch.manual_seed(request.seed)
    network = getattr(torchvision.models, name)()
    workload = _classification(network, request)
    if request.training:
        workload.optimizer = torch.optim.Adam(workload.model.parameters(), lr=1e-3)
    return workload


def timm_classifier(name: str, request: Request) -> Workload:
    """The timm network `name`: images [batch, 3, image, image] to scores [batch, 1000].

    Trained by SGD with lr 1e-4, momentum 0.9 and weight decay 1e-4. Raises RuntimeError when this timm has no such
    network.
    """
    import timm

    torch.manual_seed(request.seed)
    network = timm.create_model(name, pretrained=False, num_classes=CLASSES)
    workload = _classification(network, request)
    if request.training:
        workload.optimizer = torch.optim.SGD(workload.model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    return workload


def _classification(network: nn.Module, request: Request) -> Workload:
    batch, pixels = request.batch, int(request.size["image"])
    images = torch.randn(batch, 3, pixels, pixels).to(request.device)
    classes = torch.randint(CLASSES, (batch,)).to(request.device)
    return Workload(
        model=network.to(request.device).train(request.training),
        inputs=(images,),
        items=batch,
        loss=partial(functional.cross_entropy, target=classes),
    )
