import copy
import pathlib
import subprocess
import sys

import pytest

import harness.lanes
from harness.benchmark import Request, Workload
from harness.clock import CpuClock
from harness.lanes import MODES, Lane, is_users, mode_of, step_of

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")

EVAL = Request("eval", "cpu", {})
TRAIN = Request("train", "cpu", {})


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x, scale=1.0):
        return self.layer(x) * scale


@pytest.fixture
def workload():
    torch.manual_seed(0)
    model = Net()
    return Workload(
        model=model,
        inputs=(torch.randn(3, 4),),
        items=3,
        loss=lambda output: output.square().mean(),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
    )


def test_a_lane_is_written_mode_at_build():
    assert str(Lane("eager", "head")) == "eager@head"


def test_lanes_sort_and_serve_as_keys():
    lanes = {Lane("jit", "base"), Lane("eager", "head"), Lane("eager", "base"), Lane("eager", "base")}
    assert [str(lane) for lane in sorted(lanes)] == ["eager@base", "eager@head", "jit@base"]


def test_every_mode_stands_under_its_own_name_and_says_what_it_is():
    assert {"eager", "inductor", "jit"} <= set(MODES)
    for name, mode in MODES.items():
        assert mode.name == name
        assert mode.summary
        # A hyphen separates model, device and mode in a test's name; a comma separates modes on the command line.
        assert not set(name) & set("-[], @\n")


def test_only_eager_and_its_layouts_start_without_a_compilation():
    uncompiled = {name for name, mode in MODES.items() if not mode.compiles}
    assert uncompiled == {"eager", "channels_last", "mkldnn", "eager_bf16_math"}


def test_eager_leaves_the_workload_as_it_is(workload):
    assert MODES["eager"].prepare(workload, EVAL) is workload


@pytest.mark.parametrize("mode", ["inductor", "jit"])
@pytest.mark.parametrize("request_", [EVAL, TRAIN], ids=["eval", "train"])
def test_preparing_replaces_the_model_and_leaves_the_built_workload_alone(workload, mode, request_):
    model = workload.model.train(request_.training)
    prepared = MODES[mode].prepare(workload, request_)
    assert workload.model is model
    assert prepared.model is not model
    assert (prepared.inputs, prepared.items) == (workload.inputs, workload.items)
    assert (prepared.loss, prepared.optimizer) == (workload.loss, workload.optimizer)


def test_inductor_shares_the_parameters_the_optimizer_updates(workload):
    prepared = MODES["inductor"].prepare(workload, TRAIN)
    assert [id(p) for p in prepared.model.parameters()] == [id(p) for p in workload.model.parameters()]


def test_jit_for_eval_is_frozen_and_computes_the_same(workload):
    workload.model.eval()
    prepared = MODES["jit"].prepare(workload, EVAL)
    assert isinstance(prepared.model, torch.jit.ScriptModule)
    assert not list(prepared.model.parameters())
    torch.testing.assert_close(step_of(prepared, EVAL)(CpuClock()), step_of(workload, EVAL)(CpuClock()))


def test_jit_for_training_trains_the_same_parameters(workload):
    twin = copy.deepcopy(workload.model)
    eager = Workload(twin, workload.inputs, 3, loss=workload.loss, optimizer=torch.optim.SGD(twin.parameters(), lr=0.1))
    step_of(eager, TRAIN)(CpuClock())
    step_of(MODES["jit"].prepare(workload, TRAIN), TRAIN)(CpuClock())
    torch.testing.assert_close(workload.model.layer.weight, twin.layer.weight)


def test_an_eval_step_passes_keywords_and_records_no_gradients(workload):
    plain = step_of(workload, EVAL)(CpuClock())
    workload.keywords = {"scale": 2.0}
    doubled = step_of(workload, EVAL)(CpuClock())
    torch.testing.assert_close(doubled, 2 * plain)
    assert doubled.is_inference()


def test_an_eval_step_needs_neither_loss_nor_optimizer_and_marks_no_phase(workload):
    clock = CpuClock()
    clock.start()
    step_of(Workload(workload.model, workload.inputs, 3), EVAL)(clock)
    clock.stop()
    assert clock.phases == {}


def test_a_train_step_marks_forward_backward_and_update(workload):
    clock = CpuClock()
    clock.start()
    step_of(workload, TRAIN)(clock)
    clock.stop()
    assert list(clock.phases) == ["forward", "backward", "update"]


def test_a_train_step_does_what_is_written_by_hand(workload):
    model = copy.deepcopy(workload.model)
    loss = (model(*workload.inputs)).square().mean()
    loss.backward()
    by_hand = [(p - 0.1 * p.grad).detach() for p in model.parameters()]

    value = step_of(workload, TRAIN)(CpuClock())

    torch.testing.assert_close(value.detach(), loss.detach())
    torch.testing.assert_close([p.detach() for p in workload.model.parameters()], by_hand)


