"""How quiet the machine is while a test is measured: steal, other load, frequency, throttling, NVIDIA device state.

A `Monitor` is started with a test and asked for its `records.Health` at the end. It reads a few small files and only
between samples. What a machine does not tell is None.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness import records

_STAT = pathlib.Path("/proc/stat")
_SYS_CPU = pathlib.Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class CpuTime:
    """Seconds that some CPUs have spent since boot, summed over them."""

    total: float
    busy: float
    steal: float


def cpu_time(cpus: tuple[int, ...]) -> CpuTime | None:
    """Time spent by these CPUs so far, from /proc/stat (proc(5)); None where that file is not."""
    try:
        lines = _STAT.read_text().splitlines()
    except OSError:
        return None
    wanted = {f"cpu{cpu}" for cpu in cpus}
    tick = os.sysconf("SC_CLK_TCK")
    total = busy = steal = 0.0
    for line in lines:
        name, *fields = line.split()
        if name in wanted:
            user, nice, system, idle, iowait, irq, softirq, stolen = (int(field) / tick for field in fields[:8])
            busy += user + nice + system + irq + softirq
            steal += stolen
            total += user + nice + system + irq + softirq + idle + iowait + stolen
    return CpuTime(total, busy, steal)


class Monitor:
    """Watches the lanes' CPUs, and the device if it is CUDA, from its creation to `finish`, less the pauses."""

    def __init__(self, cpus: tuple[int, ...], device: str) -> None:
        self._cpus = cpus
        self._device = device
        self._watched = CpuTime(0.0, 0.0, 0.0)
        self._throttled = 0
        self._tells_throttling = True
        self._frequencies: list[float] = []
        self._gpu: list[dict[str, float]] = []
        self._rounds = self._disturbed = 0
        self._paused = True
        self.resume()

    def resume(self) -> None:
        """Watch from now on; nothing where it does already."""
        if self._paused:
            self._start = self._last = cpu_time(self._cpus)
            self._throttled_at_start = _throttle_count(self._cpus)
            self._paused = False

    def pause(self) -> None:
        """Leave out what comes until `resume`: other work of ours."""
        if self._paused:
            return
        self._paused = True
        end, throttled = cpu_time(self._cpus), _throttle_count(self._cpus)
        if self._start is not None and end is not None:
            self._watched = CpuTime(
                self._watched.total + end.total - self._start.total,
                self._watched.busy + end.busy - self._start.busy,
                self._watched.steal + end.steal - self._start.steal,
            )
        if throttled is None or self._throttled_at_start is None:
            self._tells_throttling = False
        else:
            self._throttled += throttled - self._throttled_at_start

    def launch_begins(self) -> None:
        """Note frequency and device state; called once per launch, before its rounds."""
        self._last = cpu_time(self._cpus)
        self._frequencies += list(_frequencies(self._cpus))
        if self._device.startswith("cuda"):
            self._gpu.append(gpu_state())

    def round_ends(self, switches: int) -> bool:
        """Note the end of a round in which the step was preempted `switches` times; whether it was disturbed.

        A round is disturbed when the hypervisor took time away or another process ran on the lanes' CPUs.
        """
        now = cpu_time(self._cpus)
        stolen = now is not None and self._last is not None and now.steal > self._last.steal
        self._last = now
        disturbed = stolen or switches > 0
        self._rounds += 1
        self._disturbed += disturbed
        return disturbed

    def finish(self, own_cpu_seconds: float) -> records.Health:
        """The summary; `own_cpu_seconds` is what the workers themselves used, which is not other load."""
        self.pause()
        steal = other = None
        if (total := self._watched.total) > 0:
            steal = max(0.0, self._watched.steal / total)
            other = min(1.0, max(0.0, (self._watched.busy - own_cpu_seconds) / total))
        spread = sorted(self._frequencies)
        return records.Health(
            rounds=self._rounds,
            disturbed_rounds=self._disturbed,
            steal=steal,
            other_load=other,
            frequency_hertz=(spread[0], statistics.median(spread), spread[-1]) if spread else None,
            throttled=self._throttled if self._tells_throttling else None,
            gpu=_summary(self._gpu),
        )


def _frequencies(cpus: tuple[int, ...]) -> Iterator[float]:
    for cpu in cpus:
        with contextlib.suppress(OSError, ValueError):
            yield float((_SYS_CPU / f"cpu{cpu}/cpufreq/scaling_cur_freq").read_text()) * 1e3


def _throttle_count(cpus: tuple[int, ...]) -> int | None:
    counts = []
    for cpu in cpus:
        with contextlib.suppress(OSError, ValueError):
            counts.append(int((_SYS_CPU / f"cpu{cpu}/thermal_throttle/core_throttle_count").read_text()))
    return sum(counts) if counts else None


def gpu_state(index: int = 0) -> dict[str, float]:
    """State of an NVIDIA device through NVML: hertz, watts, degrees Celsius, throttle reasons (bits), ECC errors.

    Empty where there is no driver; a figure the device does not give is left out. Not run on a GPU yet.
    """
    import pynvml

    state: dict[str, float] = {}
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            for name, read in _GPU_FIGURES.items():
                with contextlib.suppress(pynvml.NVMLError):
                    state[name] = float(read(pynvml, handle))
        finally:
            pynvml.nvmlShutdown()
    return state


_GPU_FIGURES: dict[str, Any] = {
    "sm_hertz": lambda nvml, handle: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM) * 1e6,
    "memory_hertz": lambda nvml, handle: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM) * 1e6,
    "watts": lambda nvml, handle: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3,
    "celsius": lambda nvml, handle: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
    "throttle_reasons": lambda nvml, handle: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
    "ecc_errors": lambda nvml, handle: nvml.nvmlDeviceGetTotalEccErrors(
        handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
    ),
}


def _summary(states: list[dict[str, float]]) -> dict[str, float]:
    """The lowest clock and the highest of everything else: the worst that was seen."""
    names = dict.fromkeys(name for state in states for name in state)
    worst = {name: min if name.endswith("hertz") else max for name in names}
    return {name: worst[name](state[name] for state in states if name in state) for name in names}
