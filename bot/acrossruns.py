"""Two runs compared test by test, although they were not measured side by side.

Promises the judge's outcomes and thresholds on weaker evidence, and says so: between two runs the machine may have
changed in ways that no interval of either knows of. For people who have nothing better; base and head in one run are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats as distributions

from bot import comparison, judge
from bot import policy as policies
from bot.policy import Evidence
from bot.verdict import Outcome, Policy, TestVerdict
from harness import stats
from harness.records import LaneRecord, Run, Test
from harness.testname import parse_test_name

WEAKER = (
    "These runs were measured at different times, which is weaker evidence than base and head interleaved in one run: "
    "a machine that is slower today looks like a regression."
)


@dataclass(frozen=True)
class Difference:
    """The later run against the earlier: an entry per test, the outcome of the whole, and what must be said."""

    tests: tuple[TestVerdict, ...]
    outcome: Outcome
    warnings: tuple[str, ...]


def compare(earlier: Run, later: Run, policy: Policy | None = None) -> Difference:
    """The head lanes of `later` against those of `earlier`, by test name.

    Raises UserError for a policy that cannot be meant.
    """
    policy = Policy() if policy is None else policy
    rule = policies.rule(policy)
    before = {test.test: test for test in earlier.tests if test.status != "skip"}
    after = {test.test: test for test in later.tests if test.status != "skip"}
    names = sorted(before.keys() | after.keys() | set(later.missing) & before.keys())
    drafts = {name: _entry(name, before.get(name), after.get(name), earlier, later, policy) for name in names}
    tested = {name: one.p_value for name, one in drafts.items() if one.p_value is not None}
    adjusted = dict(zip(tested, stats.benjamini_hochberg(list(tested.values())), strict=True))
    entries = tuple(_concluded(one, adjusted.get(name), policy, rule) for name, one in drafts.items())
    return Difference(
        tests=entries,
        outcome=judge.outcome_of_all(entries, None, complete=later.complete),
        warnings=(WEAKER, *_mismatches(earlier, later)),
    )


def _entry(name: str, old: Test | None, new: Test | None, earlier: Run, later: Run, policy: Policy) -> TestVerdict:
    """One test's figures; its outcome is final unless it has a change."""
    base = comparison.head_lane(old, earlier) if old is not None and old.status == "pass" else None
    head = comparison.head_lane(new, later) if new is not None and new.status == "pass" else None
    entry: dict[str, object] = {
        "test": name,
        "lane": f"{parse_test_name(name).mode}@{later.header.plan.head}",
        "threshold": policy.threshold,
        "base_seconds": comparison.typical_seconds(base) if base else None,
        "head_seconds": comparison.typical_seconds(head) if head else None,
    }
    if new is None:
        return _made(entry, outcome="missing", reason="the later run has no result for it")
    if new.status == "inconclusive":
        return _made(entry, outcome="inconclusive", reason=new.reason)
    if new.status != "pass":
        return _made(entry, outcome="failed", reason=f"{new.status}: {new.reason}" if new.reason else new.status)
    if old is None or old.status != "pass":
        return _made(entry, outcome="new", reason="the earlier run has no figures for it")
    found = _unpaired(base, head, policy.confidence) if base and head else None
    if found is None:
        return _made(entry, outcome="inconclusive", reason="one of the runs has no sample of it")
    return _made(entry, outcome="inconclusive", against=f"{old.mode}@{earlier.header.plan.head}", **found)


def _made(entry: Mapping[str, object], **more: object) -> TestVerdict:
    return TestVerdict(**{**entry, **more})  # type: ignore[arg-type]


def _unpaired(base: LaneRecord, head: LaneRecord, confidence: float) -> dict[str, float | None] | None:
    """Change, interval and p-value of the levels of two lanes that share no round.

    The degrees of freedom are Welch's (Biometrika 34, 1947).
    """
    levels = [_level(lane, confidence) for lane in (base, head)]
    if any(level.launches == 0 for level in levels):
        return None
    before, after = levels
    log_ratio = after.log_ratio - before.log_ratio
    found: dict[str, float | None] = {"change": policies.relative(log_ratio)}
    squares = [level.standard_error**2 for level in levels]
    if not all(level.degrees_of_freedom > 0 for level in levels):
        return found
    error = math.sqrt(sum(squares))
    if error == 0:
        same = log_ratio == 0
        return {**found, "low": found["change"], "high": found["change"], "p_value": 1.0 if same else 0.0}
    freedom = sum(squares) ** 2 / sum(
        square**2 / level.degrees_of_freedom for square, level in zip(squares, levels, strict=True)
    )
    half = float(distributions.t.ppf((1 + confidence) / 2, freedom)) * error
    return {
        **found,
        "low": policies.relative(log_ratio - half),
        "high": policies.relative(log_ratio + half),
        "p_value": 2 * float(distributions.t.sf(abs(log_ratio) / error, freedom)),
        "detectable": stats.detectable_change(error, freedom, confidence),
    }


def _level(lane: LaneRecord, confidence: float) -> stats.Estimate:
    launches = [launch for launch in lane.launches if launch.seconds]
    levels = [stats.launch_level(launch.seconds) for launch in launches]
    return stats.estimate(levels, [launch.nursery for launch in launches], confidence)


def _concluded(entry: TestVerdict, q_value: float | None, policy: Policy, rule: policies.Rule) -> TestVerdict:
    if entry.change is None:
        return entry
    evidence = Evidence(entry.change, entry.low, entry.high, entry.threshold, q_value)
    conclusion = rule.of_test(evidence, policy)
    figures = {name: getattr(entry, name) for name in entry.__struct_fields__}
    return _made(figures, outcome=conclusion.outcome, reason=conclusion.reason, q_value=q_value)


def _mismatches(earlier: Run, later: Run) -> list[str]:
    """What else differs between the runs than what is to be compared."""
    found = []
    ours, theirs = earlier.header, later.header
    if ours.machine.fingerprint != theirs.machine.fingerprint:
        found.append(f"The runs come from different machines ({ours.machine.name} and {theirs.machine.name}).")
    for field in ("size", "threads", "allocator", "code_pages", "device"):
        before, after = getattr(ours.plan, field), getattr(theirs.plan, field)
        if before != after:
            found.append(f"The runs differ in {field.replace('_', ' ')}: {before} and {after}.")
    for name, run in (("earlier", earlier), ("later", later)):
        if not run.complete:
            found.append(f"The {name} run is not complete.")
        if run.header.plan.inject:
            found.append(f"The {name} run was slowed on purpose (--inject).")
    return found
