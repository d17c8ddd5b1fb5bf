"""The profile format: what the operators of one test's step cost, in one JSON file.

Promises that what is read satisfies the schema, whatever wrote the file: anything else is a `UserError` of one sentence
that names file and field. Units are SI: seconds and bytes, both per step. Imports no torch.
"""

from __future__ import annotations

import math
import pathlib
from typing import Annotated

import msgspec

from harness.errors import UserError
from harness.records import Build, Machine

SCHEMA_VERSION = 1
MAXIMUM_BYTES = 64 * 2**20
"""A larger file is refused: no step has that many operators."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
Duration = Annotated[float, msgspec.Meta(ge=0, lt=1e9)]
Calls = Annotated[float, msgspec.Meta(ge=0, lt=2**53)]
Bytes = Annotated[float, msgspec.Meta(gt=-(2.0**53), lt=2.0**53)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a profile: immutable and strict."""


class Calling(_Strict, frozen=True, kw_only=True):
    """What an operator's calls on inputs of certain shapes cost, per step; `shapes` as in `4x3x64x64, 64x3x7x7`."""

    shapes: Annotated[str, msgspec.Meta(max_length=2000)]
    calls: Calls
    self_seconds: Duration
    total_seconds: Duration
    device_seconds: Duration = 0.0
    memory_bytes: Bytes = 0.0
    kernels: Calls = 0.0


class Operator(_Strict, frozen=True, kw_only=True):
    """What an operator costs per step.

    `self_seconds` is its own time on the host and `total_seconds` also that of the operators it calls (an operator
    within itself counts twice there); `device_seconds` is the time of the kernels that it launched itself, 0 on a CPU.
    `memory_bytes` is what its own code allocated less what it freed, `kernels` how many kernels and copies it launched.
    """

    name: Name
    calls: Calls
    self_seconds: Duration
    total_seconds: Duration
    device_seconds: Duration = 0.0
    memory_bytes: Bytes = 0.0
    kernels: Calls = 0.0
    shapes: tuple[Calling, ...] = ()


class Profile(_Strict, frozen=True, kw_only=True):
    """The profile of a test in one build.

    `steps_seconds` are the profiled steps as they were, `operators` what each operator takes where nothing disturbs it
    (see `harness.profile`); `halves_seconds` is what the operators come to from one half of the steps and the other;
    `plain_seconds` is a step without the profiler.
    """

    schema_version: int = SCHEMA_VERSION
    test: Name
    suite: str
    size: str
    started: str
    tool_version: str
    machine: Machine
    build: Build
    threads: Annotated[int, msgspec.Meta(ge=1, lt=2**20)]
    seed: int
    plain_seconds: Annotated[float, msgspec.Meta(gt=0, lt=1e9)]
    steps_seconds: Annotated[tuple[Duration, ...], msgspec.Meta(min_length=1, max_length=1_000_000)]
    halves_seconds: tuple[Duration, Duration]
    operators: tuple[Operator, ...]

    @property
    def seconds(self) -> float:
        """Seconds of an undisturbed step under the profiler: the sum of all self times."""
        return math.fsum(one.self_seconds for one in self.operators)


class Found(_Strict, frozen=True, kw_only=True):
    """What a worker leaves in its file (see `harness.profile.take`)."""

    steps_seconds: tuple[Duration, ...]
    halves_seconds: tuple[Duration, Duration]
    operators: tuple[Operator, ...]


def encode(profile: Profile) -> str:
    """The profile as JSON, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(profile), indent=1).decode() + "\n"


def decode(content: bytes, path: pathlib.Path) -> Profile:
    """The profile that a file holds; `path` is what an error names. Raises UserError for anything else."""
    wanted = "name a file that `torchwarden profile --json` wrote"
    if len(content) > MAXIMUM_BYTES:
        raise UserError(f"{path}: is larger than {MAXIMUM_BYTES // 2**20} MiB, which no profile is; {wanted}")
    try:
        profile = msgspec.json.decode(content, type=Profile)
    # Deep nesting ends as a RecursionError.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())[:300]
        raise UserError(f"{path}: is not a profile ({said}); {wanted}") from None
    if profile.schema_version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: has schema version {profile.schema_version}, and this torchwarden reads {SCHEMA_VERSION}; "
            "profile again with this version"
        )
    names = [one.name for one in profile.operators]
    if len(set(names)) < len(names):
        raise UserError(f"{path}: holds an operator twice; {wanted}")
    return profile
