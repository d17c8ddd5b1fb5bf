"""From a verdict to words: the terminal, a pull request's comment, a job's summary, a page, and JSON.

Every report is a function from a verdict to text, listed in `RENDERERS`; nothing here prints, writes or asks the
environment. What a report needs beyond the base install is imported when that report is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from bot.verdict import Verdict, encode
from harness.errors import UserError

Renderer = Callable[[Verdict], str]


def _json(verdict: Verdict) -> str:
    return encode(verdict).decode()


def _from(module: str, function: str) -> Renderer:
    def render(verdict: Verdict) -> str:
        renderer: Renderer = getattr(importlib.import_module(f"bot.report.{module}"), function)
        return renderer(verdict)

    return render


RENDERERS: dict[str, Renderer] = {
    "terminal": _from("terminal", "render"),
    "comment": _from("markdown", "comment"),
    "summary": _from("markdown", "summary"),
    "html": _from("page", "render"),
    "json": _json,
}
"""By the name that `torchwarden report --to` takes."""


def render(verdict: Verdict, to: str) -> str:
    """The verdict as text of the kind `to`, one of `RENDERERS`.

    Raises UserError for an unknown kind, and for `html` where the extra `site` is not installed.
    """
    renderer = RENDERERS.get(to)
    if renderer is None:
        raise UserError(f"there is no report of the kind {to!r}; name one of {', '.join(RENDERERS)}")
    return renderer(verdict)
