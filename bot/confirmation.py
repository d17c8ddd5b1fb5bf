"""Whether a second run, with fresh launches and more time, bears out what the first one saw.

A suite has many tests and a machine has bad hours, so a first signal is a suspicion. Tests with a signal, and undecided
ones whose interval reaches the threshold, are measured again; what the two runs say together becomes the outcome.
Promises that nothing is raised which the second run alone does not show in the same direction, and that an unchanged
test passes both by chance at most once in 800.

On one machine the runs are combined, weighted by their launches, and a signal then needs p <= 1/800. Where they differ
by more than chance allows, the first was an accident of its hour, and the second stands alone. A run on another machine
cannot be combined, for a change may be of another size there: its interval must exclude zero on the same side, which
chance does in one of 40, after a first signal that chance gives in at most one of 20.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bot import numbers
from bot import policy as policies
from bot.comparison import REFERENCE, Comparison, joined
from bot.policy import Conclusion, Evidence
from bot.verdict import SIGNALS, Confirmation, Policy, ScoreVerdict, TestVerdict
from harness import stats

CHANCE = 1 / 800
"""Probability at most with which an unchanged test becomes a confirmed signal."""

DISAGREEMENT = 3.0
"""Standard errors of their difference from which two runs are not combined."""


@dataclass(frozen=True)
class Second:
    """What the second run holds of a test. `comparison` is None where it could not be measured, for `reason`."""

    machine: str
    same_machine: bool
    comparison: Comparison | None
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """What both runs say of a test: the figures that stand from now on, the outcome, and the second run's own."""

    comparison: Comparison
    conclusion: Conclusion
    confirmation: Confirmation


def wanted(entries: Iterable[TestVerdict], score: ScoreVerdict | None) -> list[str]:
    """Names of the tests that a second run has to look at, in the order of the entries.

    Signals in either direction, undecided tests whose interval reaches the threshold, and, where the score is a signal
    and no test is, the tests that moved it most.
    """
    entries = list(entries)
    by_score_alone = score is not None and score.outcome in SIGNALS and not any(entry.signal for entry in entries)
    movers = {mover.test for mover in score.movers} if by_score_alone and score is not None else set()
    return list(dict.fromkeys(entry.test for entry in entries if is_suspect(entry) or entry.test in movers))


def is_suspect(entry: TestVerdict) -> bool:
    """Whether an entry is a signal, or undecided and might be one."""
    if entry.signal:
        return True
    if entry.outcome != "inconclusive" or entry.low is None or entry.high is None:
        return False
    return entry.low <= -entry.threshold or entry.high >= entry.threshold


def concluded(entry: TestVerdict, first: Comparison, second: Second, policy: Policy) -> Finding:
    """What a test's entry of the first run becomes, `first` being the comparison behind it."""
    after = second.comparison
    if after is None or after.low is None or after.high is None:
        why = second.reason or "it had too few launches"
        lost = Conclusion("inconclusive", f"the second run could not say whether this is so ({why})")
        return Finding(first, lost, _confirmation("failed", first, second))
    joint = _joint(first, after, second)
    same_side = (after.low > 0 and first.change > 0) or (after.high < 0 and first.change < 0)
    conclusion = _conclusion(entry, joint, policy, same_side=same_side, same_machine=second.same_machine)
    place = "" if second.same_machine else f" on {second.machine}"
    said = f"{_told(first)} at first, {_told(after)} in the second run{place}"
    if conclusion.outcome in SIGNALS:
        confirmed = Conclusion(conclusion.outcome, f"confirmed: {said}")
        return Finding(joint, confirmed, _confirmation("confirmed", first, second))
    if entry.signal:
        conclusion = Conclusion(conclusion.outcome, f"not confirmed: {said}")
    return Finding(joint, conclusion, _confirmation("unconfirmed", first, second))


def _confirmation(
    outcome: Literal["confirmed", "unconfirmed", "failed"], first: Comparison, second: Second
) -> Confirmation:
    after = second.comparison
    return Confirmation(
        outcome=outcome,
        change=after.change if after else None,
        low=after.low if after else None,
        high=after.high if after else None,
        launches=len(after.launches) if after else 0,
        first_change=first.change,
        first_low=first.low,
        first_high=first.high,
    )


def _joint(first: Comparison, after: Comparison, second: Second) -> Comparison:
    """The figures that stand: both runs together where they may be put together, else those of one."""
    if not second.same_machine:
        return first
    # A norm's own error is in both runs, so they are not independent.
    if first.estimate is None or after.estimate is None or REFERENCE in (first.against, after.against):
        return after
    apart = abs(first.log_ratio - after.log_ratio)
    if apart > DISAGREEMENT * math.hypot(first.estimate.standard_error, after.estimate.standard_error):
        return after
    # By launches and not by precision: errors estimated from a dozen launches would choose what they weigh most.
    parts = [
        stats.Part(one.launches, one.log_ratio, one.standard_error, one.degrees_of_freedom)
        for one in (first.estimate, after.estimate)
    ]
    return joined(first, after, stats.weighted_mean(parts, first.estimate.confidence))


def _conclusion(
    entry: TestVerdict, joint: Comparison, policy: Policy, *, same_side: bool, same_machine: bool
) -> Conclusion:
    if not same_machine:
        borne_out = same_side and entry.signal
        return Conclusion(entry.outcome if borne_out else "inconclusive", entry.reason)
    return strictly(joint, entry.threshold, policy, believed=same_side)


def strictly(compared: Comparison, threshold: float, policy: Policy, *, believed: bool = True) -> Conclusion:
    """What the policy concludes of a comparison when a signal needs p <= `CHANCE`, and none is `believed` otherwise."""
    sure = believed and compared.p_value is not None and compared.p_value <= CHANCE
    # The rule asks whether a q-value is within the policy's own limit; here the stricter one stands for it.
    evidence = Evidence(compared.change, compared.low, compared.high, threshold, 0.0 if sure else 1.0)
    return policies.rule(policy).of_test(evidence, policy)


def _told(compared: Comparison) -> str:
    return numbers.change(compared.change, compared.low, compared.high)
