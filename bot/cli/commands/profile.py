"""`torchwarden profile`: what the operators of a step cost, and which of them explain a change."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import destinations
from bot.cli.options import Builds, Method, Selection

if TYPE_CHECKING:
    from rich.console import RenderableType


def profile(
    test: Annotated[
        str | None, typer.Argument(metavar="TEST", help="A test, such as 'test_eval[resnet18-cpu-eager]'.")
    ] = None,
    diff: Annotated[
        tuple[pathlib.Path, pathlib.Path] | None,
        typer.Option("--diff", metavar="BASE HEAD", help="Compare two files of --json instead of profiling."),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option("--suite", metavar="S", help="A built-in suite or a file (default: the first that has the test)."),
    ] = None,
    size: Annotated[str, typer.Option("--size", metavar="S", help="Size of model and inputs.")] = "small",
    head: Annotated[str, typer.Option("--head", metavar="BUILD", help="Build to profile.")] = "current",
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, max=1000, help="Steps to profile.")] = 20,
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads of a step.")] = 1,
    cpus: Annotated[
        str | None, typer.Option("--cpus", metavar="LIST", help="CPUs to pin to (default: the last ones).")
    ] = None,
    compat: Annotated[
        str | None, typer.Option("--compat", metavar="NAME", help="Follow the ways of v1, dynamo or dynamo-2022.")
    ] = None,
    launch_timeout: Annotated[
        str,
        typer.Option("--launch-timeout", metavar="TIME", help="Building, compiling and profiling that takes longer."),
    ] = "1800s",
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="Operators to show.")] = 25,
    shapes: Annotated[bool, typer.Option("--shapes", help="Show a line for each set of input shapes too.")] = False,
    json: Annotated[
        pathlib.Path | None, typer.Option("--json", metavar="FILE", help="Write the profile, for --diff.")
    ] = None,
    trace: Annotated[
        pathlib.Path | None,
        typer.Option("--trace", metavar="FILE", help="Write a trace for Chrome or Perfetto; packed if named *.gz."),
    ] = None,
) -> None:
    """Show what the operators of a test's step cost, or with --diff which of them explain a change.

    Profiles the warm step with torch.profiler, in a worker of the build. Figures are per step: self and total time,
    calls, bytes allocated, and on a GPU the time of kernels.
    """
    from bot.report import profiles as report
    from harness.errors import UserError

    if (test is None) == (diff is None):
        raise UserError("name one test, or two profiles with --diff; see `torchwarden profile --help`")
    if diff is not None:
        if json is not None or trace is not None:
            raise UserError("--diff profiles nothing, so that there is nothing to write; leave out --json and --trace")
        from bot import profiles

        _show(report.difference(profiles.compare(*map(profiles.read, diff)), rows))
        return
    assert test is not None
    for path in (json, trace):
        if path is not None:
            destinations.check(path)

    from bot.cli import measuring
    from harness import profiling
    from harness.profiles import encode
    from harness.testname import parse_test_name

    name = parse_test_name(test)
    selection = Selection(
        suite=[suite or _suite_of(test, name.model)],
        only=test,
        listed="all",
        type=name.type,
        modes=name.mode,
        device=name.device,
        size=size,
        compat=compat,
    )
    method = Method(threads=threads, cpus=cpus, nurseries=1, code_pages="shared", launch_timeout=launch_timeout)
    session = measuring.prepare(selection, Builds(head=head), method, command=measuring.command_line())
    taken = profiling.take(session, steps, trace)
    if json is not None:
        destinations.write(json, encode(taken))
    _show(report.table(taken, rows, shapes=shapes))
    for word, path in (("profile", json), ("trace", trace)):
        if path is not None:
            print(f"{word}: {path}")


def _suite_of(test: str, model: str) -> str:
    """The first built-in suite that has the model of a test. Raises UserError when none has."""
    from harness import benchmark, plan
    from harness.errors import UserError

    described = plan.describe_suites(benchmark.BUILTIN_SUITES, environment=dict(os.environ))
    for one in described:
        if one.name == model:
            return one.suite
    names = dict.fromkeys(plan.test_name("eval", one.name, "cpu", "eager") for one in described)
    near = plan.unknown("test", test, names)
    raise UserError(f"{near}, or name your own suite with --suite")


def _show(shown: RenderableType) -> None:
    """Print in colour and at full width on a terminal, as plain text elsewhere."""
    from rich.console import Console

    from bot.report import profiles as report

    if sys.stdout.isatty():
        Console(highlight=False, markup=False, emoji=False).print(shown)
        return
    print(report.text(shown).removesuffix("\n"))
