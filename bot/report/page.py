"""One self-contained HTML page of a verdict, which opens from a file.

Promises a page without script and without any request, that reads in a light and a dark room and on a phone, and in
which every plot's figures also stand in a table. Text from the verdict is escaped by Jinja and cleaned of invisible
characters before that. Plots need the extra `site`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

from bot.report import templating, wording
from bot.report.escaping import clean
from bot.verdict import TestVerdict, Verdict
from harness.errors import UserError

MOST_DRAWN = 30
"""Entries of one outcome that get plots of their own: some twenty kilobytes each."""


@dataclass(frozen=True)
class Drawn:
    """An entry and its plots, each an SVG or ""."""

    entry: TestVerdict
    samples: Markup
    effects: Markup


def render(verdict: Verdict) -> str:
    """The verdict as a page. Raises UserError where the extra `site` is not installed."""
    try:
        from bot.report import plots
    except ImportError as error:
        raise UserError(
            f"the page's plots need {error.name}; install torchwarden with its extra: pip install 'torchwarden[site]'"
        ) from None

    def drawn(entries: list[TestVerdict]) -> list[Drawn]:
        return [
            # Markup: made by vl-convert, which escapes the names it writes.
            Drawn(entry, Markup(plots.launch_samples(entry)), Markup(plots.launch_effects(entry)))
            for entry in entries[:MOST_DRAWN]
        ]

    groups = {
        "regressed": wording.slowest_first(verdict.of("regressed")),
        "improved": wording.fastest_first(verdict.of("improved")),
        "inconclusive": wording.slowest_first(verdict.of("inconclusive")),
    }
    intervals = plots.drawable(verdict)
    repeated = wording.repeated(verdict)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            verdict=verdict,
            palette=plots.PALETTE,
            forest=Markup(plots.forest(intervals, repeated=repeated)) if intervals else "",
            narrow_forest=Markup(plots.forest(intervals, narrow=True, repeated=repeated)) if intervals else "",
            undrawn=sum(entry.change is not None for entry in verdict.tests) - len(intervals),
            groups={outcome: drawn(entries) for outcome, entries in groups.items()},
            more={outcome: max(len(entries) - MOST_DRAWN, 0) for outcome, entries in groups.items()},
            asked=wording.question(verdict),
            line=wording.headline(verdict),
            counts=wording.tally(verdict),
            repeated=repeated,
            health=wording.health_words(verdict),
            cautions=wording.cautions(verdict),
            differing=wording.differing_packages(verdict.builds),
            entries=wording.worst_first(verdict.tests),
            unsettled=wording.worst_first(verdict.of("failed", "missing")),
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = templating.environment(_visible)
    environment.filters["tail"] = _tail
    return environment


def _visible(value: Any) -> Any:
    """Text without invisible characters, in which no figure is parted from its percent sign at the end of a line."""
    if isinstance(value, Markup):
        return value
    return clean(str(value), 1000).replace(" %", "\N{NO-BREAK SPACE}%").replace("± ", "±\N{NO-BREAK SPACE}")


def _tail(value: str, characters: int = 4000) -> Markup:
    """The end of a text of several lines, cleaned and escaped."""
    return Markup.escape(clean(value[-characters:], characters, lines=True))
