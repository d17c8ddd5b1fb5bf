"""The four models of the suite `yitian`: descriptions, numbers, and real inference.

Whole models are built on the meta device, which costs nothing; `make test-full` runs them in full size.
"""

import pytest

from harness import facts
from harness.benchmark import load
from harness.clock import CpuClock
from harness.lanes import mode_of, step_of
from tests.workloads import FULL, build, check_description, check_steps, libraries_loaded_by, meta

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("transformers")

SUITE = load("yitian")
NAMES = ("resnet50", "ssd", "maskrcnn", "bert")
SIZES = [(name, size) for name, entry in SUITE.items() for size in entry.description.sizes]


def _output(name, size="small", mode="eager"):
    workload, request = build(name, "eval", size, suite="yitian")
    prepared = mode_of(mode).prepare(workload, request)
    return step_of(prepared, request)(CpuClock())


def test_the_suite_holds_the_four_models_in_their_order():
    assert tuple(SUITE) == NAMES


def test_the_suite_is_described_without_loading_a_library():
    assert libraries_loaded_by("yitian") == "set()"


@pytest.mark.parametrize("name", NAMES)
def test_a_description_says_all_it_should(name):
    description = SUITE[name].description
    check_description(description)
    assert list(description.sizes) == ["small", "small_batch", "full", "full_batch"]
    assert "inference" in description.why_not("train", "cpu", "eager")


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_parameters_and_batches_are_as_described(name, size):
    description = SUITE[name].description
    workload = meta(name, "eval", size, suite="yitian")
    assert facts.parameters(workload.networks()) == description.parameters[size]
    assert workload.items == description.sizes[size]["batch"]
    assert (workload.items > 1) == size.endswith("_batch")


@pytest.mark.parametrize("name", NAMES)
def test_inference_in_small(name):
    check_steps(*build(name, "eval", suite="yitian"))


@pytest.mark.parametrize(("name", "most"), [("ssd", 200), ("maskrcnn", 4)])
def test_a_detector_with_random_weights_finds_as_much_as_it_may(name, most):
    (found,) = _output(name)
    assert found["boxes"].shape == (most, 4)
    sides = found["boxes"][:, 2:] - found["boxes"][:, :2]
    assert bool((sides > 0).all())


def test_masks_are_as_large_as_the_image():
    (found,) = _output("maskrcnn")
    assert found["masks"].shape == (4, 1, 64, 96)


def test_an_answer_begins_and_ends_at_a_token():
    assert [list(one.shape) for one in facts.tensors(_output("bert"))] == [[1, 64], [1, 64]]


@FULL
@pytest.mark.parametrize(("name", "size"), SIZES)
def test_inference_in_every_size(name, size):
    check_steps(*build(name, "eval", size, suite="yitian"))


@FULL
@pytest.mark.parametrize("mode", ["eager_bf16", "eager_amp_bf16"])
@pytest.mark.parametrize("name", NAMES)
def test_inference_in_bfloat16(name, mode):
    assert all(bool(one.isfinite().all()) for one in facts.tensors(_output(name, mode=mode)))
