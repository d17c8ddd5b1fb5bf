"""`torchwarden run`: measure, and keep the samples."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bot import quantities
from bot.cli import destinations
from bot.cli.boundary import INTERRUPTED
from bot.cli.options import Builds, Method, Selection, flattened

if TYPE_CHECKING:
    from harness.records import Run

LAYOUTS = ("convnet",)
"""Formats that `--layout` prints."""


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
    confirm: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--confirm", metavar="VERDICT", help="Only this verdict's suspect tests, with fresh launches and more time."
        ),
    ] = None,
    target_lines: Annotated[
        bool, typer.Option("--target-lines", help="Also print `[TARGET] <workload> Time <seconds>` at the end.")
    ] = False,
    layout: Annotated[
        str | None,
        typer.Option("--layout", metavar="NAME", help="Also print times as another benchmark does: convnet."),
    ] = None,
) -> int:
    """Measure tests and write every sample to a run file.

    Ends with 0 when everything was measured or its failure recorded; `torchwarden judge` decides what it means.
    With --confirm and the options of the first run, suspect tests get three times --budget; give the file to
    `torchwarden judge --confirm-run`. Interrupted, it leaves a valid file that --resume goes on with.
    """
    from bot import verdict as verdicts
    from bot.cli import confirming, measuring
    from harness import records
    from harness.errors import UserError

    layouts = (["target-lines"] if target_lines else []) + (
        [quantities.known(layout, LAYOUTS, "layout")] if layout is not None else []
    )
    if resume and out is None:
        raise UserError("--resume needs --out with the run file to go on with")
    path = out if out is not None else destinations.fresh_run(pathlib.Path("out"))
    destinations.check(path, replace=resume, make_folder=out is None)
    verdict = None if confirm is None else verdicts.read(confirm)
    session = measuring.prepare(selection, builds, method, command=measuring.command_line())
    if verdict is not None:
        suspects = confirming.session_for(session, verdict)
        if suspects is None:
            print(f"nothing to confirm: no selected test of {confirm} has a signal or might have one")
            return 0
        session = suspects
    if out is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    measured = measuring.measure(session, path, resume=resume)
    print(f"{measuring.summary(measured, session.plan)}: {path}")
    if measured.effort:
        print(measured.effort)
    if not measured.finished:
        print(f"interrupted; go on with the same command and --resume --out {path}")
        return INTERRUPTED
    if layouts:
        print("\n".join(_laid_out(records.read(path), layouts)))
    return 0


def _laid_out(run: Run, layouts: Iterable[str]) -> Iterator[str]:
    """The run's head in these layouts of `harness.formats`; where there are several files, each under its name."""
    from harness import formats

    for layout in layouts:
        files = formats.FORMATS[layout].write(run, formats.Upload())
        for name, content in files.items():
            yield from ([f"# {name}"] if len(files) > 1 else [])
            yield content.decode().rstrip("\n")
