"""`torchwarden config`: what the configuration means, and the steps of a workflow that follow it."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bot import quantities

if TYPE_CHECKING:
    from bot.config import Config, Event
    from bot.jobs import Commits, Job, Wanted

app = typer.Typer(
    help="Explain the configuration, and carry out what it says.", no_args_is_help=True, rich_markup_mode=None
)

# As in bot.config, which takes too long to import for --help.
_PATH = pathlib.Path(".github/torchwarden.yml")

File = Annotated[pathlib.Path, typer.Option("--config", metavar="FILE", help="The configuration.")]
When = Annotated[str, typer.Option("--event", metavar="EVENT", help="pull-request or nightly.")]
Suites = Annotated[str, typer.Option("--suites", metavar="LIST", help="Only these suites, whenever they are measured.")]
Filter = Annotated[
    str,
    typer.Option("--filter", metavar="LIST", help="Only tests whose name holds one of these; * and ? as in a shell."),
]
Lanes = Annotated[str, typer.Option("--lanes", metavar="LIST", help="Modes instead of the suite's own.")]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help="Only machines of this device.")]
MachineName = Annotated[str, typer.Option("--machine", metavar="NAME", help="A machine of the configuration.")]
SuiteName = Annotated[str, typer.Option("--suite", metavar="NAME", help="A suite of the configuration.")]


@app.command()
def check(
    path: Annotated[pathlib.Path, typer.Argument(metavar="[FILE]", help="The configuration.")] = _PATH,
) -> None:
    """Say in plain words what a configuration does.

    Per machine: what is measured, and how long that may take; then what fails a check, who is told and who may command.
    """
    from bot import config as configs
    from bot import configwords
    from harness.errors import UserError

    found = configs.load(path)
    root = path.resolve().parent.parent if path.resolve().parent.name == ".github" else path.resolve().parent
    for name, suite in found.suites.items():
        if suite.file is not None and not (root / suite.file).is_file():
            raise UserError(f"{path}: suites.{name} has the file {suite.file}, which is not there; mend the path")
    print("\n".join(configwords.explain(found)))


@app.command()
def keys() -> None:
    """List every key of the configuration, as Markdown."""
    from bot import configkeys

    print(configkeys.markdown(), end="")


@app.command()
def matrix(
    config: File = _PATH,
    event: When = "pull-request",
    suites: Suites = "",
    filter: Filter = "",
    lanes: Lanes = "",
    device: Device = "",
) -> None:
    """Print the jobs that measure and those that report, as two outputs of a step (`>> "$GITHUB_OUTPUT"`)."""
    from bot import jobs

    found, wanted, chosen = _load(config), _wanted(suites, filter, lanes, device), _event(event)
    every = jobs.jobs(found, chosen, wanted)
    print(f"jobs={json.dumps(jobs.matrix(found, every))}")
    print(f"reports={json.dumps(jobs.reports(found, every))}")


@app.command()
def run(
    machine: MachineName,
    suite: SuiteName,
    out: Annotated[pathlib.Path, typer.Option("--out", metavar="FILE", help="Run file, JSON Lines.")],
    config: File = _PATH,
    event: When = "pull-request",
    shard: Annotated[str, typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts.")] = "",
    head: Annotated[str, typer.Option("--head", metavar="REF", help="Commit that is judged.")] = "",
    target: Annotated[
        str, typer.Option("--target", metavar="REF", help="Branch it is to go into: the base is their merge base.")
    ] = "",
    base: Annotated[
        str, typer.Option("--base", metavar="BUILD", help="A commit, release or nightly to compare with instead.")
    ] = "",
    filter: Filter = "",
    lanes: Lanes = "",
    show: Annotated[bool, typer.Option("--show", help="Print the command that this is, and measure nothing.")] = False,
) -> int:
    """Measure a suite on this machine as the configuration says.

    An empty option is as good as none, so that a workflow can pass its inputs on as they are. Ends as `torchwarden run`
    does.
    """
    from bot import jobs
    from bot.cli import boundary
    from bot.cli.app import app as whole

    found, wanted = _load(config), _wanted("", filter, lanes, "")
    job, chosen = _job(found, machine, suite, shard), _event(event)
    arguments = jobs.run_arguments(
        found,
        job,
        event=chosen,
        commits=_commits(found, chosen, base, head, target),
        wanted=wanted,
        tests=jobs.count_tests(found.suites[suite], suite, found.machines[machine], wanted),
    )
    line = ["run", *arguments, "--out", str(out)]
    if show:
        print(shlex.join(["torchwarden", *line]))
        return 0
    os.environ.update(found.machines[machine].environment)
    # The header of a run keeps the command as it was typed, from which it can be measured again without this file.
    sys.argv[1:] = line
    return boundary.run(whole, line)


@app.command()
def judge(
    machine: MachineName,
    suite: SuiteName,
    runs: Annotated[
        pathlib.Path,
        typer.Option("--runs", metavar="DIR", help="Folder of downloaded runs: <name>/run.jsonl of each job."),
    ],
    out: Annotated[pathlib.Path, typer.Option("--out", metavar="FILE", help="Write the verdict here.")],
    config: File = _PATH,
    event: When = "pull-request",
    to: Annotated[str, typer.Option("--to", metavar="KIND", help="As of `torchwarden judge`.")] = "terminal",
) -> int:
    """Judge what the jobs of a suite on a machine measured, as the configuration says.

    Every shard must be there: one that did not arrive is an error, not a pass. Ends as `torchwarden judge` does.
    """
    from bot import jobs
    from bot.cli import boundary
    from bot.cli.app import app as whole
    from harness.errors import UserError

    found = _load(config)
    one = _job(found, machine, suite, "")
    count = found.machines[machine].shards
    every = [jobs.Job(machine, suite, number + 1, count) for number in range(count)]
    files = [runs / job.name / "run.jsonl" for job in every]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise UserError(f"{missing[0]} is not there; see why its job left no run, or measure again")
    reference = None
    if _event(event) == "nightly":
        path = jobs.reference_file(found, one)
        reference = path if pathlib.Path(path).is_file() else None
    arguments = jobs.judge_arguments(found, reference)
    return boundary.run(whole, ["judge", *map(str, files), *arguments, "--out", str(out), "--to", to])


def _load(path: pathlib.Path) -> Config:
    from bot import config

    return config.load(path)


def _event(text: str) -> Event:
    from bot import jobs

    quantities.known(text, jobs.EVENTS, "event")
    return "nightly" if text == "nightly" else "pull-request"


def _wanted(suites: str, filter: str, lanes: str, device: str) -> Wanted:
    """What the inputs of a command ask for, held to the grammar of comments again: a dispatch may come from anyone who
    may write, and by hand. Raises UserError.
    """
    from bot import command, jobs

    typed = {"suites": suites, "filter": filter, "lanes": lanes, "device": device}
    read = {key: command.argument("run", key, value) for key, value in typed.items() if value}
    return jobs.Wanted(**read)


def _job(config: Config, machine: str, suite: str, shard: str) -> Job:
    from bot import jobs
    from harness import plan

    quantities.known(machine, config.machines, "machine")
    quantities.known(suite, config.suites, "suite")
    number, count = plan.parse_shard(shard) if shard else (1, 1)
    return jobs.Job(machine, suite, number, count)


def _commits(config: Config, event: Event, base: str, head: str, target: str) -> Commits:
    from bot import command, jobs, mergebase
    from bot.config import BASE

    named = jobs.as_build(command.argument("run", "base", base)) if base else ""
    needed = event == "pull-request" and not named and BASE in config.builds.base
    common = mergebase.of(target, head, pathlib.Path.cwd()) if needed and target and head else target
    return jobs.Commits(base=common, head=head, base_build=named)
