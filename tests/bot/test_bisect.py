"""The search itself, in worlds whose truth is known."""

from __future__ import annotations

import pathlib
import random
import statistics

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import bisect
from bot.bisect import Limits, Making, Probe, Trial
from harness.errors import UserError
from tests.searches import SCENARIOS, World, broken, figure, search

SEEDS = 20


def worlds(name: str, seeds: int = SEEDS, **more: object) -> list[World]:
    return [
        World(SCENARIOS[name](random.Random(f"{name}/{seed}")), seed=seed, broken=broken(seed), **more)  # type: ignore[arg-type]
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_culprits_among_64_are_found_in_19_of_20_searches_with_few_builds(name: str) -> None:
    every = worlds(name)
    found = [world.searched() for world in every]
    right = sum(world.is_right(one) for world, one in zip(every, found, strict=True))
    assert right >= 19
    # The requirement: fewer than 2.5 x log2(64), with the ends and those that could not be built.
    assert statistics.median(len(one.makings) for one in found) < 15


@pytest.mark.parametrize(
    "more",
    [{"error": 0.012}, {"luck": 0.004}, {"drift": 0.0001}, {"first_error": -0.03}, {"freedoms": (1, 2, 3)}],
    ids=["noisy", "lucky builds", "drift", "a wrong first reading", "few launches"],
)
def test_a_culprit_of_5_percent_is_found_where_readings_are_poor(more: dict[str, object]) -> None:
    every = worlds("5 % slower", **more)
    assert sum(world.is_right(world.searched()) for world in every) >= 19


def test_noise_is_met_by_repeating_probes_not_by_more_builds() -> None:
    quiet, noisy = ([world.searched() for world in worlds("5 % slower", 7, error=error)] for error in (0.004, 0.015))
    builds = [statistics.median(len(one.makings) for one in group) for group in (quiet, noisy)]
    probes = [statistics.median(len(one.probes) for one in group) for group in (quiet, noisy)]
    assert builds[1] <= builds[0] + 2
    assert probes[1] >= probes[0] + 3


def test_what_cannot_be_built_widens_the_answer_to_a_range() -> None:
    world = World({"first": [(30, 0.06)]}, broken=frozenset(range(28, 33)))
    (one,) = bisect.standings(world.searched())
    assert one.state == "found"
    assert [(culprit.first, culprit.last) for culprit in one.culprits] == [(28, 33)]


def test_a_test_that_fails_at_a_build_is_unknown_there_and_not_slow() -> None:
    world = World({"first": [(30, 0.06)]}, failing=frozenset({29, 30, 31, 32, 48}))
    known = world.searched()
    (one,) = bisect.standings(known)
    assert [(culprit.first, culprit.last) for culprit in one.culprits] == [(29, 33)]


def test_one_test_fails_where_the_other_goes_on() -> None:
    known = search(8, ("a", "b"), [Probe(position=8, figures=(figure("a", 0.06, 0.004), figure("b", 0.06, 0.004)))])
    for _ in range(bisect.MOST_FAILURES):
        probe = Probe(position=4, figures=(figure("a", 0.06, 0.004),), failures={"b": "crash"})
        known = msgspec.structs.replace(known, probes=(*known.probes, probe))
    assert known.usable("a", 4) and not known.usable("b", 4)


def test_ends_that_do_not_differ_end_the_search_at_once() -> None:
    world = World({"first": []})
    known = world.searched()
    assert [one.state for one in bisect.standings(known)] == ["same"]
    assert len(known.makings) == 2
    assert bisect.outcome(known) == "unchanged"


def test_ends_that_cannot_be_told_apart_are_undecided_and_not_searched() -> None:
    known = World({"first": [(5, 0.03)]}, error=0.05, seed=3).searched()
    (one,) = bisect.standings(known)
    assert one.state == "undecided" and "cannot be seen" in one.reason
    assert len(known.probes) == bisect.END_READINGS
    assert bisect.outcome(known) == "inconclusive"


def test_a_test_that_never_runs_at_the_bad_end_does_not_hold_up_the_other() -> None:
    known = search(8, ("a", "b"))
    for _ in range(bisect.MOST_FAILURES):
        probe = Probe(position=8, figures=(), failures={"b": "OOM"})
        known = msgspec.structs.replace(known, probes=(*known.probes, probe))
    a, b = bisect.standings(known)
    assert (a.state, b.state) == ("ends", "undecided")
    assert bisect.next_probe(known).tests == ("a",)  # type: ignore[union-attr]


def test_a_slope_names_nobody() -> None:
    """Every build a little slower than the one before: no commit is to blame, and none may be named."""
    known = World({"first": []}, drift=0.002, error=0.002, luck=0.0005).searched()
    (one,) = bisect.standings(known)
    assert one.state == "undecided" and "few steps" in one.reason and not one.culprits
    assert one.posterior is not None and one.posterior.several > 0.5
    assert bisect.outcome(known) == "inconclusive"


def test_the_builds_of_a_budget_are_never_exceeded() -> None:
    world = World({"first": [(30, 0.05)]}, broken=frozenset({32}))
    known = world.searched(limits=Limits(builds=5))
    assert len(known.makings) == 5
    assert [one.state for one in bisect.standings(known)] == ["open"]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), stop=st.integers(0, 12), culprit=st.integers(1, 64))
