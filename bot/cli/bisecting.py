"""Carries a search out: lists its builds, makes and measures what `bot.bisect` asks for, and keeps its state.

Promises that the state is on disk after every build and every measurement, so that a search that was killed goes on
where it was; that measurements are those of `torchwarden run` and estimates those of its verdict; and that the user's
checkout is only read.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from bot import bisect, commits, comparison, numbers
from bot.bisect import Candidate, Figure, Limits, Making, Next, Probe, Search, Trial
from bot.cli import building, measuring
from bot.reference import write
from harness import buildcache, buildspec, records, stats
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.records import Build
    from harness.session import Session

ROWS = ("commits", "nightlies", "list")
"""What a search can go over."""

GOOD, PROBE = "good", "probe"
"""Names of the two builds of a measurement."""

SEARCHING = 0.8
"""Share of a total budget after which nothing new is measured, so that a culprit can still be proven."""

PROOF_BUDGETS = 3
"""How many times longer than a probe's a proof's measurement of a test may be."""

PROOF_ATTEMPTS = 2
"""Measurements of a proof: what the first does not show may have been the machine's noise, and all count together."""

MOST_BROKEN = 8
"""Builds in a row that fail until the fault is taken to be the install command's."""


def row(
    over: str, good: str, bad: str, between: Sequence[str], repository: pathlib.Path
) -> tuple[tuple[Candidate, ...], bool]:
    """The builds of a search from the older end to the newer one, and whether `good` is the newer end.

    Raises UserError for ends that are none, or that do not belong together.
    """
    if between and over != "list":
        raise UserError(f"--candidate and --candidates name the builds of --over list; leave them out with {over}")
    makers: dict[str, Callable[[], tuple[tuple[Candidate, ...], bool]]] = {
        "commits": lambda: _commits(good, bad, repository),
        "nightlies": lambda: _nightlies(good, bad),
        "list": lambda: (_listed([good, *between, bad]), False),
    }
    found, reversed_ends = makers[over]()
    if len(found) < 2:
        raise UserError(f"--good {good} and --bad {bad} are the same build; there is nothing between them")
    return found, reversed_ends


def _commits(good: str, bad: str, repository: pathlib.Path) -> tuple[tuple[Candidate, ...], bool]:
    def resolved(name: str) -> str:
        text = name if name.startswith("git:") else f"git:{name}"
        return buildcache.commit(buildspec.Specification("end", "git", text), repository)

    older, newer = resolved(good), resolved(bad)
    swapped = not commits.is_ancestor(older, newer, repository)
    if swapped:
        older, newer = newer, older
        if not commits.is_ancestor(older, newer, repository):
            raise UserError(f"neither of {good} and {bad} is an ancestor of the other; name two commits of one branch")
    found = commits.between(older, newer, repository)
    return tuple(
        Candidate(
            label=one.hash[:12],
            specification=f"git:{one.hash}",
            commit=one.hash,
            subject=one.subject,
            author=one.author,
            date=one.date,
        )
        for one in found
    ), swapped


def _nightlies(good: str, bad: str) -> tuple[tuple[Candidate, ...], bool]:
    days = []
    for name in (good, bad):
        text = buildspec.parse(name if name.startswith("nightly") else f"nightly:{name}", "end").text
        days.append(datetime.datetime.strptime(text.partition(":")[2], "%Y%m%d").date())
    first, last = sorted(days)
    every = [first + datetime.timedelta(days=number) for number in range((last - first).days + 1)]
    return tuple(Candidate(label=f"{day}", specification=f"nightly:{day:%Y%m%d}") for day in every), days[0] > days[1]


def _listed(texts: Sequence[str]) -> tuple[Candidate, ...]:
    found = []
    for text in texts:
        asked = buildspec.parse(text, PROBE)
        found.append(Candidate(label=text, specification=asked.text))
    if len({one.specification for one in found}) < len(found):
        raise UserError("the list of builds names one twice; name each once, in order")
    return tuple(found)


