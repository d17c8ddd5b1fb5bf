"""The order of things, checked on workers that only note what they are asked.

That real workers do as they are asked is checked in test_session.py and test_pool.py.
"""

import collections
import itertools
import math
import statistics

import pytest

from harness import interleave, records
from harness.benchmark import Description
from harness.interleave import comparisons, lanes_of, measure
from harness.lanes import MODES, Lane, mode_of
from harness.plan import Group
from harness.pool import Settings, WorkerError
from tests.sessions import Log


class Worker:
    """A worker whose steps take as long as its pool says."""

    def __init__(self, pool, lane, nursery, order, timeout):
        self.pool, self.lane, self.nursery, self.order = pool, lane, nursery, order
        self.cpu_seconds = 0.25
        if order.get("task") == "accuracy":
            pool.note("accuracy", self, timeout=timeout, order=order)
            self.birth = {"accuracy": {"status": pool.accuracy.get(lane, "pass"), "reason": "as it was told"}}
            return
        pool.note("launch", self, timeout=timeout, order=order)
        seconds = pool.seconds(lane, 0)
        compiles = mode_of(order["mode"]).compiles
        self.birth = {
            "items": 8,
            "first_seconds": 3 * seconds,
            "warmup_seconds": [2 * seconds, seconds],
            "step_seconds": seconds,
            "compile_seconds": 10.0 / pool.count("launch", lane) if compiles else None,
            "compilation": {"unique_graphs": 3} if compiles and order["describe"] else None,
        }

    def sample(self, steps, settle, timeout, *, kept=True):
        self.pool.note("sample", self, steps=steps, settle=settle, timeout=timeout, kept=kept)
        number = self.pool.count("sample", self.lane)
        return {"seconds": self.pool.seconds(self.lane, number), "phases": {}, "faults": 2.0, "switches": 0}

    def finish(self, timeout):
        self.pool.note("finish", self)
        return {"peak_memory_bytes": 1000, "parameters": 12, "flops": None, "output_shapes": [[8, 3]]}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.pool.note("close", self)


Call = collections.namedtuple("Call", "what lane nursery worker details")
Nursery = collections.namedtuple("Nursery", "launch")


class Pool:
    """Notes every call; `faults` maps what is called on a lane for the nth time to the error it raises."""

    def __init__(self, nurseries=2, seconds=lambda lane, number: 0.03, faults=None, accuracy=None):
        self.settings = Settings(nurseries, 1, (0,), "keep", "shared", (), ())
        self.seconds, self.faults, self.calls, self.faults_at = seconds, faults or {}, [], []
        self.accuracy = accuracy or {}

    def cache(self, group, lane):
        return f"{group} {lane}"

    def nursery(self, build, extra, index):
        def launch(order, timeout):
            return Worker(self, str(Lane(order["mode"], build)), index % self.settings.nurseries, order, timeout)

        return Nursery(launch)

    def count(self, what, lane):
        return sum(call.what == what and call.lane == lane for call in self.calls)

    def note(self, what, worker, **details):
        self.calls.append(Call(what, worker.lane, worker.nursery, worker, details))
        if error := self.faults.get((what, worker.lane, self.count(what, worker.lane))):
            self.faults_at.append(len(self.calls) - 1)
            raise error

    def of(self, what):
        return [call for call in self.calls if call.what == what]


def _group(modes=("eager",), skipped=None):
    description = Description("net", "tiny", "TEST", "TINY", {"small": {"batch": 8}})
    return Group("tiny", description, "eval", "cpu", "small", tuple(modes), skipped or {})


def _plan(base="base", budget=1e-6, nurseries=2, **options):
    return records.Plan(
        suites=("tiny",),
        tests=(),
        types=("eval",),
        modes=("eager",),
        head="head",
        base=base,
        budget_seconds=budget,
        nurseries=nurseries,
        **options,
    )


def _measure(pool, group=None, plan=None, turn=0, log=None):
    return measure(group or _group(), pool, plan or _plan(nurseries=pool.settings.nurseries), turn, log or Log())


def _noisy(lane, number):
    return 0.03 * (1 + 0.5 * math.sin(number * (1 if lane.endswith("base") else 1.7)))


