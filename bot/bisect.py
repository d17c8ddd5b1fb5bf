"""A search for the build where tests changed: what is known so far, what to measure next, and when it is over.

Promises a search that can be killed at any moment: all that it knows is one immutable `Search`, kept in a file after
every step, and every decision follows from it alone. Several tests share a search, each with culprits of its own; a
build that cannot be made or measured is passed over and widens the answer where it stands in the way. What the
readings mean is in `bot.culprits`. Pure but for `read`: nothing is built, measured or printed here.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import pathlib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from bot import numbers
from bot.culprits import Posterior, Reading
from bot.verdict import Part
from harness import stats
from harness.errors import UserError

SCHEMA_VERSION = 1

END_READINGS = 3
"""How often the two ends are compared until it is said that no difference can be seen."""

END_ALPHA = 0.01
"""Level at which the ends differ: a search that begins without a difference wastes hours."""

MOST_READINGS = 6
"""Readings of one test at one build; the build's own luck is in all of them, so more would tell nothing."""

MOST_FAILURES = 2
"""Failures of a test at a build after which it is taken to be broken there."""

FEWEST_NATS = 0.01
"""What a reading must tell of a test to be worth taking: a hundredth of what a sure answer to yes or no tells."""

USUAL_BUILD_SECONDS, USUAL_START_SECONDS, USUAL_TEST_SECONDS = 60.0, 20.0, 15.0
"""Seconds that a build, the start of a measurement and a test in it are taken to need until some have been seen."""

READINGS_PER_HALVING = 6
"""Readings of one test for each time that the row can be halved, after which no few steps explain it."""

_THINNED = 24
"""Builds between two that were read whose worth is computed; in a longer stretch, as many of them evenly."""

Seconds = Annotated[float, msgspec.Meta(ge=0, lt=1e9)]
Log = Annotated[float, msgspec.Meta(ge=-20, le=20)]
Position = Annotated[int, msgspec.Meta(ge=0, lt=10**6)]


class Candidate(Part, frozen=True, kw_only=True):
    """A build of the row, under what it is asked for as; commits also bear their hash, subject, author and date."""

    label: str
    specification: str
    commit: str = ""
    subject: str = ""
    author: str = ""
    date: str = ""


class Making(Part, frozen=True, kw_only=True):
    """That a candidate was made, in how many seconds, or why it could not be; `log` is the file that tells more."""

    position: Position
    seconds: Seconds
    failure: str = ""
    log: str = ""


class Figure(Part, frozen=True, kw_only=True):
    """One test in one measurement: log ratio of two builds' times with its error, its 95 % interval and its effort."""

    test: str
    log_ratio: Log
    standard_error: Annotated[float, msgspec.Meta(ge=0, le=20)]
    degrees_of_freedom: Annotated[float, msgspec.Meta(gt=0, lt=1e9)]
    low: float
    high: float
    p_value: float
    launches: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    seconds: Seconds


class Probe(Part, frozen=True, kw_only=True):
    """A candidate measured against the good end: figures of the tests that ran, and why others did not."""

    position: Position
    figures: tuple[Figure, ...]
    failures: dict[str, str] = msgspec.field(default_factory=dict)
    seconds: Seconds = 0.0


class Trial(Part, frozen=True, kw_only=True):
    """A proof: a culprit against its parent, or the bad end without the culprit against the bad end.

    `culprit` is the last position of the culprit's range; `impossible` says why there are no figures.
    """

    kind: Literal["parent", "revert"]
    culprit: Position
    base: str
    head: str
    figures: tuple[Figure, ...] = ()
    failures: dict[str, str] = msgspec.field(default_factory=dict)
    impossible: str = ""


class Search(Part, frozen=True, kw_only=True):
    """All that is known of a search. `candidates` begin with the good end and end with the bad one.

    `asked` are the options that must be the same when it goes on; `confidence` is the probability at which a culprit is
    named, `smallest` the smallest change sought, a fraction.
    """

    schema_version: int = SCHEMA_VERSION
    asked: dict[str, str]
    command: str = ""
    candidates: tuple[Candidate, ...]
    tests: tuple[str, ...]
    confidence: Annotated[float, msgspec.Meta(gt=0.5, lt=1)] = 0.95
    smallest: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.02
    makings: tuple[Making, ...] = ()
    probes: tuple[Probe, ...] = ()
    trials: tuple[Trial, ...] = ()
    elapsed_seconds: Seconds = 0.0

    @property
    def last(self) -> int:
        """Position of the bad end."""
        return len(self.candidates) - 1

    @property
    def made(self) -> frozenset[int]:
        """Positions that could be made."""
        return frozenset(one.position for one in self.makings if not one.failure)

    @property
    def unmade(self) -> dict[int, Making]:
        """Positions that could not be made, and how that went."""
        return {one.position: one for one in self.makings if one.failure}

    def figures(self, test: str, position: int) -> list[Figure]:
        """What was measured of a test at a position."""
        probes = (probe for probe in self.probes if probe.position == position)
        return [figure for probe in probes for figure in probe.figures if figure.test == test]

    def failures(self, test: str, position: int) -> list[str]:
        """Why a test was not measured at a position, each time it was not."""
        probes = (probe for probe in self.probes if probe.position == position)
        return [probe.failures[test] for probe in probes if test in probe.failures]

    def usable(self, test: str, position: int) -> bool:
        """Whether a test can be measured at a position, as far as is known."""
        if position in self.unmade:
            return False
        return bool(self.figures(test, position)) or len(self.failures(test, position)) < MOST_FAILURES