def lines_of(path: pathlib.Path) -> list[str]:
    """The builds that a file lists, one a line; blank lines and those that begin with # are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); write one build a line into it") from None
    return [text for line in lines if (text := line.strip()) and not text.startswith("#")]


def words(options: Any) -> dict[str, str]:
    """A group of options as it would have to be typed: what differs from the default, by the option's first name."""
    found = {}
    hints = get_type_hints(type(options), include_extras=True)
    plain = type(options)()
    for one in dataclasses.fields(options):
        value = getattr(options, one.name)
        if value is None or value == getattr(plain, one.name):
            continue
        given = hints[one.name].__metadata__[0]
        # Typer keeps the first name where a default would stand outside of Annotated.
        option = next(name for name in (given.default, *given.param_decls) if str(name).startswith("--"))
        if isinstance(value, bool):
            positive, _, negative = option.partition("/")
            found[positive if value else negative] = ""
        else:
            found[option] = "\n".join(map(str, value)) if isinstance(value, list) else str(value)
    return found


def typed(asked: Mapping[str, str]) -> list[str]:
    """The words of a command line that give these options; a value of several lines is an option given as often."""
    every: list[str] = []
    for option, value in asked.items():
        for text in value.split("\n"):
            every += [option, text] if value else [option]
    return every


