"""What a search came to: the result file and the report."""

from __future__ import annotations

import msgspec
import pytest

from bot import bisect, bisection
from bot.bisect import Candidate, Making, Search, Trial
from bot.report import bisection as report
from tests.searches import World, figure


def named(known: Search) -> Search:
    """The search over commits with people and subjects, one of them hostile."""
    row = [
        Candidate(
            label=f"{place:012}",
            specification=f"git:{place:012}{0:028}",
            commit=f"{place:012}" + "0" * 28,
            subject=f"Commit {place}\x1b[31m",
            author="Ada Example",
        )
        for place in range(known.last + 1)
    ]
    command = "torchwarden bisect --good git:0 --bad git:64"
    return msgspec.structs.replace(known, candidates=tuple(row), command=command)


def proven(known: Search, position: int, size: float) -> Search:
    trial = Trial(kind="parent", culprit=position, base="a", head="b", figures=(figure("first", size, 0.003),))
    revert = Trial(kind="revert", culprit=position, base="a", head="b", impossible="its revert does not apply")
    return msgspec.structs.replace(known, trials=(trial, revert))


FOUND = named(World({"first": [(30, 0.06)]}, broken=frozenset({31})).searched())
RANGE = named(World({"first": [(30, 0.06)]}, broken=frozenset({29, 30})).searched())


def test_a_proven_culprit_is_named_with_all_that_speaks_for_it() -> None:
    found = bisection.result(proven(FOUND, 30, 0.055), complete=True)
    text = report.render(found)
    assert found.outcome == "regressed" and text.startswith("culprit found")
    assert f"{30:012}{0:028} Commit 30" in text and "(Ada Example)" in text
    assert "NOT PROVEN" not in text
    assert "against its parent: +5.7 %" in text and "its revert does not apply" in text
    assert text.rstrip().endswith(f"search again: {FOUND.command}")
    assert "\x1b" not in text
    measured = {probe.position for probe in FOUND.probes}
    assert [row.position for row in found.evidence] == sorted(measured)
    assert all(f"{place:012}" in text for place in measured)


@pytest.mark.parametrize("size", [0.0, -0.06])
def test_a_failed_proof_is_said_plainly(size: float) -> None:
    found = bisection.result(proven(FOUND, 30, size), complete=True)
    text = report.render(found)
    assert found.outcome == "inconclusive" and text.startswith("inconclusive")
    assert "NOT shown" in text and "NOT PROVEN" in text


def test_a_range_names_every_commit_that_may_be_it_and_why() -> None:
    found = bisection.result(RANGE, complete=True)
    (blame,) = found.tests[0].culprits
    assert [one.label for one in blame.range] == [f"{place:012}" for place in (29, 30, 31)][: len(blame.range)]
    assert blame.parent.label == f"{28:012}"
    text = report.render(found)
    assert "one of" in text and "passed over, for they could not be built" in text and "it does not compile" in text


def test_what_was_not_finished_says_where_it_stands() -> None:
    world = World({"first": [(30, 0.06)]})
    known = world.fresh()
    for _ in range(3):
        known = world.step(known) or known
    found = bisection.result(named(known), complete=False)
    text = report.render(found)
    assert found.outcome == "inconclusive"
    assert "no culprit is sure" in text and "The budget ended" in text
    assert found.tests[0].likeliest[0].probability == max(one.probability for one in found.tests[0].likeliest)


def test_nothing_to_find_is_said() -> None:
    text = report.render(bisection.result(named(World({"first": []}).searched()), complete=True))
    assert text.startswith("nothing to find")


def test_the_file_is_the_result_and_counts_builds_that_failed() -> None:
    making = Making(position=5, seconds=3, failure="no", log="/somewhere/x.log")
    known = msgspec.structs.replace(FOUND, makings=(*FOUND.makings, making))
    found = bisection.result(known, complete=True)
    assert found.builds == bisection.result(FOUND, complete=True).builds + 1
    assert msgspec.json.decode(bisection.encode(found), type=bisection.Result) == found
    assert bisect.outcome(known) == found.outcome
