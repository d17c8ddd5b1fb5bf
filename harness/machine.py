"""The machine that measures: what it is, as far as figures depend on it, and which CPUs the lanes get.

Read from /proc and /sys where they exist; what cannot be known is None. NVIDIA devices are read through NVML when its
library is there. Imports no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import platform
from collections.abc import Iterator

import psutil

from harness import records
from harness.errors import UserError

_CPU = pathlib.Path("/sys/devices/system/cpu")
_NODES = pathlib.Path("/sys/devices/system/node")

CPU_PRESETS = {
    "physical-cores": "a thread on each physical core, on one CPU of it",
    "numa-node": "a thread on each physical core of one NUMA node",
    "single-core": "one thread on one physical core",
}
"""Ways to choose CPUs and threads by the machine's topology, and what each is."""

TELLING_FLAGS = {
    *("avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx_vnni"),
    *("amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "asimdhp", "sve", "sve2", "bf16", "i8mm", "svebf16", "svei8mm"),
}
"""CPU flags that decide which kernels torch picks."""


def available_memory() -> int:
    """Bytes that processes can have without anything being paged out."""
    return int(psutil.virtual_memory().available)


def describe(name: str | None = None, noise_floor: float | None = None) -> records.Machine:
    """This machine, under `name` or its host name; `noise_floor` is the one calibrated for it, if any."""
    info = _cpuinfo()
    identity = {
        "architecture": platform.machine(),
        "cpu_model": info.get("model name") or info.get("CPU part") or platform.processor() or "unknown",
        "cores": os.cpu_count() or 1,
        "cpu_flags": sorted(TELLING_FLAGS & set((info.get("flags") or info.get("Features") or "").split())),
        "gpus": gpus(),
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return records.Machine(
        name=name or platform.node() or "unnamed",
        fingerprint=digest,
        system=f"{platform.system()} {platform.release()}",
        architecture=identity["architecture"],
        cpu_model=identity["cpu_model"],
        cores=identity["cores"],
        memory_bytes=psutil.virtual_memory().total,
        cpu_flags=tuple(identity["cpu_flags"]),
        governor=_text(_CPU / "cpu0/cpufreq/scaling_governor"),
        turbo=_turbo(),
        smt=_flag(_CPU / "smt/active"),
        virtual="hypervisor" in (info.get("flags") or "").split() if info.get("flags") else None,
        gpus=identity["gpus"],
        noise_floor=noise_floor,
    )


def _cpuinfo() -> dict[str, str]:
    text = _text(pathlib.Path("/proc/cpuinfo")) or ""
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _text(path: pathlib.Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _flag(path: pathlib.Path) -> bool | None:
    return None if (text := _text(path)) is None else text == "1"


def _turbo() -> bool | None:
    if (boost := _flag(_CPU / "cpufreq/boost")) is not None:
        return boost
    no_turbo = _flag(_CPU / "intel_pstate/no_turbo")
    return None if no_turbo is None else not no_turbo


def gpus() -> tuple[str, ...]:
    """Names of the NVIDIA devices, in NVML's order; empty where there is no driver."""
    import pynvml

    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            return tuple(str(pynvml.nvmlDeviceGetName(handle)) for handle in handles)
        finally:
            pynvml.nvmlShutdown()
    return ()


def available_cpus() -> tuple[int, ...]:
    """The CPUs this process may run on, in ascending order."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def choose_cpus(threads: int, wanted: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The CPUs that the lanes are pinned to: `wanted` if given, else the last `threads` available ones.

    The last, because interrupts and other people's processes gather on the first. Raises UserError for more threads
    than CPUs, or CPUs that this process may not use.
    """
    available = available_cpus()
    if threads < 1:
        raise UserError(f"{threads} threads cannot run anything; use --threads 1 or more")
    if absent := sorted(set(wanted) - set(available)):
        raise UserError(
            f"CPU {absent[0]} is not one of those this process may use ({_listed(available)}); choose others"
        )
    cpus = tuple(sorted(set(wanted))) or available[-threads:]
    if threads > len(cpus):
        raise UserError(f"{threads} threads do not fit on {len(cpus)} CPUs; use --threads {len(cpus)} or fewer")
    return cpus


def preset_cpus(preset: str) -> tuple[int, ...]:
    """The CPUs of a preset of `CPU_PRESETS`, in ascending order; a step has a thread for each.

    Of the CPUs of a core, the first that this process may use stands for it. Of several nodes that has most cores,
    and of those the last, as it is the last core that is taken alone. Raises UserError where /sys does not tell.
    """
    cores = _physical_cores()
    chosen = {
        "physical-cores": lambda: cores,
        "numa-node": lambda: max(_by_node(cores), key=lambda node: (len(node), node)),
        "single-core": lambda: cores[-1:],
    }
    return chosen[preset]()


def _physical_cores() -> tuple[int, ...]:
    """The first available CPU of every physical core."""
    available = set(available_cpus())
    cores = set()
    for cpu in available:
        if (siblings := _text(_CPU / f"cpu{cpu}/topology/thread_siblings_list")) is None:
            raise UserError("this machine does not tell its cores in /sys; choose with --cpus and --threads")
        cores.add(min(available & parse_cpus(siblings)))
    return tuple(sorted(cores))


def _by_node(cores: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The cores of every NUMA node that has some."""
    lists = [_text(place / "cpulist") or "" for place in _NODES.glob("node[0-9]*")]
    nodes = [tuple(sorted(parse_cpus(cpus) & set(cores))) for cpus in lists]
    if not any(nodes):
        raise UserError("this machine does not tell its NUMA nodes in /sys; choose with --cpus and --threads")
    return [node for node in nodes if node]


def parse_cpus(text: str) -> set[int]:
    """The CPUs of a list as the kernel writes it: `0-3,8` (cpuset(7))."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _listed(cpus: tuple[int, ...]) -> str:
    return ", ".join(map(str, cpus))


@contextlib.contextmanager
def stepping_aside(cpus: tuple[int, ...]) -> Iterator[None]:
    """Keep this process off the lanes' CPUs meanwhile, when there are others to move to."""
    before = available_cpus()
    others = set(before) - set(cpus)
    if not others or not hasattr(os, "sched_setaffinity"):
        yield
        return
    os.sched_setaffinity(0, others)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
