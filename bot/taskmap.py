"""The frozen task map of TorchBench score V1: category and domain of its 51 models.

Promises never to change: V1's weights follow from it. The original imports every model to ask for its task, and later
versions moved some models, so importing would change old scores. Some entries are nominal (yolov3 under SEGMENTATION,
timm_vovnet under DETECTION, timm_vision_transformer under GENERATION); they are kept, for they are what the published
scores were made with.

Source: `Model.task` of torchbenchmark/models/* on the v1.0 branch of pytorch/benchmark; a category is the enumeration
of torchbenchmark/tasks.py that the task belongs to, a domain its member.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Task(NamedTuple):
    """What a model is for; equal to the plain pair `(category, domain)`."""

    category: str
    domain: str


_MODELS_BY_TASK: dict[Task, tuple[str, ...]] = {
    Task("COMPUTER_VISION", "CLASSIFICATION"): (
        "alexnet",
        "densenet121",
        "mnasnet1_0",
        "mobilenet_v2",
        "mobilenet_v2_quantized_qat",
        "mobilenet_v3_large",
        "resnet18",
        "resnet50",
        "resnet50_quantized_qat",
        "resnext50_32x4d",
        "shufflenet_v2_x1_0",
        "squeezenet1_1",
        "timm_efficientnet",
        "timm_nfnet",
        "timm_regnet",
        "timm_resnest",
        "vgg16",
    ),
    Task("COMPUTER_VISION", "DETECTION"): ("timm_vovnet",),
    Task("COMPUTER_VISION", "GENERATION"): (
        "pytorch_CycleGAN_and_pix2pix",
        "pytorch_stargan",
        "timm_vision_transformer",
    ),
    Task("COMPUTER_VISION", "OTHER_COMPUTER_VISION"): ("Background_Matting", "Super_SloMo"),
    Task("COMPUTER_VISION", "SEGMENTATION"): ("yolov3",),
    Task("NLP", "LANGUAGE_MODELING"): (
        "BERT_pytorch",
        "hf_Albert",
        "hf_Bart",
        "hf_Bert",
        "hf_BigBird",
        "hf_DistilBert",
        "hf_GPT2",
        "hf_Longformer",
        "hf_Reformer",
        "hf_T5",
    ),
    Task("NLP", "OTHER_NLP"): ("fastNLP",),
    Task("NLP", "TRANSLATION"): ("attention_is_all_you_need_pytorch",),
    Task("OTHER", "OTHER_TASKS"): (
        "demucs",
        "maml",
        "maml_omniglot",
        "moco",
        "opacus_cifar10",
        "pyhpc_equation_of_state",
        "pyhpc_isoneutral_mixing",
        "pytorch_struct",
    ),
    Task("RECOMMENDATION", "RECOMMENDATION"): ("dlrm", "nvidia_deeprecommender"),
    Task("REINFORCEMENT_LEARNING", "OTHER_RL"): ("LearningToPaint", "drq", "soft_actor_critic"),
    Task("SPEECH", "RECOGNITION"): ("speech_transformer",),
    Task("SPEECH", "SYNTHESIS"): ("tts_angular",),
}

TASKS: Mapping[str, Task] = MappingProxyType(
    {model: task for task, models in _MODELS_BY_TASK.items() for model in models}
)
"""Model name -> its task, for all 51 models of the published reference."""

UNLISTED: frozenset[str] = frozenset({"Super_SloMo", "hf_Bart", "hf_Reformer", "mobilenet_v2_quantized_qat"})
"""The four models that the reference has beyond the 47 that V1's description names."""
