"""Every model of the suite `convnet`: its description, its numbers, and real steps.

Whole models are built on the meta device, which costs nothing; `make test-full` takes steps of all of them.
"""

import pytest

from harness import facts
from harness.benchmark import load
from harness.clock import CpuClock
from harness.lanes import mode_of, step_of
from tests.workloads import FULL, build, check_description, check_steps, libraries_loaded_by, meta

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")

SUITE = load("convnet")
INPUTS = {
    "alexnet": (128, 3, 224, 224),
    "vgg11": (64, 3, 224, 224),
    "inception_v3": (32, 3, 299, 299),
    "resnet50": (128, 3, 224, 224),
    "resnext101_32x8d": (32, 3, 224, 224),
    "squeezenet1_0": (128, 3, 224, 224),
    "densenet121": (32, 3, 224, 224),
    "mobilenet_v2": (128, 3, 224, 224),
    "shufflenet": (128, 3, 224, 224),
    "unet": (32, 3, 128, 128),
    "unet3d": (6, 4, 64, 64, 64),
}
"""The inputs of the benchmark, in its order; inference has 64 images of resnet50."""
CHEAP = ("alexnet", "shufflenet", "unet")
SIZES = [(name, size) for name, entry in SUITE.items() for size in entry.description.sizes]


def test_the_suite_holds_the_eleven_models_in_their_order():
    assert list(SUITE) == list(INPUTS)


def test_the_suite_is_described_without_loading_a_library():
    assert libraries_loaded_by("convnet") == "set()"


@pytest.mark.parametrize("name", SUITE)
def test_a_description_says_all_it_should(name):
    description = SUITE[name].description
    check_description(description)
    assert list(description.sizes) == ["small", "full", "single"]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_parameters_are_as_described(name, size):
    workload = meta(name, "eval", size, suite="convnet")
    assert facts.parameters(workload.networks()) == SUITE[name].description.parameters[size]


@pytest.mark.parametrize("name", SUITE)
def test_inputs_are_those_of_the_benchmark(name):
    assert meta(name, "train", "full", suite="convnet").inputs[0].shape == INPUTS[name]
    batch = 64 if name == "resnet50" else INPUTS[name][0]
    assert meta(name, "eval", "full", suite="convnet").inputs[0].shape == (batch, *INPUTS[name][1:])
    assert meta(name, "eval", "single", suite="convnet").inputs[0].shape == (1, *INPUTS[name][1:])


@pytest.mark.parametrize("type", ["eval", "train"])
@pytest.mark.parametrize("name", CHEAP)
def test_steps_of_some(name, type):
    check_steps(*build(name, type, suite="convnet"))


@FULL
@pytest.mark.parametrize("type", ["eval", "train"])
@pytest.mark.parametrize("name", SUITE)
def test_steps_of_all(name, type):
    check_steps(*build(name, type, suite="convnet"))


def test_images_are_of_the_classes_from_1():
    workload, request = build("alexnet", "train", suite="convnet")
    sure = torch.full((request.batch, 1000), -50.0)
    for place in range(request.batch):
        sure[place, place + 1] = 50.0
    assert float(workload.loss(sure)) == 0


def test_the_loss_of_a_map_is_its_sum_over_a_million():
    workload, _ = build("unet", "train", suite="convnet")
    assert float(workload.loss(torch.ones(10, 100, 1000))) == pytest.approx(1)


def test_training_is_by_plain_descent():
    workload = meta("alexnet", "train", "full", suite="convnet")
    assert type(workload.optimizer).__name__ == "SGD"
    assert (workload.optimizer.defaults["lr"], workload.optimizer.defaults["momentum"]) == (0.01, 0)


@pytest.mark.parametrize(("name", "classes"), [("unet", 2), ("unet3d", 4)])
def test_a_u_net_gives_a_map_as_large_as_the_input(name, classes):
    for size in ("small", "full"):
        workload = meta(name, "eval", size, suite="convnet")
        (image,) = workload.inputs
        assert workload.model(image).shape == (image.size(0), classes, *image.shape[2:])


@pytest.mark.parametrize("name", ["alexnet", "unet"])
def test_phases_add_up_to_the_step(name):
    workload, request = build(name, "train", suite="convnet")
    step, clock = step_of(workload, request), CpuClock()
    step(clock)
    rests = []
    # The kernel may take the CPU away between two phases, so a busy machine needs a few steps to show one without.
    while len(rests) < 20 and (not rests or min(rests) > 0.02):
        clock.start()
        step(clock)
        clock.stop()
        assert list(clock.phases) == ["forward", "backward", "update"]
        rests.append(1 - sum(clock.phases.values()) / clock.elapsed)
    assert 0 <= min(rests) <= 0.02


@FULL
@pytest.mark.parametrize("name", SUITE)
def test_phases_of_all_add_up_to_the_step(name):
    test_phases_add_up_to_the_step(name)


IN_LAYOUT = [name for name, entry in SUITE.items() if entry.description.why_not("eval", "cpu", "mkldnn") is None]


def test_the_networks_without_branches_run_in_mkldnn_layout():
    assert IN_LAYOUT == ["alexnet", "vgg11", "resnet50", "resnext101_32x8d"]


def _agrees_in(mode, name, type="eval", size="small"):
    workload, request = build(name, type, size, suite="convnet")
    expected = step_of(workload, request)(CpuClock())
    workload, request = build(name, type, size, suite="convnet")
    found = step_of(mode_of(mode).prepare(workload, request), request)(CpuClock())
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "mode"), [("alexnet", "mkldnn"), ("resnext101_32x8d", "mkldnn_cached")])
def test_a_network_computes_the_same_in_mkldnn_layout(name, mode):
    _agrees_in(mode, name)


@FULL
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["mkldnn", "mkldnn_cached", "channels_last", "jit", "inductor"])
@pytest.mark.parametrize("name", SUITE)
def test_every_network_computes_the_same_in_every_mode_it_has(name, mode):
    if (reason := SUITE[name].description.why_not("eval", "cpu", mode)) is not None:
        pytest.skip(reason)
    _agrees_in(mode, name)
    torch._dynamo.reset()


@FULL
@pytest.mark.parametrize("mode", ["mkldnn", "mkldnn_cached"])
@pytest.mark.parametrize("name", IN_LAYOUT)
def test_a_single_image_runs_in_mkldnn_layout(name, mode):
    _agrees_in(mode, name, size="single")


@FULL
@pytest.mark.parametrize("name", [name for name in SUITE if name not in IN_LAYOUT])
def test_what_is_said_not_to_run_in_mkldnn_layout_does_not(name):
    workload, request = build(name, "eval", suite="convnet")
    step = step_of(mode_of("mkldnn").prepare(workload, request), request)
    with pytest.raises(RuntimeError):
        step(CpuClock())
