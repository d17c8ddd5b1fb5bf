"""What a search came to, as a file that others read and as everything that a report of it needs.

Promises that nothing is concluded here: all of it follows from a `bot.bisect.Search`. Changes are relative (0.05 is 5 %
slower), with 95 % intervals.
"""

from __future__ import annotations

import itertools

import msgspec

from bot import bisect
from bot.bisect import Candidate, Culprit, Figure, Outcome, Search, State, Trial
from bot.verdict import Part
from harness import __version__

SCHEMA_VERSION = 1


class Change(Part, frozen=True, kw_only=True):
    """A change with its interval, from how many launches in how many measurements."""

    change: float
    low: float
    high: float
    launches: int
    readings: int


class Proof(Part, frozen=True, kw_only=True):
    """How a culprit stood a trial: `shown` is None where it could not be held, and `reason` then says why."""

    kind: str
    base: str
    head: str
    shown: bool | None
    change: Change | None = None
    reason: str = ""


class Blame(Part, frozen=True, kw_only=True):
    """A culprit: a candidate, or several of which only one is it (`range`, the likeliest reason being that those
    between could not be built).
    """

    range: tuple[Candidate, ...]
    parent: Candidate
    probability: float
    change: float
    """Expected from all readings; a proof has the size with its interval."""
    proven: bool
    proofs: tuple[Proof, ...] = ()


class TestFinding(Part, frozen=True, kw_only=True):
    """What was found for one test. `several` is the probability that no single step explains its readings."""

    __test__ = False  # pytest takes every class called Test* for a test case

    test: str
    state: State
    reason: str = ""
    ends: Change | None = None
    culprits: tuple[Blame, ...] = ()
    likeliest: tuple[Blame, ...] = ()
    """Where no culprit is sure: the stretches that may hold it, the likeliest first."""
    several: float | None = None


class Row(Part, frozen=True, kw_only=True):
    """A candidate that was measured against the older end: the change of each test, and why others have none."""

    position: int
    candidate: Candidate
    changes: dict[str, Change]
    failures: dict[str, str] = msgspec.field(default_factory=dict)


class Skipped(Part, frozen=True, kw_only=True):
    """A candidate that could not be built: why, and the file that tells more."""

    position: int
    candidate: Candidate
    reason: str
    log: str = ""


class Result(Part, frozen=True, kw_only=True):
    """The outcome of a search and the evidence for it."""

    schema_version: int = SCHEMA_VERSION
    tool_version: str
    outcome: Outcome
    complete: bool
    """Whether there was nothing left to do; not so when a budget ended the search."""
    first: Candidate
    """The older end, against which all others were measured."""
    last: Candidate
    candidates: int
    """How many builds may be to blame."""
    confidence: float
    smallest: float
    tests: tuple[TestFinding, ...]
    evidence: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    builds: int
    """How many distinct builds the search used, those that failed included, those made for a proof not."""
    elapsed_seconds: float
    command: str


def result(search: Search, *, complete: bool) -> Result:
    """What a search has come to so far; `complete` says that nothing is left to do."""
    last = search.last
    return Result(
        tool_version=__version__,
        outcome=bisect.outcome(search),
        complete=complete,
        first=search.candidates[0],
        last=search.candidates[last],
        candidates=last,
        confidence=search.confidence,
        smallest=search.smallest,
        tests=tuple(_finding(search, one) for one in bisect.standings(search)),
        evidence=tuple(_rows(search)),
        skipped=tuple(
            Skipped(position=place, candidate=search.candidates[place], reason=making.failure, log=making.log)
            for place, making in sorted(search.unmade.items())
        ),
        builds=len({0, last} | {one.position for one in search.makings}),
        elapsed_seconds=search.elapsed_seconds,
        command=search.command,
    )


def _finding(search: Search, one: bisect.Standing) -> TestFinding:
    likeliest: list[Culprit] = []
    if one.state in ("open", "undecided") and one.posterior is not None:
        measured = [0, *(place for place in range(1, search.last) if search.figures(one.test, place)), search.last]
        known = one.posterior
        likeliest = [
            Culprit(one.test, before + 1, after, known.probability(before, after), known.size(before, after))
            for before, after in itertools.pairwise(measured)
        ]
        likeliest = sorted(likeliest, key=lambda culprit: -culprit.probability)[:3]
    return TestFinding(
        test=one.test,
        state=one.state,
        reason=one.reason,
        ends=_change(search.figures(one.test, search.last)),
        culprits=tuple(_blame(search, culprit) for culprit in one.culprits),
        likeliest=tuple(_blame(search, culprit) for culprit in likeliest if culprit.probability >= 0.01),
        several=None if one.posterior is None else one.posterior.several,
    )


def _blame(search: Search, culprit: Culprit) -> Blame:
    return Blame(
        range=search.candidates[culprit.first : culprit.last + 1],
        parent=search.candidates[culprit.first - 1],
        probability=min(1.0, culprit.probability),
        change=culprit.change,
        proven=bisect.proven(search, culprit),
        proofs=tuple(_proof(culprit, trial) for trial in bisect.trials(search, culprit)),
    )


def _proof(culprit: Culprit, trial: Trial) -> Proof:
    return Proof(
        kind=trial.kind,
        base=trial.base,
        head=trial.head,
        shown=bisect.shown(culprit, trial),
        change=_change([one for one in trial.figures if one.test == culprit.test]),
        reason=trial.impossible or trial.failures.get(culprit.test, ""),
    )


def _change(figures: list[Figure]) -> Change | None:
    found = bisect.combined(figures)
    if found is None:
        return None
    return Change(
        change=found.change,
        low=found.change_low,
        high=found.change_high,
        launches=sum(one.launches for one in figures),
        readings=len(figures),
    )


def _rows(search: Search) -> list[Row]:
    rows = []
    for place in sorted({probe.position for probe in search.probes}):
        changes = {test: change for test in search.tests if (change := _change(search.figures(test, place)))}
        failures = {
            test: found[-1] for test in search.tests if test not in changes and (found := search.failures(test, place))
        }
        rows.append(Row(position=place, candidate=search.candidates[place], changes=changes, failures=failures))
    return rows


def encode(found: Result) -> str:
    """The result as it stands in a file: indented JSON."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n"
