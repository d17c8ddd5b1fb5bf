"""`torchwarden compilers`: the runner of compiler suites."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bot import quantities
from bot.cli import destinations
from bot.cli.boundary import INTERRUPTED
from bot.cli.options import Builds, Method, Selection, flattened
from harness.modenames import EAGER

if TYPE_CHECKING:
    from bot.report.compilers import Side

SUITES = ("torchbench", "huggingface", "timm")
SUMMARY, PLOTS = "summary.md", "plots"


@dataclasses.dataclass(frozen=True)
class Compiling(Selection):
    """A selection of backends over whole suites, checked for accuracy unless that is not wanted."""

    suite: Annotated[
        list[str], typer.Option("--suite", metavar="S", help=f"Repeatable (default: {', '.join(SUITES)}).")
    ] = dataclasses.field(default_factory=lambda: list(SUITES))
    modes: Annotated[
        str, typer.Option("--backends", metavar="LIST", help="Modes to compare with eager, in every precision.")
    ] = "inductor"
    accuracy: Annotated[bool, typer.Option("--accuracy/--no-accuracy", help="Compare results with eager's.")] = True


@flattened
def compilers(
    selection: Compiling,
    method: Method,
    head: Annotated[str, typer.Option("--head", metavar="BUILD", help="Build to measure.")] = "current",
    previous: Annotated[
        list[pathlib.Path] | None,
        typer.Option("--previous", metavar="RUN", help="Earlier runs, oldest first; the last is compared with."),
    ] = None,
    policy: Annotated[
        str, typer.Option("--policy", metavar="NAME", help="Thresholds: hud or runner (see docs/compilers.md).")
    ] = "hud",
    resume: Annotated[
        pathlib.Path | None, typer.Option("--resume", metavar="RUN", help="Go on with this run, with the same options.")
    ] = None,
    out_dir: Annotated[
        pathlib.Path, typer.Option("--out-dir", metavar="DIR", help="Folder for run, summary and plots.")
    ] = pathlib.Path("out"),
) -> int:
    """Measure backends against eager over whole suites, and sum up.

    Writes a run file, a Markdown summary (pass rate, geometric mean speedup, compile time, memory compression,
    warnings, regressions since --previous, every model) and plots; `torchwarden export dynamo-csv` makes the known
    files of the run. Ends with 1 when something regressed, else with 3 when a model failed or is absent, else with 0.
    """
    from bot.aggregate import POLICIES
    from bot.cli import measuring
    from bot.report.compilers import Side
    from harness import records
    from harness.errors import UserError

    quantities.known(policy, POLICIES, "policy")
    destinations.check_new_folder(out_dir)
    earlier = [Side.of(records.read(path)) for path in previous or ()]
    compared = [mode for mode in quantities.words(selection.modes, "--backends") if mode != EAGER]
    selection = dataclasses.replace(selection, modes=",".join((EAGER, *compared)))
    if resume is not None and not resume.exists():
        raise UserError(f"{resume} is not there; leave out --resume to begin a run")
    session = measuring.prepare(selection, Builds(head=head), method, command=measuring.command_line())
    out_dir.mkdir(parents=True, exist_ok=True)
    path = destinations.fresh_run(out_dir) if resume is None else resume
    measured = measuring.measure(session, path, resume=resume is not None)
    if not measured.finished:
        print(f"interrupted; go on with the same command and --resume {path}")
        return INTERRUPTED
    sides = [*earlier, Side.of(records.read(path))]
    return write(sides, policy, out_dir, measuring.summary(measured, session.plan))


def write(sides: Sequence[Side], policy: str, out_dir: pathlib.Path, said: str) -> int:
    """Write summary and plots of the last of `sides`, print where they are, and return the exit code."""
    from bot import aggregate
    from bot.report import compilers as report
    from bot.verdict import EXIT_CODES
    from harness.errors import UserError

    after, before = sides[-1], sides[-2] if len(sides) > 1 else None
    thresholds = aggregate.POLICIES[policy]
    text = report.summary(after, before, thresholds)
    destinations.write(out_dir / SUMMARY, text)
    try:
        from bot.report import compilerplots
    except ImportError:
        print("no plots were drawn; install the extra `site` for them")
    else:
        (out_dir / PLOTS).mkdir(exist_ok=True)
        for name, svg in compilerplots.plots(sides, thresholds).items():
            try:
                destinations.write(out_dir / PLOTS / name, svg)
            except UserError as error:
                print(f"a plot was not written: {error}")
    print(text)
    print(f"{said}\nsummary: {out_dir / SUMMARY}\nplots:   {out_dir / PLOTS}")
    if before is not None and aggregate.regressions(before.figures, after.figures, thresholds):
        return EXIT_CODES["regressed"]
    return EXIT_CODES["unchanged" if all(one.passed for one in after.figures) else "inconclusive"]
