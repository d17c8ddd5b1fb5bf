import functools
import importlib
import math
import pathlib
import subprocess
import sys

import pytest

import harness
from harness import facts
from harness.benchmark import TYPES, load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of
from tests import workloads

torch = pytest.importorskip("torch")
for library in ("torchvision", "timm", "transformers"):
    pytest.importorskip(library)

SUITE = load("smoke")
NAMES = tuple(SUITE)
ROOT = pathlib.Path(harness.__file__).resolve().parents[1]

# Category and domain as in TorchBench V1; the score's weights hang on them.
TASKS = {
    "resnet18": "COMPUTER_VISION.CLASSIFICATION",
    "squeezenet1_1": "COMPUTER_VISION.CLASSIFICATION",
    "mobilenet_v3_large": "COMPUTER_VISION.CLASSIFICATION",
    "timm_regnet": "COMPUTER_VISION.CLASSIFICATION",
    "hf_Bert": "NLP.LANGUAGE_MODELING",
    "dlrm": "RECOMMENDATION.RECOMMENDATION",
    "LearningToPaint": "REINFORCEMENT_LEARNING.OTHER_RL",
    "nvidia_deeprecommender": "RECOMMENDATION.RECOMMENDATION",
}

# The networks of V1. The libraries' counts are the published ones; the others by hand:
# hf_Bert: embeddings (30522 + 512 + 2) * 768 with norm, 12 layers of 7,087,872, head 768 * 769 with norm and a bias per
# token (its weights are the embedding's);
# dlrm: bottom 4*3+3 + 3*2+2, tables (4 + 3 + 2) * 2, top 8*4+4 + 4*2+2 + 2*1+1;
# LearningToPaint: linear 10-512-1024-2048-4096 (11,022,848), convolutions (17,964);
# nvidia_deeprecommender: weights 2 * (15178*512 + 512*512 + 512*1024), biases 512+512+1024 + 512+512+15178.
V1_PARAMETERS = {
    "resnet18": 11_689_512,
    "squeezenet1_1": 1_235_496,
    "mobilenet_v3_large": 5_483_032,
    "timm_regnet": 3_162_996,
    "hf_Bert": 31_036 * 768 + 1_536 + 12 * 7_087_872 + 590_592 + 1_536 + 30_522,
    "dlrm": 15 + 8 + 18 + 36 + 10 + 3,
    "LearningToPaint": 11_022_848 + 17_964,
    "nvidia_deeprecommender": 17_115_136 + 18_250,
}

# Inputs of one step in V1, by type.
V1_SHAPES = {
    "resnet18": {"eval": [(1, 3, 224, 224)], "train": [(32, 3, 224, 224)]},
    "squeezenet1_1": {"eval": [(1, 3, 224, 224)], "train": [(32, 3, 224, 224)]},
    "mobilenet_v3_large": {"eval": [(1, 3, 224, 224)], "train": [(32, 3, 224, 224)]},
    "timm_regnet": {"eval": [(1, 3, 224, 224)], "train": [(64, 3, 224, 224)]},
    "hf_Bert": {"eval": [(1, 512)], "train": [(4, 512), (4, 512)]},
    "dlrm": {type: [(2, 4), (6,), (6,), (4,), (2,), (2,), (2,)] for type in TYPES},
    "LearningToPaint": {type: [(64, 10)] for type in TYPES},
    "nvidia_deeprecommender": {"eval": [(1, 15178)], "train": [(128, 15178)]},
}

each = pytest.mark.parametrize("name", NAMES)
each_type = pytest.mark.parametrize("type", TYPES)


build = functools.partial(workloads.build, suite="smoke")


def tensors(nested):
    return list(facts.tensors(nested))


def snapshot(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def changed(model, before):
    return [name for name, value in model.named_parameters() if not torch.equal(value.detach(), before[name])]


def held_back(name, parameter):
    """Whether a parameter may keep its value in the first step.

    timm starts the residual branches of RegNet at zero, so that nothing inside them has a gradient yet, and with its
    learning rate of 1e-4 small gradients are below the precision of a weight of one.
    """
    return name == "timm_regnet" and parameter not in {"head.fc.weight", "head.fc.bias", "stem.conv.weight"}


def test_the_suite_is_these_eight():
    assert {name: f"{e.description.category}.{e.description.domain}" for name, e in SUITE.items()} == TASKS


@each
def test_a_description_offers_both_types_devices_and_sizes(name):
    description = SUITE[name].description
    assert description.types == ("eval", "train")
    assert description.devices == ("cpu", "cuda")
    assert set(description.sizes) == {"small", "v1"}
    assert set(description.sizes["small"]) == set(description.sizes["v1"])
    assert description.summary.endswith(".")


@each
def test_what_a_benchmark_needs_can_be_preloaded(name):
    for module in SUITE[name].description.needs:
        importlib.import_module(module)


def test_importing_the_suite_does_not_import_torch():
    code = "import sys, harness.suites.smoke; print({'torch', 'numpy', 'timm', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


@each
def test_an_eval_step_is_finite_and_changes_nothing(name):
    workload, request = build(name, "eval")
    before = snapshot(workload.model)
    clock = CpuClock()
    clock.start()
    output = step_of(workload, request)(clock)
    clock.stop()
    assert not any(module.training for module in workload.model.modules())
    assert tensors(output)
    assert all(tensor.isfinite().all() for tensor in tensors(output))
    assert clock.phases == {}
    assert changed(workload.model, before) == []
    assert all(parameter.grad is None for parameter in workload.model.parameters())
    again = step_of(workload, request)(CpuClock())
    assert all(torch.equal(*pair) for pair in zip(tensors(output), tensors(again), strict=True))


@each
def test_a_train_step_is_finite_and_trains_every_parameter(name):
    workload, request = build(name, "train")
    before = snapshot(workload.model)
    clock = CpuClock()
    clock.start()
    loss = step_of(workload, request)(clock)
    clock.stop()
    assert all(module.training for module in workload.model.modules())
    assert loss.shape == ()
    assert math.isfinite(loss.item())
    assert list(clock.phases) == ["forward", "backward", "update"]
    assert all(parameter.grad is not None for parameter in workload.model.parameters())
    unchanged = set(before) - set(changed(workload.model, before))
    assert {parameter for parameter in unchanged if not held_back(name, parameter)} == set()


@each
def test_training_lowers_the_loss(name):
    workload, request = build(name, "train")
    # Dropout makes a single loss random; without it the optimizer must descend on the one batch it is given.
    for module in workload.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    step = step_of(workload, request)
    losses = [step(CpuClock()).item() for _ in range(4)]
    assert min(losses[1:]) < losses[0]


@each
@each_type
def test_a_seed_decides_everything(name, type):
    def first_step(seed):
        workload, request = build(name, type, seed=seed)
        return tensors(step_of(workload, request)(CpuClock()))

    first, second, other = first_step(7), first_step(7), first_step(8)
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(first, other, strict=True))


