"""From options to a session that can be measured, and through it: shared by `run`, `bench` and `calibrate`.

Promises that everything a user can get wrong is found before anything is measured, the cheap checks first, and that a
run which could not begin leaves no file.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bot import quantities
from bot.cli import building
from bot.cli.options import Builds, Method, Selection
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.plan import Group
    from harness.records import Build, Machine, Plan, Test
    from harness.session import Session


@dataclass(frozen=True)
class Measured:
    """What became of a run: where it is, whether it came to its end, and its tests by status."""

    path: pathlib.Path
    finished: bool
    statuses: dict[str, int]
    effort: str = ""
    """What was spent and what that saved, as a sentence, where tests shared their time."""


def prepare(selection: Selection, builds: Builds, method: Method, *, command: str, tests: int | None = None) -> Session:
    """The session that these options ask for, with every check made.

    With `tests`, at most that many groups are kept, spread evenly over the selection. Raises UserError.
    """
    from bot.comparison import CONTROL_SUITE
    from harness import allocators, benchmark, codepages, machine, plan, records, session

    budget = quantities.duration(method.budget, "--budget")
    total_budget = None if method.total_budget is None else quantities.duration(method.total_budget, "--total-budget")
    step_timeout = quantities.duration(method.step_timeout, "--step-timeout")
    precision = quantities.percentage(method.precision, "--precision")
    threshold = quantities.percentage(method.threshold, "--threshold")
    types = quantities.words(selection.type, "--type")
    modes = _modes(selection)
    launch_timeout = quantities.duration(method.launch_timeout, "--launch-timeout")
    if selection.compat is not None:
        quantities.known(selection.compat, benchmark.COMPATIBILITIES, "compatibility")
    suites = tuple(dict.fromkeys(selection.suite))
    cpus, threads = _cpus_and_threads(method)
    allocators.environment(method.allocator)
    quantities.known(method.code_pages, codepages.CODE_PAGES, "kind of code pages")
    if method.code_pages == "own" and (refusal := codepages.refusal()) is not None:
        raise UserError(f"code pages of a nursery's own cannot be had here ({refusal}); use --code-pages shared")
    asked = building.asked(builds)
    found: tuple[Build, ...] | None = None
    if any(suite.endswith(".py") for suite in suites):
        # A user's suite is read by the build's own interpreter, so that one has to be sound first.
        found = building.resolve(asked, builds, selection.device)
    python = found[-1].python if found else None
    groups = plan.select(
        suites,
        plan.describe_suites(suites, python, dict(os.environ)),
        types=types,
        modes=modes,
        device=selection.device,
        size=selection.size,
        only=selection.only,
        wanted_list=selection.listed,
    )
    if selection.shard is not None:
        groups = plan.shard(groups, *plan.parse_shard(selection.shard), _durations(selection))
    if tests is not None:
        groups = _spread([group for group in groups if group.modes], tests)
    inject = plan.parse_injections(method.inject or [], groups)
    found = found or building.resolve(asked, builds, selection.device)
    differ = len({build.fingerprint for build in found}) > 1
    if builds.control and differ and CONTROL_SUITE not in suites:
        suites = (*suites, CONTROL_SUITE)
        # Shards are joined to one run, in which a test stands once.
        first = selection.shard is None or plan.parse_shard(selection.shard)[0] == 1
        groups = [*groups, *(_controls() if first else [])]
    groups = plan.without_packages(groups, [build.packages for build in found])
    planned = records.Plan(
        suites=suites,
        tests=(),
        types=types,
        modes=modes,
        head=asked[-1].name,
        base=asked[0].name if len(asked) > 1 else None,
        device=selection.device,
        size=selection.size,
        threads=threads,
        cpus=cpus,
        cpu_preset=method.cpu_preset,
        seed=method.seed,
        allocator=method.allocator,
        code_pages=codepages.choose(
            method.code_pages,
            # An interpreter that serves as base and as head has one set of files.
            list({build.python: build.code_bytes for build in found}.values()),
            method.nurseries,
            machine.available_memory(),
        ),
        nurseries=method.nurseries,
        inject=inject,
        iterations=selection.iterations,
        compat=selection.compat,
        updates=selection.update,
        accuracy=selection.accuracy,
        shard=selection.shard,
        budget_seconds=budget,
        total_budget_seconds=total_budget,
        step_timeout_seconds=step_timeout,
        launch_timeout_seconds=launch_timeout,
        half_width=precision,
        threshold=threshold,
    )
    return session.Session(
        plan=session.plan_with_tests(planned, groups),
        groups=groups,
        builds=found,
        machine=this_machine(method.machine_name),
        environment=dict(os.environ),
        folder=pathlib.Path(tempfile.gettempdir()),
        command=command,
        path=(pathlib.Path.cwd(),),
    )


def command_line() -> str:
    """The command as it was typed, for the header of a run."""
    return shlex.join(["torchwarden", *sys.argv[1:]])


def this_machine(name: str | None = None) -> Machine:
    """This machine, with the noise floor that was calibrated for it, if any."""
    from bot import calibration
    from harness import machine

    described = machine.describe(name)
    known = calibration.load(state_folder(), described.fingerprint)
    return described if known is None else msgspec.structs.replace(described, noise_floor=known.noise_floor)


def state_folder() -> pathlib.Path:
    """Where calibrations are kept between runs (XDG Base Directory Specification)."""
    given = os.environ.get("XDG_STATE_HOME", "")
    home = pathlib.Path(given) if given.startswith("/") else pathlib.Path.home() / ".local" / "state"
    return home / "torchwarden"


def measure(session: Session, path: pathlib.Path, *, resume: bool = False) -> Measured:
    """Measure the session into `path`, showing progress on stderr. Raises UserError."""
    from bot.cli import progress
    from harness import records
    from harness.session import run

    existed = path.exists()
    try:
        with progress.watching(session.plan) as observer:
            finished = run(session, path, observer, resume=resume)
    except BaseException:
        if not existed:
            _discard_unless_begun(path)
        raise
    tests = records.read(path).tests
    statuses: dict[str, int] = {}
    for test in tests:
        statuses[test.status] = statuses.get(test.status, 0) + 1
    return Measured(path, finished, statuses, "" if session.plan.total_budget_seconds is None else _effort(tests))


def _effort(tests: Iterable[Test]) -> str:
    """What launches took, and what as many for every test as the neediest one had would have taken."""
    from bot import numbers

    # All tests of a group were measured together.
    groups = {test.group: test for test in tests if any(lane.launches for lane in test.lanes)}
    counts = {name: max(len(lane.launches) for lane in test.lanes) for name, test in groups.items()}
    if not counts:
        return ""
    most = max(counts.values())
    spent = sum(test.elapsed_seconds for test in groups.values())
    fixed = sum(test.elapsed_seconds / counts[name] * most for name, test in groups.items())
    return (
        f"launches took {numbers.duration(spent)}; as many for every test as the most undecided one had "
        f"({most}) would have taken about {numbers.duration(fixed)}"
    )


def _discard_unless_begun(path: pathlib.Path) -> None:
    """Remove a run file that holds no test: it would be in the way of the next attempt, and there is nothing in it."""
    from harness import records

    with contextlib.suppress(UserError, OSError):
        if records.read(path).tests:
            return
    path.unlink(missing_ok=True)


def _durations(selection: Selection) -> dict[str, float]:
    """Seconds that tests took in the run that is named for it, if any. Raises UserError."""
    from harness import records

    if selection.durations is None:
        return {}
    return {test.test: test.elapsed_seconds for test in records.read(selection.durations).tests}


def _cpus_and_threads(method: Method) -> tuple[tuple[int, ...], int]:
    """The lanes' CPUs and the threads of a step, as the options or a preset say. Raises UserError."""
    from harness import machine

    if method.cpu_preset is None:
        threads = 1 if method.threads is None else method.threads
        return machine.choose_cpus(threads, quantities.cpus(method.cpus) if method.cpus is not None else ()), threads
    for option, value in (("--cpus", method.cpus), ("--threads", method.threads)):
        if value is not None:
            raise UserError(f"--cpu-preset chooses CPUs and threads itself; leave it out, or {option}")
    cpus = machine.preset_cpus(quantities.known(method.cpu_preset, machine.CPU_PRESETS, "CPU preset"))
    return cpus, len(cpus)


