"""Interleaves the lanes of one benchmark until the estimate is good enough: the measuring method itself.

The lanes of a group live side by side, one worker each, pinned to the same CPUs, and never run at the same time. In
every round each lane gives one sample, in random order; after some rounds all workers are replaced by fresh ones. What
is estimated is the ratio between lanes: a slow moment of the machine falls on all of them, the luck of one process is
averaged over launches, and that of one nursery's address space over nurseries. Why each of these is needed, with
figures: docs/method.md.

`measure` never raises for what a benchmark does: whatever happens to a lane becomes the status of its test. Imports no
torch.
"""

from __future__ import annotations

import contextlib
import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import numpy as np

from harness import health, records, stats
from harness.lanes import Lane, mode_of
from harness.modenames import baseline
from harness.plan import Group
from harness.pool import Nursery, Pool, Worker, WorkerError

SAMPLE_SECONDS = 0.004
"""A sample holds as many steps as take this long, so that one step's luck is not a whole sample's."""

SETTLE_SECONDS, SETTLE_BELOW = 0.004, 0.02
"""Steps shorter than the second (seconds) are preceded by as many untimed ones as take the first.

They refill the caches that another lane emptied: a step of 0.9 ms came out 4 % slower than in a bare loop with one of
them and 0.4 % slower with four (docs/method.md, benchmarks/overhead.py).
"""

FEWEST_REWARMING_ROUNDS, REWARMING_SECONDS = 2, 0.05
"""Rounds at the start of a launch that are thrown away, and how long they last at least.

The worker that was created last is faster at first, by up to a third in the first round of a short step, and by nothing
that can be seen after three rounds of a short step or one of a longer one (docs/method.md, benchmarks/order.py).
"""

LONG_ROUND = 1.0
"""Seconds from which one thrown-away round is enough: by then every page has been touched."""

ROUNDS = 15
"""Rounds of a launch until enough is known to choose their number."""

FIRST_ROUNDS_SHARED = 8
"""The same where tests share their time: most of them have not changed, and so many rounds of a cycle show it."""

FEWEST_ROUNDS, MOST_ROUNDS = 5, 60
"""Bounds on the rounds of a launch; where even the fewest take more than half of the budget, as many as that pays, or
one.
"""

WARMUP_STEPS = 25
WARMUP_SECONDS = 1.0
"""Limits of warming up one worker: eager CPU steps are steady within a few; what never becomes steady must not eat the
budget.
"""

TIMED_ACCURACY = ("pass", "pass_due_to_skip", "fail_accuracy", "eager_two_runs_differ")
"""After these outcomes of the accuracy check there is a step to be timed."""


@dataclass(frozen=True)
class Progress:
    """Where a group stands, told to the observer between launches."""

    group: Group
    launches: int
    elapsed_seconds: float
    budget_seconds: float
    estimates: dict[str, stats.Estimate]


class Observer(Protocol):
    """Is told how measuring goes. Called only while no sample is being taken, so it may draw."""

    def group_begins(self, group: Group) -> None:
        """A group is about to be measured, or gone on with."""

    def launched(self, progress: Progress) -> None:
        """A launch of all lanes has ended."""


@dataclass
class _LaneLog:
    """What has been measured of one lane so far."""

    launches: list[records.Launch] = field(default_factory=list)
    items: int = 1
    facts: dict[str, Any] = field(default_factory=dict)
    """`parameters`, `flops` and `output_shapes`, once a launch has told them."""
    compiled: dict[str, Any] | None = None
    """What the compiler counted in the first launch."""

    def compilation(self) -> records.Compilation | None:
        """The first launch found the cache of its compiler empty, the later ones found it filled."""
        took = [launch.compile_seconds for launch in self.launches if launch.compile_seconds is not None]
        if not took:
            return None
        warm = statistics.median(took[1:]) if len(took) > 1 else None
        counts = msgspec.convert(self.compiled or {}, records.Compilation)
        return msgspec.structs.replace(counts, cold_seconds=took[0], warm_seconds=warm)


