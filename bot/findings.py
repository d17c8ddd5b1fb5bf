"""What the figures of an explanation say, in plain words: `aten::mm +98 % accounts for 97 % of the change`.

Promises lines that say no more than the figures do: an operator is named only where its change is larger than what
profiles differ by anyway, a share bears its uncertainty, what could not be had is no finding, and a faster step reads
as well as a slower one. Names come from the measured code, and are cleaned before they are quoted.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

from bot import numbers
from bot.explanation import MOST_LINES, OperatorChange, Tables
from bot.report.escaping import clean
from harness.callgrind import SPREAD

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
    if (
        any(row.share is not None for row in told)
        and change is not None
        and abs(change) > 0.01
        and (moved > 0) != (change > 0)
    ):
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
        points = numbers.fixed(max(100 * row.share_half_width, 1), 0)
        facts.append(f"share ± {points} {'point' if points == '1' else 'points'}")
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