@dataclass(frozen=True)
class Limits:
    """What a search may use: builds in all, the ends and those that fail included; None is no limit."""

    builds: int | None = None


@dataclass(frozen=True)
class Next:
    """What to measure next: tests at a position. `nats` is what it is expected to tell, at a cost in `seconds`."""

    position: int
    tests: tuple[str, ...]
    nats: float
    seconds: float


@dataclass(frozen=True)
class Culprit:
    """A step of a test: the candidates `first` to `last` are to blame, more than one where those between could not be
    measured. `log_ratio` is the step's expected size.
    """

    test: str
    first: int
    last: int
    probability: float
    log_ratio: float

    @property
    def change(self) -> float:
        """The step as a relative change: 0.05 is 5 % slower."""
        return math.expm1(self.log_ratio)


State = Literal["ends", "open", "found", "same", "undecided"]


@dataclass(frozen=True)
class Standing:
    """Where a test stands: its ends are to be compared yet, it is being searched, its culprits are found, its ends are
    the same, or nothing more can be learnt (`reason` says why).
    """

    test: str
    state: State
    reason: str = ""
    culprits: tuple[Culprit, ...] = ()
    posterior: Posterior | None = None


def posterior(search: Search, test: str) -> Posterior:
    """What all readings of a test say of where it stepped."""
    readings = [
        Reading(probe.position, figure.log_ratio, figure.standard_error, figure.degrees_of_freedom)
        for probe in search.probes
        for figure in probe.figures
        if figure.test == test
    ]
    return Posterior(readings, search.last, math.log1p(search.smallest))


def combined(figures: Sequence[Figure]) -> stats.Estimate | None:
    """Several figures of one test and build as one estimate; None without any.

    They are weighted by their launches and not by their errors: an error from two launches may be tiny by chance. Where
    a single one has a narrower interval than all together, the machine was calm for that one alone, and it stands for
    all; for it was chosen among them, its p-value is multiplied by their number.
    """
    parts = [
        stats.Part(max(one.launches, 1), one.log_ratio, one.standard_error, one.degrees_of_freedom) for one in figures
    ]
    if not parts:
        return None
    whole = stats.weighted_mean(parts)
    calmest = min((stats.weighted_mean([part]) for part in parts), key=lambda one: one.half_width)
    if not calmest.half_width < whole.half_width:
        return whole
    return dataclasses.replace(calmest, p_value=min(1.0, calmest.p_value * len(parts)))


def standing(search: Search, test: str) -> Standing:
    """Where a test stands, from all that was measured."""
    last = search.last
    figures, failures = search.figures(test, last), search.failures(test, last)
    found = combined(figures)
    if found is None:
        if len(failures) < MOST_FAILURES:
            return Standing(test, "ends")
        return Standing(test, "undecided", f"it cannot be measured at the bad end ({failures[-1]})")
    threshold = math.log1p(search.smallest)
    if found.p_value >= END_ALPHA or abs(found.log_ratio) < threshold:
        if -threshold < found.low and found.high < threshold:
            return Standing(test, "same", "the ends do not differ")
        if len(figures) + len(failures) < END_READINGS:
            return Standing(test, "ends")
        size = numbers.change(found.change, found.change_low, found.change_high)
        return Standing(test, "undecided", f"whether the ends differ cannot be seen ({size})")
    known = posterior(search, test)
    culprits = [one for one in cells(search, test, known) if one.probability >= search.confidence]
    rest = known.probability(0, last) - sum(one.probability for one in culprits)
    if culprits and rest <= 1 - search.confidence:
        return Standing(test, "found", "", tuple(culprits), known)
    readings = sum(one.test == test for probe in search.probes for one in probe.figures)
    if readings >= READINGS_PER_HALVING * max(2, math.ceil(math.log2(last))):
        return Standing(test, "undecided", f"{readings} readings are not explained by few steps", (), known)
    return Standing(test, "open", "", (), known)


