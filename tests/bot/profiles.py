"""Made-up profiles, in a few words: `made(step={"aten::mm": (2, 3e-3)})` calls `aten::mm` twice for 3 ms a step."""

from __future__ import annotations

import msgspec

from harness.profiles import Operator, Profile
from harness.records import Build, Machine

MACHINE = Machine(
    name="box", fingerprint="f", system="Linux", architecture="x86_64", cpu_model="CPU", cores=2, memory_bytes=2**33
)
BUILD = Build(name="head", python="/usr/bin/python3", python_version="3.11.7", torch_version="2.9.0")


def made(step: dict[str, tuple[float, float]], **changes: object) -> Profile:
    """A profile with these operators: calls and self seconds per step by name."""
    operators = tuple(
        Operator(name=name, calls=calls, self_seconds=seconds, total_seconds=seconds)
        for name, (calls, seconds) in step.items()
    )
    whole = sum(seconds for _, seconds in step.values())
    profile = Profile(
        test="test_eval[net-cpu-eager]",
        suite="mine",
        size="small",
        started="2026-01-02T03:04:05+00:00",
        tool_version="0",
        machine=MACHINE,
        build=BUILD,
        threads=1,
        seed=1,
        plain_seconds=whole,
        steps_seconds=(whole, whole, 2 * whole),
        halves_seconds=(whole, whole),
        operators=operators,
    )
    return msgspec.structs.replace(profile, **changes)
