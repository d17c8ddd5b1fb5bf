"""Why a test changed: figures of base and head, at most five lines of plain words on them, and the file of both.

Promises that what is read satisfies the schema, whatever wrote it: anything else is a `UserError` of one sentence.
Lines and names in a file may be anybody's, and whoever shows them escapes them. The figures come from
`bot.attribution`, the lines from `bot.findings`.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated

import msgspec

from bot import inputs
from harness.errors import UserError
from harness.records import Compilation, GraphBreak

SCHEMA_VERSION = 1
MOST_LINES = 5
MAXIMUM_BYTES = 64 * 2**20
"""A larger file is refused."""

Figure = Annotated[float, msgspec.Meta(gt=-1e18, lt=1e18)]
Amount = Annotated[float, msgspec.Meta(ge=0, lt=1e18)]
Name = Annotated[str, msgspec.Meta(max_length=2000)]
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of an explanation: immutable and strict."""


class OperatorChange(_Strict, frozen=True, kw_only=True):
    """An operator's own time per step in base and head: on the host, or on the device where there is one.

    `half_width` is that of the interval of the difference, at the level at which `stands_out` was decided (by it, or by
    rank where every profile of one build lies beyond every one of the other). `share` of
    the step's change, with the half-width of its 95 % interval; None where the step itself did not change measurably.
    """

    name: Name
    base_seconds: Amount
    head_seconds: Amount
    half_width: Amount
    stands_out: bool
    share: Figure | None = None
    share_half_width: Amount | None = None
    base_calls: Amount = 0.0
    head_calls: Amount = 0.0
    base_kernels: Amount = 0.0
    head_kernels: Amount = 0.0


class StepChange(_Strict, frozen=True, kw_only=True):
    """A step under the profiler in both builds, over so many pairs of profiles; `half_width` of the 95 % interval of
    the difference. With `on_device` the seconds are the device's.
    """

    base_seconds: Amount
    head_seconds: Amount
    half_width: Amount
    pairs: int
    on_device: bool = False
    base_kernels: Amount = 0.0
    head_kernels: Amount = 0.0


class FunctionChange(_Strict, frozen=True, kw_only=True):
    """Instructions that a function executed itself in one step."""

    name: Name
    base: Amount
    head: Amount


class Instructions(_Strict, frozen=True, kw_only=True):
    """Instructions of each counted step; `kernels` is the instruction set of torch's kernels where they were counted.

    `functions` are those that differ most, of the last counted steps.
    """

    base: Annotated[tuple[Amount, ...], msgspec.Meta(min_length=1, max_length=1000)]
    head: Annotated[tuple[Amount, ...], msgspec.Meta(min_length=1, max_length=1000)]
    kernels: Name = ""
    functions: tuple[FunctionChange, ...] = ()


class Levels(_Strict, frozen=True, kw_only=True):
    """A figure in every launch of base and of head."""

    base: Annotated[tuple[Amount, ...], msgspec.Meta(min_length=1, max_length=100_000)]
    head: Annotated[tuple[Amount, ...], msgspec.Meta(min_length=1, max_length=100_000)]

    @property
    def apart(self) -> bool:
        """Whether all launches of one build lie on one side of all of the other, at least three of each."""
        enough = min(len(self.base), len(self.head)) >= 3
        return enough and (min(self.head) > max(self.base) or max(self.head) < min(self.base))

    @property
    def medians(self) -> tuple[float, float]:
        """Of base and head."""
        return statistics.median(self.base), statistics.median(self.head)


class Breaks(_Strict, frozen=True, kw_only=True):
    """Graph breaks whose reason only the head has, and those whose reason only the base has."""

    new: tuple[GraphBreak, ...] = ()
    gone: tuple[GraphBreak, ...] = ()


class Tables(_Strict, frozen=True, kw_only=True):
    """All figures; None is what could not be had. Operators by the size of their change, the largest first."""

    step: StepChange | None = None
    operators: Annotated[tuple[OperatorChange, ...], msgspec.Meta(max_length=1000)] = ()
    instructions: Instructions | None = None
    base_compilation: Compilation | None = None
    head_compilation: Compilation | None = None
    breaks: Breaks | None = None
    memory: Levels | None = None
    """Peak memory in bytes."""
    faults: Levels | None = None
    """Minor page faults per step."""


class Explanation(_Strict, frozen=True, kw_only=True):
    """Why a test changed. `change` is the relative change of its step as timed, None where it was not.

    `skipped` says by kind of evidence why it could not be had.
    """

    test: Name
    change: Figure | None = None
    lines: Annotated[tuple[Line, ...], msgspec.Meta(max_length=MOST_LINES)] = ()
    tables: Tables
    skipped: dict[str, str] = msgspec.field(default_factory=dict)


class Explanations(_Strict, frozen=True, kw_only=True):
    """The explanations of tests of one run, as a file."""

    schema_version: int = SCHEMA_VERSION
    run: Name
    """The id of the run whose signals are explained."""
    tool_version: str
    tests: tuple[Explanation, ...]

    def of(self, test: str) -> Explanation | None:
        """The explanation of a test, or None."""
        return next((one for one in self.tests if one.test == test), None)


_decoder = msgspec.json.Decoder(Explanations)


def encode(explanations: Explanations) -> str:
    """The explanations as JSON, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(explanations), indent=1).decode() + "\n"


def read(path: Path) -> Explanations:
    """The explanations in a file. Raises UserError, one sentence, for anything else."""
    wanted = "name a file that `torchwarden explain --out` wrote"
    content = inputs.read(path, MAXIMUM_BYTES, wanted=wanted, too_large=wanted)
    try:
        found = _decoder.decode(content)
    # Deep nesting ends as a RecursionError.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: is no explanation ({' '.join(str(error).split())[:300]}); {wanted}") from None
    if found.schema_version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: has schema version {found.schema_version}, and this torchwarden reads {SCHEMA_VERSION}; "
            "explain again with this version"
        )
    names = [one.test for one in found.tests]
    if len(set(names)) < len(names):
        raise UserError(f"{path}: explains a test twice; {wanted}")
    return found
