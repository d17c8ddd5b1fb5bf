"""`torchwarden bisect`: which commit, nightly or build changed a test."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import typer

from bot import quantities
from bot.cli import destinations
from bot.cli.boundary import INTERRUPTED
from bot.cli.options import DEFAULT_INSTALL, InstallCommand, Method, Selection, With, flattened

AUTOMATIC = "auto"


@dataclasses.dataclass(frozen=True)
class Searched(Selection):
    """Which tests of which suites are searched."""

    only: Annotated[
        str | None,
        typer.Option("--tests", "--only", metavar="REGEX", help="Only tests whose name matches, or a whole name."),
    ] = None


@dataclasses.dataclass(frozen=True)
class Probing(Method):
    """How tests are measured at each build."""

    total_budget: Annotated[
        str | None, typer.Option("--total-budget", metavar="TIME", help="Most time for the whole search, such as 30m.")
    ] = None
    precision: Annotated[
        str,
        typer.Option(
            "--precision", metavar="PERCENT", help="Half-width at which a probe stops (auto: a quarter of the change)."
        ),
    ] = AUTOMATIC
    threshold: Annotated[
        str, typer.Option("--threshold", metavar="PERCENT", help="Smallest change that is searched for.")
    ] = "2%"


@flattened
def bisect(
    good: Annotated[str, typer.Option("--good", metavar="A", help="A commit, a day or a build before the change.")],
    bad: Annotated[str, typer.Option("--bad", metavar="B", help="One with the change.")],
    selection: Searched,
    method: Probing,
    over: Annotated[
        str, typer.Option("--over", metavar="WHAT", help="commits of this repository, nightlies, or a list of builds.")
    ] = "commits",
    candidate: Annotated[
        list[str] | None,
        typer.Option("--candidate", metavar="BUILD", help="With --over list: a build between, in order. Repeatable."),
    ] = None,
    candidates: Annotated[
        pathlib.Path | None,
        typer.Option("--candidates", metavar="FILE", help="With --over list: a file of builds between, one a line."),
    ] = None,
    beside: With = None,
    install_command: InstallCommand = DEFAULT_INSTALL,
    confidence: Annotated[
        str, typer.Option("--confidence", metavar="PERCENT", help="Probability at which a culprit is named.")
    ] = "95%",
    max_builds: Annotated[
        int | None, typer.Option("--max-builds", metavar="N", min=2, help="Most builds, the two ends included.")
    ] = None,
    state: Annotated[
        pathlib.Path | None,
        typer.Option("--state", metavar="FILE", help="Keeps the search (default: a fresh name in out/)."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in --state, with the same options.")
    ] = False,
    json: Annotated[
        pathlib.Path | None, typer.Option("--json", metavar="FILE", help="Also write the result to a file.")
    ] = None,
) -> int:
    """Find the commit, nightly or build that changed tests.

    Builds in between are made and measured against the good end, each where it tells most; several tests may have
    culprits of their own. A culprit is proven against its parent, and by a revert where one applies. Ends with 1 for a
    regression's culprit, 0 where the ends do not differ or something became faster, and 3 where nothing is sure.
    """
    import shlex

    import bot.bisect as searches
    from bot import bisection
    from bot.cli import bisecting, measuring
    from bot.cli.options import Builds
    from bot.report import bisection as report
    from bot.verdict import EXIT_CODES
    from harness import buildcache
    from harness.errors import UserError

    quantities.known(over, bisecting.ROWS, "kind of row")
    sure = quantities.percentage(confidence, "--confidence")
    if not 0.5 < sure < 0.9999:
        raise UserError(f"--confidence {confidence!r} is out of range; give more than 50% and less than 99.99%")
    smallest = quantities.percentage(method.threshold, "--threshold")
    half_width = None if method.precision == AUTOMATIC else quantities.percentage(method.precision, "--precision")
    total = None if method.total_budget is None else quantities.duration(method.total_budget, "--total-budget")
    if method.inject:
        raise UserError("--inject would slow every candidate alike; leave it out")
    if resume and state is None:
        raise UserError("--resume needs --state with the search to go on with")
    path = state if state is not None else destinations.fresh(pathlib.Path("out"), "bisect", ".json")
    resumed = resume and path.exists()
    destinations.check(
        path, replace=resume, make_folder=state is None, instead="name another with --state, or go on with --resume"
    )
    if json is not None:
        destinations.check(json)
    between = [*(candidate or ()), *(bisecting.lines_of(candidates) if candidates is not None else ())]
    row, newer_is_good = bisecting.row(over, good, bad, between, pathlib.Path())
    if newer_is_good:
        bisecting.say(f"--good {good} is newer than --bad {bad}: looking for what changed from {bad} to {good}")
    asked = {
        "--good": row[0].specification,
        "--bad": row[-1].specification,
        "--over": over,
        **({"--candidate": "\n".join(one.specification for one in row[1:-1])} if over == "list" and row[1:-1] else {}),
        **bisecting.words(selection),
        **bisecting.words(method),
        **({"--with": "\n".join(beside)} if beside else {}),
        **({"--install-command": install_command} if install_command != DEFAULT_INSTALL else {}),
        **({"--confidence": confidence} if confidence != "95%" else {}),
    }
    known = searches.with_same_options(searches.read(path), asked, path) if resumed else None
    if known is not None and known.candidates != row:
        raise UserError(f"{path} was begun with other builds between the same ends; begin again with --state")
    ends = [f"{name}={one.specification}" for name, one in zip(("good", "probe"), (row[0], row[-1]), strict=True)]
    session = measuring.prepare(
        selection,
        # A control lane would be searched for a culprit like any test.
        Builds(base=ends[0], head=ends[1], beside=beside, install_command=install_command, control=False),
        # The total is the search's, not each probe's.
        dataclasses.replace(method, precision="1%", total_budget=None),
        command=measuring.command_line(),
    )
    tests = tuple(group.test(mode) for group in session.groups for mode in group.modes)
    if not tests:
        raise UserError("no test of this selection can run on the good end; choose others with --tests")
    if known is not None and known.tests != tests:
        raise UserError(f"{path} was begun with other tests than this selection has now; begin again with --state")
    if state is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    search = known or searches.Search(
        asked=asked,
        command=shlex.join(["torchwarden", "bisect", *bisecting.typed(asked)]),
        candidates=row,
        tests=tests,
        confidence=sure,
        smallest=smallest,
        makings=(searches.Making(position=0, seconds=0.0), searches.Making(position=len(row) - 1, seconds=0.0)),
    )
    bench = bisecting.Workbench(
        search=search,
        session=session,
        beside=buildcache.Beside(tuple(beside or ()), install_command),
        state=path,
        runs=path.with_name(f"{path.stem}-runs"),
        half_width=half_width,
        limits=searches.Limits(builds=max_builds),
        total_seconds=total,
    )
    try:
        complete = bench.carry_out()
    except KeyboardInterrupt:
        bisecting.say(f"interrupted; go on with the same command and --resume --state {path}")
        return INTERRUPTED
    found = bisection.result(bench.search, complete=complete)
    print(report.render(found), end="")
    print(f"state: {path}")
    if json is not None:
        destinations.write(json, bisection.encode(found))
    return EXIT_CODES[found.outcome]
