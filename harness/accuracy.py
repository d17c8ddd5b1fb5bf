"""Whether a lane computes what eager does: the accuracy check of the TorchDynamo benchmark harness.

Four steps are taken, each on a workload built anew from the seed: one in float64, two in eager, which must agree bit
for bit, and the lane's. Compared are the outputs or the loss, and after a train step gradients, parameters and buffers.
A tensor passes if it is close to eager's; or else if its error against float64 is no larger than a small multiple of
eager's own; where float64 cannot be had, if the cosine between both is near one. The numbers are that harness's, so
that a status means the same.

Runs inside foreign builds, in a worker of its own: standard library and torch only. Promises a status of
`harness.records.ACCURACY_STATUSES` whatever the benchmark or the backend raises.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness import benchmark, facts, lanes
from harness.clock import CpuClock
from harness.modenames import split_mode
from harness.precision import cast, wrap

ITERATIONS = 2
"""Steps before results are compared."""

BATCHES = {"huggingface": 1, "timm": 8}
"""Batch sizes at which a suite is checked; eight steadies the statistics of batch normalisation."""

TOLERANCES = {
    ("huggingface", "eval"): 1e-3,
    ("huggingface", "train"): 1e-2,
    ("timm", "eval"): 1e-3,
    ("timm", "train"): 1e-2,
}
"""Absolute and relative tolerance by suite and type; other suites have `TOLERANCE`, or `LOOSE_TOLERANCE` where the
precision is reduced or a train step runs on a GPU.
"""
TOLERANCE, LOOSE_TOLERANCE = 1e-4, 1e-3

MULTIPLIER, LARGE_MULTIPLIER = 2.0, 3.0
"""How many times eager's error against float64 a lane's may be. The large one is for 16 bits, for tensors of less than
`FEW` elements or of 1 by 1 kernels, and from `LARGE_FROM` of tolerance on.
"""
FEW, LARGE_FROM = 1000, 0.02
COSINE = 0.99


@dataclass(frozen=True)
class _Difference:
    """What made a comparison fail, or the test that the weakest tensor passed; the fields are `records.Accuracy`'s."""

    passed: bool
    by: str
    reason: str = ""
    error: float | None = None
    eager_error: float | None = None


class _NotBuilt(Exception):
    """The benchmark could not be built; its cause says why."""


def tolerance(suite: str, type: str, device: str, precision: str, own: Mapping[str, float]) -> float:
    """The tolerance for a test of a suite; `own` is the benchmark's by type, where it has one."""
    if type in own:
        return own[type]
    if (suite, type) in TOLERANCES:
        return TOLERANCES[suite, type]
    reduced = precision not in ("float32", "tf32")
    return LOOSE_TOLERANCE if reduced or (type == "train" and device != "cpu") else TOLERANCE


def check(order: Mapping[str, Any]) -> dict[str, Any]:
    """The accuracy of the lane that an order names (see `harness.worker.serve`): the fields of `records.Accuracy`."""
    import torch

    torch.set_num_threads(int(order["threads"]))
    entry = benchmark.load(order["suite"])[order["benchmark"]]
    suite = entry.description.suite
    size = dict(order["size"])
    if suite in BATCHES:
        size |= {key: BATCHES[suite] for key in ("batch", "train_batch") if key in size}
    # An optimizer's first steps are of the size of the learning rate whatever the gradient's, so that rounding decides
    # their direction: the harness steps on GPUs only, and there alone we do.
    updates = bool(order.get("updates", True)) and order["device"] != "cpu"
    request = benchmark.request_of({**order, "size": size, "updates": updates, "iterations": None})
    mode = lanes.mode_of(order["mode"])
    precision = split_mode(order["mode"])[1]
    allowed = tolerance(suite, request.type, request.device, precision, entry.description.tolerances)
    _be_deterministic()

    def eager(workload: benchmark.Workload) -> benchmark.Workload:
        return wrap(cast(workload, precision), precision, request.device)

    def results(prepare: Callable[[benchmark.Workload], benchmark.Workload]) -> dict[str, Any]:
        torch.manual_seed(request.seed)
        try:
            built = entry.build(request)
        except Exception as error:
            raise _NotBuilt from error
        if suite not in BATCHES:
            # Statistics of a small batch multiply rounding errors; the harness checks these models in eval mode.
            for network in _modules(built):
                network.eval()
        return _results(built, prepare, request)

    def answer(status: str, reason: str = "", **more: Any) -> dict[str, Any]:
        return {"status": status, "reason": reason, "tolerance": allowed, **more}

    try:
        exact = results(lambda workload: cast(workload, "float64"))
    except _NotBuilt as error:
        return answer(_out_of_memory(error) or "model_fail_to_load", _said(error))
    except Exception:
        # Not every model runs in float64; then the cosine has to do.
        exact = None
    runs = []
    for number in ("1st", "2nd"):
        try:
            runs.append(results(eager))
        except Exception as error:
            return answer(f"eager_{number}_run_{'OOM' if _out_of_memory(error) else 'fail'}", _said(error))
    first, second = runs
    if not _identical(first, second):
        return answer("eager_two_runs_differ", "two eager runs from the same seed do not agree bit for bit")
    del second, runs
    gc.collect()
    try:
        found = results(lambda workload: mode.prepare(workload, request))
    except Exception as error:
        return answer(_out_of_memory(error) or "fail_to_run", _said(error))
    worst = _compare(found, first, exact, allowed)
    return answer(
        "pass" if worst.passed else "fail_accuracy",
        worst.reason,
        by=worst.by,
        error=worst.error,
        eager_error=worst.eager_error,
    )


