import pytest

from harness import accuracy, records
from tests import sessions

torch = pytest.importorskip("torch")

COMPILABLE = str(sessions.SUITES / "compilable.py")


@pytest.fixture(autouse=True)
def process_as_it_was():
    """The check makes its process deterministic, which elsewhere is a worker's own and here is also other tests'."""
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    torch._dynamo.reset()
    torch._inductor.config.fallback_random = False


def _check(benchmark, mode, type="eval", **changes):
    order = {
        "suite": COMPILABLE,
        "benchmark": benchmark,
        "type": type,
        "device": "cpu",
        "mode": mode,
        "size": {"batch": 4},
        "seed": 1337,
        "threads": 1,
        **changes,
    }
    return records.msgspec.convert(accuracy.check(order), records.Accuracy)


@pytest.mark.parametrize("type", ["eval", "train"])
@pytest.mark.parametrize(
    "mode", ["eager", "eager_bf16", "eager_amp", "aot_eager", "aot_eager_bf16", "backends:fine", "backends:fine_amp"]
)
def test_a_sound_lane_passes(mode, type):
    found = _check("plain", mode, type)
    assert (found.status, found.reason) == ("pass", "")
    assert found.passed


@pytest.mark.parametrize("type", ["eval", "train"])
def test_a_lane_that_is_off_fails_and_says_where_and_by_how_much(type):
    found = _check("plain", "backends:noisy", type)
    assert (found.status, found.by) == ("fail_accuracy", "rmse")
    assert "against float64" in found.reason
    assert found.error is not None and found.eager_error is not None
    assert found.error > 100 * found.eager_error
    assert not found.passed


@pytest.mark.parametrize(
    ("benchmark", "mode", "status", "said"),
    [
        ("unloadable", "eager", "model_fail_to_load", "RuntimeError: there are no weights"),
        ("broken", "aot_eager", "eager_1st_run_fail", "ValueError: no such operator"),
        ("restless", "aot_eager", "eager_two_runs_differ", "do not agree bit for bit"),
        ("plain", "backends:raises", "fail_to_run", "this backend compiles nothing"),
        ("plain", "backends:absent", "fail_to_run", "absent"),
        ("plain", "no_such_module:fine", "fail_to_run", "no_such_module"),
    ],
)
def test_what_goes_wrong_has_the_harnesss_word(benchmark, mode, status, said):
    found = _check(benchmark, mode)
    assert found.status == status
    assert found.status in records.ACCURACY_STATUSES
    assert said in found.reason


def test_memory_that_ran_out_has_words_of_its_own(monkeypatch):
    class Full:
        def prepare(self, workload, request):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(accuracy.lanes, "mode_of", lambda name: Full())
    assert _check("plain", "inductor").status == "OOM"

    def exhausted(*arguments, **keywords):
        raise MemoryError

    monkeypatch.setattr(accuracy, "wrap", exhausted)
    assert _check("plain", "inductor").status == "eager_1st_run_OOM"


def test_where_float64_cannot_be_had_the_cosine_decides():
    assert _check("single", "backends:noisy").by == "cosine"
    assert _check("single", "backends:noisy").passed
    assert not _check("plain", "backends:noisy").passed


def test_a_benchmark_may_have_tolerances_of_its_own():
    found = _check("lenient", "backends:noisy")
    assert (found.status, found.tolerance, found.by) == ("pass", 1.0, "allclose")


@pytest.mark.parametrize(
    ("suite", "type", "device", "precision", "expected"),
    [
        ("torchbench", "eval", "cpu", "float32", 1e-4),
        ("torchbench", "eval", "cuda", "tf32", 1e-4),
        ("torchbench", "train", "cpu", "float32", 1e-4),
        ("torchbench", "train", "cuda", "float32", 1e-3),
        ("torchbench", "eval", "cpu", "amp", 1e-3),
        ("huggingface", "eval", "cpu", "bf16", 1e-3),
        ("huggingface", "train", "cuda", "float32", 1e-2),
        ("timm", "eval", "cpu", "float32", 1e-3),
        ("timm", "train", "cpu", "float32", 1e-2),
    ],
)
def test_tolerances_are_the_harnesss(suite, type, device, precision, expected):
    assert accuracy.tolerance(suite, type, device, precision, {}) == expected
    assert accuracy.tolerance(suite, type, device, precision, {type: 0.5}) == 0.5


