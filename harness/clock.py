"""The one seam between CPU and CUDA timing: a clock that times a step and, inside it, its phases.

`CpuClock` reads the monotonic clock. `CudaClock` records events on the current stream and reads them after one
synchronisation at the end, so that marking a phase does not itself serialise the step. Both give seconds.
Copied beside the worker: standard library and torch only.
"""

from __future__ import annotations

import time
from typing import Any, Protocol


class Clock(Protocol):
    """Times one step. `start`, then a `mark` after each phase, then `stop`; `elapsed` and `phases` are in seconds."""

    elapsed: float
    phases: dict[str, float]

    def start(self) -> None:
        """Begin a step; work queued earlier on the device is waited for first."""

    def mark(self, phase: str) -> None:
        """End the named phase; the time since the last mark is its own."""

    def stop(self) -> None:
        """End the step, waiting for the device, and fill `elapsed` and `phases`."""


class CpuClock:
    """A clock for steps that are done when the call returns."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.phases: dict[str, float] = {}
        self._begin = self._last = 0.0

    def start(self) -> None:
        """Begin a step."""
        self.phases = {}
        self._begin = self._last = time.perf_counter()

    def mark(self, phase: str) -> None:
        """End the named phase."""
        now = time.perf_counter()
        self.phases[phase] = self.phases.get(phase, 0.0) + (now - self._last)
        self._last = now

    def stop(self) -> None:
        """End the step."""
        self.elapsed = time.perf_counter() - self._begin


class CudaClock:
    """A clock for steps that queue work on a CUDA stream.

    `elapsed` is host time between two synchronisations (what a user waits for); phases come from events, so they are
    device time, and their sum may be less than `elapsed` where the host is the bottleneck.
    """

    def __init__(self, device: str = "cuda") -> None:
        import torch

        self._cuda = torch.cuda
        self._device = torch.device(device)
        self.elapsed = 0.0
        self.phases: dict[str, float] = {}
        self._begin = 0.0
        self._first: Any = None
        self._events: list[tuple[str, Any]] = []

    def _record(self) -> Any:
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def start(self) -> None:
        """Begin a step once the device is idle."""
        self.phases, self._events = {}, []
        self._cuda.synchronize(self._device)
        self._first = self._record()
        self._begin = time.perf_counter()

    def mark(self, phase: str) -> None:
        """End the named phase on the device's own timeline."""
        self._events.append((phase, self._record()))

    def stop(self) -> None:
        """End the step: wait for the device, then read the events."""
        self._cuda.synchronize(self._device)
        self.elapsed = time.perf_counter() - self._begin
        last = self._first
        for phase, event in self._events:
            self.phases[phase] = self.phases.get(phase, 0.0) + last.elapsed_time(event) / 1e3
            last = event


def clock_for(device: str) -> Clock:
    """The clock for a device: "cpu" or "cuda"."""
    return CudaClock(device) if device.startswith("cuda") else CpuClock()
