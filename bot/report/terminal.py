"""The verdict for a person at a terminal, through rich.

Promises the same sentences as the comment, nothing folded away that needs a look, at most `ROWS` rows of tests that
need none, and no control character from a verdict: what it holds is cleaned and never read as rich's markup.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bot import numbers
from bot.report import wording
from bot.report.escaping import clean
from bot.verdict import TestVerdict, Verdict

ROWS = 40
WIDTH = 120
_PLOT_WIDTH = 21
_GAP = 2
_NAME_WIDTH = 46
_HEADLINE_STYLES = {"🔴": "bold red", "🟠": "bold yellow", "🔵": "bold blue", "🟢": "bold green", "⚪": "bold"}


def render(verdict: Verdict) -> str:
    """The report as plain text without colours, 120 columns wide."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(renderable(verdict))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def renderable(verdict: Verdict) -> RenderableType:
    """The report for a console of the caller's, which decides on width and colour."""
    return Group(*_parts(verdict))


def _parts(verdict: Verdict) -> Iterable[RenderableType]:
    line = wording.headline(verdict)
    asked = wording.question(verdict)
    title = Text(line.title, style=_HEADLINE_STYLES.get(line.mark, "bold"))
    if line.worst is not None:
        before, model, behind = wording.short_name(line.worst.test)
        named = " ".join(part for part in (clean(before), clean(model)) if part)
        place = f" ({clean(behind)})" if behind else ""
        title.append(f" · {line.worst_as}: {named}{place} {wording.change(line.worst)}")
    if score := wording.score_words(verdict):
        title.append(f" · {score}")
    yield Text()
    yield title
    if line.notes:
        yield Text(line.remarks)
    yield Text(_sides(verdict), style="dim")
    yield Text()
    for caution in wording.cautions(verdict)[:ROWS]:
        tests = f" ({_named(caution.tests)})" if caution.tests else ""
        yield Text(f"warning: {clean(caution.sentence, 500)}{tests}", style="yellow")
    if wording.cautions(verdict):
        yield Text()
    if asked == "nothing":
        yield _latencies(verdict)
    elif verdict.tests:
        yield _Changes(verdict)
    yield from _explained(verdict)
    yield from _reasons(verdict)
    if verdict.speedups:
        yield Text()
        yield _speedups(verdict)
    if verdict.score is not None and verdict.score.movers:
        yield Text()
        yield _movers(verdict)
    if health := wording.health_words(verdict):
        yield Text()
        yield Text("health: " + ", ".join(health), style="dim")
    if verdict.reproduce:
        yield Text("measure again: " + clean(verdict.reproduce, 2000), style="dim")


def _named(tests: Sequence[str], most: int = 3) -> str:
    rest = f" and {len(tests) - most} more" if len(tests) > most else ""
    return ", ".join(clean(test) for test in tests[:most]) + rest


def _sides(verdict: Verdict) -> str:
    plan = verdict.plan
    builds = [wording.build(verdict, name) for name in dict.fromkeys((plan.head, plan.base)) if name]
    names = dict.fromkeys(wording.torch_of(build) for build in builds if build is not None)
    others = {"runs": ["an earlier run"], "reference": ["the stored reference"]}.get(wording.question(verdict), [])
    facts = (
        " against ".join([*(clean(name) for name in names), *others]),
        f"machine {clean(verdict.machine.name)}",
        f"took {numbers.duration(verdict.elapsed_seconds)}",
        wording.tally_words(verdict),
    )
    return " · ".join(fact for fact in facts if fact)


def _table(*columns: tuple[str, bool], caption: str | None = None) -> Table:
    """A table without lines; a column is its head and whether it holds figures, which are never wrapped."""
    table = Table(
        title=caption, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, _GAP, 0, 0)
    )
    for name, numeric in columns:
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(name, justify=justify, no_wrap=numeric, header_style="dim", overflow="fold")
    return table


class _Changes:
    """The table of changes. On a narrow terminal it gives up its last column, then its plot, before it wraps names."""

    def __init__(self, verdict: Verdict) -> None:
        self._repeated = wording.repeated(verdict)
        entries = wording.worst_first(verdict.tests)
        quiet = [entry for entry in entries if entry.outcome == "unchanged"]
        loud = [entry for entry in entries if entry.outcome != "unchanged"]
        self._shown = [*loud, *quiet[: max(ROWS - len(loud), 5)]]
        self._left_out = len(entries) - len(self._shown)
        self._first = "reference" if wording.question(verdict) == "reference" else "base"
        self._scale = _plot_scale(self._shown)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = {
            "test": [self._name(entry) for entry in self._shown],
            "": [self._outcome(entry) for entry in self._shown],
            "change": [Text(wording.change(entry)) for entry in self._shown],
            _axis(self._scale): [self._interval(entry) for entry in self._shown],
            f"{self._first} → head": [Text(wording.times(entry)) for entry in self._shown],
            "could see": [
                Text("–" if entry.detectable is None else numbers.percent(entry.detectable)) for entry in self._shown
            ],
        }
        numeric = {"change", "could see", f"{self._first} → head"}
        widths = {head: max(cell.cell_len for cell in (Text(head), *cells)) for head, cells in columns.items()}
        # One very long name is folded; it must not cost all others their plot.
        widths["test"] = min(widths["test"], _NAME_WIDTH)
        for expendable in ("could see", _axis(self._scale)):
            if sum(widths.values()) + _GAP * len(widths) > options.max_width:
                del columns[expendable], widths[expendable]
        table = _table(*((head, head in numeric) for head in columns))
        for row in zip(*columns.values(), strict=True):
            table.add_row(*row)
        yield table
        if self._left_out:
            yield Text(f"and {self._left_out:,} more unchanged", style="dim")

    def _name(self, entry: TestVerdict) -> Text:
        lane = f" in {clean(entry.lane)}" if entry.test in self._repeated else ""
        return Text(clean(entry.test) + lane)

    def _outcome(self, entry: TestVerdict) -> Text:
        word = wording.WORDS[entry.outcome]
        return Text(f"{word.glyph} {word.word}", style=word.style)

    def _interval(self, entry: TestVerdict) -> Text:
        return Text(_interval(entry, self._scale), style=wording.WORDS[entry.outcome].style, no_wrap=True)


