"""`torchwarden export`: a run in the files of another tool."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import typer

from bot import quantities
from bot.cli import destinations
from bot.cli.options import flattened


@dataclasses.dataclass(frozen=True)
class Uploading:
    """Where the run was made, which it does not know itself."""

    repo: Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="For hud-v3: the repository.")] = ""
    branch: Annotated[str, typer.Option("--branch", metavar="NAME", help="For hud-v3: the branch.")] = ""
    sha: Annotated[str, typer.Option("--sha", metavar="COMMIT", help="For hud-v3: the commit.")] = ""
    workflow_id: Annotated[
        int, typer.Option("--workflow-id", metavar="N", min=0, help="For hud-v3: the workflow run.")
    ] = 0
    run_attempt: Annotated[
        int, typer.Option("--run-attempt", metavar="N", min=0, help="For hud-v3: which attempt of it.")
    ] = 0
    job_id: Annotated[int, typer.Option("--job-id", metavar="N", min=0, help="For hud-v3: the job.")] = 0
    job_name: Annotated[str, typer.Option("--job-name", metavar="NAME", help="For hud-v3: the job's name.")] = ""
    runner: Annotated[str, typer.Option("--runner", metavar="LABEL", help="For hud-v3: the runner's label.")] = ""


@flattened
def export(
    uploading: Uploading,
    format: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="dynamo-csv, hud-v3, pytest-benchmark, userbenchmark, target-lines or convnet; see docs/formats.md.",
        ),
    ],
    runs: Annotated[list[pathlib.Path], typer.Argument(metavar="RUN...", help="A run file, or all shards of one run.")],
    out: Annotated[pathlib.Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")],
) -> None:
    """Write a run's head in the files of another tool.

    A test that failed or has no result is written as such wherever the format can say so. No file is overwritten.
    """
    from bot import numbers
    from harness import formats, records
    from harness.errors import UserError

    chosen = formats.FORMATS[quantities.known(format, formats.FORMATS, "format")]
    destinations.check_new_folder(out, "--out")
    run = records.join(runs)
    upload = formats.Upload(
        repo=uploading.repo,
        head_branch=uploading.branch,
        head_sha=uploading.sha,
        workflow_id=uploading.workflow_id,
        run_attempt=uploading.run_attempt,
        job_id=uploading.job_id,
        job_name=uploading.job_name,
        runner=uploading.runner,
    )
    files = chosen.write(run, upload)
    if not files:
        raise UserError(f"{runs[0]} holds nothing that {format} has a place for; see docs/formats.md")
    destinations.write_new(out, files)
    for name, content in files.items():
        print(f"{out / name}: {numbers.size(len(content))}")