@dataclass
class Workbench:
    """What a search is carried out with, and its state so far.

    `session` is one of the good end against another build, with all tests; `runs` the folder that keeps the samples of
    every measurement; `total_seconds` ends the search early.
    """

    search: Search
    session: Session
    beside: buildcache.Beside
    state: pathlib.Path
    runs: pathlib.Path
    half_width: float | None = None
    limits: Limits = field(default_factory=Limits)
    total_seconds: float | None = None
    _builds: dict[str, Build] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _before: float = 0.0

    def __post_init__(self) -> None:
        self._before = self.search.elapsed_seconds
        candidates = self.search.candidates
        for candidate, build in zip((candidates[0], candidates[-1]), self.session.builds, strict=True):
            self._builds[candidate.specification] = build

    def carry_out(self) -> bool:
        """Go on until nothing is left to do; False when a budget ended it. Raises KeyboardInterrupt on Ctrl-C."""
        self._keep()
        while (following := bisect.next_probe(self.search, self.limits)) is not None:
            if not self._affords(following.seconds, SEARCHING):
                return False
            self._probe(following)
        if not self._prove():
            return False
        return all(one.state != "open" or self.limits.builds is None for one in bisect.standings(self.search))

    def _keep(self, **changes: Any) -> None:
        elapsed = self._before + time.monotonic() - self._began
        self.search = msgspec.structs.replace(self.search, elapsed_seconds=elapsed, **changes)
        write(self.state, bisect.encode(self.search))

    def _affords(self, seconds: float, share: float) -> bool:
        if self.total_seconds is None or not self.search.probes:
            return True
        return self._before + time.monotonic() - self._began + seconds <= share * self.total_seconds

    def _probe(self, following: Next) -> None:
        place = following.position
        candidate = self.search.candidates[place]
        open_tests = sum(one.state in ("open", "ends") for one in bisect.standings(self.search))
        number = len(self.search.probes) + 1
        say(
            f"probe {number}: {candidate.label} {candidate.subject[:50]}".rstrip()
            + f", {len(following.tests)} of {numbers.count(open_tests, 'open test')}"
        )
        build = self._built(place)
        if build is None:
            return
        half_width = self.half_width or bisect.wanted_half_width(self.search, following.tests)
        began = time.monotonic()
        try:
            figures, failures = self._measured(
                (self._end(0), build), following.tests, f"probe-{number:03}", half_width, self.session.plan
            )
        except UserError as error:
            if place == self.search.last:
                raise
            # The build is there, but cannot load what the tests need.
            figures, failures = (), dict.fromkeys(following.tests, str(error))
        probe = Probe(position=place, figures=figures, failures=failures, seconds=time.monotonic() - began)
        self._keep(probes=(*self.search.probes, probe))

    def _end(self, place: int) -> Build:
        build = self._built(place)
        assert build is not None, "only what could be made is asked for"
        return build

    def _built(self, place: int) -> Build | None:
        """The build of a candidate; None where it cannot be made, which goes into the state."""
        candidate = self.search.candidates[place]
        known = place in self.search.made
        if (build := self._builds.get(candidate.specification)) is None:
            began = time.monotonic()
            try:
                build = self._made(candidate.specification, self.beside)
            except buildcache.NotKept:
                raise
            except UserError as error:
                if known:
                    raise
                self._broken(
                    Making(
                        position=place,
                        seconds=time.monotonic() - began,
                        failure=str(error),
                        log=getattr(error, "log", ""),
                    )
                )
                return None
            self._builds[candidate.specification] = build
            if not known:
                making = Making(position=place, seconds=time.monotonic() - began)
                self._keep(makings=(*self.search.makings, making))
        elif not known:
            self._keep(makings=(*self.search.makings, Making(position=place, seconds=0.0)))
        return build

    def _broken(self, making: Making) -> None:
        say(f"cannot be built, passed over: {making.failure}")
        self._keep(makings=(*self.search.makings, making))
        latest = self.search.makings[-MOST_BROKEN:]
        if len(latest) == MOST_BROKEN and all(one.failure for one in latest):
            raise UserError(
                f"{MOST_BROKEN} builds in a row cannot be made, the last one because {making.failure}; mend "
                f"--install-command and begin again"
            )

    def _made(self, specification: str, beside: buildcache.Beside) -> Build:
        return building.made(buildspec.parse(specification, PROBE), beside, self.session.plan.device)

    def _measured(
        self,
        builds: tuple[Build, Build],
        tests: Iterable[str],
        name: str,
        half_width: float,
        plan: records.Plan,
        threshold: float | None = None,
    ) -> tuple[tuple[Figure, ...], dict[str, str]]:
        """Figures of tests from the second build against the first, and why others have none."""
        from harness.session import plan_with_tests

        wanted = set(tests)
        groups = []
        for group in self.session.groups:
            modes = tuple(mode for mode in group.modes if group.test(mode) in wanted)
            if modes:
                groups.append(dataclasses.replace(group, modes=modes, skipped={}))
        # A change of half the size sought is what decides.
        plan = msgspec.structs.replace(
            plan, half_width=half_width, threshold=threshold if threshold is not None else 2 * half_width
        )
        session = dataclasses.replace(
            self.session,
            plan=plan_with_tests(plan, groups),
            groups=groups,
            builds=tuple(
                msgspec.structs.replace(build, name=name) for build, name in zip(builds, (GOOD, PROBE), strict=True)
            ),
        )
        self.runs.mkdir(parents=True, exist_ok=True)
        path = self.runs / f"{name}.jsonl"
        # Of a measurement that was killed.
        path.unlink(missing_ok=True)
        if not measuring.measure(session, path).finished:
            raise KeyboardInterrupt
        return figures_of(records.read(path), sorted(wanted))

    def _prove(self) -> bool:
        """Hold the trials that culprits have not stood yet; False when the budget does not allow them."""
        for first, last, tests in bisect.unproven(self.search):
            held = {trial.kind for trial in self.search.trials if trial.culprit == last}
            most = PROOF_BUDGETS * len(tests) * self.session.plan.budget_seconds
            if "parent" not in held:
                if not self._affords(most, 1):
                    return False
                self._against_parent(first, last, tests)
            blamed = [each for one in bisect.standings(self.search) for each in one.culprits if each.last == last]
            proven = any(bisect.proven(self.search, each) for each in blamed)
            if proven and "revert" not in held and first == last and self.search.candidates[last].commit:
                if not self._affords(most, 1):
                    return False
                self._without(last, tests)
        return True

    def _trial(self, builds: tuple[Build, Build], tests: tuple[str, ...], trial: Trial) -> None:
        plan = self.session.plan
        plan = msgspec.structs.replace(
            plan,
            budget_seconds=PROOF_BUDGETS * plan.budget_seconds,
            # Fresh luck: rounds in another order.
            seed=(plan.seed + 1) % 2**31,
        )
        half_width = self.half_width or bisect.wanted_half_width(self.search, tests)
        label = self.search.candidates[trial.culprit].label.replace(os.sep, "_")
        for attempt in range(1, PROOF_ATTEMPTS + 1):
            name = f"{trial.kind}-{label}-{attempt}"
            # "decided" would end a proof before its size is known.
            figures, failures = self._measured(builds, tests, name, half_width / 2, plan, threshold=0.99)
            trial = msgspec.structs.replace(
                trial, figures=(*trial.figures, *figures), failures={**trial.failures, **failures}
            )
            blamed = [one for each in bisect.standings(self.search) for one in each.culprits]
            if all(bisect.shown(one, trial) for one in blamed if one.last == trial.culprit):
                break
        self._keep(trials=(*self.search.trials, trial))

    def _against_parent(self, first: int, last: int, tests: tuple[str, ...]) -> None:
        parent, culprit = self.search.candidates[first - 1], self.search.candidates[last]
        say(f"proof: {culprit.label} against {parent.label}")
        trial = Trial(kind="parent", culprit=last, base=parent.label, head=culprit.label)
        self._trial((self._end(first - 1), self._end(last)), tests, trial)

    def _without(self, place: int, tests: tuple[str, ...]) -> None:
        culprit, tip = self.search.candidates[place], self.search.candidates[-1]
        trial = Trial(kind="revert", culprit=place, base=tip.label, head=f"{tip.label} without {culprit.label}")
        say(f"proof: {trial.head} against {tip.label}")
        with tempfile.TemporaryDirectory(prefix="torchwarden-") as folder:
            clone = pathlib.Path(folder) / "repository"
            found = commits.without(culprit.commit, tip.commit, self.beside.repository, clone, os.environ)
            if found is None:
                self._impossible(trial, "its revert does not apply to the bad end")
                return
            try:
                build = self._made(f"git:{found}", dataclasses.replace(self.beside, repository=clone))
            except buildcache.NotKept:
                raise
            except UserError as error:
                self._impossible(trial, f"the bad end without it cannot be built: {error}")
                return
            self._trial((self._end(self.search.last), build), tests, trial)

    def _impossible(self, trial: Trial, why: str) -> None:
        say(why)
        self._keep(trials=(*self.search.trials, msgspec.structs.replace(trial, impossible=why)))