@dataclass
class _Taken:
    """The samples of one lane in the launch that is running."""

    seconds: list[float] = field(default_factory=list)
    phases: dict[str, list[float]] = field(default_factory=dict)
    faults: list[float] = field(default_factory=list)

    def add(self, sample: dict[str, Any]) -> None:
        self.seconds.append(sample["seconds"])
        self.faults.append(sample["faults"])
        for phase, seconds in sample["phases"].items():
            self.phases.setdefault(phase, []).append(seconds)


def lanes_of(group: Group, plan: records.Plan) -> list[Lane]:
    """The lanes of a group: each of its modes on each build of the plan, base first."""
    builds = [plan.head] if plan.base is None else [plan.base, plan.head]
    return [Lane(mode, build) for mode in group.modes for build in builds]


def comparisons(lanes: Sequence[Lane], plan: records.Plan) -> list[tuple[Lane, Lane]]:
    """What is compared with what: head with base in each mode; with one build, each mode with its baseline."""
    if plan.base is not None:
        return [(Lane(lane.mode, plan.base), lane) for lane in lanes if lane.build == plan.head]
    pairs = [(Lane(baseline(lane.mode), lane.build), lane) for lane in lanes]
    return [(base, lane) for base, lane in pairs if base in lanes and base != lane]


def order(group: Group, lane: Lane, pool: Pool, plan: records.Plan) -> dict[str, Any]:
    """What a worker is told to be, without injected work: a group's step in a lane (see `harness.worker.serve`)."""
    return {
        "suite": group.suite,
        "benchmark": group.description.name,
        "type": group.type,
        "device": group.device,
        "mode": lane.mode,
        "size": dict(group.description.sizes[group.size]),
        "seed": plan.seed,
        "threads": plan.threads,
        "cpus": pool.settings.cpus,
        "iterations": plan.iterations,
        "compat": plan.compat,
        "updates": plan.updates,
        "cache": pool.cache(group.name, str(lane)),
        "warmup_steps": WARMUP_STEPS,
        "warmup_seconds": WARMUP_SECONDS,
    }


def measure(group: Group, pool: Pool, plan: records.Plan, turn: int, observer: Observer) -> list[records.Test]:
    """Measure a group and return its tests, one per mode, the skipped ones included.

    `turn` is the group's place in the run: it rotates which nurseries of base and head are paired, so that the luck of
    one pair does not lean on all tests alike.
    """
    if not group.modes:
        return skips(group)
    measuring = Interleaving(group, pool, plan, turn, observer)
    while not measuring.over:
        measuring.launch()
    return measuring.tests()


def skips(group: Group) -> list[records.Test]:
    """The tests of a group that are not measured, with the reason of each."""
    return [
        records.Test(**_names(group, mode), status="skip", reason=reason)  # type: ignore[arg-type]
        for mode, reason in group.skipped.items()
    ]


def rewarming_rounds(round_seconds: float, lanes: int) -> int:
    """How many rounds of this length in seconds are thrown away at the start of a launch.

    None for a single lane, whose worker has not been idle.
    """
    if lanes == 1:
        return 0
    if round_seconds >= LONG_ROUND:
        return 1
    return max(FEWEST_REWARMING_ROUNDS, math.ceil(REWARMING_SECONDS / round_seconds))


def steps_of_a_sample(step_seconds: float) -> tuple[int, int]:
    """How many steps a sample times and how many untimed ones go before, for steps of this length in seconds."""
    settle = math.ceil(SETTLE_SECONDS / step_seconds) if step_seconds < SETTLE_BELOW else 0
    return max(1, math.ceil(SAMPLE_SECONDS / step_seconds)), settle