def _plot_scale(entries: Iterable[TestVerdict]) -> float:
    """Half the width of the plot column, a fraction: holds every threshold, and changes up to three times as large."""
    threshold = max((entry.threshold for entry in entries), default=0.07)
    largest = max((abs(entry.change) for entry in entries if entry.change is not None), default=0.0)
    return min(max(1.5 * threshold, 1.2 * largest), 3 * threshold)


def _axis(scale: float) -> str:
    left, right = f"{numbers.MINUS}{numbers.percent(scale)}", f"+{numbers.percent(scale)}"
    return f"{left}{'0':^{_PLOT_WIDTH - len(left) - len(right)}}{right}"


def _interval(entry: TestVerdict, scale: float) -> str:
    """The interval as characters: a line from low to high, a dot at the change, a bar at zero, arrows at the edges."""
    if entry.change is None:
        return ""
    middle = _PLOT_WIDTH // 2

    def column(value: float) -> int:
        return round(middle * (1 + max(-1.0, min(1.0, value / scale))))

    cells = [" "] * _PLOT_WIDTH
    for mark in (-entry.threshold, entry.threshold):
        cells[column(mark)] = "┊"
    cells[middle] = "│"
    if entry.low is not None and entry.high is not None:
        for index in range(column(entry.low), column(entry.high) + 1):
            cells[index] = "─"
        cells[0] = "◂" if entry.low < -scale else cells[0]
        cells[-1] = "▸" if entry.high > scale else cells[-1]
    cells[column(entry.change)] = "●"
    return "".join(cells)


def _latencies(verdict: Verdict) -> Table:
    table = _table(("test", False), ("lane", False), ("", False), ("time", True))
    asked = wording.question(verdict)
    for entry in wording.worst_first(verdict.tests)[: 10 * ROWS]:
        table.add_row(
            Text(clean(entry.test)),
            Text(clean(entry.lane)),
            Text(wording.outcome_word(entry.outcome, asked), style=wording.WORDS[entry.outcome].style),
            "–" if entry.head_seconds is None else numbers.seconds(entry.head_seconds),
        )
    return table


def _explained(verdict: Verdict) -> Iterable[RenderableType]:
    """Why tests changed: the lines of each, under its name."""
    entries = [entry for entry in wording.worst_first(verdict.tests) if entry.explanation]
    if entries:
        yield Text()
    for entry in entries[:ROWS]:
        yield Text(f"Why {clean(entry.test)}:")
        for line in entry.explanation[:5]:
            yield Padding(Text(clean(line, 500)), (0, 0, 0, 2))


def _reasons(verdict: Verdict) -> Iterable[RenderableType]:
    entries = [
        entry
        for entry in wording.worst_first(verdict.of(*wording.UNSETTLED, "accepted", "new"))
        if entry.reason or entry.stderr
    ]
    if entries:
        yield Text()
    for entry in entries[:ROWS]:
        word = wording.WORDS[entry.outcome]
        told = Text.assemble((f"{word.word}: ", word.style), clean(entry.test), " ", clean(entry.reason, 500))
        yield told
        if entry.stderr:
            yield Padding(Text(clean(entry.stderr[-500:], 500, lines=True), style="dim"), (0, 0, 0, 4))
    if len(entries) > ROWS:
        yield Text(f"and {len(entries) - ROWS:,} more", style="dim")


def _speedups(verdict: Verdict) -> RenderableType:
    table = _table(
        ("test", False), ("lane", False), ("against", False), ("speedup", True), ("time", True), caption="Speedup"
    )
    for speedup in verdict.speedups[:ROWS]:
        table.add_row(
            Text(clean(speedup.test)),
            Text(clean(speedup.lane)),
            Text(clean(speedup.against)),
            numbers.measured(speedup.ratio, speedup.low, speedup.high, "×"),
            numbers.transition(speedup.against_seconds, speedup.seconds),
        )
    means = [
        Text(
            f"{clean(lane)} is {numbers.significant(ratio, 3)}× as fast as {clean(against)} "
            f"(geometric mean of {numbers.count(number, 'test')})"
        )
        for lane, against, ratio, number in wording.mean_speedups(verdict.speedups)[:ROWS]
    ]
    return Group(table, *means)


def _movers(verdict: Verdict) -> Table:
    table = _table(("test", False), ("weight", True), ("points", True), caption="What moved the score")
    if verdict.score is not None:
        for mover in verdict.score.movers[:5]:
            points = numbers.fixed(mover.points, 1, sign=True)
            table.add_row(Text(clean(mover.test)), numbers.percent(mover.weight), points)
    return table