def _modes(selection: Selection) -> tuple[str, ...]:
    """Every mode asked for in every precision asked for; a mode that names its precision is left as it is."""
    from harness.modenames import FLOAT32, PRECISIONS, join_mode, split_mode

    modes = quantities.words(selection.modes, "--modes")
    precisions = quantities.words(selection.dtype, "--dtype")
    for precision in precisions:
        quantities.known(precision, PRECISIONS, "precision")
    every = (
        mode if split_mode(mode)[1] != FLOAT32 else join_mode(mode, precision)
        for precision in precisions
        for mode in modes
    )
    return tuple(dict.fromkeys(every))


def _controls() -> list[Group]:
    """Groups of the control lanes, which are the same on every device and in every size."""
    from bot.comparison import CONTROL_SUITE
    from harness import plan

    described = plan.describe_suites([CONTROL_SUITE])
    return plan.select([CONTROL_SUITE], described, types=("eval",), modes=("eager",), device="cpu", size="small")


def _spread(groups: Sequence[Group], count: int) -> list[Group]:
    if len(groups) <= count:
        return list(groups)
    return [groups[number * len(groups) // count] for number in range(count)]


def summary(measured: Measured, plan: Plan) -> str:
    """What became of a run in one line: `14 of 16 tests measured, 1 timeout, 1 skip`."""
    others = [f"{count} {status}" for status, count in measured.statuses.items() if status != "pass"]
    passed = f"{measured.statuses.get('pass', 0)} of {len(plan.tests)} tests measured"
    return ", ".join([passed, *others])