@each
@each_type
def test_items_are_the_batch_of_the_size(name, type):
    workload, request = build(name, type)
    assert workload.items == request.batch
    assert workload.items in {tensor.shape[0] for tensor in tensors((workload.inputs, workload.keywords))}


@each
@each_type
def test_v1_has_the_networks_and_inputs_of_torchbench_v1(name, type):
    # On the meta device nothing is computed and no memory is taken, so the full size costs nothing.
    with torch.device("meta"):
        workload, _ = build(name, type, size="v1", device="meta")
    inputs = tensors((workload.inputs, workload.keywords))
    assert sum(parameter.numel() for parameter in workload.model.parameters()) == V1_PARAMETERS[name]
    assert [tuple(tensor.shape) for tensor in inputs] == V1_SHAPES[name][type]


@each
@each_type
def test_the_device_of_the_request_is_honoured(name, type):
    workload, _ = build(name, type, device="meta")
    placed = [*workload.model.parameters(), *workload.model.buffers(), *tensors((workload.inputs, workload.keywords))]
    placed += tensors(getattr(workload.loss, "keywords", {}))
    assert {tensor.device.type for tensor in placed} == {"meta"}


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v3_large", "timm_regnet"])
def test_the_real_networks_are_not_shrunk(name):
    workload, _ = build(name, "eval")
    assert sum(parameter.numel() for parameter in workload.model.parameters()) == V1_PARAMETERS[name]


# Tracing warns that it is deprecated, and of Python branches, which do not depend on the input here.
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::torch.jit.TracerWarning")
@each
@each_type
def test_jit_runs_wherever_it_is_not_said_to_be_unsupported(name, type):
    reason = SUITE[name].description.why_not(type, "cpu", "jit")
    if reason is not None:
        pytest.skip(reason)
    workload, request = build(name, type)
    prepared = MODES["jit"].prepare(workload, request)
    output = step_of(prepared, request)(CpuClock())
    assert all(tensor.isfinite().all() for tensor in tensors(output))
    if type == "eval":
        for pair in zip(tensors(output), tensors(step_of(workload, request)(CpuClock())), strict=True):
            torch.testing.assert_close(*pair, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning", "ignore::torch.jit.TracerWarning")
def test_tracing_bert_fails_for_the_reason_given():
    workload, _ = build("hf_Bert", "eval")
    with pytest.raises(RuntimeError, match="dict at the output of the tracer"):
        torch.jit.trace(workload.model, example_kwarg_inputs=workload.keywords, check_trace=False)


def test_dlrm_is_the_dot_interaction_of_its_parts():
    recommendation = importlib.import_module("harness.suites.torchbench.networks.recommendation")
    torch.manual_seed(0)
    model = recommendation.DLRM(dense=4, bottom=(3, 2), tables=(4, 3), top=(4, 1))
    dense = torch.rand(2, 4)
    indices = (torch.tensor([0, 3, 1]), torch.tensor([2, 2, 0, 1]))
    offsets = (torch.tensor([0, 2]), torch.tensor([0, 1]))
    bottom = model.bottom(dense)
    rows = []
    for item, lookups in enumerate((([0, 3], [2]), ([1], [2, 0, 1]))):
        first, second = (model.tables[table].weight[rows].sum(0) for table, rows in enumerate(lookups))
        dots = torch.stack([first @ bottom[item], second @ bottom[item], second @ first])
        rows.append(torch.cat([bottom[item], dots]))
    torch.testing.assert_close(model(dense, indices, offsets), model.top(torch.stack(rows)))


def test_the_loss_of_the_autoencoder_counts_known_ratings_only():
    recommendation = importlib.import_module("harness.suites.torchbench.networks.recommendation")
    predicted = torch.tensor([[1.0, 5.0, 3.0], [2.0, 9.0, 9.0]])
    ratings = torch.tensor([[3.0, 0.0, 4.0], [2.0, 0.0, 0.0]])
    assert recommendation.masked_mse(predicted, ratings).item() == pytest.approx((4 + 1 + 0) / 3)


def test_the_renderer_paints_a_canvas_between_zero_and_one():
    workload, request = build("LearningToPaint", "eval")
    canvas = step_of(workload, request)(CpuClock())
    assert canvas.shape == (8, 128, 128)
    assert 0 < canvas.min() < canvas.max() < 1
