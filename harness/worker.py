"""A worker: one benchmark in one lane for one launch. It builds the step, warms it up, and times it on request.

It is born by fork from a nursery (see `harness.nursery`), pinned to the lanes' CPUs, and lives until it is told to
finish. Between requests it blocks on its channel and costs nothing. The timed region holds the step and nothing else:
inputs are made before, garbage collection is off, the random state is set outside, and the clock waits for the device.

Runs inside foreign builds: needs torch and the standard library only.

Messages are JSON objects, one per packet of a Unix socket. The worker first sends `ready` or `failed`; then it answers
`{"do": "sample", "steps": n, "settle": k, "kept": true}` with the sample, and `{"do": "finish"}` with its last figures.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pathlib
import resource
import socket
import statistics
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from harness import accuracy, answers, benchmark, compilation, facts, lanes, profile
from harness.clock import clock_for
from harness.injection import Injection

MAXIMUM_PACKET = 128 * 1024
MAXIMUM_TEXT = 4000
"""Characters of a reason or traceback that go into a packet; as JSON, one may take twelve bytes."""

STEADY = 0.02
"""Warming up is over when a step is faster than the one before by no more than this fraction."""
FEWEST_WARMUP_STEPS = 2


def serve(channel: socket.socket, order: Mapping[str, Any]) -> None:
    """Do the whole life of a worker over `channel`; returns when told to finish or when the coordinator is gone.

    `order` holds suite, benchmark, type, device, mode, size (numbers), seed, threads, warmup_steps and warmup_seconds
    (limits); and may hold inject (fraction of extra work), iterations, compat and updates (see `benchmark.Request`),
    describe (whether the step's facts are wanted), cache (a folder for what compilers keep), and task, one of `TASKS`:
    then that is done instead of timing, `ready` tells its outcome under the task's name, and the worker ends.
    """
    _use_cache(order.get("cache"))
    try:
        if (task := order.get("task")) is not None:
            _send(channel, {"event": "ready", task: TASKS[task](order)})
            return
        step = Step(order)
    except BaseException as error:  # a benchmark may raise anything, SystemExit included
        _send(channel, _failure(error))
        return
    _send(channel, {"event": "ready", **step.birth})
    while (request := _receive(channel)) is not None:
        try:
            if request["do"] == "finish":
                _send(channel, {"event": "finished", **step.farewell()})
                return
            sample = step.sample(int(request["steps"]), int(request["settle"]), bool(request.get("kept", True)))
            _send(channel, {"event": "sample", **sample})
        except BaseException as error:
            _send(channel, _failure(error))
            return


def _use_cache(folder: str | None) -> None:
    """Make compilers keep their work in `folder`: a lane that finds it empty compiles cold."""
    if folder is not None:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder


class Step:
    """A step that has been built, prepared for its lane and warmed up. `birth` holds what is told of that.

    Raises whatever the benchmark or the mode raises, and `NonFinite` when the output holds NaN or infinity.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        import torch

        self._torch = torch
        self._device = str(order["device"])
        self._seed = int(order["seed"])
        self._resident = self._reset_peak()
        torch.set_num_threads(int(order["threads"]))
        torch.set_num_interop_threads(1)
        torch.manual_seed(self._seed)
        request = benchmark.request_of(order)
        mode = lanes.mode_of(order["mode"])
        built = benchmark.load(order["suite"])[order["benchmark"]].build(request)
        # Before a mode changes them: freezing turns parameters into constants.
        self._parameters = facts.parameters(built.networks()) if order.get("describe") else None
        # A counter follows eager steps only.
        self._countable = not mode.compiles
        began = time.monotonic()
        workload = mode.prepare(built, request)
        preparing = time.monotonic() - began
        if (items := int(workload.items)) < 1:
            raise ValueError(f"a step of {items} items does no work; give the workload's items, at least 1")
        self._step = lanes.step_of(workload, request)
        if lanes.infers(workload, request):
            # For the rest of this process, so that no step pays for entering it; dropping the guard would leave it.
            self._guard = torch.inference_mode()
            self._guard.__enter__()
        self._clock = clock_for(self._device)
        self._extra: Injection | None = None
        gc.collect()
        # What lives now lives for ever: the collector need not look at it again.
        gc.freeze()
        gc.disable()
        first, output = self._timed()
        check_finite(output)
        del output
        warmup = self._warm_up(int(order["warmup_steps"]), float(order["warmup_seconds"]))
        # Of three, so that one disturbed step does not pass for the step's length.
        steady = statistics.median_low(warmup[-3:])
        if fraction := float(order.get("inject", 0.0)):
            self._extra = Injection(self._device, fraction, lambda: self._timed()[0])
        self.birth: dict[str, Any] = {
            "items": items * request.iterations,
            "first_seconds": first,
            "warmup_seconds": warmup,
            "step_seconds": steady,
            "compile_seconds": preparing + max(0.0, first - steady) if mode.compiles else None,
            "compilation": compilation.counts() if mode.compiles and order.get("describe") else None,
        }
        # What building and compiling took for a while is not the step's.
        self._reset_peak()

    def _reset_peak(self) -> int:
        """Begin counting peak memory; the bytes that are resident already, inherited from the nursery."""
        if self._device.startswith("cuda"):
            self._torch.cuda.reset_peak_memory_stats()
            return 0
        with contextlib.suppress(OSError):
            # A fork inherits its parent's high-water mark; 5 resets it (proc(5)).
            pathlib.Path("/proc/self/clear_refs").write_text("5")
        return _resident_bytes("VmRSS") or 0

    def _timed(self, extra: Injection | None = None) -> tuple[float, Any]:
        clock = self._clock
        clock.start()
        output = self._step(clock)
        if extra is not None:
            extra()
        clock.stop()
        return clock.elapsed, output

    def _warm_up(self, most: int, seconds: float) -> list[float]:
        taken: list[float] = []
        deadline = time.monotonic() + seconds
        while len(taken) < most:
            taken.append(self._timed()[0])
            if time.monotonic() > deadline or (len(taken) >= FEWEST_WARMUP_STEPS and is_steady(taken)):
                break
        return taken

    def once(self) -> Any:
        """One step that is not timed, with the injected work behind it; returns what the step computed."""
        output = self._step(self._clock)
        if self._extra is not None:
            self._extra()
        return output

    @property
    def products(self) -> int:
        """Products of injected work that follow a step."""
        return 0 if self._extra is None else self._extra.count

    def sample(self, steps: int, settle: int, kept: bool = True) -> dict[str, Any]:
        """Time `steps` steps after `settle` untimed ones; times are means in seconds per step.

        The settling steps refill the caches that another lane has emptied: what is measured is a step of a busy
        process. A sample that will be thrown away (not `kept`) tells how long a step is without injected work, which is
        fitted to it.
        """
        if gc.get_count()[0] > 10_000:
            gc.collect()
        self._torch.manual_seed(self._seed)
        for _ in range(settle):
            self._step(self._clock)
        total, phases = 0.0, {}
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(steps):
            total += self._timed(self._extra if kept else None)[0]
            for phase, seconds in self._clock.phases.items():
                phases[phase] = phases.get(phase, 0.0) + seconds
        after = resource.getrusage(resource.RUSAGE_SELF)
        if self._extra is not None and not kept:
            self._extra.observe(total / steps)
        return {
            "seconds": total / steps,
            "phases": {phase: seconds / steps for phase, seconds in phases.items()},
            "faults": (after.ru_minflt - before.ru_minflt) / steps,
            "switches": after.ru_nivcsw - before.ru_nivcsw,
        }

    def farewell(self) -> dict[str, Any]:
        """One last check of the output; peak memory: bytes above what the nursery held (on CUDA: allocated); facts."""
        output = self._timed()[1]
        check_finite(output)
        figures: dict[str, Any] = {"peak_memory_bytes": self._peak()}
        if self._parameters is not None:
            figures["parameters"] = self._parameters
            figures["output_shapes"] = facts.shapes(output)
            figures["flops"] = facts.flops(lambda: self._step(self._clock)) if self._countable else None
        return figures

    def _peak(self) -> int | None:
        if self._device.startswith("cuda"):
            return int(self._torch.cuda.max_memory_allocated())
        peak = _resident_bytes("VmHWM")
        return None if peak is None else max(0, peak - self._resident)


def _profiled(order: Mapping[str, Any]) -> dict[str, Any]:
    """Profile a step (see `harness.profile.take`); how long it is without the profiler, in seconds, and `products`."""
    profile.show_compiled_kernels()
    step = Step(order)
    found = profile.take(step.once, order)
    return {**found, "step_seconds": step.birth["step_seconds"], "products": step.products}


TASKS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "accuracy": accuracy.check,
    "answers": answers.collect,
    "profile": _profiled,
}
"""What a worker can be asked for beside time: by the word in its order, what does it and returns the outcome."""