def _be_deterministic() -> None:
    import torch

    # Operators without a deterministic kernel warn and run: two eager runs will tell whether it matters.
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    try:
        from torch._inductor import config
    except ImportError:
        return
    # Compiled code then draws the random numbers that eager draws.
    config.fallback_random = True


def _results(
    built: benchmark.Workload, prepare: Callable[[benchmark.Workload], benchmark.Workload], request: benchmark.Request
) -> dict[str, Any]:
    """What some steps of a workload leave behind, as tensors by name."""
    import torch

    networks = _modules(built)
    step = lanes.step_of(prepare(built), request)
    output: Any = None
    for _ in range(ITERATIONS):
        torch.manual_seed(request.seed)
        output = step(CpuClock())
    found = {f"output {number}": tensor.clone() for number, tensor in enumerate(facts.tensors(output))}
    if request.training:
        for number, network in enumerate(networks):
            found |= {f"{kind} {name} of network {number}": tensor.clone() for kind, name, tensor in _state(network)}
    return found


def _modules(built: benchmark.Workload) -> list[Any]:
    import torch

    return [network for network in built.networks() if isinstance(network, torch.nn.Module)]


def _state(network: Any) -> Iterator[tuple[str, str, Any]]:
    for name, parameter in network.named_parameters():
        yield "parameter", name, parameter.detach()
        if parameter.grad is not None:
            yield "gradient", name, parameter.grad.detach()
    for name, buffer in network.named_buffers():
        yield "buffer", name, buffer.detach()


def _identical(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    import torch

    return one.keys() == other.keys() and all(_equal(torch, one[name], other[name]) for name in one)


def _equal(torch: Any, one: Any, other: Any) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    # NaN equals NaN here: it is the same result.
    return bool(torch.equal(one, other)) or (
        one.is_floating_point() and bool(torch.allclose(one, other, rtol=0, atol=0, equal_nan=True))
    )


def _compare(
    found: Mapping[str, Any], eager: Mapping[str, Any], exact: Mapping[str, Any] | None, allowed: float
) -> _Difference:
    """The first tensor that differs too much, or the one that passed by the weakest test."""
    if found.keys() != eager.keys():
        strange = sorted(found.keys() ^ eager.keys())
        return _Difference(False, "", f"{strange[0]} is there in one of lane and eager only")
    worst = _Difference(True, "allclose")
    for name, theirs in eager.items():
        one = _of_tensor(found[name], theirs, None if exact is None else exact.get(name), allowed)
        if not one.passed:
            return _Difference(False, one.by, f"{name} {one.reason}", one.error, one.eager_error)
        if one.by != "allclose" and worst.by == "allclose":
            worst = one
    return worst


def _of_tensor(found: Any, eager: Any, exact: Any, allowed: float) -> _Difference:
    import torch

    if found.shape != eager.shape:
        return _Difference(False, "shape", f"has shape {tuple(found.shape)}, not {tuple(eager.shape)}")
    if found.dtype != eager.dtype:
        return _Difference(False, "dtype", f"is {found.dtype}, not {eager.dtype}")
    if not (eager.is_floating_point() or eager.is_complex()):
        same = bool(torch.equal(found, eager))
        return _Difference(same, "allclose", "" if same else "differs")
    if bool(torch.allclose(found, eager, rtol=allowed, atol=allowed, equal_nan=True)):
        return _Difference(True, "allclose")
    if exact is None or exact.shape != eager.shape:
        wide = torch.complex128 if eager.is_complex() else torch.float64
        ours, theirs = found.to(wide).flatten(), eager.to(wide).flatten()
        cosine = float(torch.nn.functional.cosine_similarity(ours, theirs, dim=0, eps=1e-30).real)
        passed = cosine >= COSINE
        return _Difference(passed, "cosine", "" if passed else f"has a cosine of {cosine:.4f} with eager's")
    error, eager_error = _rmse(found, exact), _rmse(eager, exact)
    limit = _multiplier(eager, allowed) * eager_error + allowed / 10
    passed = error <= limit
    said = "" if passed else f"is off by {error:.2g} (root mean square, against float64), eager by {eager_error:.2g}"
    return _Difference(passed, "rmse", said, _finite(error), _finite(eager_error))


def _rmse(tensor: Any, exact: Any) -> float:
    return math.sqrt(float((tensor.to(exact.dtype) - exact).abs().square().mean()))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _multiplier(tensor: Any, allowed: float) -> float:
    narrow = tensor.element_size() == 2
    pointwise = tensor.dim() == 4 and tuple(tensor.shape[-2:]) == (1, 1)
    large = narrow or pointwise or tensor.numel() < FEW or allowed >= LARGE_FROM
    return LARGE_MULTIPLIER if large else MULTIPLIER


def _out_of_memory(error: BaseException) -> str | None:
    return "OOM" if facts.is_out_of_memory(_cause(error)) else None


def _said(error: BaseException) -> str:
    cause = _cause(error)
    return f"{type(cause).__name__}: {cause}".strip().removesuffix(":")[:2000]


def _cause(error: BaseException) -> BaseException:
    return error.__cause__ or error if isinstance(error, _NotBuilt) else error