def _launches(pool):
    """Lanes in their order of creation, and the nursery of each, launch by launch."""
    found = []
    for call in pool.calls:
        if call.what == "launch":
            if not found or call.lane in found[-1]:
                found.append({})
            found[-1][call.lane] = call.nursery
    return found


def _many(pool, launches, turn=0):
    """Measure without an end to budget or precision, and interrupt after so many launches."""

    def stop(event):
        if event.startswith("launched") and len(log.progress) >= launches:
            raise KeyboardInterrupt

    log = Log(stop)
    with pytest.raises(KeyboardInterrupt):
        _measure(pool, plan=_plan(budget=1e6, nurseries=pool.settings.nurseries, half_width=1e-9), turn=turn, log=log)


@pytest.mark.parametrize("nurseries", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("turn", [0, 1])
def test_both_creation_orders_are_met_equally_often_by_every_pair(nurseries, turn):
    pool = Pool(nurseries, _noisy)
    _many(pool, 4 * nurseries, turn)
    orders = collections.defaultdict(list)
    for launch in _launches(pool):
        orders[launch["eager@head"]].append(next(iter(launch)))
    assert sorted(orders) == list(range(nurseries))
    for order in orders.values():
        assert collections.Counter(order) == {"eager@base": 2, "eager@head": 2}


def test_lanes_neither_keep_their_place_nor_their_pages():
    """Pages go to whoever asks first in the order in which they were freed last, so the same order swaps them."""
    orders = [interleave.is_swapped(index, 6, 0) for index in range(24)]
    assert orders[:8] == [False, False, True, True, False, False, True, True]
    pages = [1]
    for before, now in itertools.pairwise(orders):
        pages.append(-pages[-1] if before == now else pages[-1])
    assert sum(pages[:4]) == sum(pages) == 0
    for pair in range(6):
        assert sum(pages[index] for index in range(pair, 24, 6)) == 0


@pytest.mark.parametrize("turn", range(5))
def test_the_nurseries_of_base_are_paired_with_others_at_each_turn(turn):
    pool = Pool(3, _noisy)
    _many(pool, 6, turn)
    assert [(it["eager@head"], it["eager@base"]) for it in _launches(pool)] == [
        (index % 3, (index + turn) % 3) for index in range(6)
    ]


def test_a_launch_bears_the_nursery_it_came_from():
    pool = Pool(3)
    (test,) = _measure(pool, turn=1)
    base, head = test.lanes
    assert [launch.nursery for launch in head.launches] == [launch.index % 3 for launch in head.launches]
    assert [launch.nursery for launch in base.launches] == [(launch.index + 1) % 3 for launch in base.launches]


def test_every_round_takes_one_sample_of_each_lane_in_random_order():
    pool = Pool()
    _measure(pool, _group(["eager", "jit"]))
    samples = [call.lane for call in pool.of("sample")]
    rounds = [tuple(samples[start : start + 4]) for start in range(0, len(samples), 4)]
    assert {tuple(sorted(lanes)) for lanes in rounds} == {("eager@base", "eager@head", "jit@base", "jit@head")}
    assert len(set(rounds)) > 3


def test_the_order_of_rounds_comes_from_the_seed_and_the_group():
    def order(group, seed):
        pool = Pool()
        _measure(pool, group, _plan(seed=seed))
        # How many launches there are hangs on the clock; the first two are always made.
        return [call.lane for call in pool.of("sample")][:20]

    assert order(_group(), 1) == order(_group(), 1)
    assert order(_group(), 1) != order(_group(), 2)


def test_workers_of_a_launch_live_side_by_side_and_never_longer():
    pool = Pool()
    _measure(pool)
    alive, most = set(), 0
    for call in pool.calls:
        if call.what == "launch":
            alive.add(call.worker)
        elif call.what == "close":
            alive.remove(call.worker)
        else:
            assert len(alive) == 2
        most = max(most, len(alive))
    assert most == 2
    assert not alive


def test_lanes_that_agree_stop_when_the_interval_is_narrow():
    pool = Pool()
    (test,) = _measure(pool, plan=_plan(budget=1e6))
    assert (test.status, test.stopped) == ("pass", "precise")
    assert [len(lane.launches) for lane in test.lanes] == [4, 4]


def test_a_question_that_is_decided_ends_the_test_sooner():
    pool = Pool(2, lambda lane, number: (0.06 if lane.endswith("head") else 0.03) + 1e-6 * (number % 7))
    (test,) = _measure(pool, plan=_plan(budget=1e6))
    assert test.stopped == "decided"
    assert len(test.lanes[0].launches) == 2


def test_the_budget_ends_a_test_after_two_launches_at_least():
    (test,) = _measure(Pool(6, _noisy))
    assert (test.status, test.stopped) == ("pass", "budget")
    assert [len(lane.launches) for lane in test.lanes] == [2, 2]


def test_only_the_head_is_slowed_and_only_in_the_test_that_was_named():
    pool = Pool()
    _measure(pool, _group(["eager", "jit"]), _plan(inject={"test_eval[net-cpu-jit]": 0.1}))
    assert {(call.lane, call.worker.order["inject"]) for call in pool.of("launch")} == {
        ("eager@base", 0.0),
        ("eager@head", 0.0),
        ("jit@base", 0.0),
        ("jit@head", 0.1),
    }


def test_a_single_build_is_slowed_too():
    pool = Pool()
    _measure(pool, plan=_plan(base=None, inject={"test_eval[net-cpu-eager]": 0.1}))
    assert {(call.lane, call.worker.order["inject"]) for call in pool.of("launch")} == {("eager@head", 0.1)}


def test_facts_are_asked_for_until_they_are_told_and_then_kept():
    pool = Pool(2, _noisy)
    (test,) = _measure(pool)
    asked = [call.details["order"]["describe"] for call in pool.of("launch")]
    assert asked[:2] == [True, True]
    assert not any(asked[2:])
    for lane in test.lanes:
        assert (lane.parameters, lane.flops, lane.output_shapes) == (12, None, ((8, 3),))


@pytest.mark.parametrize(
    ("seconds", "steps", "settle"),
    [(0.0003, 14, 14), (0.0012, 4, 4), (0.004, 1, 1), (0.019, 1, 1), (0.03, 1, 0), (2.0, 1, 0)],
)
def test_short_steps_are_taken_together_and_settled_first(seconds, steps, settle):
    pool = Pool(2, lambda lane, number: seconds if lane.endswith("head") else 2 * seconds)
    (test,) = _measure(pool, plan=_plan(step_timeout_seconds=3.0))
    assert {(call.details["steps"], call.details["settle"]) for call in pool.of("sample")} == {(steps, settle)}
    assert {launch.steps for lane in test.lanes for launch in lane.launches} == {steps}
    # The timeout is one step's, and a sample has several.
    assert {call.details["timeout"] for call in pool.of("sample")} == {3.0 * (steps + settle)}


def test_a_launch_may_take_longer_in_a_mode_that_compiles():
    pool = Pool()
    _measure(pool, _group(["eager", "jit"]), _plan(step_timeout_seconds=3.0))
    for call in pool.of("launch"):
        compiles = MODES[call.worker.order["mode"]].compiles
        assert (call.details["timeout"] > 3.0) is compiles


@pytest.mark.parametrize(
    ("what", "lane", "time"),
    [
        ("launch", "jit@base", 1),
        ("launch", "jit@head", 1),
        ("launch", "jit@head", 2),
        ("sample", "jit@base", 1),
        ("sample", "jit@head", 5),
        ("finish", "jit@head", 1),
        ("finish", "jit@base", 2),
    ],
)
def test_a_mode_that_fails_at_any_moment_leaves_the_others_measured(what, lane, time):
    pool = Pool(faults={(what, lane, time): WorkerError("timeout", "it hangs", "the tail")})
    eager, jit = _measure(pool, _group(["eager", "jit"]))
    assert (jit.status, jit.reason, jit.stderr, jit.stopped) == ("timeout", "it hangs", "the tail", "")
    assert (eager.status, eager.reason, eager.stderr) == ("pass", "", "")
    shape = [[(it.index, len(it.seconds)) for it in lane.launches] for lane in eager.lanes]
    assert shape[0] == shape[1]
    assert len(shape[0]) >= 2
    fault = pool.faults_at[0]
    assert all(call.what == "close" or call.lane.startswith("eager") for call in pool.calls[fault + 1 :])


def test_nothing_is_launched_once_every_mode_has_failed():
    pool = Pool(faults={("launch", "eager@base", 1): WorkerError("crash", "SIGSEGV")})
    (test,) = _measure(pool)
    assert (test.status, test.lanes[0].launches, test.lanes[1].launches) == ("crash", (), ())
    assert [call.lane for call in pool.of("launch")] == ["eager@base"]


def test_a_fault_in_a_later_launch_keeps_the_earlier_ones():
    pool = Pool(2, _noisy, faults={("launch", "eager@head", 3): WorkerError("OOM", "killed")})
    (test,) = _measure(pool, plan=_plan(budget=1e6, half_width=1e-9))
    assert test.status == "OOM"
    assert [len(lane.launches) for lane in test.lanes] == [2, 2]


def test_one_build_compares_its_modes_with_eager():
    pool = Pool(2, lambda lane, number: 0.01 if lane.startswith("jit") else 0.03)
    log = Log()
    eager, jit = _measure(pool, _group(["eager", "jit"]), _plan(base=None), log=log)
    assert [lane.name for lane in (*eager.lanes, *jit.lanes)] == ["eager@head", "jit@head"]
    (estimate,) = log.progress[-1].estimates.items()
    assert estimate[0] == "test_eval[net-cpu-jit]"
    assert estimate[1].change == pytest.approx(-2 / 3)


def test_one_lane_alone_is_measured_for_its_level():
    log = Log()
    (test,) = _measure(Pool(), plan=_plan(base=None, budget=1e6), log=log)
    assert (test.status, test.stopped) == ("pass", "precise")
    assert log.progress[-1].estimates["test_eval[net-cpu-eager]"].log_ratio == 0


def test_skips_come_with_the_tests_of_the_group():
    tests = _measure(Pool(), _group(skipped={"jit": "it cannot"}))
    assert [(test.test, test.status, test.reason) for test in tests] == [
        ("test_eval[net-cpu-eager]", "pass", ""),
        ("test_eval[net-cpu-jit]", "skip", "it cannot"),
    ]


def test_a_group_of_skips_launches_nothing():
    pool = Pool()
    (test,) = _measure(pool, _group([], {"jit": "it cannot"}))
    assert test.status == "skip"
    assert pool.calls == []


def test_what_is_known_of_a_launch_is_recorded():
    (test,) = _measure(Pool())
    for lane in test.lanes:
        assert lane.items == 8
        for launch in lane.launches:
            assert launch.warmup_seconds == pytest.approx((0.09, 0.06, 0.03))
            assert (launch.minor_faults, launch.peak_memory_bytes, launch.compile_seconds) == (2.0, 1000, None)
            assert set(launch.seconds) == {0.03}
    assert test.health.rounds == sum(len(launch.seconds) for launch in test.lanes[0].launches)


def test_lanes_stand_base_first():
    assert [str(lane) for lane in lanes_of(_group(["eager", "jit"]), _plan())] == [
        "eager@base",
        "eager@head",
        "jit@base",
        "jit@head",
    ]
    assert [str(lane) for lane in lanes_of(_group(["eager", "jit"]), _plan(base=None))] == ["eager@head", "jit@head"]


def test_what_is_compared_with_what():
    def written(modes, base):
        plan = _plan(base=base)
        return [f"{b} {h}" for b, h in comparisons(lanes_of(_group(modes), plan), plan)]

    assert written(["eager", "jit"], "base") == ["eager@base eager@head", "jit@base jit@head"]
    assert written(["eager", "jit", "inductor"], None) == ["eager@head jit@head", "eager@head inductor@head"]
    assert written(["jit", "inductor"], None) == []
    assert written(["eager", "eager_bf16", "inductor_bf16", "inductor_fp16"], None) == [
        "eager@head eager_bf16@head",
        "eager_bf16@head inductor_bf16@head",
    ]


def test_rounds_are_many_enough_for_a_median_and_not_more_than_pay():
    pool = Pool(2, _noisy)
    _many(pool, 8)
    per_launch = collections.Counter(id(call.worker) for call in pool.of("sample")).values()
    assert min(per_launch) >= interleave.FEWEST_ROUNDS
    assert max(per_launch) <= interleave.MOST_ROUNDS + interleave.FEWEST_REWARMING_ROUNDS


def test_a_step_that_takes_the_whole_budget_is_sampled_once_in_a_launch():
    pool = Pool(2)
    (test,) = _measure(pool, plan=_plan(budget=1e-6))
    assert test.status == "pass"
    assert [len(launch.seconds) for lane in test.lanes for launch in lane.launches] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("round_seconds", "lanes", "rounds"), [(0.004, 2, 13), (0.2, 2, 2), (1.5, 2, 1), (0.004, 1, 0)]
)
def test_rounds_are_thrown_away_where_a_worker_was_idle(round_seconds, lanes, rounds):
    assert interleave.rewarming_rounds(round_seconds, lanes) == rounds


