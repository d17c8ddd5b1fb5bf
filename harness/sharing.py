"""Shares one budget of time among all groups of a plan: minutes go to the tests that are not decided yet.

Every group is first measured for one cycle of launches, which settles most of those that did not change. Then the group
that will probably be settled soonest gets the next cycle, again and again, until all are settled or the time is spent:
what can be decided is, and a test that lies on its threshold takes what is left. Promises that every test of the plan
gets its line: one that the time did not reach is inconclusive and says so. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from harness import records
from harness.interleave import Interleaving, Observer, measure, skips
from harness.plan import Group
from harness.pool import Pool

FEWEST_LAUNCHES = 2
"""Below this there is no interval, so no group is left with fewer."""


def measured(
    groups: Sequence[Group], pool: Pool, plan: records.Plan, turns: Mapping[str, int], observer: Observer
) -> Iterator[records.Test]:
    """The tests of all groups, each as soon as it is settled; `turns` as in `harness.interleave.measure`, by name."""
    assert plan.total_budget_seconds is not None
    deadline = time.monotonic() + plan.total_budget_seconds
    tests = sum(len(group.modes) for group in groups)
    waiting: list[Interleaving] = []
    for group in groups:
        if not group.modes:
            yield from measure(group, pool, plan, turns[group.name], observer)
            continue
        if time.monotonic() >= deadline:
            yield from _unreached(group)
            continue
        observer.group_begins(group)
        share = plan.total_budget_seconds * len(group.modes) / tests
        one = Interleaving(
            group,
            pool,
            plan,
            turns[group.name],
            observer,
            limit_seconds=plan.total_budget_seconds,
            share_seconds=share,
        )
        _cycle(one, pool.settings.nurseries, min(deadline, time.monotonic() + share))
        if one.over:
            yield from one.tests()
        else:
            waiting.append(one)
    while waiting and time.monotonic() < deadline:
        one = min(waiting, key=lambda one: one.seconds_to_decide())
        observer.group_begins(one.group)
        _cycle(one, pool.settings.nurseries, deadline)
        if one.over:
            waiting.remove(one)
            yield from one.tests()
    for one in waiting:
        one.stop("budget")
        yield from one.tests()


def _cycle(one: Interleaving, pairs: int, deadline: float) -> None:
    """Launches up to the next look: one from each pair of nurseries, fewer where the time ends."""
    for _ in range(pairs - one.launches % pairs):
        one.launch()
        if one.over or (one.launches >= FEWEST_LAUNCHES and time.monotonic() >= deadline):
            return


def _unreached(group: Group) -> Iterator[records.Test]:
    reason = "the total budget was spent before it was measured; give --total-budget more"
    unmeasured = dataclasses.replace(group, modes=(), skipped={**dict.fromkeys(group.modes, reason), **group.skipped})
    for test in skips(unmeasured):
        yield msgspec.structs.replace(test, status="inconclusive") if test.mode in group.modes else test
