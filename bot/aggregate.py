"""From the tests of a run to the figures compiler engineers read: per model, and summed over a suite.

Promises that no model vanishes: whoever sums, counts and averages here also says which models made the number, which
failed and with what status, and which were planned but never measured. Two sides are averaged over the models that are
there and pass on both. Figures are named as on the PyTorch 2 dashboard: pass rate, geometric mean speedup (eager's time
over the mode's, above 1 is faster), compile time, memory compression (eager's peak over the mode's, above 1 is
smaller). Seconds and bytes throughout.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.speedup import speedups
from harness.formats import exported
from harness.modenames import EAGER, baseline, split_mode
from harness.records import PASSING_ACCURACY, Compilation, Run

ABSENT = "absent"
"""Status of a model that was planned and has no line."""


@dataclass(frozen=True, order=True)
class Key:
    """What is summed together. `mode` is the lane's, `backend` and `precision` its parts."""

    suite: str
    mode: str
    type: str
    build: str

    @property
    def backend(self) -> str:
        """How the step is compiled."""
        return split_mode(self.mode)[0]

    @property
    def precision(self) -> str:
        """In what precision it runs."""
        return split_mode(self.mode)[1]


@dataclass(frozen=True)
class Figures:
    """One model in one mode on one build. None is what is not known, or makes no sense for what failed.

    `status` is how it ended in the words of the TorchDynamo harness, or `ABSENT`.
    """

    key: Key
    model: str
    test: str
    status: str
    passed: bool
    device: str = "cpu"
    batch: int = 0
    launches: int = 0
    seconds: float | None = None
    eager_seconds: float | None = None
    speedup: float | None = None
    low: float | None = None
    high: float | None = None
    peak_bytes: float | None = None
    eager_peak_bytes: float | None = None
    compilation: Compilation | None = None
    reason: str = ""

    @property
    def cold_seconds(self) -> float | None:
        """Compile time with an empty cache."""
        return None if self.compilation is None else self.compilation.cold_seconds

    @property
    def compression(self) -> float | None:
        """Eager's peak memory over the mode's."""
        if not self.peak_bytes or self.eager_peak_bytes is None:
            return None
        return self.eager_peak_bytes / self.peak_bytes


@dataclass(frozen=True)
class Thresholds:
    """A way to sum up and to warn, under a name. None is a warning that is not given.

    `relative` is the change between two runs that matters; without it, a model regresses that is newly beyond an
    absolute threshold. `clips` says that speedups under 1 count as 1 in the mean; `dropped` are statuses of models that
    count neither as passed nor as failed.
    """

    name: str
    speedup: float = 0.95
    compile_seconds: float | None = None
    compression: float = 0.9
    pass_rate: float | None = None
    relative: float | None = None
    clips: bool = False
    dropped: tuple[str, ...] = ()


RUNNER = Thresholds("runner", compile_seconds=120.0, clips=True, dropped=("model_fail_to_load", "eager_fail_to_run"))
"""As `benchmarks/dynamo/runner.py` does it."""
HUD = Thresholds("hud", pass_rate=0.9, relative=0.05)
"""As hud.pytorch.org does it."""
POLICIES = {policy.name: policy for policy in (RUNNER, HUD)}


