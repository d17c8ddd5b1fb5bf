"""Image classifiers of torchvision, quantized by torch.ao in FX graph mode with quantization-aware training.

Training runs the prepared network: floating point with fake quantization of weights and activations, whose ranges it
observes. Eval runs what is converted from it: int8 kernels, which exist for CPUs only. Ranges and scheme are the
defaults of the quantization engine in use (x86 on x86; V1's fbgemm has the same scheme there).
"""

from __future__ import annotations

import torch
import torchvision
from torch.ao.quantization import get_default_qat_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_qat_fx

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.classification import (
    arguments,
    classification,
    cross_entropy_with_new_classes,
    images,
)
from harness.suites.torchbench.networks.torchvision_models import adam


def quantized_classifier(name: str, request: Request) -> Workload:
    """The torchvision network `name`, quantized: images [batch, 3, image, image] to scores [batch, 1000].

    Trained by `adam` in the prepared form, towards other random classes in every step. The prepared network
    has the parameters of the original; the converted one holds its weights as packed integers and has none.
    """
    torch.manual_seed(request.seed)
    network = getattr(torchvision.models, name)(**arguments(request.size)).train()
    mapping = get_default_qat_qconfig_mapping(torch.backends.quantized.engine)
    workload = classification(prepare_qat_fx(network, mapping, example_inputs=(images(request),)), request)
    workload.loss = cross_entropy_with_new_classes
    if request.training:
        workload.optimizer = adam(workload.model, request)
    else:
        # Ranges that nobody observed would make every output zero. Observed in training mode: an untrained network's
        # running statistics do not fit its activations yet.
        with torch.no_grad():
            workload.model.train()(*workload.inputs)
        workload.model = convert_fx(workload.model.eval())
    return workload
