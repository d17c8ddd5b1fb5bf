"""`torchwarden calibrate`: how small a change this machine can see."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.boundary import INTERRUPTED

if TYPE_CHECKING:
    from bot.calibration import Calibration

TESTS, BRIEF_TESTS = 6, 2
BUDGET, BRIEF_BUDGET = "20s", "10s"


def calibrate(
    brief: Annotated[
        bool, typer.Option("--brief", help=f"{BRIEF_TESTS} tests in place of {TESTS}, and less time for each.")
    ] = False,
    suite: Annotated[str, typer.Option("--suite", metavar="S", help="Suite whose tests are measured.")] = "smoke",
    build: Annotated[str, typer.Option("--build", metavar="BUILD", help="Build to measure.")] = "current",
    only: Annotated[
        str | None, typer.Option("--only", metavar="REGEX", help="Choose among the tests whose name matches.")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads of a step.")] = 1,
    cpus: Annotated[str | None, typer.Option("--cpus", metavar="LIST", help="CPUs to pin to, such as 2,3.")] = None,
    allocator: Annotated[
        str, typer.Option("--allocator", metavar="NAME", help="keep, system, jemalloc or tcmalloc.")
    ] = "keep",
    nurseries: Annotated[
        int, typer.Option("--nurseries", metavar="N", min=1, max=64, help="Preloaded processes per build.")
    ] = 6,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help=f"Most time per test (default {BUDGET}, brief {BRIEF_BUDGET})."),
    ] = None,
) -> int:
    """Measure how small a change this machine can see.

    Measures a build against itself (A/A): the noise floor, the minimum detectable effect, and which knobs would help.
    The result is kept in the user's state folder and goes into later runs.
    """
    from bot import calibration
    from bot.cli import measuring
    from bot.cli.options import Builds, Method, Selection
    from harness import buildspec, machine, records

    available = len(machine.available_cpus())
    # Base and head bear names of their own.
    unnamed = buildspec.parse(build, "head").text
    session = measuring.prepare(
        Selection(suite=[suite], only=only, device=device),
        Builds(base=unnamed, head=unnamed),
        Method(
            threads=threads,
            cpus=cpus,
            budget=budget or (BRIEF_BUDGET if brief else BUDGET),
            allocator=allocator,
            nurseries=nurseries,
        ),
        command=measuring.command_line(),
        tests=BRIEF_TESTS if brief else TESTS,
    )
    with tempfile.TemporaryDirectory(prefix="torchwarden-") as folder:
        measured = measuring.measure(session, pathlib.Path(folder) / "run.jsonl")
        if not measured.finished:
            print("interrupted; nothing was kept, calibrate again")
            return INTERRUPTED
        run = records.read(measured.path)
    health = [test.health for test in run.tests if test.health is not None]
    advice = calibration.hints(run.header.machine, health, available, can_pin=hasattr(os, "sched_setaffinity"))
    found = calibration.calibrated(run, advice)
    kept = calibration.save(measuring.state_folder(), found)
    print("\n".join(_text(found)))
    print(f"kept in {kept}")
    return 0


def _text(found: Calibration) -> Iterator[str]:
    from bot import numbers

    yield f"{found.machine.name}: {found.machine.cpu_model}, {numbers.count(found.machine.cores, 'CPU')}"
    yield f"torch {found.torch_version} against itself; every change below is noise:"
    width = max(len(one.test) for one in found.tests)
    for one in found.tests:
        shown = numbers.change(one.change, one.low, one.high)
        yield f"  {one.test:<{width}}  {shown}  ({numbers.count(one.launches, 'launch', 'launches')})"
    for name in found.unmeasured:
        yield f"  not measured: {name}"
    yield f"noise floor: ± {numbers.percent(found.noise_floor)} ({found.basis})"
    if found.detectable is not None:
        yield (
            f"a typical test of {numbers.duration(found.budget_seconds)} at most sees slow-downs of "
            f"{numbers.percent(found.detectable)} or more"
        )
    if found.hints:
        yield "what would help:"
    for hint in found.hints:
        yield f"  {hint}"
