"""The page's plots: static SVG through Altair, small enough to stand inside the page.

Promises SVG without script, style sheet or address, whose colours are those of `PALETTE`: the page's style sheet knows
them and replaces them by the reader's light or dark ones. Outcomes differ in shape as well as in colour. Needs the
extra `site`; `bot.report.page` says so when it is missing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy
import vl_convert

from bot import numbers
from bot.report import wording
from bot.report.escaping import clean
from bot.verdict import Outcome, TestVerdict, Verdict

PALETTE = {
    "slower": "#b8400c",
    "faster": "#0b62a8",
    "undecided": "#7d6100",
    "unchanged": "#5b6573",
    "base": "#67717f",
    "head": "#7a2fb5",
    "ink": "#1d2329",
    "faint": "#5a646f",
    "line": "#d5dae0",
    "band": "#eef1f4",
}
"""Name of a colour in the style sheet, and its stand-in in an SVG. Each stand-in is used for one name only."""

FOREST_ROWS = 120
"""More intervals than this are no picture any more; signals come first, the table of the page lists all."""

_SHAPES: dict[Outcome, tuple[str, str]] = {
    "regressed": ("triangle-up", "slower"),
    "improved": ("triangle-down", "faster"),
    "inconclusive": ("diamond", "undecided"),
    "unchanged": ("circle", "unchanged"),
    "new": ("circle", "unchanged"),
    "missing": ("circle", "unchanged"),
    "accepted": ("circle", "unchanged"),
    "failed": ("circle", "unchanged"),
}

_FONT = 12
_FAMILY = "Arial, Liberation Sans, Helvetica, sans-serif"
"""As in the style sheet: names take the room that was measured for them only in a font as wide as that."""


def drawable(verdict: Verdict) -> list[TestVerdict]:
    """The entries that `forest` draws, slowest first: all with a change, of unchanged ones as many as there is room."""
    entries = [entry for entry in verdict.tests if entry.change is not None]
    kept = wording.worst_first(entries)[:FOREST_ROWS]
    return wording.slowest_first(kept)


def forest(entries: Sequence[TestVerdict], *, narrow: bool = False, repeated: frozenset[str] = frozenset()) -> str:
    """Change and 95 % interval of each entry, the thresholds as a band; `narrow` writes names above the intervals."""
    names = [clean(_name(entry, repeated), 60) for entry in entries]
    low, high = _domain(entries)
    rows = [_forest_row(entry, name, low, high) for entry, name in zip(entries, names, strict=True)]
    lay = _NARROW if narrow else _WIDE
    base = alt.Chart(alt.InlineData(values=rows))
    y = alt.Y(
        "row:O",
        sort=None,
        axis=None,
        scale=alt.Scale(paddingInner=0, paddingOuter=0, domain=[row["row"] for row in rows]),
    )
    axis = alt.Axis(
        orient="top", labelExpr=_PERCENT_LABEL, tickCount=lay.ticks, title="change; slower is right", grid=not narrow
    )
    x = alt.X("low:Q", axis=axis, scale=alt.Scale(domain=[low, high], nice=False, zero=False))
    colour = alt.Color("colour:N", scale=None)
    text: dict[str, Any] = {"baseline": "middle", "fontSize": _FONT}
    layers = [
        base.mark_bar(color=PALETTE["band"], height=lay.band, yOffset=lay.sink).encode(
            x=alt.X("band_low:Q"), x2="band_high:Q", y=y
        ),
        base.mark_tick(color=PALETTE["faint"], thickness=1, height=lay.band, yOffset=lay.sink).encode(
            x=alt.datum(0), y=y
        ),
        base.mark_rule(strokeWidth=2, yOffset=lay.sink).encode(x=x, x2="high:Q", y=y, color=colour),
        base.mark_point(filled=True, size=64, opacity=1, yOffset=lay.sink).encode(
            x="at:Q", y=y, color=colour, shape=alt.Shape("shape:N", scale=None)
        ),
        base.mark_text(
            align="left" if narrow else "right", dy=-lay.sink, color=PALETTE["ink"], limit=lay.names, **text
        ).encode(x=alt.value(lay.name_at), y=y, text="name:N"),
        base.mark_text(align="left", dy=lay.sink, **text).encode(
            x=alt.value(lay.width + 12), y=y, text="figure:N", color=colour
        ),
    ]
    # Names and figures count into the size of the picture by themselves; the rest is for fonts wider than Vega's.
    chart = alt.layer(*layers).properties(
        width=lay.width,
        height=lay.step * max(len(rows), 1),
        padding={"left": 2 if narrow else 24, "right": 12, "top": 2, "bottom": 4},
    )
    return _svg(chart)


@dataclass(frozen=True)
class _Layout:
    """Where the parts of a forest plot stand, in pixels."""

    width: int
    """Of the intervals."""
    step: int
    """Height of a row."""
    band: int
    """Height of the threshold's band in a row."""
    sink: int
    """How far intervals stand below the middle of their row, and names above it."""
    name_at: int
    names: int
    """Longest name; a longer one is cut."""
    ticks: int


