"""`torchwarden explain`: why the signals of a verdict changed."""

from __future__ import annotations

import pathlib
import re
from typing import TYPE_CHECKING, Annotated

import typer

from bot import quantities
from bot.cli import destinations
from bot.cli.options import Builds, Method, Selection, flattened

if TYPE_CHECKING:
    from bot.verdict import Verdict
    from harness.session import Session


@flattened
def explain(
    builds: Builds,
    verdict: Annotated[pathlib.Path, typer.Argument(metavar="VERDICT", help="A verdict of `torchwarden judge`.")],
    tests: Annotated[
        str | None, typer.Option("--tests", metavar="LIST", help="Only these tests (default: every signal).")
    ] = None,
    run: Annotated[
        list[pathlib.Path] | None,
        typer.Option("--run", metavar="RUN", help="The run that was judged, or all its shards, for its other figures."),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", metavar="S", help="Where the verdict's suites are (default: the built-in ones)."),
    ] = None,
    cpus: Annotated[
        str | None, typer.Option("--cpus", metavar="LIST", help="CPUs to pin to (default: the last ones).")
    ] = None,
    count_limit: Annotated[
        str,
        typer.Option(
            "--count-limit", metavar="TIME", help="Longest estimated time to count a build's instructions; 0s: never."
        ),
    ] = "240s",
    out: Annotated[
        pathlib.Path | None, typer.Option("--out", metavar="FILE", help="Write the explanations, for `judge`.")
    ] = None,
) -> None:
    """Say why the signals of a verdict changed, in at most five lines each.

    Profiles base and head alternately and counts the instructions of a short step under Callgrind. Takes a minute or
    more per test. `torchwarden judge --explanation FILE` puts the lines into the verdict.
    """
    from bot import explanation
    from bot import verdict as verdicts
    from bot.cli import explaining
    from harness import records
    from harness.errors import UserError

    limit = 0.0 if count_limit.strip() in ("0", "0s") else quantities.duration(count_limit, "--count-limit")
    if out is not None:
        destinations.check(out)
    found = verdicts.read(verdict)
    known = list(dict.fromkeys(entry.test for entry in found.tests))
    signals = list(dict.fromkeys(entry.test for entry in found.tests if entry.signal))
    chosen = explaining.wanted(signals, known, tests)
    measured = records.join(run) if run else None
    if measured is not None and measured.header.run != found.run:
        raise UserError(f"{verdict} was judged from another run than the one of --run; name that one, all its shards")
    if builds.base is None:
        raise UserError("a change is explained by comparing two builds; name the other one with --base")
    session = _session(found, chosen, builds, suite, cpus)
    _check_builds(verdict, found, session)
    told = explaining.explain(session, chosen, run=measured, run_id=found.run, limit_seconds=limit)
    if out is not None:
        destinations.write(out, explanation.encode(told))
    print(explaining.text(told))
    if out is not None:
        print(f"explanation: {out}")


def _session(verdict: Verdict, tests: list[str], builds: Builds, suite: list[str] | None, cpus: str | None) -> Session:
    """A session of these tests, measured as the verdict's plan says. Raises UserError.

    Of a verdict, which may be anybody's, nothing is taken that would run code other than the builds' own: suites in
    files and backends of a user's must be named on the command line.
    """
    from bot.cli import measuring
    from harness import benchmark
    from harness.errors import UserError
    from harness.lanes import is_users
    from harness.testname import parse_test_name, quoted

    plan = verdict.plan
    for one in () if suite else plan.suites:
        if one not in benchmark.BUILTIN_SUITES:
            raise UserError(f"the suite {quoted(one)} of the verdict is not built in; name its file with --suite")
    names = [parse_test_name(test) for test in tests]
    modes = dict.fromkeys(name.mode for name in names)
    for mode in modes:
        if is_users(mode):
            raise UserError(f"the mode {quoted(mode)} is a backend of a user's, which is not explained; leave it out")
    selection = Selection(
        suite=suite or list(plan.suites),
        only=f"^({'|'.join(map(re.escape, tests))})$",
        listed="all",
        type=",".join(dict.fromkeys(name.type for name in names)),
        modes=",".join(modes),
        device=names[0].device,
        size=plan.size,
        iterations=plan.iterations,
        compat=plan.compat,
        update=plan.updates,
    )
    method = Method(
        threads=plan.threads,
        cpus=cpus,
        seed=plan.seed,
        allocator=plan.allocator,
        code_pages="shared",
        nurseries=plan.nurseries,
        inject=[f"{test}={100 * plan.inject[test]:g}%" for test in tests if test in plan.inject],
    )
    return measuring.prepare(selection, builds, method, command=measuring.command_line())


def _check_builds(path: pathlib.Path, verdict: Verdict, prepared: Session) -> None:
    """Raise UserError unless the session's builds are those that the verdict compared."""
    from harness.errors import UserError

    plan = verdict.plan
    then = {build.name: build.fingerprint for build in verdict.builds}
    sides = (("base", plan.base, prepared.builds[0]), ("head", plan.head, prepared.builds[-1]))
    for word, name, build in sides:
        if name in then and then[name] != build.fingerprint:
            raise UserError(
                f"this {word} (torch {build.torch_version}) is not the one that {path} was judged of; "
                f"name that interpreter with --{word}"
            )
