"""From the evidence on a test to figures of base and head: what changed, and by how much more than chance.

Every operator has a profile of each build from each pair, taken one after the other; its change is the mean over the
pairs of head minus base, with the interval of Student's t. An operator stands out when its change is at least a
hundredth of a step and no chance, at a level shared among all operators (Bonferroni): its interval lies off zero, or
every profile of one build lies beyond every one of the other, which is the rank sum test at its extreme and does not
mind that a busy machine stretches a few profiles out of all measure. The share of an
operator is its change over the change of the step, both from the same pairs, with the interval of a ratio of means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bot.explanation import (
    Breaks,
    Explanation,
    FunctionChange,
    Instructions,
    Levels,
    OperatorChange,
    StepChange,
    Tables,
)
from bot.findings import lines
from harness.callgrind import Counts
from harness.evidence import Evidence, Side
from harness.profiles import Operator
from harness.records import Compilation, LaneRecord

CONFIDENCE = 0.95
SMALLEST_SHARE_OF_STEP = 0.01
"""Share of a base step below which no operator stands out: processes differ by that (`bot.profiles.SPREAD_FLOOR`)."""
MOST_OPERATORS = 200
MOST_FUNCTIONS = 40


def explanation(evidence: Evidence) -> Explanation:
    """What explains the change of a test, in figures and in words."""
    base, head = evidence.base, evidence.head
    skipped = dict(evidence.skipped)
    step, operators = _operators(base, head)
    seconds = [side.record.typical_seconds if side.record is not None else None for side in (base, head)]
    change = seconds[1] / seconds[0] - 1 if seconds[0] and seconds[1] else None
    tables = Tables(
        step=step,
        operators=operators,
        instructions=_instructions(base.counts, head.counts),
        base_compilation=_compilation(base.record),
        head_compilation=_compilation(head.record),
        breaks=_breaks(_compilation(base.record), _compilation(head.record)),
        memory=_levels(base.record, head.record, "peak_memory_bytes"),
        faults=_levels(base.record, head.record, "minor_faults"),
    )
    return Explanation(
        test=evidence.test, change=change, lines=lines(tables, change, skipped), tables=tables, skipped=skipped
    )


def _operators(base: Side, head: Side) -> tuple[StepChange | None, tuple[OperatorChange, ...]]:
    pairs = list(zip(base.profiles, head.profiles, strict=True))
    if len(pairs) < 2:
        return None, ()
    on_device = any(one.device_seconds for pair in pairs for profile in pair for one in profile)
    sides = [[{one.name: one for one in profile} for profile in side.profiles] for side in (base, head)]
    names = dict.fromkeys(name for side in sides for profile in side for name in profile)

    def seconds(one: Operator | None) -> float:
        return 0.0 if one is None else one.device_seconds if on_device else one.self_seconds

    def kernels(one: Operator | None) -> float:
        return 0.0 if one is None else one.kernels

    wholes = [[math.fsum(map(seconds, profile.values())) for profile in side] for side in sides]
    moved = [after - before for before, after in zip(*wholes, strict=True)]
    mean, half = _interval(moved, 1 - CONFIDENCE)
    step = StepChange(
        base_seconds=_mean(wholes[0]),
        head_seconds=_mean(wholes[1]),
        half_width=half,
        pairs=len(pairs),
        on_device=on_device,
        base_kernels=_mean([math.fsum(map(kernels, profile.values())) for profile in sides[0]]),
        head_kernels=_mean([math.fsum(map(kernels, profile.values())) for profile in sides[1]]),
    )
    level = (1 - CONFIDENCE) / len(names)
    # By chance all profiles of one build come before all of the other in two of all orders.
    ranked = 2 / math.comb(2 * len(pairs), len(pairs)) <= level
    shown = abs(mean) > max(half, SMALLEST_SHARE_OF_STEP * step.base_seconds)
    rows = []
    for name in names:
        before, after = ([profile.get(name) for profile in side] for side in sides)
        took = [[seconds(one) for one in side] for side in (before, after)]
        each = [theirs - ours for ours, theirs in zip(*took, strict=True)]
        change, width = _interval(each, level)
        apart = ranked and (max(took[0]) < min(took[1]) or max(took[1]) < min(took[0]))
        share = change / mean if shown and mean else None
        # The residuals of a ratio of means, as in sampling from pairs (Cochran, "Sampling Techniques", section 6.4).
        spread = None if share is None else _interval([d - share * m for d, m in zip(each, moved, strict=True)], 0.05)
        rows.append(
            OperatorChange(
                name=name,
                base_seconds=_mean(took[0]),
                head_seconds=_mean(took[1]),
                half_width=width,
                stands_out=(apart or abs(change) > width) and abs(change) > SMALLEST_SHARE_OF_STEP * step.base_seconds,
                share=share,
                share_half_width=None if spread is None else spread[1] / abs(mean),
                base_calls=_mean([one.calls if one else 0.0 for one in before]),
                head_calls=_mean([one.calls if one else 0.0 for one in after]),
                base_kernels=_mean([kernels(one) for one in before]),
                head_kernels=_mean([kernels(one) for one in after]),
            )
        )
    rows.sort(key=lambda row: (-abs(row.head_seconds - row.base_seconds), row.name))
    return step, tuple(rows[:MOST_OPERATORS])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _interval(values: Sequence[float], level: float) -> tuple[float, float]:
    """The mean, and half the width of its interval at this level, after Student."""
    from scipy import stats

    mean, freedom = _mean(values), len(values) - 1
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / freedom / len(values))
    return mean, float(stats.t.ppf(1 - level / 2, freedom)) * error


def _instructions(base: Counts | None, head: Counts | None) -> Instructions | None:
    if base is None or head is None:
        return None
    names = dict.fromkeys([*base.functions, *head.functions])
    changes = [
        FunctionChange(name=name, base=base.functions.get(name, 0), head=head.functions.get(name, 0)) for name in names
    ]
    changes.sort(key=lambda one: (-abs(one.head - one.base), one.name))
    return Instructions(
        base=base.steps, head=head.steps, kernels=head.kernels, functions=tuple(changes[:MOST_FUNCTIONS])
    )


def _compilation(record: LaneRecord | None) -> Compilation | None:
    return None if record is None else record.compilation


def _breaks(base: Compilation | None, head: Compilation | None) -> Breaks | None:
    """Graph breaks of one build that the other has not, by reason; None where nothing was compiled or not in both.

    Places are paths and lines, which differ between builds that are installed elsewhere.
    """
    if base is None or head is None:
        return None
    ours, theirs = ({one.reason for one in side.breaks} for side in (base, head))
    return Breaks(
        new=tuple(one for one in head.breaks if one.reason not in ours),
        gone=tuple(one for one in base.breaks if one.reason not in theirs),
    )


def _levels(base: LaneRecord | None, head: LaneRecord | None, field: str) -> Levels | None:
    """A figure of every launch of both; None where a side has none."""
    sides = [
        tuple(float(value) for launch in side.launches if (value := getattr(launch, field)) is not None)
        for side in (base, head)
        if side is not None
    ]
    return Levels(base=sides[0], head=sides[1]) if len(sides) == 2 and all(sides) else None