_WIDE = _Layout(width=620, step=24, band=24, sink=0, name_at=-12, names=330, ticks=6)
_NARROW = _Layout(width=232, step=42, band=16, sink=9, name_at=0, names=330, ticks=4)

_PERCENT_LABEL = "(datum.value > 0 ? '+' : datum.value < 0 ? '\N{MINUS SIGN}' : '') + abs(datum.value) + ' %'"


def _name(entry: TestVerdict, repeated: frozenset[str]) -> str:
    return f"{entry.test} {entry.lane}" if entry.test in repeated else entry.test


def _domain(entries: Sequence[TestVerdict]) -> tuple[float, float]:
    """Percent shown on the axis. One absurd figure must not squash all others, so it ends at three thresholds."""
    threshold = 100 * max((entry.threshold for entry in entries), default=0.07)
    ends = [100 * value for entry in entries for value in (entry.low, entry.change, entry.high) if value is not None]
    low = max(min([-1.25 * threshold, *(1.05 * end for end in ends)]), -3 * threshold)
    high = min(max([1.25 * threshold, *(1.05 * end for end in ends)]), 3 * threshold)
    return low, high


def _forest_row(entry: TestVerdict, name: str, low: float, high: float) -> dict[str, Any]:
    change = 100 * (entry.change or 0.0)
    ends = [change if end is None else 100 * end for end in (entry.low, entry.high)]
    shape, colour = _SHAPES[entry.outcome]
    outside = change < low or change > high
    return {
        "row": f"{name}\n{entry.lane}\n{entry.against}",
        "name": name,
        "at": _within(change, low, high),
        "low": _within(ends[0], low, high),
        "high": _within(ends[1], low, high),
        "band_low": _within(-100 * entry.threshold, low, high),
        "band_high": _within(100 * entry.threshold, low, high),
        # A mark at the edge points out of the plot; its figure beside it is the true one.
        "shape": ("triangle-right" if change > high else "triangle-left") if outside else shape,
        "colour": PALETTE[colour],
        "figure": wording.change(entry).removesuffix(" " + numbers.NO_INTERVAL),
    }


def _within(value: float, low: float, high: float) -> float:
    return round(min(max(value, low), high), 4)


LAUNCHES = 60
"""Launches drawn of one test; more are narrower than a pixel on a phone."""