def figures_of(run: records.Run, tests: Sequence[str]) -> tuple[tuple[Figure, ...], dict[str, str]]:
    """The figures of a run's tests, head against base, and for those that have none the reason."""
    figures, failures = [], {}
    by_name = {test.test: test for test in run.tests}
    for name in tests:
        test = by_name.get(name)
        if test is None or test.status != "pass":
            failures[name] = "it was not measured" if test is None else f"{test.status}: {test.reason}"
            continue
        base, head = comparison.base_lane(test, run), comparison.head_lane(test, run)
        found = comparison.between_lanes(base, head, stats.CONFIDENCE) if base and head else None
        if found is None or found.standard_error is None or found.low is None or found.high is None:
            failures[name] = "its samples do not make an interval; give --budget more"
            continue
        figures.append(
            Figure(
                test=name,
                log_ratio=found.log_ratio,
                standard_error=found.standard_error,
                degrees_of_freedom=found.degrees_of_freedom,
                low=found.low,
                high=found.high,
                p_value=1.0 if found.p_value is None else found.p_value,
                launches=len(found.launches),
                seconds=test.elapsed_seconds,
            )
        )
    return tuple(figures), failures


def say(text: str) -> None:
    """Tell the user what is being done, on stderr."""
    print(text, file=sys.stderr, flush=True)
