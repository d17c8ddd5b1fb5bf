"""`torchwarden report`: a verdict in the form somebody wants to read."""

from __future__ import annotations

import pathlib
from typing import Annotated

import typer

from bot import quantities
from bot.cli import destinations


def report(
    verdict: Annotated[pathlib.Path, typer.Argument(metavar="VERDICT", help="Written by `torchwarden judge --out`.")],
    to: Annotated[
        str, typer.Option("--to", metavar="KIND", help="terminal, comment, summary, html or json.")
    ] = "terminal",
    out: Annotated[pathlib.Path | None, typer.Option("--out", metavar="FILE", help="Write here, do not print.")] = None,
) -> None:
    """Show a verdict as text, comment, page or JSON."""
    from bot import report as reports
    from bot import verdict as verdicts
    from bot.cli import showing

    quantities.known(to, reports.RENDERERS, "kind of report")
    if out is not None:
        destinations.check(out)
    found = verdicts.read(verdict)
    if out is not None:
        destinations.write(out, reports.render(found, to))
    else:
        showing.show(found, to)