@dataclass(frozen=True)
class Mean:
    """A mean over models, with its 95 % interval where every model has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Aggregate:
    """What a suite comes to in one mode. `passed` made the means; `failed` maps the others to their status."""

    key: Key
    passed: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    speedup: Mean | None = None
    compile_seconds: float | None = None
    compression: float | None = None

    @property
    def pass_rate(self) -> float:
        """Passed models over all that were planned."""
        total = len(self.passed) + len(self.failed) + len(self.absent)
        return len(self.passed) / total if total else 0.0


def figures(run: Run) -> list[Figures]:
    """The figures of every test of a run's head that has something to be compared with, absent ones included.

    Tests in eager are what others are compared with and have no entry; nor have those that were skipped.
    """
    head = run.header.plan.head
    planned = {(test.suite, test.group, test.mode) for test in run.tests}
    groups = {test.test: test.group for test in run.tests}
    ratios = {entry.test: entry for entry in speedups(run.tests, 0.95) if entry.lane.endswith(f"@{head}")}
    found = []
    for row in exported.rows(run):
        if split_mode(row.mode)[0] == EAGER:
            continue
        ratio = ratios.get(row.test)
        status = ABSENT if row.status is None else row.word or row.status
        if status == "pass" and ratio is None and (row.suite, groups[row.test], baseline(row.mode)) in planned:
            status = "eager_fail_to_run"
        found.append(
            Figures(
                key=Key(row.suite, row.mode, row.type, head),
                model=row.benchmark,
                test=row.test,
                status=status,
                passed=status in PASSING_ACCURACY,
                device=row.device,
                batch=row.items,
                launches=len(row.lane.launches) if row.lane else 0,
                seconds=row.seconds,
                eager_seconds=row.eager.typical_seconds if row.eager else None,
                speedup=ratio.ratio if ratio else None,
                low=ratio.low if ratio else None,
                high=ratio.high if ratio else None,
                peak_bytes=row.peak_memory_bytes,
                eager_peak_bytes=row.eager_memory_bytes,
                compilation=row.lane.compilation if row.lane else None,
                reason=row.reason,
            )
        )
    return found


def aggregates(
    found: Iterable[Figures], policy: Thresholds = HUD, *, only: frozenset[str] | None = None
) -> list[Aggregate]:
    """The sums over every suite, mode, type and build, in that order.

    `only` limits the means to some models, as when two sides are compared; who passed and who failed is not limited.
    """
    groups: dict[Key, list[Figures]] = {}
    for one in found:
        if one.status not in policy.dropped:
            groups.setdefault(one.key, []).append(one)
    return [_aggregate(key, members, policy, only) for key, members in sorted(groups.items())]


def _aggregate(key: Key, members: Sequence[Figures], policy: Thresholds, only: frozenset[str] | None) -> Aggregate:
    passed = [one for one in members if one.passed]
    counted = [one for one in passed if only is None or one.model in only]
    cold = [one.cold_seconds for one in counted if one.cold_seconds is not None]
    compression = [one.compression for one in counted if one.compression is not None]
    return Aggregate(
        key=key,
        passed=tuple(sorted(one.model for one in passed)),
        failed={one.model: one.status for one in members if not one.passed and one.status != ABSENT},
        absent=tuple(sorted(one.model for one in members if one.status == ABSENT)),
        speedup=geometric_mean([one for one in counted if one.speedup], clips=policy.clips),
        compile_seconds=statistics.fmean(cold) if cold else None,
        compression=statistics.fmean(compression) if compression else None,
    )


def geometric_mean(members: Sequence[Figures], *, clips: bool) -> Mean | None:
    """Geometric mean of speedups; with `clips`, those under 1 count as 1.

    The interval is that of measuring these models, not of drawing others: the half-widths on the log scale, of models
    measured independently, add up as squares.
    """
    if not members:
        return None
    logs = [math.log(max(one.speedup, 1.0) if clips else one.speedup) for one in members if one.speedup]
    value = statistics.fmean(logs)
    widths = [
        (math.log(one.high) - math.log(one.low)) / 2
        for one in members
        if one.low is not None and one.high is not None and one.low > 0
    ]
    if len(widths) < len(members):
        return Mean(math.exp(value))
    half = math.sqrt(sum(width**2 for width in widths)) / len(widths)
    return Mean(math.exp(value), math.exp(value - half), math.exp(value + half))


def common(one: Iterable[Figures], other: Iterable[Figures]) -> frozenset[str]:
    """Names of the models that pass on both sides, in every mode and type in which either side has them."""
    ours, theirs = _standing(one), _standing(other)
    shared = ours.keys() & theirs.keys()
    bad = {model for at in (ours, theirs) for (model, *_), good in at.items() if not good}
    alone = {model for model, *_ in ours.keys() ^ theirs.keys()}
    return frozenset(model for model, *_ in shared) - bad - alone


def _standing(found: Iterable[Figures]) -> dict[tuple[str, str, str, str], bool]:
    return {(one.model, one.key.suite, one.key.mode, one.key.type): one.passed for one in found}


@dataclass(frozen=True)
class Flag:
    """A figure of a model beyond a threshold. `metric` is "speedup", "compile_seconds", "compression" or "accuracy".

    `value` and `before` are the figure now and in an earlier run; for accuracy the status is in `status`.
    """

    key: Key
    model: str
    metric: str
    value: float | None = None
    before: float | None = None
    status: str = ""


def warnings(found: Iterable[Figures], policy: Thresholds) -> list[Flag]:
    """Models beyond an absolute threshold of a policy, or whose results are wrong."""
    flags = []
    for one in found:
        if one.status in policy.dropped:
            continue
        if not one.passed:
            flags.append(Flag(one.key, one.model, "accuracy", status=one.status))
            continue
        if one.speedup is not None and one.speedup < policy.speedup:
            flags.append(Flag(one.key, one.model, "speedup", one.speedup))
        if policy.compile_seconds is not None and (one.cold_seconds or 0.0) > policy.compile_seconds:
            flags.append(Flag(one.key, one.model, "compile_seconds", one.cold_seconds))
        # On a CPU the resident set holds the compiler too, so the compiled lane's is always the larger.
        if one.device != "cpu" and one.compression is not None and one.compression < policy.compression:
            flags.append(Flag(one.key, one.model, "compression", one.compression))
    return flags


def regressions(before: Sequence[Figures], after: Sequence[Figures], policy: Thresholds) -> list[Flag]:
    """What got worse from one run to the next by a policy.

    Under `hud` a figure that is worse by more than `relative`, and a model that no longer passes; under `runner`, which
    knows no relative change, a model that is flagged now and was not before. Models that only one run has are in
    neither.
    """
    earlier = {(one.model, one.key.suite, one.key.mode, one.key.type): one for one in before}
    pairs = [(old, one) for one in after if (old := earlier.get(_place(one))) is not None]
    if policy.relative is None:
        flagged = {(*_place(flag), flag.metric) for flag in warnings(before, policy)}
        known = {_place(one) for _, one in pairs}
        return [
            flag
            for flag in warnings(after, policy)
            if _place(flag) in known and (*_place(flag), flag.metric) not in flagged
        ]
    flags = []
    for old, one in pairs:
        if old.passed and not one.passed:
            flags.append(Flag(one.key, one.model, "accuracy", status=one.status))
        if not (old.passed and one.passed):
            continue
        for metric, was, now, sign in (
            ("speedup", old.speedup, one.speedup, -1),
            ("compile_seconds", old.cold_seconds, one.cold_seconds, 1),
            ("compression", old.compression, one.compression, -1),
        ):
            if was and now is not None and sign * (now / was - 1) > policy.relative:
                flags.append(Flag(one.key, one.model, metric, now, was))
    return flags


def _place(one: Figures | Flag) -> tuple[str, str, str, str]:
    return one.model, one.key.suite, one.key.mode, one.key.type
