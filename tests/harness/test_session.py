import dataclasses
import itertools
import json
import pathlib
import random
import shutil
import signal
import sys
import time

import msgspec
import pytest

from harness import machine, plan, records, session, stats
from harness.errors import UserError
from tests import sessions

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are searched for in /proc")

FAULTS = {
    "segfault": ("crash", "SIGSEGV"),
    "abort": ("crash", "SIGABRT"),
    "killed": ("OOM", "SIGKILL"),
    "memory_error": ("OOM", "MemoryError"),
    "allocates_too_much": ("OOM", "can't allocate memory"),
    "raises_at_build": ("fail_to_run", "ValueError: the weights are missing"),
    "raises_at_step_5": ("fail_to_run", "RuntimeError: this is step 5"),
    "raises_in_emoji": ("fail_to_run", "RuntimeError: \N{HOT PEPPER}\N{HOT PEPPER}"),
    "raises_undecodable": ("fail_to_run", "no file weights-?.pt"),
    "exits": ("fail_to_run", "SystemExit: 3"),
    "leaves": ("crash", "exit code 3"),
    "kills_its_nursery": ("crash", "nursery"),
    "hangs_in_python": ("timeout", "4 s"),
    "hangs_in_c": ("timeout", "4 s"),
    "hangs_in_a_sample": ("timeout", "4 s"),
    "crashes_in_a_sample": ("crash", "SIGABRT"),
    "gives_nan": ("fail_accuracy", "NaN"),
    "gives_inf": ("fail_accuracy", "infinity"),
    "gives_nan_later": ("fail_accuracy", "NaN"),
    "no_workload": ("fail_to_run", "NoneType"),
    "no_items": ("fail_to_run", "sixteen"),
    "leaves_a_file": ("crash", "SIGABRT"),
    "talks_and_raises": ("fail_to_run", "RuntimeError: enough"),
    "crashes_with_a_daemon": ("crash", "SIGABRT"),
}
ONLY_STRANGE = ("fine", "talks", "starts_a_child", "starts_a_daemon")


@dataclasses.dataclass
class Finished:
    session: session.Session
    log: sessions.Log
    run: records.Run
    path: pathlib.Path
    affinity: tuple[int, ...]

    def test(self, name):
        return next(test for test in self.run.tests if test.test == name)


def _finish(folder, *arguments, **options):
    made = sessions.make(folder, *arguments, **options)
    path, log = folder / "run.jsonl", sessions.Log()
    assert session.run(made, path, log)
    return Finished(made, log, records.read(path), path, machine.available_cpus())


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """All that can go wrong, and a benchmark that one of its modes cannot compile, in one run of one build."""
    names = "|".join((*FAULTS, *ONLY_STRANGE))
    groups = sessions.select(suites=(sessions.FAULTY,), only=rf"\[({names})-")
    compiled = sessions.select(suites=(sessions.FAULTY,), modes=("eager", "jit"), only=r"\[(untraceable|fine)-")
    groups = [group for group in groups if group.description.name != "fine"] + compiled
    before = machine.available_cpus()
    finished = _finish(tmp_path_factory.mktemp("faulty"), groups, step_timeout=4.0)
    assert finished.affinity == before, "the coordinator must come back to the CPUs that it left to the lanes"
    return finished


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Base and head, which are the same interpreter, with 20 % of extra work in one of the tests' heads."""
    return _finish(
        tmp_path_factory.mktemp("compared"),
        base=True,
        types=("eval", "train"),
        only="eval.*perceptron|train.*autoencoder",
        budget=3.0,
        inject={"test_eval[perceptron-cpu-eager]": 0.2},
    )


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_as_a_status_with_a_reason(faulty, name):
    status, reason = FAULTS[name]
    test = faulty.test(f"test_eval[{name}-cpu-eager]")
    assert (test.status, test.stopped) == (status, "")
    assert reason in test.reason


@pytest.mark.parametrize("name", ONLY_STRANGE)
def test_what_only_looks_strange_is_measured(faulty, name):
    test = faulty.test(f"test_eval[{name}-cpu-eager]")
    assert (test.status, test.reason, test.stderr) == ("pass", "", "")
    assert len(test.lanes[0].launches) >= 2


def test_no_process_and_no_file_of_any_fault_is_left(faulty):
    assert sessions.leftovers(faulty.session) == []


