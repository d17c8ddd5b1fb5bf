import pytest

from harness.benchmark import Request, Workload
from harness.clock import CpuClock
from harness.lanes import step_of
from harness.modenames import PRECISIONS
from harness.precision import cast, wrap

torch = pytest.importorskip("torch")

EVAL, TRAIN = Request("eval", "cpu", {}), Request("train", "cpu", {})


class Embedded(torch.nn.Module):
    """Takes whole numbers by position and fractions by keyword."""

    def __init__(self):
        super().__init__()
        self.embedding, self.layer = torch.nn.Embedding(10, 4), torch.nn.Linear(4, 2)

    def forward(self, tokens, *, bias=None):
        return self.layer(self.embedding(tokens) + bias)


def _workload():
    torch.manual_seed(0)
    model = Embedded()
    return Workload(
        model=model,
        inputs=(torch.arange(6).reshape(3, 2),),
        items=3,
        keywords={"bias": torch.randn(3, 2, 4)},
        loss=lambda output: output.float().square().mean(),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
    )


@pytest.mark.parametrize(
    ("precision", "weights", "output"),
    [
        ("float32", torch.float32, torch.float32),
        ("tf32", torch.float32, torch.float32),
        ("bf16", torch.bfloat16, torch.bfloat16),
        ("fp16", torch.float16, torch.float16),
        ("float64", torch.float64, torch.float64),
        ("amp", torch.float32, torch.bfloat16),
        ("amp_bf16", torch.float32, torch.bfloat16),
        ("amp_fp16", torch.float32, torch.float16),
    ],
)
def test_a_step_computes_in_its_precision_and_trains(precision, weights, output):
    workload = wrap(cast(_workload(), precision), precision, "cpu")
    assert step_of(workload, EVAL)(CpuClock()).dtype == output
    built = _workload()
    before = built.model.layer.weight.detach().clone()
    step_of(wrap(cast(built, precision), precision, "cpu"), TRAIN)(CpuClock())
    assert built.model.layer.weight.dtype == weights
    assert not torch.equal(built.model.layer.weight.to(before.dtype), before)


def test_every_precision_that_has_a_name_is_known():
    assert set(PRECISIONS) == {"float32", "tf32", "bf16", "fp16", "amp", "amp_bf16", "amp_fp16"}


def test_amp_is_float16_on_a_gpu():
    seen = []

    class Autocast:
        def __init__(self, device, dtype):
            seen.append((device, dtype))

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "autocast", Autocast)
        for device in ("cuda:1", "cpu"):
            wrap(Workload(lambda: None, (), 1), "amp", device).model()
    assert seen == [("cuda", torch.float16), ("cpu", torch.bfloat16)]


def test_whole_numbers_stay_whole_and_every_network_of_several_is_cast():
    workload = cast(_workload(), "bf16")
    assert workload.inputs[0].dtype == torch.int64
    assert workload.keywords["bias"].dtype == torch.bfloat16
    networks = {"one": torch.nn.Linear(2, 2), "two": torch.nn.Linear(2, 2)}
    several = Workload(networks, (), 1, examples={"one": (torch.ones(1, 2),)}, step=lambda given, clock: None)
    several = wrap(cast(several, "bf16"), "bf16", "cpu")
    assert {network.weight.dtype for network in several.model.values()} == {torch.bfloat16}
    assert several.examples["one"][0].dtype == torch.bfloat16
    called = wrap(several, "amp_fp16", "cpu").model["two"](torch.ones(1, 2))
    assert called.dtype == torch.float16
