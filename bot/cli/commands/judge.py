"""`torchwarden judge`: what a run says about the change."""

from __future__ import annotations

import pathlib
from typing import Annotated

import typer

from bot import quantities
from bot.cli import destinations
from bot.cli.options import Judging, Reference, flattened


@flattened
def judge(
    judging: Judging,
    runs: Annotated[
        list[pathlib.Path] | None, typer.Argument(metavar="RUN...", help="A run file, or all shards of one run.")
    ] = None,
    reference: Reference = None,
    confirm_run: Annotated[
        list[pathlib.Path] | None,
        typer.Option("--confirm-run", metavar="RUN", help="A second run of the suspect tests (run --confirm)."),
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option("--threshold", metavar="PERCENT", help="Change that is a signal (default: the run's own)."),
    ] = None,
    explanation: Annotated[
        pathlib.Path | None,
        typer.Option("--explanation", metavar="FILE", help="Why tests changed, from `torchwarden explain --out`."),
    ] = None,
    out: Annotated[pathlib.Path | None, typer.Option("--out", metavar="FILE", help="Write the verdict here.")] = None,
    to: Annotated[
        str, typer.Option("--to", metavar="KIND", help="Print as terminal, comment, summary, html or json.")
    ] = "terminal",
    verify: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--verify", metavar="VERDICT", help="Derive this verdict again from its inputs, beside it or named."
        ),
    ] = None,
) -> int:
    """Judge a run against its base or a reference.

    The base counts where the run holds its lanes; a reference then gives weights for the score, and shows drift.
    Ends with 0 when there is nothing to report, 1 for a regression, 3 when a test could not be decided.
    """
    from bot import report, verdict
    from bot.cli import judged, showing
    from harness.errors import UserError

    quantities.known(to, report.RENDERERS, "kind of report")
    if verify is not None:
        more = [one for one in (reference, explanation) if one]
        return judged.verified(verify, [*(runs or []), *more, *(confirm_run or [])])
    if not runs:
        raise UserError("name the run file to judge; see `torchwarden judge --help`")
    if out is not None:
        destinations.check(out)
    found = judged.judge(
        runs,
        judging,
        reference=reference,
        threshold=threshold,
        confirmations=confirm_run or [],
        explanation=explanation,
    )
    if out is not None:
        destinations.write(out, verdict.encode(found).decode())
    showing.show(found, to)
    return verdict.EXIT_CODES[found.outcome]