def launch_samples(entry: TestVerdict) -> str:
    """Samples of each lane by launch: a line from 5 % to 95 %, a box for the middle half, a tick at the median.

    Without raw samples the medians alone; "" when the entry has not even those.
    """
    rows = _sample_rows(entry)
    if not rows:
        return ""
    scale, unit = _unit(max(row["median"] for row in rows))
    for row in rows:
        for key in ("low", "q1", "median", "q3", "high"):
            row[key] = round(row[key] / scale, 5)
    lanes = list(dict.fromkeys(row["lane"] for row in rows))
    launches = max(row["launch"] for row in rows)
    space = _SIZE["width"] / (launches + 1)
    thickness = max(min(space / (len(lanes) + 1), 7), 1.5)
    for row in rows:
        # Lanes stand side by side around the launch's own place on a common axis.
        row["x"] = row["launch"] + (lanes.index(row["lane"]) - (len(lanes) - 1) / 2) * 0.42
        row["colour"] = PALETTE["head" if row["head"] else "base"]
    base = alt.Chart(alt.InlineData(values=rows))
    x = alt.X("x:Q", scale=alt.Scale(domain=[0.3, launches + 0.7], nice=False, zero=False), axis=_launch_axis(launches))
    y = alt.Y(
        "low:Q",
        scale=alt.Scale(zero=False, nice=True),
        axis=_upright(f"time of a step, {unit}"),
    )
    colour = alt.Color("colour:N", scale=None)
    whiskers = base.mark_rule(strokeWidth=1).encode(x=x, y=y, y2="high:Q", color=colour)
    boxes = base.mark_rule(strokeWidth=thickness, opacity=0.45).encode(x=x, y=alt.Y("q1:Q"), y2="q3:Q", color=colour)
    ticks = base.mark_point(shape="stroke", size=max(thickness, 4) ** 2 * 1.6, strokeWidth=2, opacity=1).encode(
        x=x, y="median:Q", color=colour
    )
    return _svg(alt.layer(whiskers, boxes, ticks).properties(**_SIZE))


# Fixed, so that two plots side by side end at the same line whatever their labels are.
_SIZE: dict[str, Any] = {
    "width": 340,
    "height": 200,
    "padding": {"left": 46, "right": 6, "top": 28, "bottom": 36},
    "autosize": alt.AutoSizeParams(type="none", contains="content"),
}


def _launch_axis(launches: int) -> alt.Axis:
    every = 1 if launches <= 12 else 5 if launches <= 30 else 10
    values = range(1, launches + 1) if every == 1 else (1, *range(every, launches + 1, every))
    return alt.Axis(title="launch", grid=False, values=list(values), format="d")


def _upright(title: str, **options: Any) -> alt.Axis:
    """A vertical axis with its title above it, where it needs not be read sideways and meets no label."""
    return alt.Axis(
        title=title, titleAngle=0, titleAlign="left", titleAnchor="end", titleX=-40, titleY=-14, tickCount=5, **options
    )


def _unit(longest: float) -> tuple[float, str]:
    unit = numbers.seconds(longest).rsplit(" ", 1)[-1]
    return {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}.get(unit, 1.0), unit


def _sample_rows(entry: TestVerdict) -> list[dict[str, Any]]:
    rows = []
    for lane in sorted(entry.samples, key=lambda lane: lane.lane == entry.lane):
        for index, found in enumerate(lane.launches[:LAUNCHES], 1):
            if found:
                quantiles = [float(value) for value in numpy.quantile(found, (0.05, 0.25, 0.5, 0.75, 0.95))]
                rows.append(_sample_row(index, lane.lane == entry.lane, quantiles))
    if rows:
        return rows
    for index, launch in enumerate(entry.launches[:LAUNCHES], 1):
        for head, value in ((False, launch.base_seconds), (True, launch.head_seconds)):
            if value is not None:
                rows.append(_sample_row(index, head, [value] * 5))
    return sorted(rows, key=lambda row: bool(row["head"]))


def _sample_row(launch: int, head: bool, quantiles: Sequence[float]) -> dict[str, Any]:
    keys = ("low", "q1", "median", "q3", "high")
    return {"launch": launch, "head": head, "lane": head, **dict(zip(keys, quantiles, strict=True))}


