"""What must be said beside a figure: one plain sentence for each thing that makes it weaker than it looks.

Promises that nothing here changes an outcome; outcomes are the policy's. For the judge, who puts the sentences into the
verdict, and for every report, which must show them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bot import numbers
from bot.comparison import REFERENCE, Comparison, norm_error
from bot.reference import Entry, Header, is_pinned
from harness.records import Health, Machine, Plan, Run, Test
from harness.testname import listed

FEW_LAUNCHES = 4
"""Below this the interval hangs on a guess of the spread: with three launches it is 4.3 standard errors wide each
way.
"""

DISTURBED_SHARE = 0.3
WANDER_SAID = 0.005
"""Below this the machine's wander between norms and run widens no interval that could be seen."""

STEAL_SHARE = 0.05
"""Share of the lanes' CPU time taken by the hypervisor; at this height other figures of the run suffer visibly."""


UNCONFIRMED = "A first run saw a signal here that a second, with fresh launches and more time, did not bear out."


def of_test(test: Test, plan: Plan, comparison: Comparison) -> list[str]:
    """Cautions about one comparison."""
    found = []
    launches = len(comparison.launches)
    if launches < FEW_LAUNCHES:
        found.append(
            f"Only {launches} launch{'es' if launches != 1 else ''} could be compared, so the interval is a guess."
        )
    if comparison.pairs == 1 and launches > 1:
        found.append(
            "All launches come from one preloaded process per build, so the luck of its memory layout may bias the "
            "change."
        )
    found += _of_work(test, plan)
    if comparison.cut:
        found.append("A lane lacks rounds of some launches; those of its partner were left out.")
    if test.stopped == "budget" and _half_width(comparison) > plan.half_width:
        found.append(
            f"The time budget ended before the interval was as narrow as asked (± {numbers.setting(plan.half_width)})."
        )
    if test.health is not None:
        found += _of_health(test.health)
    return found


def of_norm(entry: Entry) -> list[str]:
    """Cautions about a comparison with a stored norm."""
    if norm_error(entry) is not None:
        return []
    return ["The reference records no spread for this norm, so the interval holds for this run only."]


def of_drift(drift: Comparison, threshold: float) -> list[str]:
    """Caution about a base lane that is far off the stored norm, beyond `threshold`."""
    certain = drift.low is None or drift.high is None or drift.low > 0 or drift.high < 0
    if abs(drift.change) < threshold or not certain:
        return []
    shown = numbers.change(drift.change, drift.low, drift.high)
    return [f"The base is {shown} off the reference's norm: machine or base have drifted; the outcome is not affected."]


def of_run(
    run: Run,
    *,
    skipped: Mapping[str, str],
    drifts: Sequence[Comparison],
    drift_limit: float,
    reference: Header | None,
    referenced: bool,
    wander: float | None,
) -> list[str]:
    """Cautions about the run as a whole, the gravest first.

    `skipped` maps tests that were left out on purpose to the reason; `drifts` are base lanes against the stored norms;
    `reference` is the header of the reference that was used (`referenced`), where it has one; `wander` is how far the
    machine's speed has moved between norms and run, where they were compared and enough tests tell.
    """
    plan = run.header.plan
    found = [*run.header.notes, *_of_end(run), *_of_builds(run)]
    if plan.base is None and not referenced:
        found.append("There is nothing to compare with: give --base when measuring, or --reference when judging.")
    for test, fraction in plan.inject.items():
        found.append(f"{test} was slowed on purpose by {numbers.setting(fraction)} (--inject).")
    if referenced:
        found += _of_reference(reference, run.header.machine, plan)
    if wander is not None and wander >= WANDER_SAID:
        found.append(
            f"From test to test this machine was up to {numbers.percent(2 * wander)} faster or slower than when the "
            "norms were taken, which the intervals allow for; a base build in the same run would take it out."
        )
    found += _of_drifts(drifts, drift_limit, pinned=is_pinned(run.header, reference))
    found += _of_skips(skipped)
    return found


def _half_width(comparison: Comparison) -> float:
    if comparison.low is None or comparison.high is None:
        return float("inf")
    return (comparison.high - comparison.low) / 2