def _resident_bytes(field: str) -> int | None:
    """VmRSS (resident now) or VmHWM (its peak) of this process, from proc(5); None where that is not."""
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


def is_steady(seconds: list[float]) -> bool:
    """Whether the last warm-up step was about as slow as the one before, so that the trend of warming up is over."""
    return seconds[-1] >= (1 - STEADY) * seconds[-2]


class NonFinite(Exception):
    """The output of a step holds NaN or infinity."""


def check_finite(output: Any) -> None:
    """Raise `NonFinite` when a floating-point or complex tensor anywhere in `output` holds NaN or infinity."""
    import torch

    for tensor in facts.tensors(output):
        if (tensor.is_floating_point() or tensor.is_complex()) and not bool(torch.isfinite(tensor).all()):
            kind = "NaN" if bool(torch.isnan(tensor).any()) else "infinity"
            raise NonFinite(f"the output of the step holds {kind}")


def _failure(error: BaseException) -> dict[str, Any]:
    text = f"{type(error).__name__}: {error}".strip().removesuffix(":")
    return {
        "event": "failed",
        "status": _status(error),
        "reason": text[:MAXIMUM_TEXT],
        "traceback": "".join(traceback.format_exception(error))[-MAXIMUM_TEXT:],
    }


def _status(error: BaseException) -> str:
    if isinstance(error, NonFinite):
        return "fail_accuracy"
    return "OOM" if facts.is_out_of_memory(error) else "fail_to_run"


def _send(channel: socket.socket, message: Mapping[str, Any]) -> None:
    try:
        channel.send(json.dumps(message).encode())
    except OSError:
        # The coordinator is gone; nobody is left to tell.
        os._exit(1)


def _receive(channel: socket.socket) -> dict[str, Any] | None:
    data = channel.recv(MAXIMUM_PACKET)
    return json.loads(data) if data else None
