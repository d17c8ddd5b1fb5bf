"""The summary of a run of compilers, in the layout of the TorchDynamo benchmark's report: Markdown for people.

Promises an executive summary (pass rate, geometric mean speedup, compile time, memory compression by suite and
backend), the models beyond a threshold, what got worse since the run before, a folded table of every model with both
latencies, and what was built and measured. Every mean says how many models made it; a failed or absent one is named.
Nothing of a run acts on GitHub (`bot.report.escaping`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup

from bot import aggregate, numbers
from bot.aggregate import Aggregate, Figures, Flag, Key, Thresholds
from bot.report import escaping, templating
from harness.modenames import join_mode
from harness.records import Run

DASH = "–"


@dataclass(frozen=True)
class Side:
    """A run and what its models came to."""

    run: Run
    figures: list[Figures]

    @classmethod
    def of(cls, run: Run) -> Side:
        """The side of a run's head."""
        return cls(run, aggregate.figures(run))


@dataclass(frozen=True)
class Row:
    """A row of a table of the executive summary: a mode, and its figure in every suite."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of the executive summary."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def summary(after: Side, before: Side | None, policy: Thresholds) -> str:
    """The summary of a run, compared with the run `before` it where there is one."""
    return (
        _environment()
        .get_template("compilers.md.j2")
        .render(
            run=after.run,
            plan=after.run.header.plan,
            builds=after.run.header.builds,
            machine=after.run.header.machine,
            policy=policy,
            types=[_type(after, before, policy, type) for type in ("train", "eval") if _of(after.figures, type)],
            previous=before.run.header if before else None,
            name=functools.partial(escaping.code, limit=120),
            reason=functools.partial(escaping.code, limit=300),
        )
        .strip()
        + "\n"
    )


@dataclass(frozen=True)
class TypeSummary:
    """All of a summary that concerns one test type."""

    title: str
    tables: tuple[Table, ...]
    incomplete: tuple[Aggregate, ...]
    warnings: tuple[str, ...]
    regressions: tuple[str, ...]
    alone: tuple[str, ...]
    models: tuple[ModelTable, ...]


@dataclass(frozen=True)
class ModelTable:
    """Every model of a suite in one mode, the slowest against eager first."""

    key: Key
    rows: tuple[Figures, ...]


def _type(after: Side, before: Side | None, policy: Thresholds, type: str) -> TypeSummary:
    found, earlier = _of(after.figures, type), _of(before.figures, type) if before else []
    sums = aggregate.aggregates(found, policy)
    keys = sorted({one.key for one in found})
    regressions = aggregate.regressions(earlier, found, policy) if before else []
    ours, theirs = ({(one.key.suite, one.key.mode, one.model) for one in side} for side in (found, earlier))
    return TypeSummary(
        title={"train": "Training", "eval": "Inference"}[type],
        tables=tuple(_tables(sums, found, earlier, policy)),
        incomplete=tuple(one for one in sums if one.failed or one.absent),
        warnings=(*_low_pass_rates(sums, policy), *map(_said, aggregate.warnings(found, policy))),
        regressions=tuple(map(_said, regressions)),
        alone=tuple(sorted({model for *_, model in ours ^ theirs})) if before else (),
        models=tuple(
            ModelTable(key, tuple(sorted((one for one in found if one.key == key), key=_slowest_first))) for key in keys
        ),
    )


def _low_pass_rates(sums: Sequence[Aggregate], policy: Thresholds) -> list[str]:
    """A line for every suite and mode that too few models pass in."""
    return [
        Markup(f"{escaping.text(one.key.suite)}, {escaping.code(one.key.mode)}: pass rate {pass_rate(one)}")
        for one in sums
        if policy.pass_rate is not None and one.pass_rate < policy.pass_rate
    ]


def _of(found: Sequence[Figures], type: str) -> list[Figures]:
    return [one for one in found if one.key.type == type]


def _slowest_first(one: Figures) -> tuple[bool, float, str]:
    return one.speedup is not None, one.speedup or 0.0, one.model


def _tables(
    sums: Sequence[Aggregate], found: Sequence[Figures], earlier: Sequence[Figures], policy: Thresholds
) -> list[Table]:
    suites = tuple(dict.fromkeys(one.key.suite for one in sums))
    modes = tuple(dict.fromkeys(one.key.mode for one in sums))
    by_place = {(one.key.suite, one.key.mode): one for one in sums}
    # Means are compared over the same models, which need not be all of either run.
    shared = aggregate.common(earlier, found)
    was, now = (
        {(one.key.suite, one.key.mode): one for one in aggregate.aggregates(side, policy, only=shared)}
        for side in (earlier, found)
    )

    def table(title: str, note: str, cell: Callable[[Aggregate], str], *, mean: bool = True) -> Table:
        def shown(suite: str, mode: str) -> str:
            place = suite, mode
            if place not in by_place:
                return DASH
            here = cell(by_place[place])
            if place not in was:
                return here
            if not mean:
                return f"{here} (before {cell(was[place])})"
            over = numbers.count(len(shared), "model")
            return f"{here} (over the {over} of both runs: {cell(was[place])} → {cell(now[place])})"

        return Table(
            title, note, suites, tuple(Row(mode, tuple(shown(suite, mode) for suite in suites)) for mode in modes)
        )

    clipped = "; a speedup under 1 counts as 1" if policy.clips else ""
    return [
        table("Pass rate", "models whose results are right, of all that were planned", pass_rate, mean=False),
        table("Geometric mean speedup", f"eager's time over the backend's, of the models that pass{clipped}", speedup),
        table("Mean compile time", "of the first step with an empty cache, less a steady step", compile_time),
        table("Mean memory compression", "eager's peak memory over the backend's", compression),
    ]


def pass_rate(one: Aggregate) -> str:
    """`92 %, 23/25`."""
    total = len(one.passed) + len(one.failed) + len(one.absent)
    return f"{100 * one.pass_rate:.0f} %, {len(one.passed)}/{total}"


def speedup(one: Aggregate) -> str:
    """`1.32× ± 0.04`."""
    mean = one.speedup
    return DASH if mean is None else numbers.measured(mean.value, mean.low, mean.high, "×")


def compile_time(one: Aggregate) -> str:
    """`24.1 s`."""
    return DASH if one.compile_seconds is None else numbers.seconds(one.compile_seconds)


def compression(one: Aggregate) -> str:
    """`0.98×`."""
    return DASH if one.compression is None else f"{numbers.significant(one.compression, 3)}×"


_METRICS: dict[str, Callable[[float], str]] = {
    "speedup": lambda value: f"speedup {numbers.significant(value, 3)}×",
    "compile_seconds": lambda value: f"compile time {numbers.seconds(value)}",
    "compression": lambda value: f"memory compression {numbers.significant(value, 3)}×",
}


def _said(flag: Flag) -> str:
    """A flag as a line of Markdown."""
    name = escaping.code(flag.model)
    where = f"{escaping.text(flag.key.suite)}, {escaping.code(join_mode(flag.key.backend, flag.key.precision))}"
    if flag.metric == "accuracy" or flag.value is None:
        return Markup(f"{name} ({where}): {escaping.code(flag.status)}")
    said = _METRICS[flag.metric](flag.value)
    before = "" if flag.before is None else f", before {_METRICS[flag.metric](flag.before)}"
    return Markup(f"{name} ({where}): {said}{before}")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = templating.environment(escaping.inert)
    environment.globals.update(DASH=DASH)
    return environment
