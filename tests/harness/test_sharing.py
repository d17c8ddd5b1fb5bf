"""A total budget is spent where something is still open, on workers whose steps take as long as the test says."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from harness import interleave, records, sharing
from harness.benchmark import Description
from harness.plan import Group
from tests.harness import test_interleave as noting
from tests.sessions import Log


class Clock:
    """Stands for the time module: it goes on when a step or a launch is said to take time."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class Pool(noting.Pool):
    """Its lanes' samples are noisy by group: `spreads` of launches, and `changes` of the head."""

    def __init__(self, clock, spreads, changes, launch_seconds=0.3):
        super().__init__(nurseries=6, seconds=self.taken)
        self._clock, self._spreads, self._changes = clock, spreads, changes
        self._launch_seconds = launch_seconds
        self._luck = {}
        self._random = random.Random(1)
        self.of_group = Counter()

    def nursery(self, build, extra, index):
        inner = super().nursery(build, extra, index)

        def launch(order, timeout):
            self._clock.now += self._launch_seconds
            self._current = name = order["benchmark"]
            self.of_group[name] += 1
            self._luck[build] = self._random.gauss(self._changes[name] if build == "head" else 0, self._spreads[name])
            return inner.launch(order, timeout)

        return noting.Nursery(launch)

    def taken(self, lane, number):
        seconds = 0.03 * (1 + self._luck.get(lane.partition("@")[2], 0.0))
        self._clock.now += seconds
        return seconds


def _groups(names):
    describe = lambda name: Description(name, "tiny", "TEST", "TINY", {"small": {"batch": 8}})  # noqa: E731
    return [Group("tiny", describe(name), "eval", "cpu", "small", ("eager",), {}) for name in names]


def _shared(monkeypatch, spreads, changes, total):
    clock = Clock()
    monkeypatch.setattr(interleave, "time", clock)
    monkeypatch.setattr(sharing, "time", clock)
    groups, pool = _groups(spreads), Pool(clock, spreads, changes)
    plan = noting._plan(total_budget_seconds=total)
    turns = {group.name: turn for turn, group in enumerate(groups)}
    tests = {test.benchmark: test for test in sharing.measured(groups, pool, plan, turns, Log())}
    assert list(tests) and set(tests) == set(spreads)
    return tests, pool, clock


QUIET = {f"quiet{number}": 0.002 for number in range(6)}


def test_time_goes_to_the_undecided(monkeypatch):
    spreads = {**QUIET, "noisy": 0.05, "slower": 0.004}
    changes = {**dict.fromkeys(spreads, 0.0), "slower": 0.1}
    tests, pool, clock = _shared(monkeypatch, spreads, changes, 300.0)
    assert {tests[name].stopped for name in QUIET} <= {"decided", "precise"}
    assert tests["slower"].stopped in ("decided", "precise")
    assert all(pool.of_group["noisy"] > 3 * pool.of_group[name] for name in (*QUIET, "slower"))
    assert clock.now < 300.0, "nothing more is spent once all is decided"


def test_what_can_be_decided_is_decided_first(monkeypatch):
    spreads = {"on_the_threshold": 0.03, **QUIET, "slower": 0.02}
    changes = {**dict.fromkeys(spreads, 0.0), "slower": 0.2, "on_the_threshold": 0.07}
    tests, _, clock = _shared(monkeypatch, spreads, changes, 150.0)
    assert tests["slower"].stopped == "decided"
    assert tests["on_the_threshold"].stopped == "budget"
    assert 140.0 < clock.now < 160.0


def test_no_test_is_lost_when_the_time_is_too_short(monkeypatch):
    spreads = dict.fromkeys(map(str, range(12)), 0.05)
    tests, _, clock = _shared(monkeypatch, spreads, dict.fromkeys(spreads, 0.0), 3.0)
    counted = Counter(test.status for test in tests.values())
    assert counted["inconclusive"] >= 1 and counted["pass"] >= 1
    assert all("--total-budget" in test.reason for test in tests.values() if test.status == "inconclusive")
    for test in tests.values():
        assert test.status == "inconclusive" or all(len(lane.launches) >= 2 for lane in test.lanes)
    assert clock.now < 10.0


def test_skips_and_failures_have_their_lines(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(interleave, "time", clock)
    monkeypatch.setattr(sharing, "time", clock)
    broken, skipped, sound = _groups(["broken", "skipped", "sound"])
    skipped = Group("tiny", skipped.description, "eval", "cpu", "small", (), {"eager": "it cannot"})
    pool = Pool(clock, {"broken": 0.0, "sound": 0.001}, {"broken": 0.0, "sound": 0.0})
    pool.faults["launch", "eager@head", 1] = noting.WorkerError("crash", "it died")
    plan = noting._plan(total_budget_seconds=30.0)
    groups = [broken, skipped, sound]
    turns = {group.name: turn for turn, group in enumerate(groups)}
    tests = list(sharing.measured(groups, pool, plan, turns, Log()))
    assert {test.benchmark: test.status for test in tests} == {"broken": "crash", "skipped": "skip", "sound": "pass"}


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_a_plan_says_which_it_was(seconds):
    plan = noting._plan(total_budget_seconds=seconds)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=records.Plan).total_budget_seconds == seconds