def is_swapped(index: int, pairs: int, turn: int) -> bool:
    """Whether launch `index` of a group creates its workers in the opposite order.

    Two launches in one order are followed by two in the other: A B, A B, B A, B A. The kernel hands the pages that
    were freed last to whoever asks first, so workers created in the same order as before swap their physical pages,
    and in the opposite order keep them. Swapping at every launch would leave each lane on the same pages, good or bad,
    for the whole test: that bias was measured at 5 % (docs/method.md). This way order and pages are both balanced
    every four launches, and over the visits to each pair of nurseries. `turn` begins every second group with the other
    order.
    """
    # With a multiple of four nurseries a pair would otherwise meet the same order at each visit.
    phase = index + (2 * (index // pairs) if pairs % 4 == 0 else 0)
    return (phase % 4 >= 2) != (turn % 2 == 1)


class Interleaving:
    """One group while it is measured: launch after launch, until it is `over`; other groups may be between them.

    `limit_seconds` is when to stop for want of time, by default the budget of the group's tests; `share_seconds` what a
    fair share of the time is, to which rounds are fitted. Time counts while this group is measured only.
    """

    def __init__(
        self,
        group: Group,
        pool: Pool,
        plan: records.Plan,
        turn: int,
        observer: Observer,
        *,
        limit_seconds: float | None = None,
        share_seconds: float | None = None,
    ) -> None:
        self.group = group
        self.stopped = ""
        """Why measuring ended, as in a test's record; "" while it goes on and when no lane is left."""
        self.launches = 0
        self.group, self._pool, self._plan, self._turn, self._observer = group, pool, plan, turn, observer
        self._lanes = lanes_of(group, plan)
        self._logs = {lane: _LaneLog() for lane in self._lanes}
        self._failed: dict[str, WorkerError] = {}
        self._accuracy: dict[str, records.Accuracy] = {}
        self._random = random.Random(f"{plan.seed}/{group.name}")
        # Where tests share their time, what is decided takes no more of it.
        self._rule = stats.StoppingRule(plan.half_width, plan.threshold, equivalence=limit_seconds is not None)
        self._pairs = pool.settings.nurseries
        self._steps = self._settle = 0
        self._launch_seconds = self._round_seconds = 0.0
        self._cpu_seconds = 0.0
        # One mode more is one test more, and each test has its budget.
        budget = plan.budget_seconds * len(group.modes)
        self._budget = budget if limit_seconds is None else limit_seconds
        self._share = budget if share_seconds is None else share_seconds
        self._spent = 0.0
        self._began = time.monotonic()
        self._monitor = health.Monitor(pool.settings.cpus, plan.device)
        if plan.accuracy:
            for mode in group.modes:
                self._check_accuracy(mode)
        self._monitor.pause()

    @property
    def over(self) -> bool:
        """Whether the rule has stopped it, the budget is spent, or no lane is left."""
        return bool(self.stopped) or not self._live()

    @property
    def elapsed_seconds(self) -> float:
        """Seconds spent on its launches; the budget is for these, not for checking accuracy."""
        return self._spent

    def launch(self) -> None:
        """One launch of all its lanes, and a look at what is known then."""
        self._began = time.monotonic()
        self._monitor.resume()
        self._launch(self.launches)
        self._monitor.pause()
        self.launches += 1
        took = time.monotonic() - self._began
        self._spent += took
        estimates = self._estimates()
        self._observer.launched(Progress(self.group, self.launches, self._spent, self._budget, estimates))
        if live := self._live():
            self.stopped = self._rule.look(list(estimates.values()), self.launches, self._pairs)
            # A launch in which another mode failed has counted for none.
            measured = min(len(self._logs[lane].launches) for lane in live)
            if not self.stopped and measured >= 2 and self._spent + took > self._budget:
                self.stopped = "budget"

    def stop(self, why: str) -> None:
        """End it now, for a reason as in a test's record."""
        self.stopped = self.stopped or why

    def seconds_to_decide(self) -> float:
        """How long it will probably take until it is decided, at what launches have taken so far."""
        each = self._spent / max(self.launches, 1)
        wanted = (self._rule.launches_wanted(estimate) for estimate in self._estimates().values())
        return each * max(wanted, default=math.inf)

    def tests(self) -> list[records.Test]:
        """What became of its tests, one per mode, the skipped ones included."""
        summary = self._monitor.finish(self._cpu_seconds)
        return [self._test(mode, self.stopped, summary) for mode in self.group.modes] + skips(self.group)

    def _check_accuracy(self, mode: str) -> None:
        """Check the head's lane of a mode, in a worker of its own; what cannot be timed afterwards has failed."""
        lane = Lane(mode, self._plan.head)
        # A compiler told to be deterministic must not leave its work to the lane that is timed.
        order = self._order(lane) | {
            "task": "accuracy",
            "cache": self._pool.cache(self.group.name, f"{lane} accuracy"),
        }
        try:
            with self._nursery_of(lane, 0).launch(order, self._launch_timeout(lane)) as worker:
                found = msgspec.convert(worker.birth["accuracy"], records.Accuracy)
        except WorkerError as error:
            found = records.Accuracy(status=error.status, reason=error.reason)
            self._failed[mode] = error
        else:
            if found.status not in TIMED_ACCURACY:
                self._failed[mode] = WorkerError("OOM" if "OOM" in found.status else "fail_to_run", found.reason)
        self._accuracy[mode] = found

    def _live(self) -> list[Lane]:
        return [lane for lane in self._lanes if lane.mode not in self._failed]

    def _launch(self, index: int) -> None:
        """One launch: fresh workers for all lanes, then rounds."""
        began = time.monotonic()
        live = self._live()
        swapped = is_swapped(index, self._pairs, self._turn)
        with contextlib.ExitStack() as stack:
            workers: dict[Lane, Worker] = {}
            for lane in reversed(live) if swapped else live:
                if lane.mode in self._failed:
                    continue
                try:
                    workers[lane] = stack.enter_context(self._worker(lane, index))
                except WorkerError as error:
                    self._failed[lane.mode] = error
            positions = {lane: position for position, lane in enumerate(workers)}
            taken = self._rounds(workers, began)
            for lane, samples in taken.items():
                if lane.mode in self._failed:
                    continue
                try:
                    figures = workers[lane].finish(self._timeout())
                except WorkerError as error:
                    self._failed[lane.mode] = error
                    continue
                self._keep(lane, index, positions[lane], workers[lane].birth, samples, figures)
        self._cpu_seconds += sum(worker.cpu_seconds for worker in workers.values())

    def _worker(self, lane: Lane, index: int) -> Worker:
        return self._nursery_of(lane, index).launch(self._order(lane), self._launch_timeout(lane))

    def _nursery_of(self, lane: Lane, index: int) -> Nursery:
        return self._pool.nursery(lane.build, mode_of(lane.mode).environment, self._nursery(lane, index))

    def _launch_timeout(self, lane: Lane) -> float:
        """Seconds until a worker must be ready: a step's where nothing is compiled, and a compiler's own."""
        plan = self._plan
        compiles = mode_of(lane.mode).compiles or plan.accuracy
        return min(plan.launch_timeout_seconds if compiles else plan.step_timeout_seconds, self._left())

    def _order(self, lane: Lane) -> dict[str, Any]:
        inject = self._plan.inject.get(self.group.test(lane.mode), 0.0) if lane.build == self._plan.head else 0.0
        return order(self.group, lane, self._pool, self._plan) | {
            "inject": inject,
            "describe": not self._logs[lane].facts,
        }

    def _nursery(self, lane: Lane, index: int) -> int:
        """Which nursery of its build a lane's launch comes from; the head's number stands for the pair."""
        turn = 0 if lane.build == self._plan.head else self._turn
        return (index + turn) % self._pairs

    def _left(self) -> float:
        """Seconds until whatever happens now is given up: far more than the budget, for nothing may hang for ever."""
        now = self._spent + time.monotonic() - self._began
        return 10 * self._budget + self._plan.launch_timeout_seconds - now

    def _timeout(self) -> float:
        return min(self._plan.step_timeout_seconds * max(1, self._steps + self._settle), self._left())

    def _rounds(self, workers: dict[Lane, Worker], began: float) -> dict[Lane, _Taken]:
        """Take the launch's rounds from all lanes that are alive, and return the samples of those that still are.

        `began` is when the launch did. The first rounds are thrown away: the worker that was created first has been
        idle while the others were built, and is slower until its memory is warm again.
        """
        taken = {lane: _Taken() for lane in workers if lane.mode not in self._failed}
        if not taken:
            return taken
        if not self._steps:
            self._choose_steps([workers[lane].birth["step_seconds"] for lane in taken])
        expected = sum(workers[lane].birth["step_seconds"] for lane in taken) * (self._steps + self._settle)
        for _ in range(rewarming_rounds(expected, len(taken))):
            if self._round(workers, list(taken), kept=False) is None:
                return {}
        self._launch_seconds = time.monotonic() - began
        wanted = self._wanted_rounds(expected)
        self._monitor.launch_begins()
        began = time.monotonic()
        for _ in range(wanted):
            if (samples := self._round(workers, list(taken))) is None:
                return {}
            for lane, sample in samples.items():
                taken[lane].add(sample)
            self._monitor.round_ends(sum(sample["switches"] for sample in samples.values()))
        self._round_seconds = (time.monotonic() - began) / wanted
        return taken

    def _round(
        self, workers: dict[Lane, Worker], lanes: list[Lane], *, kept: bool = True
    ) -> dict[Lane, dict[str, Any]] | None:
        """One sample from each lane, in random order; None when one of them failed."""
        self._random.shuffle(lanes)
        samples = {}
        for lane in lanes:
            try:
                samples[lane] = workers[lane].sample(self._steps, self._settle, self._timeout(), kept=kept)
            except WorkerError as error:
                self._failed[lane.mode] = error
                return None
        return samples

    def _choose_steps(self, step_seconds: Sequence[float]) -> None:
        self._steps, self._settle = steps_of_a_sample(min(step_seconds))

    def _wanted_rounds(self, round_seconds: float) -> int:
        """Rounds for the next launch: the cheapest number for the interval, within what the budget can pay.

        Two launches from every pair must fit into the budget; but rounds that cost less than the launch itself are
        kept, for saving them would hardly save time.
        """
        wanted = self._best_rounds() or (FIRST_ROUNDS_SHARED if self._rule.equivalence else ROUNDS)
        if self._rule.equivalence:
            wanted = min(wanted, self._enough_rounds())
        affordable = (
            self._share / (stats.MINIMUM_LAUNCHES_PER_PAIR * self._pairs) - self._launch_seconds
        ) / round_seconds
        worthwhile = self._launch_seconds / round_seconds
        fewest = min(FEWEST_ROUNDS, max(1, self._share / 2 / round_seconds))
        return round(min(max(fewest, min(wanted, max(affordable, worthwhile))), MOST_ROUNDS))

    def _enough_rounds(self) -> float:
        """Rounds with which the next launches of a cycle will probably settle all tests, a fifth more for luck."""
        counts = [len(launch.seconds) for log in self._logs.values() for launch in log.launches]
        estimates = self._estimates().values()
        if len(counts) < 2 * self._pairs or not estimates:
            return math.inf
        more = max(self._rule.launches_wanted(estimate) for estimate in estimates)
        return 1.2 * statistics.fmean(counts) * more / self._pairs

    def _best_rounds(self) -> float | None:
        """The cheapest number of rounds, once a full cycle of launches has shown both variances."""
        best = []
        for base, head in self._comparisons():
            rows = self._paired(base, head)
            if len(rows) < max(self._pairs, 4):
                return None
            ratios = [np.log(np.asarray(theirs)) - np.log(np.asarray(ours)) for ours, theirs in rows]
            within = statistics.fmean(float(np.var(ratio, ddof=1)) for ratio in ratios)
            # The median of n rounds has pi/2 times the variance of their mean.
            explained = statistics.fmean(math.pi / 2 * within / len(ratio) for ratio in ratios)
            between = statistics.variance(float(np.median(ratio)) for ratio in ratios) - explained
            best.append(stats.rounds_per_launch(self._launch_seconds, self._round_seconds, within, between))
        return max(best) if best else None

    def _keep(
        self, lane: Lane, index: int, position: int, birth: dict[str, Any], taken: _Taken, figures: dict[str, Any]
    ) -> None:
        log = self._logs[lane]
        log.items = int(birth["items"])
        log.facts |= {name: figures[name] for name in ("parameters", "flops", "output_shapes") if name in figures}
        if birth["compilation"] is not None:
            log.compiled = birth["compilation"]
        log.launches.append(
            records.Launch(
                index=index,
                nursery=self._nursery(lane, index),
                position=position,
                steps=self._steps,
                seconds=tuple(taken.seconds),
                warmup_seconds=(birth["first_seconds"], *birth["warmup_seconds"]),
                phases={phase: tuple(seconds) for phase, seconds in taken.phases.items()},
                minor_faults=statistics.median(taken.faults),
                peak_memory_bytes=figures["peak_memory_bytes"],
                compile_seconds=birth["compile_seconds"],
            )
        )

    def _comparisons(self) -> list[tuple[Lane, Lane]]:
        return comparisons(self._live(), self._plan)

    def _paired(self, base: Lane, head: Lane) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
        """Samples of both lanes, by launch that both have."""
        ours = {launch.index: launch.seconds for launch in self._logs[base].launches}
        return [(ours[it.index], it.seconds) for it in self._logs[head].launches if it.index in ours]

    def _estimates(self) -> dict[str, stats.Estimate]:
        """The current estimate of every comparison by test name; of the level itself where nothing is compared."""
        estimates = {}
        for base, head in self._comparisons():
            both = {launch.index for launch in self._logs[base].launches}
            pairs = [launch.nursery for launch in self._logs[head].launches if launch.index in both]
            effects = [stats.launch_effect(*seconds) for seconds in self._paired(base, head)]
            estimates[self.group.test(head.mode)] = stats.estimate(effects, pairs)
        if not estimates:
            for lane in self._live():
                launches = self._logs[lane].launches
                levels = [stats.launch_level(launch.seconds) for launch in launches]
                level = stats.estimate(levels, [launch.nursery for launch in launches])
                # Only the width matters here: there is no change to decide about.
                estimates[self.group.test(lane.mode)] = level.shifted(level.log_ratio)
        return estimates

    def _test(self, mode: str, stopped: str, summary: records.Health) -> records.Test:
        lanes = tuple(
            records.LaneRecord(
                mode=lane.mode,
                build=lane.build,
                items=log.items,
                launches=tuple(log.launches),
                parameters=log.facts.get("parameters"),
                flops=log.facts.get("flops"),
                output_shapes=tuple(map(tuple, log.facts.get("output_shapes", ()))),
                compilation=log.compilation(),
            )
            for lane, log in self._logs.items()
            if lane.mode == mode
        )
        error = self._failed.get(mode)
        launches = min((len(lane.launches) for lane in lanes), default=0)
        status: records.Status = "pass" if launches >= 2 else "inconclusive"
        reason = "" if launches >= 2 else "the budget was spent after a single launch; give --budget more"
        accuracy = self._accuracy.get(mode)
        if accuracy is not None and accuracy.status == "fail_accuracy":
            status, reason = "fail_accuracy", accuracy.reason
        return records.Test(
            **_names(self.group, mode),
            status=status if error is None else error.status,
            reason=reason if error is None else error.reason,
            stderr="" if error is None else error.stderr,
            lanes=lanes,
            stopped=stopped if error is None else "",
            elapsed_seconds=self._spent,
            health=summary,
            accuracy=accuracy,
        )


def _names(group: Group, mode: str) -> dict[str, str]:
    description = group.description
    return {
        "test": group.test(mode),
        "suite": description.suite,
        "benchmark": description.name,
        "type": group.type,
        "device": group.device,
        "mode": mode,
        "group": group.name,
        "category": description.category,
        "domain": description.domain,
    }
