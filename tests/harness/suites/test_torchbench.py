"""Every model of the suite `torchbench`: its description, its numbers, and one real step of each type.

The `v1` size is built on the meta device here, which costs nothing; `make test-full` runs it.
"""

import importlib
import json
import os
import subprocess
import sys

import pytest

from bot.taskmap import TASKS
from harness import facts
from harness.benchmark import load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of
from tests.workloads import FULL, ROOT, build, check_description, check_steps, libraries_loaded_by, meta

torch = pytest.importorskip("torch")
for library in ("torchvision", "timm", "transformers"):
    pytest.importorskip(library)

SUITE = load("torchbench")
SIZES = ("v1", "current", "small")
WITHOUT_TRAINING = {"pyhpc_equation_of_state", "pyhpc_isoneutral_mixing"}
CONVERTED = {"mobilenet_v2_quantized_qat": 0, "resnet50_quantized_qat": 0}
"""Models whose eval network holds packed integers in place of parameters, and how many are left."""
STEPS = [(name, type) for name, entry in SUITE.items() for type in entry.description.types]

each = pytest.mark.parametrize("name", SUITE)
each_step = pytest.mark.parametrize(("name", "type"), STEPS)

FIRST_STEP = """
import hashlib, json, sys, torch
from harness import facts
from harness.benchmark import Request, load
from harness.clock import CpuClock
from harness.lanes import step_of

torch.set_num_threads(1)
for name, type in json.loads(sys.argv[1]):
    entry = load("torchbench")[name]
    torch.manual_seed(1337)
    request = Request(type, "cpu", entry.description.sizes["small"])
    workload = entry.build(request)
    torch.manual_seed(1337)
    output = step_of(workload, request)(CpuClock())
    digest = hashlib.sha256()
    for tensor in facts.tensors([output, [list(getattr(n, "parameters", list)()) for n in workload.networks()]]):
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    print(name, type, digest.hexdigest(), flush=True)
"""


V1_STEP = """
import resource, sys
from harness.benchmark import Request, load
from harness.clock import CpuClock
from harness.lanes import step_of
from harness.worker import check_finite

name, type = sys.argv[1:]
entry = load("torchbench")[name]
request = Request(type, "cpu", entry.description.sizes["v1"])
step = step_of(entry.build(request), request)
clock = CpuClock()
for _ in range(2):
    clock.start()
    output = step(clock)
    clock.stop()
    if clock.elapsed > 30:
        break
check_finite(output)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{name} {type}: {clock.elapsed:.3g} s, {peak:.1f} GiB")
"""


def test_the_suite_is_the_51_models_with_their_frozen_tasks():
    found = {name: (entry.description.category, entry.description.domain) for name, entry in SUITE.items()}
    assert found == {name: tuple(task) for name, task in TASKS.items()}


def test_all_but_the_two_without_parameters_train():
    assert {name for name, entry in SUITE.items() if "train" not in entry.description.types} == WITHOUT_TRAINING


@each
def test_a_description_is_whole(name):
    description = SUITE[name].description
    assert tuple(sorted(description.sizes)) == tuple(sorted(SIZES))
    check_description(description)


def test_importing_the_suite_does_not_import_torch():
    assert libraries_loaded_by("torchbench") == "set()"


def test_what_the_benchmarks_need_can_be_preloaded():
    for module in {need for entry in SUITE.values() for need in entry.description.needs}:
        importlib.import_module(module)


@each
def test_parameters_are_as_described(name):
    description = SUITE[name].description
    for size in ("v1", "current"):
        # Of the train step where eval has no parameters left.
        workload = meta(name, "train" if name in CONVERTED else "eval", size)
        assert facts.parameters(workload.networks()) == description.parameters[size], size
    workload, _ = build(name, "eval")
    assert facts.parameters(workload.networks()) in (description.parameters["small"], CONVERTED.get(name))


@each_step
def test_a_small_step_runs_again_and_again_and_is_finite(name, type):
    check_steps(*build(name, type))


def test_two_processes_agree_bitwise_unless_a_reason_is_given():
    steps = [step for step in STEPS if not SUITE[step[0]].description.nondeterministic]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", FIRST_STEP, json.dumps(steps)]
    runs = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    (one, error), (two, _) = (run.communicate() for run in runs)
    assert len(one.splitlines()) == len(steps), error[-2000:]
    assert one.splitlines() == two.splitlines()


def _modes(name, type):
    description = SUITE[name].description
    compiled = (mode for mode, entry in MODES.items() if entry.compiles and mode != "mkldnn_cached")
    return [mode for mode in compiled if description.why_not(type, "cpu", mode) is None]


COMPILED = [(name, type, mode) for name, type in STEPS for mode in _modes(name, type)]


@FULL
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "type", "mode"), COMPILED)
def test_a_compiled_step_runs_and_computes_what_eager_does(name, type, mode):
    workload, request = build(name, type)
    torch.manual_seed(7)
    eager = list(facts.tensors(step_of(workload, request)(CpuClock())))
    workload, request = build(name, type)
    prepared = MODES[mode].prepare(workload, request)
    torch.manual_seed(7)
    compiled = list(facts.tensors(step_of(prepared, request)(CpuClock())))
    torch._dynamo.reset()
    assert [tensor.shape for tensor in compiled] == [tensor.shape for tensor in eager]
    assert all(bool(tensor.isfinite().all()) for tensor in compiled if tensor.is_floating_point())
    # What draws anew in every process cannot be expected to agree.
    if type == "eval" and not SUITE[name].description.nondeterministic:
        for pair in zip(compiled, eager, strict=True):
            torch.testing.assert_close(*pair, rtol=1e-2, atol=1e-3)


@FULL
@each_step
def test_a_step_of_the_v1_size_runs(name, type):
    # In a process of its own, whose memory goes back when it ends.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", V1_STEP, name, type]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    # With -s this is the table of docs/torchbench.md.
    print(done.stdout, end="")
