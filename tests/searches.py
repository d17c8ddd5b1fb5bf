"""Searches without builds: the pure part is asked what to measure, and readings are drawn around a known truth."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from scipy import stats as distributions

from bot import bisect
from bot.bisect import Candidate, Figure, Limits, Making, Probe, Search

Steps = Mapping[str, Sequence[tuple[int, float]]]
"""By test: position and relative size of each of its steps."""


def figure(test: str, log_ratio: float, error: float, freedom: float = 11) -> Figure:
    """A figure with the interval and p-value that belong to its error."""
    half = float(distributions.t.ppf(0.975, freedom)) * error
    return Figure(
        test=test,
        log_ratio=log_ratio,
        standard_error=error,
        degrees_of_freedom=freedom,
        low=math.expm1(log_ratio - half),
        high=math.expm1(log_ratio + half),
        p_value=float(2 * distributions.t.sf(abs(log_ratio) / error, freedom)),
        launches=12,
        seconds=4.0,
    )


def search(last: int, tests: Iterable[str], probes: Iterable[Probe] = (), **more: object) -> Search:
    """A search over `last` + 1 builds whose ends are made."""
    return Search(
        asked={},
        candidates=tuple(Candidate(label=str(place), specification=f"build-{place}") for place in range(last + 1)),
        tests=tuple(tests),
        makings=(Making(position=0, seconds=0.0), Making(position=last, seconds=0.0)),
        probes=tuple(probes),
        **more,  # type: ignore[arg-type]
    )


@dataclass
class World:
    """What is true, and how badly it can be read. All spreads are of log ratios.

    `error` is that of a reading, `luck` a build's own; `wrong` the share of readings that are off by some percent,
    `drift` what every build adds to the one before; `broken` cannot be built, `failing` cannot run the tests.
    """

    steps: Steps
    last: int = 64
    seed: int = 0
    error: float = 0.005
    luck: float = 0.001
    wrong: float = 0.0
    drift: float = 0.0
    broken: frozenset[int] = frozenset()
    failing: frozenset[int] = frozenset()
    first_error: float = 0.0
    """What is added to the very first reading."""
    freedoms: tuple[int, ...] = (3, 5, 11)
    """Degrees of freedom of the errors, one of these each time."""
    readings: int = field(default=0, init=False)

    def read(self, test: str, place: int) -> Figure:
        """A reading of a test at a build; the same one whenever it is the same in order."""
        luck = random.Random(f"{self.seed}/{test}/{place}").gauss(0, self.luck)
        draw = random.Random(f"{self.seed}/{test}/{place}/{self.readings}")
        level = sum(math.log1p(size) for position, size in self.steps[test] if place >= position)
        freedom = draw.choice(self.freedoms)
        error = self.error * math.sqrt(draw.gammavariate(freedom / 2, 2) / freedom)
        value = level + luck + self.drift * place + draw.gauss(0, self.error)
        value += draw.gauss(0, 0.05) if draw.random() < self.wrong else 0.0
        value += self.first_error if self.readings == 0 else 0.0
        self.readings += 1
        return figure(test, value, error, freedom)

    def fresh(self) -> Search:
        """A search in this world of which nothing is known yet."""
        return search(self.last, self.steps)

    def step(self, known: Search, limits: Limits | None = None) -> Search | None:
        """The search after one more build or measurement; None when it is over."""
        following = bisect.next_probe(known, limits)
        if following is None:
            return None
        place = following.position
        if place not in known.made:
            failure = "it does not compile" if place in self.broken else ""
            making = Making(position=place, seconds=8.0, failure=failure)
            known = msgspec.structs.replace(known, makings=(*known.makings, making))
            if failure:
                return known
        self.readings = sum(len(one.figures) for one in known.probes)
        failures = dict.fromkeys(following.tests, "crash") if place in self.failing else {}
        figures = () if failures else tuple(self.read(test, place) for test in following.tests)
        probe = Probe(position=place, figures=figures, failures=failures, seconds=10.0 + 4 * len(figures))
        return msgspec.structs.replace(known, probes=(*known.probes, probe))

    def searched(self, known: Search | None = None, limits: Limits | None = None, most: int = 200) -> Search:
        """The search carried to its end."""
        known = known or self.fresh()
        for _ in range(most):
            if (after := self.step(known, limits)) is None:
                return known
            known = after
        raise AssertionError("the search does not end")

    def is_right(self, known: Search) -> bool:
        """Whether every step was found, nothing else was, and no range is wider than what cannot be measured."""
        passed_over = self.broken | self.failing
        for one in bisect.standings(known):
            true = sorted(position for position, _ in self.steps[one.test])
            found = sorted((culprit.first, culprit.last) for culprit in one.culprits)
            if one.state != "found" or len(found) != len(true):
                return False
            for position, (first, last) in zip(true, found, strict=True):
                wide = set(range(first, last)) - passed_over
                if not first <= position <= last or wide:
                    return False
        return True


def broken(seed: int, last: int = 64, share: float = 0.1) -> frozenset[int]:
    """Builds between the ends that cannot be made."""
    draw = random.Random(f"broken/{seed}")
    return frozenset(place for place in range(1, last) if draw.random() < share)


def _one(size: float) -> Callable[[random.Random], Steps]:
    return lambda draw: {"first": [(draw.randrange(1, 65), size)]}


def _two_tests(draw: random.Random) -> Steps:
    return {"first": [(draw.randrange(1, 65), 0.08)], "second": [(draw.randrange(1, 65), -0.04)]}


def _two_steps(draw: random.Random) -> Steps:
    return {"first": list(zip(sorted(draw.sample(range(1, 65), 2)), (0.08, -0.04), strict=True))}


SCENARIOS: dict[str, Callable[[random.Random], Steps]] = {
    "5 % slower": _one(0.05),
    "5 % faster": _one(-0.05),
    "8 % slower and 4 % faster, two tests": _two_tests,
    "8 % slower, then 4 % faster, one test": _two_steps,
}
"""The steps of a row of 64 builds, drawn."""
