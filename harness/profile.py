"""What the operators of a step cost: a step under torch.profiler, operator by operator.

Steps are profiled one after another in one recording, after a recording that is thrown away, for starting the profiler
is itself slow. An operator's time is what a call takes in the quarter of the steps in which it is fastest, times the
calls of a step: what disturbs only slows, and on a busy machine it strikes some operator in every step, but not the
same one. A step is the sum of its operators' own times and of the time outside of all operators.

Runs inside foreign builds, in a worker: standard library and torch only. Not to be confused with the standard
library's `profile`: a worker's folder holds this file as `harness.profile` only.
"""

from __future__ import annotations

import bisect
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STEP = "torchwarden::step"
OUTSIDE = "outside operators"
"""The row of what a step does between its operators: Python, and what the profiler does not see."""

KEPT = 4
"""The steps in which an operator is fastest are one of so many."""
MOST_SHAPES = 50
"""Shapes of an operator that are kept, those that take longest; its other calls are summed up without shapes."""

_UNTIMED = ("[memory]", "[pl]")
"""Events by which the profiler notes something other than a call."""


@dataclass
class _Times:
    """Seconds of an operator in one step, all its calls together."""

    calls: int = 0
    own: float = 0.0
    total: float = 0.0
    device: float = 0.0
    kernels: int = 0


@dataclass
class _Row:
    """What is known of one operator, or of one operator on one set of shapes, by step."""

    steps: dict[int, _Times] = field(default_factory=dict)
    memory_bytes: float = 0.0
    shapes: dict[str, _Row] = field(default_factory=dict)

    def add(self, event: Any, step: int, on_device: bool) -> None:
        times = self.steps.setdefault(step, _Times())
        times.calls += 1
        # torch.profiler counts in microseconds.
        times.own += event.self_cpu_time_total / 1e6
        times.total += event.cpu_time_total / 1e6
        times.device += _first(event, "self_device_time_total", "self_cuda_time_total") / 1e6
        times.kernels += len(getattr(event, "kernels", None) or ())
        own = ("self_device_memory_usage", "self_cuda_memory_usage") if on_device else ("self_cpu_memory_usage",)
        self.memory_bytes += _first(event, *own)

    def per_step(self, steps: Sequence[int]) -> dict[str, Any]:
        """Figures per step, from some of the steps."""
        there = [self.steps[step] for step in steps if step in self.steps]
        calls = sum(times.calls for times in there) / len(steps)

        def undisturbed(of: Callable[[_Times], float]) -> float:
            each = sorted(of(times) / times.calls for times in there)[: -(-len(there) // KEPT)]
            return max(0.0, calls * sum(each) / len(each)) if each else 0.0

        return {
            "calls": calls,
            "self_seconds": undisturbed(lambda times: times.own),
            "total_seconds": undisturbed(lambda times: times.total),
            "device_seconds": undisturbed(lambda times: times.device),
            "memory_bytes": self.memory_bytes / len(steps),
            "kernels": sum(times.kernels for times in there) / len(steps),
        }


def take(step: Callable[[], Any], order: Mapping[str, Any]) -> dict[str, Any]:
    """Profile a warm step as an order says, and write what was found to the file that it names.

    `order` holds device, steps (how many), result (a path for the JSON) and trace (a path for a Chrome trace, packed
    where it ends in .gz, or None). The JSON is what `summed_up` returns (`harness.profiles.Found`), and nothing else is
    returned. Raises whatever the step raises.
    """
    from torch.profiler import ProfilerActivity, profile

    device, steps = str(order["device"]), int(order["steps"])
    on_device = device.startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_device else [])]
    settings = {"activities": activities, "record_shapes": True, "profile_memory": True}
    with profile(**settings):
        _run(step, 1, on_device)
    with profile(**settings) as recording:
        _run(step, steps, on_device)
    if order.get("trace"):
        recording.export_chrome_trace(str(order["trace"]))
    found = summed_up(recording.events(), on_device)
    pathlib.Path(order["result"]).write_text(json.dumps(found), encoding="utf-8")
    return {}