def test_a_worker_is_told_which_samples_are_thrown_away():
    pool = Pool(2)
    (test,) = _measure(pool)
    kept = collections.Counter(call.details["kept"] for call in pool.of("sample"))
    assert kept[True] == sum(len(launch.seconds) for lane in test.lanes for launch in lane.launches)
    first = [call.details["kept"] for call in pool.of("sample")][: 2 * interleave.FEWEST_REWARMING_ROUNDS + 1]
    assert first == [False] * 2 * interleave.FEWEST_REWARMING_ROUNDS + [True]


def test_a_compiler_finds_the_cache_of_its_own_lane_and_of_no_other():
    pool = Pool()
    group = _group(["eager", "inductor"])
    eager, inductor = _measure(pool, group, _plan(base=None))
    caches = collections.defaultdict(set)
    for call in pool.of("launch"):
        caches[call.lane].add(call.worker.order["cache"])
    assert all(len(found) == 1 for found in caches.values())
    assert len(set.union(*caches.values())) == len(caches)
    (lane,) = inductor.lanes
    assert lane.compilation.cold_seconds == 10.0
    assert lane.compilation.warm_seconds == statistics.median(10.0 / (n + 2) for n in range(len(lane.launches) - 1))
    assert lane.compilation.unique_graphs == 3
    assert eager.lanes[0].compilation is None