def test_a_run_with_faults_is_complete_and_says_what_it_ran(faulty):
    assert faulty.run.complete
    assert not faulty.run.footers[0].interrupted
    assert faulty.run.footers[0].tests == len(faulty.run.tests) == len(faulty.session.plan.tests)
    assert [test.test for test in faulty.run.tests] == list(faulty.session.plan.tests)
    ended = [event for event in faulty.log.events if event.startswith("ended")]
    assert ended == [f"ended {test.test} {test.status}" for test in faulty.run.tests]
    assert faulty.log.events[0] == f"started {len(faulty.run.tests)} 0"


def test_the_tail_of_stderr_is_kept(faulty):
    assert faulty.test("test_eval[segfault-cpu-eager]").stderr == "about to fall"
    tail = faulty.test("test_eval[talks_and_raises-cpu-eager]").stderr
    assert tail.endswith("line 99999")
    assert len(tail) <= 4000


def test_the_traceback_names_the_line_of_the_suite(faulty):
    stderr = faulty.test("test_eval[raises_at_build-cpu-eager]").stderr
    assert "faulty.py" in stderr
    assert "raises_at_build" in stderr


def test_a_mode_that_cannot_compile_fails_alone(faulty):
    jit, eager = (faulty.test(f"test_eval[untraceable-cpu-{mode}]") for mode in ("jit", "eager"))
    assert jit.status == "fail_to_run"
    assert "cannot be traced" in jit.reason
    assert eager.status == "pass"
    assert len(eager.lanes[0].launches) >= 2


def test_two_modes_of_one_build_are_measured_in_the_same_rounds(faulty):
    eager, jit = (faulty.test(f"test_eval[fine-cpu-{mode}]") for mode in ("eager", "jit"))
    assert (eager.status, jit.status) == ("pass", "pass")
    assert eager.group == jit.group
    shape = [[(launch.index, len(launch.seconds)) for launch in test.lanes[0].launches] for test in (eager, jit)]
    assert shape[0] == shape[1]
    assert all(launch.compile_seconds is not None for launch in jit.lanes[0].launches)
    assert all(launch.compile_seconds is None for launch in eager.lanes[0].launches)


def test_extra_work_in_the_head_shows_as_a_slow_down(compared):
    test = compared.test("test_eval[perceptron-cpu-eager]")
    base, head = test.lane("base"), test.lane("head")
    effects = [stats.launch_effect(a.seconds, b.seconds) for a, b in zip(base.launches, head.launches, strict=True)]
    assert 0.10 < stats.estimate(effects, [launch.nursery for launch in head.launches]).change < 1.5


def test_both_lanes_of_a_test_hold_the_same_rounds(compared):
    for test in compared.run.tests:
        assert test.status == "pass"
        base, head = test.lane("base").launches, test.lane("head").launches
        assert len(base) >= 2
        assert [(it.index, it.steps, len(it.seconds)) for it in base] == [
            (it.index, it.steps, len(it.seconds)) for it in head
        ]
        assert [launch.index for launch in head] == list(range(len(head)))


def test_creation_order_is_swapped_for_each_pair_and_in_each_group(compared):
    for turn, test in enumerate(compared.run.tests):
        for lane, first in ((test.lane("base"), turn), (test.lane("head"), 1 - turn)):
            wanted = itertools.cycle((first, first, 1 - first, 1 - first))
            assert [it.position for it in lane.launches] == [next(wanted) for _ in lane.launches]


def test_base_and_head_are_paired_otherwise_in_each_group(compared):
    for turn, test in enumerate(compared.run.tests):
        for lane, shift in ((test.lane("base"), turn), (test.lane("head"), 0)):
            assert [it.nursery for it in lane.launches] == [(it.index + shift) % 2 for it in lane.launches]


def test_a_record_bears_what_was_measured(compared):
    train = compared.test("test_train[autoencoder-cpu-eager]")
    assert (train.category, train.domain, train.group) == ("TEST", "TINY", "tiny/train/autoencoder/cpu")
    assert train.stopped in ("budget", "precise", "decided")
    for lane in train.lanes:
        assert lane.items == 16
        assert lane.parameters == 192 * 1024 + 1024 + 1024 * 192 + 192
        # Two products forward, and for each the gradients of its weight and, for the second, of its input.
        assert lane.flops == (2 + 3) * 2 * 16 * 192 * 1024
        assert lane.output_shapes == ((),)
        for launch in lane.launches:
            assert set(launch.phases) == {"forward", "backward", "update"}
            for rounds in zip(launch.seconds, *launch.phases.values(), strict=True):
                assert sum(rounds[1:]) <= rounds[0]
            assert launch.peak_memory_bytes > 0
            assert launch.minor_faults >= 0
            assert len(launch.warmup_seconds) >= 3
    health = train.health
    assert health.rounds == sum(len(launch.seconds) for launch in train.lanes[0].launches)
    assert 0 <= health.disturbed_rounds <= health.rounds
    assert 0 <= health.other_load <= 1


