"""Why a test changed: figures of base and head, at most five lines of plain words on them, and the file of both.

Promises lines that say no more than the figures do: an operator is named only where its change is larger than what
profiles differ by anyway, a share bears its uncertainty, what could not be had is no finding, and a faster step reads
as well as a slower one. Names in the lines were cleaned; lines in a file may be anybody's, and whoever shows them
escapes them. The figures come from `bot.attribution`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from bot import inputs, numbers
from bot.report.escaping import clean
from harness.callgrind import SPREAD
from harness.errors import UserError
from harness.records import Compilation, GraphBreak

SCHEMA_VERSION = 1
MOST_LINES = 5
MOST_OPERATOR_LINES = 3
"""Lines that go to operators, however many changed: other evidence is to be heard too."""
SAID_FROM = 0.05
"""Share of the change from which an operator is worth a line."""
MEMORY_SAID_FROM = 0.02
MEMORY_BYTES_SAID_FROM = 2**20
"""Changes of peak memory below both are not said: what an allocator rounds up to differs by as much."""
FAULTS_SAID_FROM = 1.5
FAULTS_PER_STEP_SAID_FROM = 10.0
"""Page faults have changed when there are so many times as many, and so many more, in a step."""
COMPILE_SAID_FROM = 0.25
COMPILE_SECONDS_SAID_FROM = 1.0
"""Each build compiled cold only once, so that a small difference of compile times means nothing."""
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

    `half_width` is that of the interval of the difference, at the level at which `stands_out` was decided. `share` of
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


def lines(tables: Tables, change: float | None, skipped: Mapping[str, str]) -> tuple[str, ...]:
    """What the figures say, the most telling first, in at most `MOST_LINES` lines of plain text.

    What says that something is as it was comes last: it is worth a line only where there is room.
    """
    told = [
        *_broken(tables),
        *_operators(tables, change),
        *_instructions(tables, change),
        *_faults(tables),
        *_memory(tables),
        *_kernels(tables),
        *_compile_time(tables),
        *_as_before(tables),
    ]
    if not told:
        told = [f"nothing could be found out: {clean(kind)}: {clean(why, 200)}" for kind, why in skipped.items()]
    return tuple(line[:1000] for line in told[:MOST_LINES])


def _broken(tables: Tables) -> Iterator[str]:
    """Graph breaks and compilations, where the head has others than the base."""
    base, head, breaks = tables.base_compilation, tables.head_compilation, tables.breaks
    if base is None or head is None or breaks is None:
        return
    for word, found in (("new", breaks.new), ("gone", breaks.gone)):
        if found:
            place = f" at {clean(found[0].place, 80)}" if found[0].place else ""
            more = f", and {numbers.count(len(found) - 1, 'more reason')}" if len(found) > 1 else ""
            yield f"graph break {word}: {clean(found[0].reason, 200)}{place}{more}"
    moved = [
        f"{word} {before} → {after}"
        for word, before, after in (
            ("graph breaks", base.graph_breaks, head.graph_breaks),
            ("recompilations", base.recompiles, head.recompiles),
            ("graphs", base.unique_graphs, head.unique_graphs),
            ("frames left to the interpreter", base.fallbacks_to_eager, head.fallbacks_to_eager),
        )
        if before is not None and after is not None and before != after
    ]
    if moved:
        yield f"compiled otherwise: {', '.join(moved)}"


def _operators(tables: Tables, change: float | None) -> Iterator[str]:
    step = tables.step
    if step is None:
        return
    where = "of the device's time" if step.on_device else "of a step under the profiler"
    moved = step.head_seconds - step.base_seconds
    outstanding = [row for row in tables.operators if row.stands_out]
    told = [row for row in outstanding if row.share is None or abs(row.share) >= SAID_FROM]
    # What drives the change before what goes against it.
    told.sort(key=lambda row: (row.share is not None and row.share < 0, -abs(row.head_seconds - row.base_seconds)))
    yield from (_operator(row) for row in told[:MOST_OPERATOR_LINES])
    resolved = any(row.share is not None for row in tables.operators)
    width = numbers.seconds(step.half_width)
    if not told:
        seen = (
            f"{numbers.transition(step.base_seconds or None, step.head_seconds)} {where}, "
            f"{numbers.seconds(abs(moved))} {'more' if moved > 0 else 'less'} ± {width}"
        )
        each = f"{numbers.count(len(tables.operators), 'operator')}, each within noise or a small part"
        yield f"no operator stands out: {each} ({seen})"
    elif not resolved:
        yield f"the profiles' sum did not change by more than noise ({numbers.seconds(moved)} ± {width} {where})"
    if resolved and change is not None and abs(change) > 0.01 and (moved > 0) != (change > 0):
        way = "slower" if moved > 0 else "faster"
        yield f"under the profiler the step went {way}, against what was timed: do not rely on the operators' shares"


def _operator(row: OperatorChange) -> str:
    before, after = row.base_seconds, row.head_seconds
    if row.base_calls == 0:
        said = "(new)"
    elif row.head_calls == 0:
        said = "(gone)"
    else:
        said = f"{numbers.fixed(100 * (after / before - 1), 0, sign=True)} %" if before > 0 else ""
    facts = [numbers.seconds(after or before) if 0 in (before, after) else numbers.transition(before, after)]
    if row.base_calls != row.head_calls:
        facts.append(f"calls {_amount(row.base_calls)} → {_amount(row.head_calls)}")
    name = f"{clean(row.name, 200)} {said}".rstrip()
    if row.share is None:
        return f"{name} ({'; '.join(facts)})"
    if row.share < 0:
        return f"{name} goes against the change ({'; '.join(facts)})"
    share = f"{numbers.fixed(100 * row.share, 0)} %"
    if row.share_half_width is not None:
        facts.append(f"share ± {numbers.fixed(max(100 * row.share_half_width, 1), 0)} points")
    return f"{name} accounts for {share} of the change ({'; '.join(facts)})"


def _amount(value: float) -> str:
    """A number per step, which need not be whole."""
    return numbers.fixed(value, 0 if value == round(value) else 1)


def _instructions(tables: Tables, change: float | None) -> Iterator[str]:
    found = tables.instructions
    if found is None:
        return
    base, head = statistics.median(found.base), statistics.median(found.head)
    if base <= 0:
        return
    moved = head / base - 1
    spread = max(SPREAD, *((max(side) - min(side)) / base for side in (found.base, found.head)))
    kernels = f", counted with {clean(found.kernels, 40)} kernels" if found.kernels else ""
    if abs(moved) > spread:
        work = "more" if moved > 0 else "less"
        figures = f"{_counted(base)} → {_counted(head)} a step{kernels}"
        yield f"instructions {numbers.signed_percent(moved)}: a step runs {work} code ({figures})"
        if change is not None and abs(change) > 0.01 and (moved > 0) != (change > 0):
            yield "instructions and time moved in opposite ways: their number is not what changed the time"
        return
    within = f"within {numbers.percent(spread)}{kernels}"
    if change is None or abs(change) <= 0.01:
        yield f"instructions unchanged ({within})"
    else:
        way = "slower" if change > 0 else "faster"
        yield (
            f"instructions unchanged ({within}): {way} for the same instructions (memory, caches, frequency), "
            "or in code that does not run where they are counted"
        )


def _counted(value: float) -> str:
    for scale, unit in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if value >= scale:
            return f"{numbers.significant(value / scale, 4)} {unit}"
    return numbers.fixed(value, 0)


def _faults(tables: Tables) -> Iterator[str]:
    if (levels := tables.faults) is None or not levels.apart:
        return
    base, head = levels.medians
    more, fewer = max(base, head), min(base, head)
    if more - fewer < FAULTS_PER_STEP_SAID_FROM or more < FAULTS_SAID_FROM * fewer:
        return
    times = f" × {numbers.significant(head / base, 2)}" if base > 0 else ""
    figures = f"{_amount(round(base, 1))} → {_amount(round(head, 1))} a step"
    yield f"minor page faults{times} ({figures}): memory is allocated otherwise"


def _memory(tables: Tables) -> Iterator[str]:
    if (levels := tables.memory) is None or not levels.apart:
        return
    base, head = levels.medians
    if abs(head - base) < max(MEMORY_BYTES_SAID_FROM, MEMORY_SAID_FROM * base):
        return
    moved = f" {numbers.signed_percent(head / base - 1)}" if base > 0 else ""
    yield f"peak memory{moved} ({numbers.size(base)} → {numbers.size(head)})"


def _kernels(tables: Tables) -> Iterator[str]:
    step = tables.step
    if step is not None and step.base_kernels != step.head_kernels:
        yield f"kernels launched in a step: {_amount(step.base_kernels)} → {_amount(step.head_kernels)}"


def _compile_time(tables: Tables) -> Iterator[str]:
    base, head = (
        None if side is None else side.cold_seconds for side in (tables.base_compilation, tables.head_compilation)
    )
    if base is None or head is None:
        return
    if abs(head - base) >= max(COMPILE_SECONDS_SAID_FROM, COMPILE_SAID_FROM * base):
        yield f"compile time {numbers.transition(base or None, head)}, compiled cold once in each build"


def _as_before(tables: Tables) -> Iterator[str]:
    if tables.breaks is not None and not any(_broken(tables)):
        yield "no new graph breaks or recompilations"