def test_accuracy_is_checked_of_the_heads_lanes_before_anything_is_timed_and_only_where_asked():
    pool = Pool()
    tests = _measure(pool, _group(["eager", "inductor"]), _plan(accuracy=True))
    assert [(call.what, call.lane) for call in pool.calls if call.what != "close"][:3] == [
        ("accuracy", "eager@head"),
        ("accuracy", "inductor@head"),
        ("launch", "eager@base"),
    ]
    assert [test.accuracy.status for test in tests] == ["pass", "pass"]
    timed = {call.worker.order["cache"] for call in pool.of("launch")}
    assert not timed & {call.worker.order["cache"] for call in pool.of("accuracy")}
    pool = Pool()
    (test,) = _measure(pool)
    assert (pool.of("accuracy"), test.accuracy) == ([], None)


@pytest.mark.parametrize(
    ("told", "status", "timed"),
    [
        ("pass", "pass", True),
        ("fail_accuracy", "fail_accuracy", True),
        ("eager_two_runs_differ", "pass", True),
        ("fail_to_run", "fail_to_run", False),
        ("model_fail_to_load", "fail_to_run", False),
        ("eager_1st_run_fail", "fail_to_run", False),
        ("OOM", "OOM", False),
        ("eager_2nd_run_OOM", "OOM", False),
    ],
)
def test_what_an_accuracy_check_says_becomes_the_tests_status(told, status, timed):
    pool = Pool(accuracy={"inductor@head": told})
    eager, inductor = _measure(pool, _group(["eager", "inductor"]), _plan(base=None, accuracy=True))
    assert (inductor.status, inductor.accuracy.status) == (status, told)
    assert bool(inductor.lanes[0].launches) == timed
    assert eager.status == "pass"
    if status != "pass":
        assert inductor.reason == "as it was told"


@pytest.mark.parametrize("status", ["timeout", "crash", "OOM"])
def test_a_check_that_ends_its_worker_is_that_tests_end_alone(status):
    pool = Pool(faults={("accuracy", "inductor@head", 1): WorkerError(status, "it is gone", "the tail")})
    eager, inductor = _measure(pool, _group(["eager", "inductor"]), _plan(base=None, accuracy=True))
    assert (inductor.status, inductor.reason, inductor.stderr) == (status, "it is gone", "the tail")
    assert (inductor.accuracy.status, eager.status, eager.accuracy.status) == (status, "pass", "pass")