def test_progress_is_told_between_launches(compared):
    told = [progress for progress in compared.log.progress if progress.group.type == "train"]
    assert [progress.launches for progress in told] == list(range(1, len(told) + 1))
    assert [progress.elapsed_seconds for progress in told] == sorted(progress.elapsed_seconds for progress in told)
    assert set(told[-1].estimates) == {"test_train[autoencoder-cpu-eager]"}
    assert told[-1].estimates["test_train[autoencoder-cpu-eager]"].launches == len(told)


def test_nothing_is_left_of_a_run_that_went_well(compared):
    assert sessions.leftovers(compared.session) == []


def test_a_finished_run_is_resumed_without_measuring(compared):
    before = compared.path.read_bytes()
    log = sessions.Log()
    assert session.run(compared.session, compared.path, log, resume=True)
    assert log.events == ["started 2 2"]
    assert compared.path.read_bytes().startswith(before)
    assert records.read(compared.path).complete


def test_a_run_file_that_is_there_is_not_overwritten(compared):
    before = compared.path.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        session.run(compared.session, compared.path, sessions.Log())
    assert compared.path.read_bytes() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("budget_seconds", 5.0),
        ("seed", 1),
        ("tests", ("test_eval[perceptron-cpu-eager]",)),
        ("inject", {}),
        ("nurseries", 3),
        ("allocator", "system"),
        ("code_pages", "own"),
        ("threads", 2),
    ],
)
def test_a_run_of_another_plan_is_not_resumed(compared, field, value):
    before = compared.path.read_bytes()
    other = dataclasses.replace(compared.session, plan=msgspec.structs.replace(compared.session.plan, **{field: value}))
    with pytest.raises(UserError, match=f"another {field} "):
        session.run(other, compared.path, sessions.Log(), resume=True)
    assert compared.path.read_bytes() == before


def test_a_run_of_other_builds_is_not_resumed(compared):
    base, head = compared.session.builds
    other = dataclasses.replace(
        compared.session, builds=(base, msgspec.structs.replace(head, fingerprint="0123456789abcdef"))
    )
    with pytest.raises(UserError, match="other builds"):
        session.run(other, compared.path, sessions.Log(), resume=True)


def test_a_run_of_the_wrong_kind_of_file_is_not_resumed(compared, tmp_path):
    (tmp_path / "foreign.jsonl").write_text('{"not": "ours"}\n')
    with pytest.raises(UserError, match=r"foreign\.jsonl"):
        session.run(compared.session, tmp_path / "foreign.jsonl", sessions.Log(), resume=True)
    assert (tmp_path / "foreign.jsonl").read_text() == '{"not": "ours"}\n'