def cells(search: Search, test: str, known: Posterior) -> list[Culprit]:
    """The stretches that could be told apart if every usable candidate were measured, each with its probability."""
    bounds = [0, *(place for place in range(1, search.last) if search.usable(test, place)), search.last]
    return [
        Culprit(test, before + 1, after, known.probability(before, after), known.size(before, after))
        for before, after in itertools.pairwise(bounds)
    ]


def standings(search: Search) -> list[Standing]:
    """Where every test stands, in the order of the search's tests."""
    return [standing(search, test) for test in search.tests]


def next_probe(search: Search, limits: Limits | None = None) -> Next | None:
    """What to measure next, by what it is expected to tell per second; None when that is nothing any more."""
    limits = limits or Limits()
    found = standings(search)
    costs = _Costs(search)
    if waiting := tuple(one.test for one in found if one.state == "ends"):
        return Next(search.last, waiting, math.inf, costs.of(search.last, len(waiting)))
    full = limits.builds is not None and len(search.made | search.unmade.keys() | {0, search.last}) >= limits.builds
    worth: dict[int, dict[str, float]] = {}
    for one in found:
        if one.state == "open" and one.posterior is not None:
            for position, nats in _worth(search, one.test, one.posterior).items():
                if not full or position in search.made:
                    worth.setdefault(position, {})[one.test] = nats
    choices = [_chosen(position, tests, costs) for position, tests in sorted(worth.items())]
    return max(choices, key=lambda one: one.nats / one.seconds, default=None)


def _chosen(position: int, worth: Mapping[str, float], costs: _Costs) -> Next:
    """A probe at a position of the tests that pay there: each one raises what is told per second."""
    chance = costs.chance(position)
    tests: list[str] = []
    nats, seconds = 0.0, costs.of(position, 0)
    for test, told in sorted(worth.items(), key=lambda pair: (-pair[1], pair[0])):
        if tests and told / costs.test < nats / seconds:
            break
        tests.append(test)
        nats, seconds = nats + told, seconds + costs.test
    return Next(position, tuple(sorted(tests)), nats * chance, seconds)


def _worth(search: Search, test: str, known: Posterior) -> dict[int, float]:
    """What another reading would tell of a test, by position, where that is worth anything."""
    error = typical_error(search, test)
    places = [place for place in range(1, search.last + 1) if search.usable(test, place)]
    read = {place for place in places if search.figures(test, place)}
    open_places = [place for place in places if place not in read or len(search.figures(test, place)) < MOST_READINGS]
    found = {place: known.information(place, error) for place in _thinned(open_places, read)}
    return {place: nats for place, nats in found.items() if nats >= FEWEST_NATS}


