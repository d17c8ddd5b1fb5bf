"""Jinja as every report uses it: strict about names, tidy about white space, with the reports' own words at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jinja2

from bot import numbers
from bot.report import wording


def environment(shown: Callable[[Any], Any]) -> jinja2.Environment:
    """Jinja over `bot/templates`; whatever a template shows goes through `shown` first.

    Autoescape is on: what `shown` returns is escaped for HTML unless it is Markup, and macros return Markup.
    """
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("bot", "templates"),
        autoescape=True,
        finalize=shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(wording=wording, numbers=numbers)
    return made