def test_a_file_that_cannot_be_written_is_an_error(compared, tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        session.run(compared.session, tmp_path / "absent" / "run.jsonl", sessions.Log())
    assert sessions.leftovers(compared.session) == []


SUITE_THAT_CANNOT_LOAD = """
import sys
from harness.benchmark import benchmark, Workload
@benchmark("lonely", category="TEST", domain="TEST", sizes={"small": {}}, needs=("a_module_that_is_nowhere",))
def lonely(request):
    raise AssertionError("nobody comes here")
"""


def test_a_module_that_no_build_has_is_one_sentence(tmp_path):
    suite = tmp_path / "lonely.py"
    suite.write_text(SUITE_THAT_CANNOT_LOAD)
    made = sessions.make(tmp_path, suites=(str(suite),), nurseries=1)
    with pytest.raises(UserError) as error:
        session.run(made, tmp_path / "run.jsonl", sessions.Log())
    assert "No module named 'a_module_that_is_nowhere'" in str(error.value)
    assert "install it into that build" in str(error.value)
    assert "\n" not in str(error.value)
    assert sessions.leftovers(made) == []


def test_an_empty_file_of_a_run_killed_at_once_is_begun_anew(tmp_path):
    groups = [_skipped_only()]
    made, path = sessions.make(tmp_path, groups), tmp_path / "run.jsonl"
    path.touch()
    assert session.run(made, path, sessions.Log(), resume=True)
    assert records.read(path).complete


def test_a_skip_is_a_line_with_its_reason_and_costs_nothing(tmp_path):
    made, path, log = sessions.make(tmp_path, [_skipped_only()]), tmp_path / "run.jsonl", sessions.Log()
    assert session.run(made, path, log)
    (test,) = records.read(path).tests
    assert (test.status, test.reason, test.lanes) == ("skip", "it is for CPUs", ())
    assert log.events[-1] == "ended test_eval[autoencoder-cuda-eager] skip"
    assert sessions.leftovers(made) == []


def _skipped_only():
    groups = plan.select(
        (sessions.TINY,),
        sessions.descriptions(sessions.TINY),
        types=("eval",),
        modes=("eager",),
        device="cuda",
        size="small",
    )
    return next(group for group in groups if group.skipped)


def _names(path):
    """Names of all test lines, repeated ones included."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [line["test"] for line in lines if line["record"] == "test"]


@pytest.fixture
def quick(tmp_path):
    """A session of five quick tests."""
    groups = [
        *sessions.select(suites=(sessions.TINY,)),
        *sessions.select(suites=(sessions.FAULTY,), only=r"\[(fine|untraceable|starts_a_daemon)-"),
    ]
    return sessions.make(tmp_path, groups)


def test_ctrl_c_leaves_a_valid_file_that_resume_completes(quick, tmp_path):
    # Tests that last: a starved test process must not be overtaken by the end of the run.
    plan_that_lasts = msgspec.structs.replace(quick.plan, budget_seconds=2.5, half_width=1e-9)
    quick = dataclasses.replace(quick, plan=plan_that_lasts)
    path = tmp_path / "run.jsonl"
    with sessions.start(quick, path) as coordinator:
        assert sessions.wait_for_event(coordinator, "ended")
        assert sessions.wait_for_event(coordinator, "group")
        coordinator.send_signal(signal.SIGINT)
        coordinator.stdout.read()
    assert coordinator.returncode == 0
    assert sessions.leftovers(quick) == []

    interrupted = records.read(path)
    assert interrupted.footers[0].interrupted
    assert not interrupted.complete
    assert 0 < len(interrupted.tests) < 5
    assert interrupted.footers[0].tests == len(interrupted.tests)
    assert all(test.status == "pass" for test in interrupted.tests)

    before, log = path.read_bytes(), sessions.Log()
    assert session.run(quick, path, log, resume=True)
    assert path.read_bytes().startswith(before)
    assert sorted(_names(path)) == sorted(quick.plan.tests)
    assert log.events[0] == f"started 5 {len(interrupted.tests)}"
    whole = records.read(path)
    assert whole.complete
    assert whole.footers[0].tests == 5
    assert sessions.leftovers(quick) == []


KILLED_AFTER = ("", "started", "group", "launched", "ended") * 2
"""Ten kills, each a random while after such an event: at the start, while nurseries load, in the middle of a test."""


@pytest.mark.slow
def test_sigkill_at_any_moment_leaves_a_readable_file_that_resume_completes(quick, tmp_path):
    moments = random.Random(20)
    paths = [tmp_path / "run-0.jsonl"]
    for attempt, event in enumerate(KILLED_AFTER):
        path = paths[-1]
        before = path.read_bytes() if path.exists() else b""
        with sessions.start(quick, path, resume=True) as coordinator:
            sessions.wait_for_event(coordinator, event)
            time.sleep(moments.uniform(0, 0.8))
            coordinator.kill()
        # 0 when the run came to its end sooner.
        assert coordinator.returncode in (-signal.SIGKILL, 0)
        left = sessions.wait_for_nothing(quick)
        assert [it for it in left if not _no_nursery_was_there(it)] == []
        for folder in left:
            shutil.rmtree(folder)
        if path.exists() and path.stat().st_size:
            run = records.read(path)
            assert path.read_bytes().startswith(_whole_lines(before))
            assert all(test.status == "pass" for test in run.tests)
            if run.complete:
                paths.append(tmp_path / f"run-{attempt + 1}.jsonl")
    for path in paths:
        before = path.read_bytes() if path.exists() else b""
        assert session.run(quick, path, sessions.Log(), resume=True)
        assert path.read_bytes().startswith(_whole_lines(before))
        assert records.read(path).complete
        assert sorted(_names(path)) == sorted(quick.plan.tests)
    assert sessions.leftovers(quick) == []


def _whole_lines(data):
    return data[: data.rfind(b"\n") + 1]


def _no_nursery_was_there(left):
    """Whether this is a folder whose coordinator was killed in the milliseconds before its first nursery ran."""
    return pathlib.Path(left).is_dir() and not any(pathlib.Path(left).rglob("__pycache__"))
