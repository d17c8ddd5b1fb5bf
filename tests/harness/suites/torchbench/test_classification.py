import copy
import importlib
import math
import pathlib
import subprocess
import sys

import pytest

import harness
from bot.taskmap import TASKS
from harness import facts
from harness.benchmark import load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of
from tests.workloads import build

torch = pytest.importorskip("torch")
for library in ("torchvision", "timm"):
    pytest.importorskip(library)

classification = importlib.import_module("harness.suites.torchbench.classification")
torchvision_models = importlib.import_module("harness.suites.torchbench.networks.torchvision_models")
quantized = importlib.import_module("harness.suites.torchbench.networks.quantized")
shared = importlib.import_module("harness.suites.torchbench.networks.classification")

SUITE = load("torchbench")
NAMES = (*classification.TORCHVISION, *classification.QUANTIZED, *classification.TIMM)
ROOT = pathlib.Path(harness.__file__).resolve().parents[1]

# As published, in millions: what the facts of V1 give for each network.
PUBLISHED = {
    "alexnet": 61.1,
    "densenet121": 7.98,
    "mnasnet1_0": 4.38,
    "mobilenet_v2": 3.50,
    "mobilenet_v2_quantized_qat": 3.50,
    "mobilenet_v3_large": 5.48,
    "resnet18": 11.69,
    "resnet50": 25.56,
    "resnet50_quantized_qat": 25.56,
    "resnext50_32x4d": 25.03,
    "shufflenet_v2_x1_0": 2.28,
    "squeezenet1_1": 1.24,
    "vgg16": 138.4,
    "timm_efficientnet": 5.0,
    "timm_nfnet": 71.5,
    "timm_regnet": 3.2,
    "timm_resnest": 10.6,
    "timm_vision_transformer": 48.8,
    "timm_vovnet": 22.6,
}


def batch_norms(model):
    return [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]