def launch_effects(entry: TestVerdict) -> str:
    """The change that each launch saw, their mean and its interval, the threshold; "" without launches."""
    launches = entry.launches[:LAUNCHES]
    if not launches:
        return ""
    rows = [{"launch": index, "change": round(100 * launch.change, 4)} for index, launch in enumerate(launches, 1)]
    threshold = 100 * entry.threshold * (-1 if (entry.change or 0.0) < 0 else 1)
    facts: dict[str, Any] = {"threshold": threshold, "left": 0.3, "right": len(launches) + 0.7}
    for key, value in (("mean", entry.change), ("low", entry.low), ("high", entry.high)):
        if value is not None:
            facts[key] = 100 * value
    one = alt.Chart(alt.InlineData(values=[facts]))
    x = alt.X(
        "launch:Q",
        scale=alt.Scale(domain=[0.3, len(launches) + 0.7], nice=False, zero=False),
        axis=_launch_axis(len(launches)),
    )
    y = alt.Y(
        "change:Q",
        scale=alt.Scale(zero=True, nice=True),
        axis=_upright("change in a launch", labelExpr=_PERCENT_LABEL),
    )
    layers: list[alt.Chart] = []
    if "low" in facts and "high" in facts:
        layers.append(
            one.mark_rect(color=PALETTE["head"], opacity=0.18).encode(
                x=alt.X("left:Q"), x2="right:Q", y=alt.Y("low:Q"), y2="high:Q"
            )
        )
    layers.append(one.mark_rule(color=PALETTE["faint"]).encode(y=alt.datum(0)))
    layers.append(one.mark_rule(color=PALETTE["slower"], strokeDash=[5, 4]).encode(y="threshold:Q"))
    if "mean" in facts:
        layers.append(one.mark_rule(color=PALETTE["head"], strokeWidth=2).encode(y="mean:Q"))
    points = alt.Chart(alt.InlineData(values=rows)).mark_point(filled=True, size=32, opacity=1, color=PALETTE["ink"])
    layers.append(points.encode(x=x, y=y))
    return _svg(alt.layer(*layers).properties(**_SIZE))


def _svg(chart: alt.LayerChart | alt.FacetChart) -> str:
    configured = chart.configure(
        aria=False,
        background="transparent",
        font=_FAMILY,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=PALETTE["faint"],
            labelFontSize=_FONT - 1,
            titleColor=PALETTE["faint"],
            titleFontSize=_FONT - 1,
            titleFontWeight="normal",
            domainColor=PALETTE["line"],
            tickColor=PALETTE["line"],
            gridColor=PALETTE["line"],
        ),
    )
    svg: str = vl_convert.vegalite_to_svg(configured.to_dict(validate=False))
    return _compact(svg)


_NOISE = re.compile(
    r' (?:xmlns(?::xlink)?="[^"]*"|version="1\.1"|class="[^"]*"|role="[^"]*"|aria-[a-z]+="[^"]*"|pointer-events="none"'
    r'|font-family="[^"]*"|opacity="1"|stroke-miterlimit="10")'
)
_EMPTY = re.compile(r'<path(?: d="(?:|M0,0h0v0h0Z)"| display="none")+/>|<g></g>|<g/>')
_LONG = re.compile(r"-?\d+\.\d{3,}")


@functools.cache
def _shorter(number: str) -> str:
    return f"{float(number):.2f}".rstrip("0").rstrip(".") or "0"


_TAG = re.compile(r"<[^>]*>")


def _compact(svg: str) -> str:
    """The SVG without what only Vega's own script would use, and with coordinates in hundredths of pixels.

    Only tags are touched, never the text between them, which is what people read.
    """

    def shorten(tag: re.Match[str]) -> str:
        return _LONG.sub(lambda number: _shorter(number.group()), _NOISE.sub("", tag.group()))

    body = _TAG.sub(shorten, svg)
    while (smaller := _EMPTY.sub("", body)) != body:
        body = smaller
    return body.replace("<svg", '<svg aria-hidden="true"', 1)