def show_compiled_kernels() -> None:
    """Make Inductor's CPU kernels operators of their own; otherwise their time is outside of all operators.

    To be called before a lane is compiled. Does nothing in a torch that cannot.
    """
    try:
        from torch._inductor import config

        config.cpp.enable_kernel_profile = True
    except (ImportError, AttributeError):
        return


def _run(step: Callable[[], Any], steps: int, on_device: bool) -> None:
    import torch

    for _ in range(steps):
        with torch.profiler.record_function(STEP):
            step()
            if on_device:
                # Otherwise the next step would be held to account for what this one has queued.
                torch.cuda.synchronize()


def summed_up(events: Iterable[Any], on_device: bool) -> dict[str, Any]:
    """The rows of a recording, by operator and shapes, the costliest first.

    `events` are torch.profiler's; only those of the host count, which carry the device time of what they launched. A
    step is an event named `STEP`, and what begins within it is its own. `halves_seconds` is what a step comes to from
    every second of the steps, and from the others. Raises ValueError without a step.
    """
    every = [event for event in events if _on_host(event) and event.name not in _UNTIMED]
    marks = sorted((event for event in every if event.name == STEP), key=lambda event: event.time_range.start)
    if not marks:
        raise ValueError("the profiler recorded no step")
    begins = [mark.time_range.start for mark in marks]
    rows: dict[str, _Row] = {}
    for event in every:
        step = bisect.bisect_right(begins, event.time_range.start) - 1
        if step < 0 or event.time_range.start > marks[step].time_range.end:
            continue
        row = rows.setdefault(OUTSIDE if event.name == STEP else event.name, _Row())
        row.add(event, step, on_device)
        if event.name != STEP:
            row.shapes.setdefault(shapes_text(event.input_shapes), _Row()).add(event, step, on_device)
    steps = range(len(marks))
    operators = [{"name": name, **row.per_step(steps), "shapes": _by_shape(row, steps)} for name, row in rows.items()]
    halves = [[step for step in steps if step % 2 == half] or steps for half in (0, 1)]
    return {
        "steps_seconds": [mark.time_range.elapsed_us() / 1e6 for mark in marks],
        "halves_seconds": [sum(row.per_step(half)["self_seconds"] for row in rows.values()) for half in halves],
        "operators": sorted(operators, key=lambda one: -one["self_seconds"]),
    }


def _by_shape(row: _Row, steps: Sequence[int]) -> list[dict[str, Any]]:
    parts = [{"shapes": shapes, **one.per_step(steps)} for shapes, one in row.shapes.items()]
    parts.sort(key=lambda part: -part["self_seconds"])
    if rest := parts[MOST_SHAPES:]:
        others = {key: sum(part[key] for part in rest) for key in rest[0] if key != "shapes"}
        parts[MOST_SHAPES:] = [{"shapes": "others", **others}]
    return parts


def shapes_text(shapes: Any) -> str:
    """Input shapes for people: `4x3x64x64, 64x3x7x7`; what is no tensor leaves no trace, a scalar tensor is `()`."""
    texts = []
    for shape in shapes or ():
        if not isinstance(shape, (list, tuple)) or not shape:
            continue
        # A list of tensors is a list of shapes.
        inner = shape if isinstance(shape[0], (list, tuple)) else [shape]
        texts += ["x".join(map(str, one)) or "()" for one in inner]
    return ", ".join(texts)[:300]


def _on_host(event: Any) -> bool:
    return str(getattr(event, "device_type", "DeviceType.CPU")).endswith("CPU")


def _first(event: Any, *names: str) -> float:
    """The first attribute that this torch knows; torch renamed `cuda` to `device`."""
    return next((float(value) for name in names if (value := getattr(event, name, None)) is not None), 0.0)
