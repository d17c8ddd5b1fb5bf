"""What is gathered of one test in base and head to explain why its step changed.

Profiles of both are taken alternately, each in a worker of its own (base, head, head, base, ...), so that what an
operator's time varies by from process to process is known and can be told from a change. Instructions are counted where
`harness.callgrind` can. Figures that timing brings along (compilation, memory, page faults) come from a run that was
measured already, or else from a short one of its own. What could not be had is in `skipped` with its reason; nothing
that goes wrong with one kind of evidence costs the others. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from harness import callgrind, errand, interleave, records
from harness.callgrind import Counts, Uncounted
from harness.errors import UserError
from harness.lanes import Lane
from harness.plan import Group
from harness.pool import Pool, WorkerError
from harness.profiles import Found, Operator
from harness.session import Session, opened

PROFILE, INSTRUCTIONS, FIGURES = "operator profile", "instruction counts", "memory, page faults and compilation"
"""Kinds of evidence, as keys of `Evidence.skipped`."""

PAIRS = 8
"""Profiles of each build. Fewer leave too wide a spread: Student's t at the level of one operator among thirty is 4.2
with eight and 9.0 with four.
"""
FEWEST_PAIRS = 4
BUDGET_SECONDS = 90.0
"""After so long no further pair of profiles is begun, once there are enough."""
PROFILED_SECONDS = 0.5
FEWEST_STEPS, MOST_STEPS = 8, 100
NURSERIES = 4
"""Preloaded processes per build: two profiles from each, in the two orders."""
SHORT_SECONDS = 8.0
"""Budget of a run that is made for the figures alone."""


@dataclass(frozen=True)
class Side:
    """What was gathered in one build. `profiles` are in the order of the pairs, the same in both sides."""

    profiles: tuple[tuple[Operator, ...], ...] = ()
    counts: Counts | None = None
    record: records.LaneRecord | None = None


@dataclass(frozen=True)
class Evidence:
    """What was gathered of one test; `skipped` says by kind of evidence why there is none."""

    test: str
    base: Side
    head: Side
    skipped: Mapping[str, str] = field(default_factory=dict)


def gather(
    session: Session,
    tests: Sequence[str],
    *,
    run: records.Run | None = None,
    limit_seconds: float = callgrind.LIMIT_SECONDS,
) -> Iterator[Evidence]:
    """The evidence on these tests of a session, one after another.

    The session must have a base. `run` is a run of the same builds that holds the tests' figures. Counts that are
    estimated to take longer than `limit_seconds` are not begun; with 0 none is. Raises UserError for a test that the
    session does not hold or cannot run, for a session without base, and for a build that cannot load its suites.
    """
    base = session.plan.base
    if base is None:
        raise UserError("a change is explained by comparing two builds; name the other one with --base")
    wanted = [(test, *_place(session, test)) for test in tests]
    plan = msgspec.structs.replace(session.plan, nurseries=min(session.plan.nurseries, NURSERIES))
    session = dataclasses.replace(session, plan=plan)
    with opened(session, [group for _, group, _ in wanted]) as pool:
        for test, group, mode in wanted:
            yield _Gathering(test, group, mode, base, session, pool, limit_seconds).all(run)


def _place(session: Session, test: str) -> tuple[Group, str]:
    """The group of a test, with that mode alone."""
    for group in session.groups:
        for mode in group.modes:
            if group.test(mode) == test:
                return dataclasses.replace(group, modes=(mode,), skipped={}), mode
        for mode, reason in group.skipped.items():
            if group.test(mode) == test:
                raise UserError(f"{test} cannot be explained: {reason}")
    raise UserError(f"{test} is not among the tests of this session; name one that was measured")


class _Silent:
    """An observer that draws nothing."""

    def launched(self, progress: interleave.Progress) -> None:
        pass


class _Gathering:
    """One test's evidence while it is gathered."""

    def __init__(
        self, test: str, group: Group, mode: str, base: str, session: Session, pool: Pool, limit_seconds: float
    ) -> None:
        self._test, self._group, self._mode = test, group, mode
        self._builds = (base, session.plan.head)
        self._session, self._pool, self._limit = session, pool, limit_seconds
        self._skipped: dict[str, str] = {}
        self._products = 0
        self._step_seconds = 0.0

    def all(self, run: records.Run | None) -> Evidence:
        record = self._record(run)
        lanes = [None if record is None else record.lane(build, self._mode) for build in self._builds]
        if None in lanes:
            self._skipped.setdefault(FIGURES, "the run holds no lanes of base and head for it")
        typical = max((lane.typical_seconds or 0.0 for lane in lanes if lane is not None), default=0.0)
        profiles = self._profiles(typical)
        counts = self._counts()
        sides = [
            Side(tuple(profiles[build]), counts.get(build), lane)
            for build, lane in zip(self._builds, lanes, strict=True)
        ]
        return Evidence(self._test, *sides, skipped=dict(self._skipped))

    def _record(self, run: records.Run | None) -> records.Test | None:
        if run is not None:
            return next((test for test in run.tests if test.test == self._test), None)
        plan = msgspec.structs.replace(
            self._session.plan, budget_seconds=min(SHORT_SECONDS, self._session.plan.budget_seconds), accuracy=False
        )
        (found,) = interleave.measure(self._group, self._pool, plan, 0, _Silent())
        if not found.lanes:
            self._skipped[FIGURES] = f"the test could not be measured ({found.status}: {found.reason})"
        return found

    def _profiles(self, step_seconds: float) -> dict[str, list[tuple[Operator, ...]]]:
        """Profiles by build, as many of one as of the other."""
        steps = min(max(math.ceil(PROFILED_SECONDS / step_seconds), FEWEST_STEPS), MOST_STEPS) if step_seconds else 20
        found: dict[str, list[tuple[Operator, ...]]] = {build: [] for build in self._builds}
        began = time.monotonic()
        for pair in range(PAIRS):
            if pair >= FEWEST_PAIRS and time.monotonic() - began > BUDGET_SECONDS:
                break
            try:
                # Each nursery serves in both orders.
                swapped = (pair + pair // NURSERIES) % 2
                taken = {build: self._profile(build, pair, steps) for build in self._builds[:: -1 if swapped else 1]}
            except (WorkerError, OSError, msgspec.MsgspecError) as error:
                reason = f"{error.reason} ({error.status})" if isinstance(error, WorkerError) else str(error)
                self._skipped[PROFILE] = " ".join(reason.split())[:500]
                return {build: [] for build in self._builds}
            for build, operators in taken.items():
                found[build].append(operators)
        return found

    def _profile(self, build: str, pair: int, steps: int) -> tuple[Operator, ...]:
        inject = self._session.plan.inject.get(self._test, 0.0) if build == self._session.plan.head else 0.0
        more = {"steps": steps, "trace": None, "inject": inject}
        sent = errand.Errand(self._group, self._mode, "profile", "profile.json", more, build, pair)
        told, path = errand.run(sent, self._pool, self._session.plan)
        self._step_seconds = max(self._step_seconds, told["step_seconds"])
        self._products = max(self._products, int(told.get("products", 0)))
        return msgspec.json.decode(path.read_bytes(), type=Found).operators

    def _counts(self) -> dict[str, Counts]:
        """Counts by build; none where one of them is not to be had."""
        plan = self._session.plan
        if self._limit <= 0:
            self._skipped[INSTRUCTIONS] = "they were not asked for"
            return {}
        if not self._step_seconds:
            self._skipped[INSTRUCTIONS] = "how long a step takes is not known"
            return {}
        seconds = self._step_seconds * (1 + plan.inject.get(self._test, 0.0))
        environment = self._pool.environment(plan.head, {})
        reason = callgrind.why_not(self._group.device, self._mode, seconds, environment, self._limit)
        if reason is not None:
            self._skipped[INSTRUCTIONS] = reason
            return {}
        found = {}
        for build in self._builds:
            products = self._products if build == plan.head else 0
            try:
                found[build] = callgrind.count(
                    self._group, Lane(self._mode, build), self._pool, plan, products=products, timeout=2 * self._limit
                )
            except Uncounted as error:
                self._skipped[INSTRUCTIONS] = f"{error} (in {build})"
                return {}
        return found