def test_the_family_is_these_nineteen_with_tasks_and_summaries_of_their_own():
    assert set(NAMES) == set(PUBLISHED)
    for name in NAMES:
        description = SUITE[name].description
        assert (description.category, description.domain) == TASKS[name]
    assert len({SUITE[name].description.summary for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_sizes_have_the_same_keys_and_the_batches_of_their_library(name):
    sizes = SUITE[name].description.sizes
    assert sizes["small"].keys() == sizes["v1"].keys() == sizes["current"].keys()
    v1 = sizes["v1"]
    ours = ("batch", "train_batch", "iterations", "image")
    of_library = (1, 64, 1, 192 if name == "timm_nfnet" else 224) if name.startswith("timm_") else (1, 32, 3, 224)
    assert tuple(v1[key] for key in ours) == of_library
    assert sizes["current"]["iterations"] == sizes["small"]["iterations"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_network_of_v1_has_the_published_number_of_parameters(name):
    with torch.device("meta"):
        workload, _ = build(name, "train", size="v1", device="meta")
    count = facts.parameters(workload.networks())
    assert count == SUITE[name].description.parameters["v1"]
    digits = len(str(PUBLISHED[name]).partition(".")[2])
    assert round(count / 1e6, digits) == PUBLISHED[name]


def test_a_network_made_narrower_has_the_parameters_of_the_hand_count():
    # Convolutions of AlexNet: 3 -> 64 (11 x 11), 64 -> 192 (5 x 5), 192 -> 384 -> 256 -> 256 (3 x 3).
    convolutions = (363 + 1) * 64 + (1600 + 1) * 192 + (1728 + 1) * 384 + (3456 + 1) * 256 + (2304 + 1) * 256
    for size, hidden, pooled in (("v1", 4096, 6), ("small", 1024, 1)):
        with torch.device("meta"):
            workload, request = build("alexnet", "eval", size=size, device="meta")
        assert (request.size["hidden"], request.size["pooled"]) == (hidden, pooled)
        linear = (256 * pooled**2 + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * 1000
        assert facts.parameters(workload.networks()) == convolutions + linear


def test_the_vision_transformer_has_the_parameters_of_the_hand_count():
    def by_hand(image, width, depth, ratio=3, patch=16):
        tokens = (image // patch) ** 2 + 1
        norms, attention = 4 * width, 3 * width**2 + width**2 + width
        feed_forward = 2 * ratio * width**2 + ratio * width + width
        embedding = 3 * patch**2 * width + width + width + tokens * width
        return embedding + depth * (norms + attention + feed_forward) + 2 * width + 1000 * (width + 1)

    description = SUITE["timm_vision_transformer"].description
    assert by_hand(224, 768, 8) == description.parameters["v1"]
    assert by_hand(64, 256, 4) == description.parameters["small"]
    workload, _ = build("timm_vision_transformer", "eval")
    assert facts.parameters(workload.networks()) == description.parameters["small"]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_qat")])
def test_scores_are_per_image_and_class_and_reach_every_parameter(name):
    workload, request = build(name, "train", batch=2, train_batch=2)
    before = [value.detach().clone() for value in workload.model.parameters()]
    assert workload.model(*workload.inputs).shape == (2, 1000)
    for _ in range(2):
        loss = step_of(workload, request)(CpuClock())
    # Random scores over 1000 classes.
    assert 5.0 < loss.item() < 25.0
    values = list(workload.model.parameters())
    assert all(value.grad is not None for value in values)
    if name.startswith("timm_"):
        # At a rate of 1e-4 many a change is lost in rounding, and branches that start at zero pass no gradient yet.
        assert sum(not torch.equal(*pair) for pair in zip(values, before, strict=True)) > len(values) / 3
    else:
        assert not any(torch.equal(*pair) for pair in zip(values, before, strict=True))


def test_a_seed_draws_the_same_classes_and_another_call_others():
    scores = torch.randn(64, 1000)
    torch.manual_seed(3)
    first, second = (shared.cross_entropy_with_new_classes(scores).item() for _ in range(2))
    torch.manual_seed(3)
    again = shared.cross_entropy_with_new_classes(scores).item()
    torch.manual_seed(3)
    classes = torch.randint(1000, (64,))
    by_hand = (scores.exp().sum(1).log() - scores[torch.arange(64), classes]).mean().item()
    assert first == again != second
    assert first == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_large"])
def test_eval_normalises_with_running_statistics_and_in_v1_with_those_of_the_batch(name):
    for compat, training in ((None, False), ("v1", True)):
        workload, request = build(name, "eval", compat=compat)
        before = [norm.running_mean.clone() for norm in batch_norms(workload.model)]
        step_of(workload, request)(CpuClock())
        after = [norm.running_mean for norm in batch_norms(workload.model)]
        assert all(module.training is training for module in workload.model.modules())
        assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True)) is training


def test_jit_evaluates_in_eval_mode_even_as_v1():
    outputs = []
    for compat in (None, "v1"):
        workload, request = build("squeezenet1_1", "eval", compat=compat)
        prepared = MODES["jit"].prepare(workload, request)
        outputs.append(step_of(prepared, request)(CpuClock()))
    assert torch.equal(*outputs)


def test_timm_evaluates_in_eval_mode_even_as_v1():
    workload, _ = build("timm_regnet", "eval", compat="v1")
    assert not any(module.training for module in workload.model.modules())


def test_v1_makes_its_optimizer_in_every_call_of_three_steps(monkeypatch):
    made = []

    class Counted(torch.optim.Adam):
        def __init__(self, *arguments, **keywords):
            made.append(self)
            super().__init__(*arguments, **keywords)

    monkeypatch.setattr(torch.optim, "Adam", Counted)
    for compat, expected in ((None, 1), ("v1", 2)):
        made.clear()
        workload, request = build("squeezenet1_1", "train", compat=compat, iterations=3)
        step = step_of(workload, request)
        clock = CpuClock()
        for _ in range(2):
            clock.start()
            assert math.isfinite(step(clock).item())
            clock.stop()
        assert list(clock.phases) == ["forward", "backward", "update"]
        assert len(made) == expected
        state = next(iter(made[-1].state.values()))
        assert state["step"].item() == 6 / expected


@pytest.mark.parametrize("name", classification.QUANTIZED)
def test_a_quantized_network_trains_with_fake_quantization(name):
    workload, request = build(name, "train")
    fake = [module for module in workload.model.modules() if type(module).__name__ == "FusedMovingAvgObsFakeQuantize"]
    assert len(fake) > 100
    assert all(module.fake_quant_enabled.item() == 1 for module in fake)
    before = {key: value.detach().clone() for key, value in workload.model.named_parameters()}
    assert math.isfinite(step_of(workload, request)(CpuClock()).item())
    # After the first step every range has been observed, so all gradients pass the quantization.
    step_of(workload, request)(CpuClock())
    same = [key for key, value in workload.model.named_parameters() if torch.equal(value.detach(), before[key])]
    assert same == []


@pytest.mark.parametrize("name", classification.QUANTIZED)
def test_a_quantized_network_evaluates_in_int8_near_to_what_it_was_trained_as(name, monkeypatch):
    prepared = []

    def convert(model):
        prepared.append(copy.deepcopy(model))
        return convert_fx(model)

    convert_fx = quantized.convert_fx
    monkeypatch.setattr(quantized, "convert_fx", convert)
    workload, request = build(name, "eval")
    scores = step_of(workload, request)(CpuClock())
    assert scores.shape == (request.batch, 1000)
    convolutions = [module for module in workload.model.modules() if "Conv" in type(module).__name__]
    assert len(convolutions) > 50
    assert {module.weight().dtype for module in convolutions} == {torch.qint8}
    assert facts.parameters(workload.networks()) == 0
    with torch.no_grad():
        as_trained = prepared[0](*workload.inputs)
    assert torch.corrcoef(torch.stack([scores.flatten(), as_trained.flatten()]))[0, 1] > 0.8


def test_importing_the_family_does_not_import_torch():
    code = (
        "import sys, harness.suites.torchbench.classification;"
        "print({'torch', 'torchvision', 'timm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
