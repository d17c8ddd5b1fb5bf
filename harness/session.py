"""One invocation: from a plan to a run file.

Opens the nurseries, measures group after group, and writes a test's line as soon as it is known. Ctrl-C ends the run
with a valid file; `resume` goes on from a file that was left by Ctrl-C, by a crash or by SIGKILL. Imports no torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import pathlib
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from harness import __version__, interleave, machine, records, sharing
from harness.benchmark import suite_name
from harness.errors import UserError
from harness.lanes import is_users, mode_of
from harness.plan import Group
from harness.pool import Pool, Settings


class Observer(interleave.Observer, Protocol):
    """Is told how the whole run goes, between samples."""

    def started(self, tests: int, done: int) -> None:
        """Nurseries are being loaded; `done` of the run's `tests` are known from an earlier session."""

    def test_ended(self, test: records.Test) -> None:
        """A test's line has been written."""


@dataclass(frozen=True)
class Session:
    """All that a run needs: its plan, the groups of it, the builds, the machine and where temporary files may go.

    `environment` is what the builds' processes inherit; `command` and `notes` are kept in the header for people; `path`
    holds folders in which a user's own backend may lie.
    """

    plan: records.Plan
    groups: Sequence[Group]
    builds: Sequence[records.Build]
    machine: records.Machine
    environment: Mapping[str, str]
    folder: pathlib.Path
    command: str = ""
    path: tuple[pathlib.Path, ...] = ()
    notes: tuple[str, ...] = ()


def new_header(session: Session) -> records.Header:
    """The header of a run that starts now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return records.Header(
        schema_version=records.SCHEMA_VERSION,
        run=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
        tool_version=__version__,
        started=now.isoformat(timespec="seconds"),
        machine=session.machine,
        builds=tuple(session.builds),
        plan=session.plan,
        command=session.command,
        notes=session.notes,
    )


def run(session: Session, path: pathlib.Path, observer: Observer, *, resume: bool = False) -> bool:
    """Measure everything that is not yet in `path`, line by line into it; whether the run came to its end.

    False means Ctrl-C: the file is valid and says so. Raises UserError when the file cannot be written, is there
    already (without `resume`), or belongs to another plan or other builds (with it).
    """
    there = resume and path.exists()
    # An empty file was left by a run that was killed before its header.
    done = _done(session, path) if there and path.stat().st_size else None
    began = time.monotonic()
    with records.Writer(path, append=there) as writer:
        if done is None:
            writer.write(new_header(session))
        written = len(done or ())
        observer.started(len(session.plan.tests), written)
        finished = False
        try:
            for test in _measure(session, frozenset(done or ()), observer):
                writer.write(test)
                written += 1
                observer.test_ended(test)
            finished = True
        except KeyboardInterrupt:
            pass
        writer.write(
            records.Footer(
                finished=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                elapsed_seconds=time.monotonic() - began,
                tests=written,
                interrupted=not finished,
            )
        )
    return finished


def _done(session: Session, path: pathlib.Path) -> set[str]:
    """Names of the tests that a run file already holds, once it is known to be of this plan and these builds."""
    earlier = records.read(path).header
    ours = {build.name: build.fingerprint for build in session.builds}
    if {build.name: build.fingerprint for build in earlier.builds} != ours:
        raise UserError(f"{path} was measured with other builds than these; name another file or the same builds")
    for field in records.Plan.__struct_fields__:
        then, now = getattr(earlier.plan, field), getattr(session.plan, field)
        if then != now:
            raise UserError(f"{path} was begun with another {field} ({then}, not {now}); resume with the same options")
    records.repair(path)
    return {test.test for test in records.read(path).tests}


def _measure(session: Session, done: frozenset[str], observer: Observer) -> Iterator[records.Test]:
    remaining = [rest for group in session.groups if (rest := _without(group, done)) is not None]
    turns = {group.name: turn for turn, group in enumerate(session.groups)}
    with opened(session, remaining) as pool:
        if session.plan.total_budget_seconds is not None:
            yield from sharing.measured(remaining, pool, session.plan, turns, observer)
            return
        for group in remaining:
            observer.group_begins(group)
            yield from interleave.measure(group, pool, session.plan, turns[group.name], observer)


@contextlib.contextmanager
def opened(session: Session, groups: Sequence[Group]) -> Iterator[Pool]:
    """A pool in which every lane of these groups of a session has its nurseries; this process steps aside meanwhile.

    Raises UserError when a build cannot load what the groups need.
    """
    plan = session.plan
    needs = dict.fromkeys(need for group in groups for need in group.description.needs)
    needs |= dict.fromkeys(need for group in groups for mode in group.modes for need in mode_of(mode).needs)
    if any(group.type == "train" for group in groups):
        # Imported when an optimizer is made, which takes a second: once in the nursery is better than in every worker.
        needs["torch._dynamo"] = None
    suites = dict.fromkeys(group.suite for group in groups)
    settings = Settings(
        nurseries=plan.nurseries,
        threads=plan.threads,
        cpus=plan.cpus,
        allocator=plan.allocator,
        code_pages=plan.code_pages,
        preload=tuple(needs),
        path=tuple(map(str, session.path)) if any(map(is_users, plan.modes)) else (),
        suites=tuple(str(pathlib.Path(suite).resolve()) if suite != suite_name(suite) else suite for suite in suites),
    )
    with (
        machine.stepping_aside(plan.cpus),
        Pool(session.builds, settings, session.environment, session.folder) as pool,
    ):
        lanes = {lane for group in groups for lane in interleave.lanes_of(group, plan)}
        pool.start([(lane.build, mode_of(lane.mode).environment) for lane in sorted(lanes)])
        yield pool


def _without(group: Group, done: frozenset[str]) -> Group | None:
    """The group less the modes whose tests are known already; None when nothing is left to do."""
    modes = tuple(mode for mode in group.modes if group.test(mode) not in done)
    skipped = {mode: reason for mode, reason in group.skipped.items() if group.test(mode) not in done}
    return dataclasses.replace(group, modes=modes, skipped=skipped) if modes or skipped else None


def plan_with_tests(plan: records.Plan, groups: Sequence[Group]) -> records.Plan:
    """The plan with the names of all tests of the groups, in the order in which they are measured."""
    return msgspec.structs.replace(plan, tests=tuple(name for group in groups for name in group.tests))