def test_a_search_that_goes_on_from_its_file_equals_one_that_was_never_stopped(
    seed: int, stop: int, culprit: int
) -> None:
    world = World({"first": [(culprit, 0.05)]}, seed=seed, broken=broken(seed))
    known = world.fresh()
    for _ in range(stop):
        known = world.step(known) or known
    again = bisect.decode(bisect.encode(known).encode(), "state.json")
    assert again == known
    assert world.searched(again) == world.searched()


def test_tests_share_probes_while_they_want_the_same() -> None:
    world = World({"first": [(20, 0.06)], "second": [(20, -0.06)]})
    assert all(len(probe.tests) == 2 for probe in _planned(world))
    apart = World({"first": [(3, 0.06)], "second": [(60, 0.06)]})
    assert {len(probe.tests) for probe in _planned(apart)} == {1, 2}


def _planned(world: World) -> list[bisect.Next]:
    known, planned = world.fresh(), []
    while (following := bisect.next_probe(known)) is not None:
        planned.append(following)
        known = world.step(known)  # type: ignore[assignment]
    return planned


def test_the_neighbours_of_a_broken_build_are_doubted() -> None:
    known = search(64, ("a",), [Probe(position=64, figures=(figure("a", 0.06, 0.004),))])
    first = bisect.next_probe(known)
    assert first is not None
    making = Making(position=first.position, seconds=8, failure="no")
    second = bisect.next_probe(msgspec.structs.replace(known, makings=(*known.makings, making)))
    assert second is not None and 2 <= abs(second.position - first.position) <= 8


FOUND = World({"first": [(30, 0.05)]}).searched()


@pytest.mark.parametrize(
    ("parent", "revert", "outcome"),
    [
        (0.05, -0.05, "regressed"),
        (0.05, None, "regressed"),
        (0.0, None, "inconclusive"),
        (-0.05, None, "inconclusive"),
        (0.05, 0.0, "inconclusive"),
        (0.01, None, "inconclusive"),
        (None, None, "inconclusive"),
    ],
)
def test_only_a_proven_culprit_counts(parent: float | None, revert: float | None, outcome: str) -> None:
    held = [
        Trial(kind=kind, culprit=30, base="x", head="y", figures=(figure("first", size, 0.003),))  # type: ignore[arg-type]
        for kind, size in (("parent", parent), ("revert", revert))
        if size is not None
    ]
    assert bisect.outcome(msgspec.structs.replace(FOUND, trials=tuple(held))) == outcome


def test_a_revert_that_does_not_apply_is_no_failed_proof() -> None:
    held = (
        Trial(kind="parent", culprit=30, base="x", head="y", figures=(figure("first", 0.05, 0.003),)),
        Trial(kind="revert", culprit=30, base="x", head="y", impossible="it does not apply"),
    )
    assert bisect.outcome(msgspec.structs.replace(FOUND, trials=held)) == "regressed"


def test_other_options_are_refused_by_name() -> None:
    known = search(4, ("a",))
    known = msgspec.structs.replace(known, asked={"--good": "git:1", "--budget": "9s"})
    path = pathlib.Path("state.json")
    assert bisect.with_same_options(known, dict(known.asked), path) == known
    with pytest.raises(UserError, match=r"state\.json was begun with --budget 9s, not 5s"):
        bisect.with_same_options(known, {**known.asked, "--budget": "5s"}, path)
    with pytest.raises(UserError, match="--type left out, not eval"):
        bisect.with_same_options(known, {**known.asked, "--type": "eval"}, path)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 99},
        {"more": 1},
        {"candidates": []},
        {"makings": [{"position": 9, "seconds": 1}]},
        {"makings": [{"position": -1, "seconds": 1}]},
        {"confidence": 2},
        {"probes": [{"position": 1, "figures": [{"test": "a"}]}]},
    ],
)
def test_a_file_that_is_no_search_is_one_sentence(change: dict[str, object]) -> None:
    content = msgspec.json.decode(bisect.encode(search(4, ("a",))))
    with pytest.raises(UserError, match=r"state\.json.*--state") as refused:
        bisect.decode(msgspec.json.encode(content | change), "state.json")
    assert "\n" not in str(refused.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_search_or_a_sentence(content: bytes) -> None:
    with pytest.raises(UserError):
        bisect.decode(content, "state.json")