def test_a_train_step_passes_keywords(workload):
    plain = step_of(workload, TRAIN)
    workload.optimizer.param_groups[0]["lr"] = 0.0
    once = plain(CpuClock()).detach()
    workload.keywords = {"scale": 2.0}
    torch.testing.assert_close(step_of(workload, TRAIN)(CpuClock()).detach(), 4 * once)


def test_gradients_do_not_accumulate_over_steps(workload):
    workload.optimizer.param_groups[0]["lr"] = 0.0
    step = step_of(workload, TRAIN)
    step(CpuClock())
    first = workload.model.layer.weight.grad.clone()
    step(CpuClock())
    torch.testing.assert_close(workload.model.layer.weight.grad, first)


@pytest.mark.parametrize("missing", ["loss", "optimizer"])
def test_a_train_step_without_loss_or_optimizer_is_refused_before_it_is_timed(workload, missing):
    setattr(workload, missing, None)
    with pytest.raises(ValueError, match="a loss and an optimizer"):
        step_of(workload, TRAIN)


@pytest.mark.parametrize("request_", [EVAL, TRAIN], ids=["eval", "train"])
def test_a_step_of_its_own_gets_the_prepared_workload_and_the_clock(workload, request_):
    seen = []

    def own(given, clock):
        seen.append((given, clock))
        return torch.ones(1)

    workload.step = own
    prepared = MODES["inductor"].prepare(workload, request_)
    clock = CpuClock()
    assert step_of(prepared, request_)(clock).item() == 1
    assert seen == [(prepared, clock)]


def test_the_table_of_lanes_is_read_without_torch():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, harness.lanes, harness.clock; print('torch' in sys.modules)"],
        cwd=pathlib.Path(harness.lanes.__file__).resolve().parents[1],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "False", done.stderr


def test_a_train_step_is_repeated_as_often_as_asked_and_an_eval_step_never(workload):
    class Counting(CpuClock):
        def __init__(self):
            super().__init__()
            self.marks = []

        def mark(self, phase):
            self.marks.append(phase)

    for request, repeats in (
        (Request("train", "cpu", {"iterations": 3}), 3),
        (Request("train", "cpu", {"iterations": 3}, wanted_iterations=2), 2),
        (Request("eval", "cpu", {"iterations": 3}), 0),
    ):
        clock = Counting()
        step_of(workload, request)(clock)
        assert clock.marks == ["forward", "backward", "update"] * repeats


def test_a_step_of_ones_own_is_repeated_too(workload):
    calls = []
    workload.step = lambda given, clock: calls.append(given)
    step_of(workload, Request("train", "cpu", {}, wanted_iterations=4))(CpuClock())
    assert calls == [workload] * 4


def test_gradients_accumulate_where_the_workload_does_not_clear_them(workload):
    workload.optimizer = torch.optim.SGD(workload.model.parameters(), lr=0.0)
    step = step_of(workload, TRAIN)
    step(CpuClock())
    once = workload.model.layer.weight.grad.clone()
    step(CpuClock())
    torch.testing.assert_close(workload.model.layer.weight.grad, once)
    workload.clears_gradients = False
    step_of(workload, TRAIN)(CpuClock())
    torch.testing.assert_close(workload.model.layer.weight.grad, 2 * once)


@pytest.mark.parametrize("mode", ["inductor", "jit"])
def test_every_network_of_several_is_compiled(mode):
    networks = {"one": Net().eval(), "two": torch.nn.Linear(2, 5).eval()}
    examples = {"one": (torch.randn(3, 4),), "two": (torch.randn(3, 2),)}
    workload = Workload(networks, (), 3, step=lambda given, clock: None, examples=examples)
    prepared = MODES[mode].prepare(workload, EVAL)
    assert workload.model is networks
    assert list(prepared.model) == ["one", "two"]
    for name, network in prepared.model.items():
        assert network is not networks[name]
    if mode == "jit":
        torch.testing.assert_close(prepared.model["two"](*examples["two"]), networks["two"](*examples["two"]))


def test_several_networks_need_a_step_of_their_own():
    workload = Workload({"one": Net()}, (), 3)
    assert [type(network) for network in workload.networks()] == [Net]
    with pytest.raises(ValueError, match="step of its own"):
        step_of(workload, EVAL)


def test_a_workload_may_be_scripted_where_tracing_would_lose_its_branches():
    class Branch(torch.nn.Module):
        def forward(self, x):
            if bool(x.sum() > 0):
                return x + 1
            return x - 1

    workload = Workload(Branch(), (torch.ones(2),), 2, script=True)
    prepared = MODES["jit"].prepare(workload, EVAL)
    torch.testing.assert_close(prepared.model(-torch.ones(2)), -2 * torch.ones(2))


def test_jit_puts_a_network_into_eval_for_an_eval_step(workload):
    workload.model = torch.nn.Sequential(workload.model, torch.nn.Dropout(0.9)).train()
    prepared = MODES["jit"].prepare(workload, EVAL)
    given = torch.randn(3, 4)
    torch.testing.assert_close(prepared.model(given), workload.model[0](given))


