"""A verdict onto stdout: in colour and at full width on a terminal, as plain text elsewhere."""

from __future__ import annotations

import sys

from bot import report
from bot.verdict import Verdict


def show(verdict: Verdict, to: str = "terminal") -> None:
    """Print the verdict as a report of the kind `to`, one of `bot.report.RENDERERS`."""
    if to == "terminal" and sys.stdout.isatty():
        from rich.console import Console

        from bot.report import terminal

        Console(highlight=False, markup=False, emoji=False).print(terminal.renderable(verdict))
        return
    write(report.render(verdict, to))


def write(text: str) -> None:
    """Print `text` with exactly one newline at its end."""
    print(text.removesuffix("\n"))
