"""`torchwarden import`: what another tool measured, as a run."""

from __future__ import annotations

import pathlib
from collections import Counter
from typing import Annotated

import typer

from bot import quantities
from bot.cli import destinations

MAX_BYTES = 256 * 2**20
"""Largest file that is read; a dashboard's files of one night are a few MiB."""


def import_(
    format: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="dynamo-csv, hud-v3, pytest-benchmark, userbenchmark, target-lines or convnet; see docs/formats.md.",
        ),
    ],
    files: Annotated[list[pathlib.Path], typer.Argument(metavar="FILE...", help="Files of one run on one machine.")],
    out: Annotated[pathlib.Path, typer.Option("--out", metavar="FILE", help="Run file to make.")],
) -> None:
    """Make a run of the files of another tool.

    What the files do not tell is marked unknown. The run can be judged, scored, compared and exported as any other; no
    file is overwritten.
    """
    from bot import inputs, numbers
    from harness import formats, records
    from harness.errors import UserError

    chosen = formats.FORMATS[quantities.known(format, formats.FORMATS, "format")]
    destinations.check(out, replace=False, instead="name another file with --out")
    contents = {}
    for path in files:
        if str(path) in contents:
            raise UserError(f"{path} is named twice; name each file once")
        contents[str(path)] = inputs.read(
            path,
            MAX_BYTES,
            wanted=f"name a file of the format {format}.",
            too_large="no run of that format is that large, give another file.",
        )
    run = chosen.read(contents)
    lines = records.encode([run.header, *run.tests, *run.footers])
    destinations.write(out, lines.decode())
    ended = Counter(test.status for test in run.tests)
    told = ", ".join(f"{count} {status}" for status, count in ended.items())
    print(f"{out}: {numbers.count(len(run.tests), 'test')} ({told})")
