"""From figures to outcomes: the rules behind each policy.

Promises that what crosses a threshold is decided here and nowhere else, by pure functions on numbers. There are two
rules: `torchwarden` asks for size and evidence (design section 3), `v1` is the plain rule of TorchBench score V1.

Thresholds hold for the relative change, head / base - 1, in both directions, as V1 defined its 7 %: +7 % is a signal
and so is -7 %. Since 1 / 1.07 is a fall of 6.5 %, swapping base and head mirrors an outcome except in that narrow
band.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bot import numbers, owners
from bot.score import TARGET
from bot.verdict import Outcome, Policy
from harness.errors import UserError
from harness.testname import quoted

_ROUNDING = 1e-9
"""Slack on thresholds: whether 7 % is reached must not hang on the last bit of a logarithm."""


SCORE_ALPHA = 0.001
"""Level at which the score is a signal.

Every run asks this question once, and on a noisy machine the 1 % of the rule is no wider than the score's own
interval: at 5 % the score alone would be a false alarm in one run of forty.
"""


@dataclass(frozen=True)
class Evidence:
    """What is known of one change. `change`, `low`, `high` and `threshold` are relative: 0.08 is 8 % slower.

    `low` and `high` are None where nothing is known of the spread; `q_value` is the p-value adjusted over all tests of
    the run.
    """

    change: float
    low: float | None
    high: float | None
    threshold: float
    q_value: float | None = None

    @property
    def beyond(self) -> bool:
        """Whether the change itself is at least the threshold, in either direction."""
        return abs(self.change) >= self.threshold - _ROUNDING

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is on one side of "no change"; an interval that touches it is not."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def inside(self) -> bool:
        """Whether the whole interval lies within the threshold; one that touches it does not."""
        if self.low is None or self.high is None:
            return False
        return self.low > -self.threshold + _ROUNDING and self.high < self.threshold - _ROUNDING


@dataclass(frozen=True)
class Conclusion:
    """An outcome and, where it is not plain from the figures, the reason as one clause."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Rule:
    """How one policy concludes, for a test and for the score: value (1000 is the reference), interval, p-value.

    `intervals` says that figures are estimates over launches and not plain means; `names_absent` that tests that could
    not be measured are reported.
    """

    of_test: Callable[[Evidence, Policy], Conclusion]
    of_score: Callable[[float, float | None, float | None, float | None, Policy], Outcome]
    intervals: bool
    names_absent: bool


def rule(policy: Policy) -> Rule:
    """The rule of a policy. Raises UserError for an unknown name or numbers that cannot be meant."""
    if policy.name not in RULES:
        raise UserError(f"there is no policy named {policy.name!r}; use one of {', '.join(RULES)}")
    for name in ("threshold", "score_threshold", "confidence", "false_discovery_rate"):
        value = getattr(policy, name)
        if not 0 < value < 1:
            raise UserError(f"the policy's {name} is {value:g}; give a fraction above 0 and below 1 (0.07 is 7 %)")
    for pattern, limit in policy.tests.items():
        if not 0 < limit < 1:
            raise UserError(
                f"the policy's threshold of {quoted(pattern)} is {limit:g}; give a fraction above 0 and below 1"
            )
    return RULES[policy.name]


def threshold(policy: Policy, test: str, suite: str = "") -> float:
    """The threshold of a test of a suite (whose name may be unknown), as a fraction."""
    limits = [limit for pattern, limit in policy.tests.items() if owners.matches(pattern, test, suite)]
    return limits[-1] if limits else policy.threshold


def _by_evidence(evidence: Evidence, policy: Policy) -> Conclusion:
    if evidence.low is None or evidence.high is None:
        return Conclusion("inconclusive", "there is no interval, for that takes at least two launches")
    sure = evidence.q_value is not None and evidence.q_value <= policy.false_discovery_rate
    if evidence.beyond and evidence.excludes_zero and sure:
        return Conclusion(_direction(evidence.change))
    if evidence.inside:
        return Conclusion("unchanged")
    word = "slower" if evidence.change > 0 else "faster"
    limit = numbers.setting(evidence.threshold)
    if evidence.beyond and evidence.excludes_zero:
        return Conclusion(
            "inconclusive", f"{word} by {limit} or more, but among this many tests that can still be chance"
        )
    if evidence.excludes_zero:
        return Conclusion("inconclusive", f"{word}, but whether by {limit} or more is not decided")
    if evidence.beyond:
        return Conclusion("inconclusive", f"{word} by {limit} or more, but the interval holds no change too")
    return Conclusion("inconclusive", f"the interval reaches beyond {limit}, so a change of that size is not ruled out")


def _by_size(evidence: Evidence, policy: Policy) -> Conclusion:
    return Conclusion(_direction(evidence.change) if evidence.beyond else "unchanged")


def _direction(change: float) -> Outcome:
    return "regressed" if change > 0 else "improved"


def _score_by_evidence(
    value: float, low: float | None, high: float | None, p_value: float | None, policy: Policy
) -> Outcome:
    limit = policy.score_threshold
    if low is None or high is None:
        return "inconclusive"
    gain, least, most = (figure / TARGET - 1 for figure in (value, low, high))
    sure = p_value is not None and p_value <= SCORE_ALPHA
    if abs(gain) >= limit - _ROUNDING and (least > 0 or most < 0) and sure:
        return "improved" if gain > 0 else "regressed"
    return "unchanged" if least > -limit + _ROUNDING and most < limit - _ROUNDING else "inconclusive"


def _score_by_size(
    value: float, low: float | None, high: float | None, p_value: float | None, policy: Policy
) -> Outcome:
    gain = value / TARGET - 1
    if abs(gain) < policy.score_threshold - _ROUNDING:
        return "unchanged"
    return "improved" if gain > 0 else "regressed"


RULES: dict[str, Rule] = {
    "torchwarden": Rule(_by_evidence, _score_by_evidence, intervals=True, names_absent=True),
    "v1": Rule(_by_size, _score_by_size, intervals=False, names_absent=False),
}


def relative(log_ratio: float) -> float:
    """A log ratio as a relative change; ratios that no measurement can have are cut off instead of overflowing."""
    return math.expm1(min(log_ratio, 700.0))