COMPARED = """
import sys, torch
from harness import benchmark, lanes
from harness.clock import CpuClock
suite, mode = sys.argv[1:]
request = benchmark.Request("eval", "cpu", {"batch": 4})
outputs = []
for name in ("eager", mode):
    torch.manual_seed(0)
    workload = lanes.mode_of(name).prepare(benchmark.load(suite)["lenient"].build(request), request)
    outputs.append(lanes.step_of(workload, request)(CpuClock()))
# As far as products in bfloat16 may be off.
torch.testing.assert_close(*outputs, rtol=1e-2, atol=1e-2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, mode in MODES.items() if mode.why_not("eval", "cpu") is None])
def test_every_mode_of_a_cpu_computes_what_eager_does(name):
    if name == "onnxrt":
        pytest.importorskip("onnxruntime")
    # In a process of its own, as in a worker: some compilers mind what other tests have imported.
    suite = pathlib.Path(__file__).parents[1] / "suites" / "compilable.py"
    root = pathlib.Path(harness.lanes.__file__).resolve().parents[1]
    command = [sys.executable, "-W", "ignore", "-c", COMPARED, suite, name]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_dynamic_batch_is_compiled_once_for_every_size(workload):
    workload.model.eval()
    counter = torch._dynamo.testing.CompileCounter()
    with pytest.MonkeyPatch.context() as patch:
        compile = torch.compile
        patch.setattr(torch, "compile", lambda network, **_: compile(network, backend=counter))
        prepared = mode_of("inductor_dynamic").prepare(workload, Request("eval", "cpu", {"batch": 3}))
        prepared.model(*workload.inputs)
        prepared.model(torch.randn(5, 4))
        prepared.model(torch.randn(7, 4))
    assert counter.frame_count == 1
    torch._dynamo.reset()


def test_a_mode_that_stands_for_nothing_is_not_found():
    for name in ("magic", "inductor_fp8", "a b:c", "module:", ":function", "inductor:"):
        with pytest.raises(LookupError):
            mode_of(name)


def test_modes_say_where_they_cannot_run():
    assert mode_of("inductor").why_not("train", "cpu") is None
    assert mode_of("cudagraphs").why_not("eval", "cuda") is None
    assert mode_of("cudagraphs").why_not("eval", "cpu") == "the mode cudagraphs needs a device of cuda"
    assert mode_of("aot_inductor").why_not("train", "cpu") == "the mode aot_inductor has no train step"
    assert mode_of("aot_inductor_bf16").why_not("train", "cpu") == "the mode aot_inductor_bf16 has no train step"


def test_a_users_backend_is_imported_in_the_build(workload, monkeypatch, tmp_path):
    (tmp_path / "their_backend.py").write_text(
        "calls = []\ndef run(graph, inputs):\n    calls.append(1)\n    return graph\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert is_users("their_backend:run") and is_users("their_backend:run_bf16") and not is_users("inductor_bf16")
    for name in ("their_backend:run", "their_backend:run_amp"):
        torch._dynamo.reset()
        prepared = mode_of(name).prepare(workload, EVAL)
        assert step_of(prepared, EVAL)(CpuClock()).shape == (3, 2)
    import their_backend

    assert their_backend.calls == [1, 1]


def test_a_registered_backend_is_found_by_torch(workload):
    prepared = mode_of("entry:eager").prepare(workload, EVAL)
    torch.testing.assert_close(step_of(prepared, EVAL)(CpuClock()), step_of(workload, EVAL)(CpuClock()))
    torch._dynamo.reset()


def test_the_optimizers_step_can_be_left_out(workload):
    before = workload.model.layer.weight.detach().clone()
    clock = CpuClock()
    clock.start()
    step_of(workload, Request("train", "cpu", {}, updates=False))(clock)
    clock.stop()
    assert list(clock.phases) == ["forward", "backward"]
    assert torch.equal(workload.model.layer.weight, before)
    assert workload.model.layer.weight.grad is not None


def test_the_loss_of_the_dynamo_harness_is_the_mean_of_the_outputs_unless_the_model_has_its_own(workload):
    dynamo = Request("train", "cpu", {}, compat="dynamo", updates=False)
    output = workload.model(*workload.inputs)
    torch.testing.assert_close(step_of(workload, dynamo)(CpuClock()), output.mean())
    workload.own_loss = True
    torch.testing.assert_close(step_of(workload, dynamo)(CpuClock()), output.square().mean())


def test_the_mean_of_nested_outputs_is_the_mean_of_their_means():
    one, two, three = torch.tensor([2.0, 4.0]), torch.tensor([5.0]), torch.tensor([9.0])
    found = harness.lanes.mean_of_outputs((one, {"a": two, "b": [three], "c": None}))
    assert found.item() == (3 + (5 + 9) / 2) / 2