def _thinned(places: Iterable[int], read: set[int]) -> list[int]:
    """The places, of each stretch between those that were read at most so many, evenly."""
    stretches: list[list[int]] = [[]]
    for place in places:
        if place in read:
            stretches += [[place], []]
        else:
            stretches[-1].append(place)
    return [
        stretch[number * len(stretch) // min(len(stretch), _THINNED)]
        for stretch in stretches
        if stretch
        for number in range(min(len(stretch), _THINNED))
    ]


def typical_error(search: Search, test: str) -> float:
    """The error that the next reading of a test is expected to have: the median of those so far, tails included."""
    errors = []
    for probe in search.probes:
        for one in probe.figures:
            if one.test == test:
                freedom = max(one.degrees_of_freedom, 2.5)
                errors.append(one.standard_error * math.sqrt(freedom / (freedom - 2)))
    return statistics.median(errors) if errors else 0.005


class _Costs:
    """What things have cost so far in this search."""

    def __init__(self, search: Search) -> None:
        self._search = search
        # What the cache already held says nothing of the next build.
        built = [one.seconds for one in search.makings if one.seconds > 1]
        self._build = statistics.median(built) if built else USUAL_BUILD_SECONDS
        measured = [probe for probe in search.probes if probe.figures]
        starts = [max(0.0, probe.seconds - sum(one.seconds for one in probe.figures)) for probe in measured]
        self._start = statistics.median(starts) if starts else USUAL_START_SECONDS
        tests = [one.seconds for probe in measured for one in probe.figures]
        self.test = max(statistics.median(tests) if tests else USUAL_TEST_SECONDS, 0.1)
        self._made = search.made
        self._unmade = sorted(search.unmade)

    def of(self, position: int, tests: int) -> float:
        """Seconds to make a candidate, where it is not there, and to measure so many tests of it."""
        return (0.0 if position in self._made else self._build) + self._start + tests * self.test

    def chance(self, position: int) -> float:
        """Probability that a candidate can be made: broken ones come in runs, so neighbours of one are doubted."""
        if position in self._made or not self._unmade:
            return 1.0
        tried = len(self._search.makings)
        usual = 1 - len(self._unmade) / (tried + 1)
        nearest = min(abs(position - place) for place in self._unmade)
        return usual * (1 - 0.5**nearest)


def wanted_half_width(search: Search, tests: Iterable[str]) -> float:
    """Half-width of the interval, a fraction, at which a probe of these tests tells enough: a quarter of the smallest
    difference between their ends, or of the smallest one sought where that is not known yet.
    """
    sizes = []
    for test in tests:
        found = combined(search.figures(test, search.last))
        known = found is not None and abs(found.log_ratio) >= math.log1p(search.smallest)
        sizes.append(abs(found.log_ratio) if found is not None and known else 2 * math.log1p(search.smallest))
    return min(0.05, math.expm1(min(sizes) / 4))


def unproven(search: Search) -> list[tuple[int, int, tuple[str, ...]]]:
    """The culprits that have not stood against their parents yet: first and last position, and the tests blaming it."""
    blamed: dict[tuple[int, int], list[str]] = {}
    for one in standings(search):
        for culprit in one.culprits:
            blamed.setdefault((culprit.first, culprit.last), []).append(culprit.test)
    return [(first, last, tuple(tests)) for (first, last), tests in sorted(blamed.items())]


def shown(culprit: Culprit, trial: Trial) -> bool | None:
    """Whether a trial shows what a culprit is accused of: a change in the right direction that the 95 % interval tells
    from none, and at least half as large. None where the trial could not be held.
    """
    figures = [one for one in trial.figures if one.test == culprit.test]
    if not figures:
        return None if trial.impossible else False
    estimate = combined(figures)
    assert estimate is not None
    effect = estimate.log_ratio if trial.kind == "parent" else -estimate.log_ratio
    sign = math.copysign(1.0, culprit.log_ratio)
    return bool(estimate.p_value < 1 - stats.CONFIDENCE and sign * effect >= abs(culprit.log_ratio) / 2)


def trials(search: Search, culprit: Culprit) -> list[Trial]:
    """The trials of a culprit."""
    return [trial for trial in search.trials if trial.culprit == culprit.last]


def proven(search: Search, culprit: Culprit) -> bool:
    """Whether a culprit has stood its trial against its parent and none has failed."""
    results = {trial.kind: shown(culprit, trial) for trial in trials(search, culprit)}
    return results.get("parent") is True and results.get("revert") is not False


Outcome = Literal["regressed", "improved", "unchanged", "inconclusive"]


def outcome(search: Search) -> Outcome:
    """The outcome of a search: a proven regression first, then anything undecided, then a proven improvement."""
    found = standings(search)
    every = [culprit for one in found for culprit in one.culprits]
    sound = [culprit for culprit in every if proven(search, culprit)]
    if any(culprit.log_ratio > 0 for culprit in sound):
        return "regressed"
    if len(sound) < len(every) or any(one.state not in ("found", "same") for one in found):
        return "inconclusive"
    return "improved" if sound else "unchanged"


def with_same_options(search: Search, asked: Mapping[str, str], path: pathlib.Path) -> Search:
    """The search, if it was begun with these options. Raises UserError naming the first that differs."""
    for name in [*search.asked, *asked]:
        then, now = search.asked.get(name), asked.get(name)
        if then != now:
            raise UserError(
                f"{path} was begun with {name} {then or 'left out'}, not {now or 'left out'}; go on with the same "
                "options, or begin another search with --state"
            )
    return search


_decoder = msgspec.json.Decoder(Search)


def encode(search: Search) -> str:
    """The search as it stands in its file: indented JSON."""
    return msgspec.json.format(msgspec.json.encode(search), indent=1).decode() + "\n"


def decode(content: bytes, name: str) -> Search:
    """A search from the bytes of a file called `name`. Raises UserError for anything that is none."""
    hint = "this is no state of a search, name another with --state"
    try:
        search = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{name}: {error}; {hint}") from None
    if search.schema_version != SCHEMA_VERSION:
        raise UserError(f"{name} is of version {search.schema_version}, and this tool reads {SCHEMA_VERSION}; {hint}")
    if search.last < 1:
        raise UserError(f"{name} names fewer than two builds; {hint}")
    positions = [one.position for one in search.makings] + [one.position for one in search.probes]
    positions += [one.culprit for one in search.trials]
    if any(position > search.last for position in positions):
        raise UserError(f"{name} speaks of a build that is not in its list; {hint}")
    return search


def read(path: pathlib.Path) -> Search:
    """The search kept in a file. Raises UserError for anything that is none."""
    try:
        return decode(path.read_bytes(), str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a state file with --state") from None
