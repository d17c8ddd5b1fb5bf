"""From a verdict to the second run that confirms it or does not: shared by `run --confirm`, `bench` and `nightly`.

Promises fresh launches, in nurseries of their own and with another order of rounds, of the suspect tests only, and more
time for each than the first run had.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec

from bot import confirmation
from harness.plan import Group
from harness.session import plan_with_tests

if TYPE_CHECKING:
    from bot.verdict import Verdict
    from harness.session import Session

MORE_TIME = 3.0
"""How many times as long as in the first run a test may take, unless that is said."""


def session_for(session: Session, verdict: Verdict, budget_seconds: float | None = None) -> Session | None:
    """The session that measures the suspect tests of a verdict again; None when there are none.

    `session` is one as the first run's, `budget_seconds` what a test may take. Tests of the verdict that the session
    does not have are left out, for another machine may not have them.
    """
    wanted = frozenset(confirmation.wanted(verdict.tests, verdict.score))
    groups = [rest for group in session.groups if (rest := _only(group, wanted)) is not None]
    if not groups:
        return None
    plan = session.plan
    planned = msgspec.structs.replace(
        plan,
        confirms=verdict.run,
        seed=(plan.seed + 1) % 2**31,
        budget_seconds=MORE_TIME * plan.budget_seconds if budget_seconds is None else budget_seconds,
        total_budget_seconds=None,
        inject={test: amount for test, amount in plan.inject.items() if test in wanted},
        shard=None,
    )
    return dataclasses.replace(session, plan=plan_with_tests(planned, groups), groups=groups)


def _only(group: Group, wanted: frozenset[str]) -> Group | None:
    modes = tuple(mode for mode in group.modes if group.test(mode) in wanted)
    return dataclasses.replace(group, modes=modes, skipped={}) if modes else None
