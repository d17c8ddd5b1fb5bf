import collections
import math
import os
import pathlib
import subprocess
import sys

import pytest

import harness
from harness.worker import NonFinite, check_finite, is_steady

torch = pytest.importorskip("torch")

ROOT = pathlib.Path(harness.__file__).resolve().parents[1]

SEES_ITS_MODE = """
import torch
from harness.benchmark import Workload, benchmark

@benchmark("net", category="TEST", domain="MODE", sizes={"small": {}})
def net(request):
    model = torch.nn.Linear(2, 2)
    return Workload(
        model=model,
        inputs=(torch.ones(1, 2),),
        items=1,
        loss=lambda output: output.sum(),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
    )
"""

LIFE = """
import gc, sys, torch
from harness import worker

suite, type = sys.argv[1:]
order = {"suite": suite, "benchmark": "net", "type": type, "device": "cpu", "mode": "eager", "size": {}, "seed": 1}
step = worker.Step({**order, "threads": 1, "warmup_steps": 2, "warmup_seconds": 1.0})
gc.collect()
print(torch.is_inference_mode_enabled())
step.sample(2, 1)
print(torch.is_inference_mode_enabled())
"""

NAN, INFINITY = torch.tensor([1.0, math.nan]), torch.tensor([-math.inf, 1.0])
Pair = collections.namedtuple("Pair", "logits loss")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda bad: bad,
        lambda bad: (torch.ones(2), bad),
        lambda bad: [[[bad]]],
        lambda bad: {"loss": torch.zeros(1), "hidden": (torch.zeros(1), {"last": bad})},
        lambda bad: collections.OrderedDict(logits=bad),
        lambda bad: Pair(torch.ones(1), bad),
        lambda bad: bad.to(torch.bfloat16),
        lambda bad: torch.complex(torch.ones(2), bad),
        lambda bad: torch.nn.Parameter(bad) * 2,
    ],
    ids=["plain", "tuple", "nested lists", "nested dicts", "ordered dict", "named tuple", "bf16", "complex", "grad"],
)
@pytest.mark.parametrize(("bad", "kind"), [(NAN, "NaN"), (INFINITY, "infinity")], ids=["nan", "infinity"])
def test_an_output_that_is_not_finite_is_found_wherever_it_is(wrap, bad, kind):
    with pytest.raises(NonFinite, match=f"holds {kind}"):
        check_finite(wrap(bad))


@pytest.mark.parametrize(
    "output",
    [
        None,
        math.nan,
        "nan",
        torch.ones(3),
        torch.tensor([1, 2]),
        torch.tensor([True]),
        torch.empty(0),
        {"a": [torch.ones(1), (torch.zeros(2, dtype=torch.float16),)]},
        torch.tensor(torch.finfo(torch.float32).max),
    ],
    ids=["none", "float", "text", "floats", "ints", "bools", "empty", "nested", "largest"],
)
def test_an_output_without_a_tensor_that_is_not_finite_is_sound(output):
    check_finite(output)


def test_the_output_of_inference_mode_is_checked_too():
    with torch.inference_mode():
        output = torch.ones(2) / torch.tensor([1.0, 0.0])
    with pytest.raises(NonFinite):
        check_finite({"output": output})


@pytest.mark.parametrize(
    ("seconds", "steady"),
    [
        ([1.0, 1.0], True),
        ([3.0, 1.0], False),
        ([3.0, 1.0, 1.0], True),
        ([1.0, 0.99], True),
        ([1.0, 0.97], False),
        # Slower again: whatever that is, it is not warming up.
        ([1.0, 1.2], True),
    ],
)
def test_warm_up_is_over_when_steps_no_longer_get_faster(seconds, steady):
    assert is_steady(seconds) is steady


@pytest.mark.parametrize(("type", "inference"), [("eval", True), ("train", False)])
def test_the_whole_life_of_an_eval_worker_is_in_inference_mode(tmp_path, type, inference):
    # In a process of its own: a worker never leaves the mode.
    suite = tmp_path / "modes.py"
    suite.write_text(SEES_ITS_MODE)
    script = tmp_path / "life.py"
    script.write_text(LIFE)
    done = subprocess.run(
        [sys.executable, script, suite, type],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.split() == [str(inference)] * 2, done.stderr
