"""Profiles for a person at a terminal: the operators of a step, and what changed between two.

Promises figures of one step, no more than the rows asked for with what is left out summed up, and no control character
from a profile: names are cleaned and never read as rich's markup.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bot import numbers
from bot.profiles import Difference, Row, words
from bot.report.escaping import clean
from harness.profiles import Operator, Profile

ROWS = 25
WIDTH = 140
NAME_CHARACTERS = 52
DASH = "–"


def text(shown: RenderableType, width: int = WIDTH) -> str:
    """A renderable as plain text without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(shown)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def table(profile: Profile, rows: int = ROWS, *, shapes: bool = False) -> RenderableType:
    """The operators by self time, on a GPU by device time; with `shapes`, a line for each set of input shapes."""
    whole = profile.seconds
    on_device = any(one.device_seconds for one in profile.operators)
    device_whole = sum(one.device_seconds for one in profile.operators)

    def cost(one: Operator) -> float:
        return one.device_seconds if on_device else one.self_seconds

    ordered = sorted(profile.operators, key=lambda one: (-cost(one), -one.self_seconds, one.name))
    device = [("device", True), ("share", True)] if on_device else []
    made = _table(
        "operator", ("self", True), ("share", True), *device, ("total", True), ("calls", True), ("bytes", True)
    )

    def add(name: str, one: Operator, style: str = "") -> None:
        figures = [numbers.seconds(one.self_seconds), _share(one.self_seconds, whole)]
        if on_device:
            figures += [numbers.seconds(one.device_seconds), _share(one.device_seconds, device_whole)]
        figures += [numbers.seconds(one.total_seconds), calls(one.calls), size(one.memory_bytes)]
        made.add_row(Text(name, style=style), *(Text(figure, style=style) for figure in figures))

    for one in ordered[:rows]:
        add(_name(one.name), one)
        if shapes and len(one.shapes) >= 1:
            for part in one.shapes:
                add(f"  {clean(part.shapes, NAME_CHARACTERS) or 'no tensor'}", _as_operator(part), "dim")
    if rest := ordered[rows:]:
        figures = [Text(numbers.seconds(sum(one.self_seconds for one in rest)), style="dim")]
        figures.append(Text(_share(sum(one.self_seconds for one in rest), whole), style="dim"))
        made.add_row(Text(f"and {numbers.count(len(rest), 'more operator')}", style="dim"), *figures)
    return Group(Text(head_line(profile), style="bold"), Text(steps_line(profile), style="dim"), Text(), made)


def _as_operator(part: object) -> Operator:
    fields = ("calls", "self_seconds", "total_seconds", "device_seconds", "memory_bytes")
    return Operator(name="-", **{field: getattr(part, field) for field in fields})


def head_line(profile: Profile) -> str:
    """`test_eval[resnet18-cpu-eager] of smoke, small: torch 2.8.0`."""
    return (
        f"{clean(profile.test)} of {clean(profile.suite)}, size {clean(profile.size)}: "
        f"torch {clean(profile.build.torch_version)} on {clean(profile.machine.name)}, "
        f"{numbers.count(profile.threads, 'thread')}"
    )


def steps_line(profile: Profile) -> str:
    """How long a step is with and without the profiler, and over how many steps the figures are."""
    return (
        f"a step takes {numbers.seconds(profile.plain_seconds)}, {numbers.seconds(profile.seconds)} under the "
        f"profiler; figures are per step, of {numbers.count(len(profile.steps_seconds), 'step')}"
    )


def difference(found: Difference, rows: int = ROWS) -> RenderableType:
    """The operators by what they contribute to the change of the step."""
    change = found.change
    title = (
        f"a step under the profiler: {numbers.transition(found.base.seconds or None, found.head.seconds)}"
        f" ({numbers.signed_percent(change)})"
    )
    made = _table(
        "operator", ("base → head", True), ("change", True), ("explains", True), ("calls", True), ("total", True)
    )
    changed = [row for row in found.rows if row.change_seconds or row.calls[0] != row.calls[1]]
    shown = changed[:rows]
    for row in shown:
        made.add_row(Text(_name(row.name)), *map(Text, _cells(row, blame=not found.within_spread)))
    if rest := changed[rows:]:
        explained = sum(row.explains for row in rest)
        cells = ["", _signed(sum(row.change_seconds for row in rest)), _explains(explained, not found.within_spread)]
        made.add_row(
            Text(f"and {numbers.count(len(rest), 'more operator')}", style="dim"),
            *(Text(cell, style="dim") for cell in cells),
        )
    return Group(
        Text(f"base: {head_line(found.base)}", style="dim"),
        Text(f"head: {head_line(found.head)}", style="dim"),
        Text(title, style="bold"),
        *(Text(f"warning: {warning}", style="yellow") for warning in found.warnings),
        Text(),
        made,
        *([] if found.within_spread else [Text(), *map(Text, words(found))]),
    )


def _cells(row: Row, *, blame: bool) -> Sequence[str]:
    before, after = row.calls
    totals = [side.total_seconds if side else None for side in (row.base, row.head)]
    kinds = {"new": "new", "vanished": "vanished"}
    return (
        numbers.transition(row.base_seconds or None, row.head_seconds)
        if row.kind == "both"
        else numbers.seconds(row.head_seconds or row.base_seconds),
        kinds.get(row.kind) or _signed(row.change_seconds),
        _explains(row.explains, blame),
        calls(before) if before == after else f"{calls(before)} → {calls(after)}",
        numbers.transition(totals[0], totals[1]) if totals[0] and totals[1] else DASH,
    )


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{numbers.seconds(value)}"


def _explains(share: float, blame: bool) -> str:
    return f"{numbers.fixed(100 * share, 0)} %" if blame else DASH


def _share(part: float, whole: float) -> str:
    return f"{numbers.fixed(100 * part / whole, 1)} %" if whole > 0 else DASH


def calls(value: float) -> str:
    """A number of calls per step, which need not be whole."""
    return numbers.fixed(value, 0 if value == round(value) else 1)


def size(value: float) -> str:
    """Bytes per step, with a sign where more was freed than allocated."""
    if value == 0:
        return "0"
    return f"{numbers.MINUS if value < 0 else ''}{numbers.size(abs(value))}"


def _name(name: str) -> str:
    return clean(name, NAME_CHARACTERS)


def _table(first: str, *columns: tuple[str, bool]) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(first, header_style="dim", no_wrap=True)
    for name, numeric in columns:
        made.add_column(name, justify="right" if numeric else "left", no_wrap=True, header_style="dim")
    return made
