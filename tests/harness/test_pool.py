import contextlib
import dataclasses
import json
import pathlib
import sys

import msgspec
import pytest

from harness import machine
from harness.errors import UserError
from harness.lanes import mode_of
from harness.pool import Pool, Settings, WorkerError
from tests import sessions

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are searched for in /proc")

CPUS = machine.available_cpus()[-2:]
SETTINGS = Settings(
    nurseries=2,
    threads=len(CPUS),
    cpus=CPUS,
    allocator="keep",
    code_pages="shared",
    preload=(),
    suites=(sessions.FAULTY, sessions.TINY),
)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return sessions.make(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def pool(session):
    with Pool(session.builds, SETTINGS, {**session.environment, "PYTHONHOME": ""}, session.folder) as opened:
        opened.start([("head", {}), ("head", {})])
        yield opened
    assert sessions.leftovers(session) == []


def _order(benchmark, suite=sessions.FAULTY, **changes):
    return {
        "suite": suite,
        "benchmark": benchmark,
        "type": "eval",
        "device": "cpu",
        "mode": "eager",
        "size": {},
        "seed": 7,
        "threads": len(CPUS),
        "cpus": CPUS,
        "inject": 0.0,
        "warmup_steps": 25,
        "warmup_seconds": 1.0,
        **changes,
    }


def _told(pool, index=0, **changes):
    """What the benchmark `tells` knows of the worker it runs in."""
    with pytest.raises(WorkerError) as error:
        pool.nursery("head", {}, index).launch(_order("tells", **changes), 60)
    return json.loads(error.value.reason.removeprefix("RuntimeError: "))


def test_a_worker_runs_on_the_lanes_cpus_and_with_their_threads(pool):
    told = _told(pool)
    assert (told["cpus"], told["threads"], told["seed"]) == (list(CPUS), len(CPUS), 7)
    for cpu in CPUS:
        told = _told(pool, cpus=(cpu,), threads=1)
        assert (told["cpus"], told["threads"]) == ([cpu], 1)


def test_a_worker_has_the_allocator_and_thread_variables_and_nothing_that_leads_to_other_packages(pool):
    told = _told(pool)
    environment, threads = told["environment"], str(len(CPUS))
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == threads
    assert environment["MALLOC_MMAP_THRESHOLD_"] == environment["MALLOC_TRIM_THRESHOLD_"] == str(4 * 1024**3)
    assert int(environment["MALLOC_TOP_PAD_"]) > 0
    assert "PYTHONHOME" not in environment
    root = str(pathlib.Path(__file__).parents[2])
    assert environment["PYTHONPATH"] != root
    assert root not in told["path"]


@pytest.mark.parametrize("code_pages", ["own", "shared"])
def test_a_nursery_runs_torch_in_pages_of_its_own_where_asked(session, code_pages):
    settings = dataclasses.replace(SETTINGS, nurseries=1, code_pages=code_pages)
    with Pool(session.builds, settings, session.environment, session.folder) as opened:
        opened.start([("head", {})])
        nursery = opened.nursery("head", {}, 0)
        maps = pathlib.Path(f"/proc/{nursery.process.pid}/maps").read_text()
        code = [line for line in maps.splitlines() if "libtorch_cpu" in line and "r-xp" in line]
        assert bool(code) == (code_pages == "shared")
        with nursery.launch(_order("perceptron", sessions.TINY, size={"batch": 4}), 60) as worker:
            assert worker.sample(3, 1, 60)["seconds"] > 0


def test_a_worker_is_a_child_of_its_nursery_leads_a_group_and_reads_nothing(pool):
    first, second, third = (_told(pool, index) for index in range(3))
    assert first["parent"] == pool.nursery("head", {}, 0).process.pid
    assert first["parent"] == third["parent"] != second["parent"]
    assert first["group"] is True
    assert first["stdin"] == "/dev/null"


def test_a_worker_is_born_warm_and_gives_samples(pool):
    with pool.nursery("head", {}, 0).launch(_order("perceptron", sessions.TINY, size={"batch": 4}), 60) as worker:
        assert worker.birth["items"] == 4
        assert worker.birth["compile_seconds"] is None
        assert worker.birth["first_seconds"] > 0
        assert (
            min(worker.birth["warmup_seconds"]) <= worker.birth["step_seconds"] <= max(worker.birth["warmup_seconds"])
        )
        sample = worker.sample(3, 1, 60)
        assert sample["seconds"] > 0
        assert sample["faults"] >= 0
        assert sample["switches"] >= 0
        figures = worker.finish(60)
    assert figures["peak_memory_bytes"] > 0
    assert worker.cpu_seconds > 0


def test_a_train_sample_has_phases(pool):
    order = _order("autoencoder", sessions.TINY, type="train", size={"batch": 4})
    with pool.nursery("head", {}, 0).launch(order, 60) as worker:
        sample = worker.sample(4, 0, 60)
    assert list(sample["phases"]) == ["forward", "backward", "update"]
    assert 0 < sum(sample["phases"].values()) <= sample["seconds"]


def test_settling_steps_are_not_in_the_sample(pool):
    with pool.nursery("head", {}, 0).launch(_order("dear_first_step"), 60) as worker:
        with_first = min(worker.sample(1, 0, 60)["seconds"] for _ in range(4))
        settled = min(worker.sample(1, 1, 60)["seconds"] for _ in range(4))
        spread = min(worker.sample(5, 0, 60)["seconds"] for _ in range(4))
    assert settled < with_first / 2
    # The mean over the steps of a sample, not their sum.
    assert spread < with_first / 2


def test_injected_work_lengthens_the_step(pool):
    order = _order("perceptron", sessions.TINY, size={"batch": 4})
    with contextlib.ExitStack() as stack:
        plain, slowed = (
            stack.enter_context(pool.nursery("head", {}, 0).launch({**order, "inject": share}, 60)) for share in (0, 4)
        )
        times = [(plain.sample(5, 1, 60)["seconds"], slowed.sample(5, 1, 60)["seconds"]) for _ in range(15)]
    assert min(slow for _, slow in times) > 2 * min(quick for quick, _ in times)


def test_leaving_a_worker_ends_it_with_all_it_started(pool, session):
    before = sessions.processes(session)
    with pool.nursery("head", {}, 0).launch(_order("starts_a_daemon"), 60):
        assert len(sessions.processes(session)) == len(before) + 2
    # The daemon has been killed; the kernel takes its time to end it.
    assert sessions.wait_until(lambda: sorted(sessions.processes(session)) == sorted(before))


def test_a_hung_worker_is_killed_and_the_next_launch_is_sound(pool, session):
    before = sessions.processes(session)
    with pytest.raises(WorkerError) as error:
        pool.nursery("head", {}, 0).launch(_order("hangs_in_c"), 0.5)
    assert error.value.status == "timeout"
    assert sorted(sessions.processes(session)) == sorted(before)
    with pool.nursery("head", {}, 0).launch(_order("fine"), 60) as worker:
        assert worker.sample(1, 0, 60)["seconds"] > 0


def test_a_nursery_that_was_brought_down_is_replaced(pool):
    nursery = pool.nursery("head", {}, 1)
    with pytest.raises(WorkerError) as error:
        nursery.launch(_order("kills_its_nursery"), 60)
    assert error.value.status == "crash"
    nursery.process.wait(sessions.PATIENCE)
    fresh = pool.nursery("head", {}, 1)
    assert fresh is not nursery
    with fresh.launch(_order("fine"), 60) as worker:
        assert worker.birth["items"] == 1
    assert pool.nursery("head", {}, 3) is fresh


def test_starting_lanes_again_starts_no_nursery(pool, session):
    before = sessions.processes(session)
    pool.start([("head", {})])
    assert sorted(sessions.processes(session)) == sorted(before)


def _refused(session, settings, **changes):
    build = msgspec.structs.replace(session.builds[0], **changes)
    before = sessions.leftovers(session)
    with (
        pytest.raises(UserError) as error,
        Pool([build], settings, session.environment, session.folder) as refused,
    ):
        refused.start([("head", {})])
    assert sorted(sessions.leftovers(session)) == sorted(before)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_allocator_that_is_unknown_leaves_nothing(session):
    assert "no allocator 'sticky'" in _refused(session, dataclasses.replace(SETTINGS, allocator="sticky"))


def test_an_interpreter_that_ends_at_once_is_one_sentence(session):
    assert "/bin/false cannot load what the suites need" in _refused(session, SETTINGS, python="/bin/false")


def test_an_interpreter_without_torch_is_one_sentence(session, tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    assert "No module named 'torch'" in _refused(session, SETTINGS, python=str(bare))


@pytest.fixture(scope="module")
def in_bf16_math(session):
    """A pool of nurseries for the lane whose environment lets oneDNN multiply in bfloat16, and oneDNN talk."""
    environment = {**session.environment, "ONEDNN_VERBOSE": "1"}
    settings = dataclasses.replace(SETTINGS, nurseries=1, threads=1)
    with Pool(session.builds, settings, environment, session.folder) as opened:
        opened.start([("head", mode_of(mode).environment) for mode in ("eager", "eager_bf16_math")])
        yield opened


@pytest.mark.parametrize(("mode", "value"), [("eager", None), ("eager_bf16_math", "BF16")])
def test_the_environment_of_a_mode_is_there_before_torch_is_loaded(in_bf16_math, mode, value):
    nursery = in_bf16_math.nursery("head", mode_of(mode).environment, 0)
    # What the process was started with, which nothing in it can change later.
    started_with = pathlib.Path(f"/proc/{nursery.process.pid}/environ").read_bytes().split(b"\0")
    variable = b"DNNL_DEFAULT_FPMATH_MODE"
    assert [one for one in started_with if one.startswith(variable)] == ([variable + b"=BF16"] if value else [])
    with pytest.raises(WorkerError) as error:
        nursery.launch(_order("tells"), 60)
    told = json.loads(error.value.reason.removeprefix("RuntimeError: "))
    assert told["environment"].get("DNNL_DEFAULT_FPMATH_MODE") == value


@pytest.mark.parametrize(("mode", "allowed"), [("eager", False), ("eager_bf16_math", True)])
def test_onednn_says_that_a_lane_may_multiply_in_bfloat16(in_bf16_math, mode, allowed):
    size = {"batch": 8, "shape": [3, 64, 64], "hidden": 64, "pooled": 1}
    order = _order("alexnet", "convnet", size=size, mode=mode, threads=1)
    with in_bf16_math.nursery("head", mode_of(mode).environment, 0).launch(order, 60) as worker:
        worker.sample(1, 0, 60)
        said = [line for line in worker._log.read_text().splitlines() if "exec,cpu,convolution" in line]
    if not said:
        pytest.skip("this build's oneDNN computes no convolution, or does not talk")
    assert all(("attr-fpmath:bf16" in line) == allowed for line in said)