def _compared(found, eager, exact, allowed=1e-4):
    return accuracy._of_tensor(torch.as_tensor(found), torch.as_tensor(eager), torch.as_tensor(exact), allowed)


@pytest.mark.parametrize(
    ("shape", "dtype", "allowed", "multiplier"),
    [
        ((2000,), torch.float32, 1e-4, 2.0),
        ((999,), torch.float32, 1e-4, 3.0),
        ((2000,), torch.bfloat16, 1e-3, 3.0),
        ((2000, 2, 1, 1), torch.float32, 1e-4, 3.0),
        ((2000, 1, 3, 3), torch.float32, 1e-4, 2.0),
        ((2000,), torch.float32, 0.02, 3.0),
    ],
)
def test_the_error_may_be_a_multiple_of_eagers_own(shape, dtype, allowed, multiplier):
    assert accuracy._multiplier(torch.zeros(shape, dtype=dtype), allowed) == multiplier


def test_a_lane_is_judged_by_eagers_own_error():
    exact = torch.zeros(2000, dtype=torch.float64)
    eager = torch.full((2000,), 0.10)
    assert _compared(torch.full((2000,), 0.19), eager, exact).passed
    assert not _compared(torch.full((2000,), 0.21), eager, exact).passed


def test_nothing_but_numbers_passes_for_a_number():
    nan, one = torch.tensor([float("nan")]), torch.tensor([1.0])
    assert _compared(nan, nan, nan.double()).passed
    assert not _compared(nan, one, one.double()).passed
    assert not _compared(one, nan, one.double()).passed
    assert not _compared(torch.tensor([float("inf")]), one, one.double()).passed
    assert _compared(torch.tensor([1, 2]), torch.tensor([1, 2]), torch.tensor([1, 2])).passed
    assert not _compared(torch.tensor([1, 2]), torch.tensor([1, 3]), torch.tensor([1, 3])).passed


def test_shape_and_type_must_agree():
    one = torch.ones(4)
    assert accuracy._of_tensor(one.reshape(2, 2), one, one.double(), 1e-4).by == "shape"
    assert accuracy._of_tensor(one.double(), one, one.double(), 1e-4).by == "dtype"
    found = accuracy._compare({"output 0": one}, {"output 0": one, "output 1": one}, None, 1e-4)
    assert (found.passed, found.reason) == (False, "output 1 is there in one of lane and eager only")


@pytest.mark.parametrize(("suite", "batch"), [("timm", 8), ("huggingface", 1), ("torchbench", 4)])
def test_some_suites_are_checked_at_a_batch_of_their_own(suite, batch, monkeypatch):
    entry = accuracy.benchmark.load(COMPILABLE)["plain"]
    seen = []

    def build(request):
        seen.append(request.batch)
        return entry.build(request)

    described = accuracy.benchmark.dataclasses.replace(entry.description, suite=suite)
    monkeypatch.setattr(
        accuracy.benchmark, "load", lambda name: {"plain": accuracy.benchmark.Benchmark(described, build)}
    )
    assert _check("plain", "eager").passed
    assert set(seen) == {batch}


def test_a_train_step_is_checked_where_rounding_does_not_grow(monkeypatch):
    entry = accuracy.benchmark.load(COMPILABLE)["plain"]
    seen = []

    def build(request):
        workload = entry.build(request)
        normalisation, begun = workload.model[1], workload.model[0].weight.detach().clone()
        loss = workload.loss

        def watched(output):
            # What the second step finds has been through the first one's update, if there was one.
            seen.append((normalisation.training, torch.equal(begun, workload.model[0].weight), request.updates))
            return loss(output)

        workload.loss = watched
        return workload

    for suite, training in (("torchbench", False), ("timm", True)):
        seen.clear()
        described = accuracy.benchmark.dataclasses.replace(entry.description, suite=suite)
        benchmarks = {"plain": accuracy.benchmark.Benchmark(described, build)}
        monkeypatch.setattr(accuracy.benchmark, "load", lambda name, found=benchmarks: found)
        found = _check("plain", "aot_eager", "train")
        assert (found.status, found.reason) == ("pass", "")
        assert set(seen) == {(training, True, False)}