def _of_work(test: Test, plan: Plan) -> Iterator[str]:
    """Whether both builds did the same work, so far as their facts tell."""
    base = test.lane(plan.base) if plan.base is not None else None
    head = test.lane(plan.head)
    if base is None or head is None:
        return
    for what, ours, theirs in (
        ("parameters", base.parameters, head.parameters),
        ("floating-point operations", base.flops, head.flops),
        ("output shapes", base.output_shapes or None, head.output_shapes or None),
    ):
        if ours is not None and theirs is not None and ours != theirs:
            yield f"Base and head differ in {what}, so they do not do the same work."


def _of_health(health: Health) -> Iterator[str]:
    share = health.disturbed_rounds / health.rounds if health.rounds > 0 else 0.0
    if share > DISTURBED_SHARE:
        # The share itself is in the record of the test; the same words for all tests make one warning in a report.
        limit = numbers.percent(DISTURBED_SHARE)
        yield f"More than {limit} of the rounds were disturbed by other work on the machine."
    if health.steal is not None and health.steal > STEAL_SHARE:
        yield f"The hypervisor took {numbers.percent(health.steal)} of the CPU time (steal)."
    if health.throttled:
        yield f"The CPU was throttled by heat or power {health.throttled} times."


def _of_end(run: Run) -> Iterator[str]:
    planned, absent = len(run.header.plan.tests), len(run.missing)
    lack = f"{absent} of {planned} planned tests have no result"
    also = f"; {lack}" if absent else ""
    if any(footer.interrupted for footer in run.footers):
        yield f"The run was interrupted{also}; go on with --resume."
    elif len(run.footers) < run.shards:
        which = "The run" if run.shards == 1 else f"{run.shards - len(run.footers)} of {run.shards} shards"
        yield f"{which} ended without a word, as when killed{also}; go on with --resume."
    elif absent:
        yield f"The run came to its end, yet {lack}."


def _of_builds(run: Run) -> Iterator[str]:
    plan = run.header.plan
    if plan.base is None:
        return
    prints = {build.name: build.fingerprint for build in run.header.builds}
    if plan.base == plan.head or (prints.get(plan.base, "") and prints.get(plan.base) == prints.get(plan.head)):
        yield "Base and head are the same build, so any change is noise or was put there on purpose."
    elif len({build.python for build in run.header.builds}) > 1 and plan.code_pages != "own":
        yield (
            "Each build ran from one set of files, whose place in memory is luck that stays for the whole run; measure "
            "with --code-pages own before trusting a change of a few percent."
        )


def _of_reference(header: Header | None, machine: Machine, plan: Plan) -> Iterator[str]:
    if header is None or header.fingerprint is None:
        yield "The reference does not say on which machine it was taken; norms hold for one machine only."
    elif header.fingerprint != machine.fingerprint:
        taken = header.machine or header.fingerprint
        yield f"The reference was taken on another machine or set-up ({taken}) than this one ({machine.name})."
    if header is None:
        return
    if header.size is not None and header.size != plan.size:
        yield f"The reference holds for size {header.size}, and this run measured size {plan.size}."
    if header.threads is not None and header.threads != plan.threads:
        yield f"The reference was taken with {header.threads} threads, and this run with {plan.threads}."


def _of_drifts(drifts: Sequence[Comparison], limit: float, *, pinned: bool) -> Iterator[str]:
    if not drifts:
        return
    middle = statistics.median(drift.change for drift in drifts)
    if abs(middle) >= limit:
        word = "slower" if middle > 0 else "faster"
        counted = f"{len(drifts)} test{'s' if len(drifts) != 1 else ''}"
        if pinned:
            yield (
                f"This machine is {numbers.percent(abs(middle))} {word} than when the {REFERENCE} was taken, by the "
                f"pinned build measured again (median of {counted}); the verdict is not affected."
            )
            return
        yield (
            f"The base is {numbers.percent(abs(middle))} {word} than the {REFERENCE}'s norms (median of {counted}): "
            "the machine has drifted or the base is not the reference's build; the outcomes are not affected."
        )


def _of_skips(skipped: Mapping[str, str]) -> Iterable[str]:
    by_reason: dict[str, list[str]] = {}
    for test, reason in sorted(skipped.items()):
        by_reason.setdefault(reason or "no reason was given", []).append(test)
    return [
        f"Skipped {len(tests)} test{'s' if len(tests) != 1 else ''} ({reason}): {listed(tests)}."
        for reason, tests in by_reason.items()
    ]
