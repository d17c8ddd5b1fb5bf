"""`torchwarden run`: measure, and keep the samples."""

from __future__ import annotations

import pathlib
from typing import Annotated

import typer

from bot.cli import destinations
from bot.cli.boundary import INTERRUPTED
from bot.cli.options import Builds, Method, Selection, flattened


@flattened
def run(
    selection: Selection,
    builds: Builds,
    method: Method,
    out: Annotated[
        pathlib.Path | None,
        typer.Option("--out", metavar="FILE", help="Run file, JSON Lines (default: a fresh name in out/)."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, with the same options.")
    ] = False,
) -> int:
    """Measure tests and write every sample to a run file.

    Ends with 0 when everything was measured or its failure recorded; `torchwarden judge` decides what it means.
    Interrupted, it leaves a valid file that --resume goes on with.
    """
    from bot.cli import measuring
    from harness.errors import UserError

    if resume and out is None:
        raise UserError("--resume needs --out with the run file to go on with")
    path = out if out is not None else destinations.fresh_run(pathlib.Path("out"))
    destinations.check(path, replace=resume, make_folder=out is None)
    session = measuring.prepare(selection, builds, method, command=measuring.command_line())
    if out is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    measured = measuring.measure(session, path, resume=resume)
    print(f"{measuring.summary(measured, session.plan)}: {path}")
    if not measured.finished:
        print(f"interrupted; go on with the same command and --resume --out {path}")
        return INTERRUPTED
    return 0
