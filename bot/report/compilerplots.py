"""Plots for the summary of a run of compilers: speedups of a suite's models, and a suite's figures over runs.

Promises standalone SVG files, readable without the summary: titles, axes and legend inside. Needs the extra `site`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import vl_convert

from bot import aggregate
from bot.aggregate import Aggregate, Figures, Thresholds
from bot.report.compilers import Side
from bot.report.escaping import clean

_BAR = 14
"""Pixels of a bar."""
_FONT = "Arial, Liberation Sans, Helvetica, sans-serif"


def plots(sides: Sequence[Side], policy: Thresholds) -> dict[str, str]:
    """SVG texts by file name, for runs from the oldest to the one that is reported.

    Bars for every suite, type and precision of the last; lines over all runs where there are several.
    """
    drawn: dict[str, str] = {}
    latest = sides[-1].figures
    for suite, type, precision in sorted({(one.key.suite, one.key.type, one.key.precision) for one in latest}):
        place = (suite, type, precision)
        members = [one for one in latest if (one.key.suite, one.key.type, one.key.precision) == place]
        if any(one.passed and one.speedup for one in members):
            drawn[f"speedup-{suite}-{type}-{precision}.svg"] = bars(members, f"{suite}, {type}, {precision}")
    if len(sides) > 1:
        for type in sorted({one.key.type for one in latest}):
            drawn[f"over-time-{type}.svg"] = over_time(sides, type, policy)
    return drawn


def bars(members: Sequence[Figures], title: str) -> str:
    """Speedup of every model that passes, a bar for each backend, with its interval; slowest model on top."""
    rows: list[dict[str, Any]] = [
        {
            "model": clean(one.model, 60),
            "backend": clean(one.key.mode, 40),
            "speedup": one.speedup,
            "low": one.low if one.low is not None else one.speedup,
            "high": one.high if one.high is not None else one.speedup,
        }
        for one in members
        if one.passed and one.speedup
    ]
    slowest: dict[str, float] = {}
    for row in rows:
        slowest[row["model"]] = min(slowest.get(row["model"], math.inf), row["speedup"])
    order = sorted(slowest, key=lambda model: (slowest[model], model))
    backends = sorted({row["backend"] for row in rows})
    # From a hair above zero: bars of a logarithmic scale need a floor.
    floor = min(0.5, *(0.9 * row["low"] for row in rows))
    ceiling = max(2.0, *(1.1 * row["high"] for row in rows))
    base = alt.Chart(alt.InlineData(values=rows))
    y = alt.Y("model:N", sort=order, title=None)
    offset = alt.YOffset("backend:N", sort=backends)
    scale = alt.Scale(type="log", domain=[floor, ceiling], nice=False)
    bar = base.mark_bar().encode(
        y=y,
        yOffset=offset,
        x=alt.X("speedup:Q", scale=scale, title="speedup over eager (logarithmic)"),
        x2=alt.datum(1.0),
        color=alt.Color("backend:N", sort=backends, title="backend"),
    )
    interval = base.mark_rule(color="#1d2329").encode(
        y=y, yOffset=offset, x=alt.X("low:Q", scale=scale, title=""), x2="high:Q"
    )
    one = alt.Chart(alt.InlineData(values=[{}])).mark_rule(color="#1d2329").encode(x=alt.datum(1.0))
    height = max(60, _BAR * len(order) * len(backends))
    return _svg(alt.layer(bar, interval, one).properties(width=520, height=height, title=title))


_MEASURES: tuple[tuple[str, Callable[[Aggregate], float | None]], ...] = (
    ("geometric mean speedup", lambda one: one.speedup.value if one.speedup else None),
    ("pass rate", lambda one: one.pass_rate),
    ("mean compile time, s", lambda one: one.compile_seconds),
    ("mean memory compression", lambda one: one.compression),
)


def over_time(sides: Sequence[Side], type: str, policy: Thresholds) -> str:
    """The four figures of every suite and backend over runs, a panel for each figure."""
    rows: list[dict[str, Any]] = []
    for side in sides:
        for one in aggregate.aggregates(side.figures, policy):
            if one.key.type != type:
                continue
            for measure, value in _MEASURES:
                if (found := value(one)) is not None:
                    rows.append(
                        {
                            "started": side.run.header.started,
                            "line": f"{one.key.suite}, {clean(one.key.mode, 40)}",
                            "measure": measure,
                            "value": found,
                        }
                    )
    panels = [
        alt.Chart(alt.InlineData(values=[row for row in rows if row["measure"] == measure]))
        .mark_line(point=True)
        .encode(
            x=alt.X("started:T", title=None),
            y=alt.Y("value:Q", title=measure, scale=alt.Scale(zero=False)),
            color=alt.Color("line:N", title=None),
        )
        .properties(width=320, height=180)
        for measure, _ in _MEASURES
        if any(row["measure"] == measure for row in rows)
    ]
    return _svg(alt.concat(*panels, columns=2).properties(title=f"{type}, over runs"))


def _svg(chart: Any) -> str:
    configured = chart.configure(background="white", font=_FONT, view=alt.ViewConfig(stroke=None))
    svg: str = vl_convert.vegalite_to_svg(configured.to_dict(validate=False))
    return svg
