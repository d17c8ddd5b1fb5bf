import importlib

import pytest

from harness import facts
from harness.benchmark import load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of
from tests.workloads import build, meta

torch = pytest.importorskip("torch")
for library in ("torchvision", "opacus"):
    pytest.importorskip(library)

maml = importlib.import_module("harness.suites.torchbench.networks.maml")
moco = importlib.import_module("harness.suites.torchbench.networks.moco")
functional = torch.nn.functional

SUITE = load("torchbench")
# Its hook on the first layer, whose input needs no gradient, is told so.
OPACUS_WARNS = pytest.mark.filterwarnings("ignore:Full backward hook is firing")
NAMES = ("maml", "maml_omniglot", "moco", "opacus_cifar10")


def trainable(workload):
    return {
        f"{number}.{name}": parameter
        for number, network in enumerate(workload.networks())
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }


# By hand: the convolutions with biases, the norms' two vectors, the linear layer; torchvision's counts with another
# last layer, 2048 to 128 and 512 to 10.
V1_PARAMETERS = {
    "maml": (9 * 64 + 64) + 2 * (9 * 64 * 64 + 64) + (4 * 64 * 64 + 64) + 4 * 2 * 64 + (64 * 5 + 5),
    "maml_omniglot": (9 * 64 + 64) + 2 * (9 * 64 * 64 + 64) + 3 * 2 * 64 + (64 * 5 + 5),
    "moco": 2 * (25_557_032 - 2049 * 1000 + 2049 * 128),
    "opacus_cifar10": 11_689_512 - 513 * 1000 + 513 * 10,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", ["eval", "train"])
def test_the_networks_are_those_of_v1(name, type):
    assert facts.parameters(meta(name, type).networks()) == V1_PARAMETERS[name]


def test_the_counts_are_those_of_the_facts():
    assert round(V1_PARAMETERS["maml"] / 1e3, 1) == 91.8
    assert round(V1_PARAMETERS["maml_omniglot"] / 1e3, 1) == 75.2


def test_inputs_are_those_of_v1():
    assert meta("maml", "train").inputs[0].shape == (5, 1, 28, 28)
    assert meta("maml", "train").items == meta("maml_omniglot", "train").items == 32
    assert meta("maml_omniglot", "eval").inputs[0].shape == (5, 1, 28, 28)
    assert [tuple(tensor.shape) for tensor in meta("moco", "eval").inputs] == [(32, 3, 224, 224)] * 4
    assert meta("opacus_cifar10", "train").inputs[0].shape == (64, 3, 32, 32)
    sizes = {name: SUITE[name].description.sizes["v1"] for name in NAMES}
    assert [sizes[name]["iterations"] for name in NAMES] == [1, 3, 2, 1]
    assert sizes["maml"]["queries"] == sizes["maml_omniglot"]["queries"] == 75


@OPACUS_WARNS
@pytest.mark.parametrize("name", NAMES)
def test_one_step_trains_every_parameter(name):
    workload, request = build(name, "train")
    before = {key: value.detach().clone() for key, value in trainable(workload).items()}
    step_of(workload, request)(CpuClock())
    for key, value in trainable(workload).items():
        assert not torch.equal(value.detach(), before[key]), key


def a_task(seed=0):
    torch.manual_seed(seed)
    classes = torch.arange(5)
    return maml.Task(torch.randn(5, 1, 28, 28), classes, torch.randn(10, 1, 28, 28), classes.repeat(2))


def test_an_inner_step_is_a_step_of_gradient_descent():
    task = a_task()
    network = maml.pooled(4, 5)
    learner = maml.Learner(network)
    fast = maml.descended(learner, list(learner.parameters()), task, rate=0.1, differentiable=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    functional.cross_entropy(network(task.support), task.support_classes).backward()
    optimizer.step()
    for found, expected in zip(fast, network.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def query_loss_after_steps(vector, learner, task, steps, rate):
    """Adapted and judged from a flat vector of weights, each gradient taken anew."""
    shapes = [weight.shape for weight in learner.parameters()]
    weights = [
        part.reshape(shape) for part, shape in zip(vector.split([s.numel() for s in shapes]), shapes, strict=True)
    ]
    for _ in range(steps):
        weights = [weight.detach().requires_grad_() for weight in weights]
        loss = functional.cross_entropy(learner(task.support, *weights), task.support_classes)
        gradients = torch.autograd.grad(loss, weights)
        weights = [weight - rate * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    return functional.cross_entropy(learner(task.query, *weights), task.query_classes).item()


def smooth(filters, ways):
    """A small network without kinks, for which finite differences are exact enough."""
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, filters), torch.nn.Tanh(), torch.nn.Linear(filters, ways)
    )


def test_second_order_gradients_are_those_of_finite_differences():
    task = a_task()
    task = maml.Task(task.support.double(), task.support_classes, task.query.double(), task.query_classes)
    learner = maml.Learner(smooth(3, 5).double())
    weights = list(learner.parameters())

    def gradient(differentiable):
        fast = weights
        for _ in range(maml.INNER_STEPS):
            fast = maml.descended(learner, fast, task, rate=0.1, differentiable=differentiable)
        return torch.cat([g.flatten() for g in torch.autograd.grad(maml.query_loss(learner, fast, task), weights)])

    vector = torch.nn.utils.parameters_to_vector(weights).detach()
    torch.manual_seed(1)
    direction = functional.normalize(torch.randn_like(vector), dim=0)
    plus, minus = (
        query_loss_after_steps(vector + sign * 1e-5 * direction, learner, task, maml.INNER_STEPS, 0.1)
        for sign in (1, -1)
    )
    expected = (plus - minus) / 2e-5
    assert (gradient(True) @ direction).item() == pytest.approx(expected, rel=1e-5)
    # The first order neglects what adapting does to the gradient.
    assert (gradient(False) @ direction).item() != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("name", "differentiable"), [("maml", False), ("maml_omniglot", True)])
def test_which_of_the_two_is_of_second_order(name, differentiable, monkeypatch):
    seen = []
    real = maml.descended

    def watched(*arguments, **keywords):
        seen.append((keywords["rate"], keywords["differentiable"]))
        return real(*arguments, **keywords)

    monkeypatch.setattr(maml, "descended", watched)
    workload, request = build(name, "train")
    step_of(workload, request)(CpuClock())
    rate = 0.1 if differentiable else 0.4
    assert seen == [(rate, differentiable)] * (5 * request.batch)


def calls_of(workload, request):
    """The batch sizes that the network is called with in one step, in order."""
    sizes = []
    handle = workload.model.register_forward_pre_hook(lambda _, arguments: sizes.append(len(arguments[0])))
    output = step_of(workload, request)(CpuClock())
    handle.remove()
    return sizes, output


@pytest.mark.parametrize(("type", "steps"), [("eval", 10), ("train", 5)])
def test_maml_judges_once_and_as_often_as_v1_under_v1(type, steps):
    sane, output = calls_of(*build("maml", type))
    tasks = 1 if type == "eval" else 2
    assert sane == ([5] * steps + [15]) * tasks
    compatible, same = calls_of(*build("maml", type, compat="v1"))
    assert compatible == ([15, 5] * steps + [15]) * tasks
    # It only takes longer.
    assert torch.equal(output, same)


def test_maml_adapts():
    workload, request = build("maml", "eval")
    learner, task_support = workload.model, workload.inputs[0]
    weights, classes = list(workload.inputs[1:]), torch.arange(5)
    task = maml.Task(task_support, classes, task_support, classes)
    losses = [maml.query_loss(learner, weights, task).item()]
    for _ in range(10):
        weights = maml.descended(learner, weights, task, rate=0.4, differentiable=False)
        losses.append(maml.query_loss(learner, weights, task).item())
    assert losses[-1] < losses[0] / 10
    assert step_of(workload, request)(CpuClock()).shape == (15, 5)


def test_similarities_are_cosines_over_the_temperature():
    queries = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    keys = torch.tensor([[1.0, 1.0], [0.0, 5.0]])
    others = torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
    expected = torch.tensor([[0.5**0.5, 1.0, 0.0, 0.6], [1.0, 0.0, 1.0, 0.8]]) / 0.07
    torch.testing.assert_close(moco.similarities(queries, keys, others), expected)


def test_the_queue_replaces_the_oldest_keys():
    torch.manual_seed(0)
    queue = moco.Queue(6, "cpu")
    start = queue.keys.clone()
    torch.testing.assert_close(start.norm(dim=0), torch.ones(6))
    for value in (1.0, 2.0, 3.0, 4.0):
        queue.put(torch.full((2, moco.FEATURES), value))
    assert queue.keys[0].tolist() == [4, 4, 2, 2, 3, 3]


@pytest.mark.parametrize("size", ["small", "v1", "current"])
def test_batches_fill_the_queue_exactly(size):
    numbers = SUITE["moco"].description.sizes[size]
    assert numbers["queue"] % numbers["batch"] == 0


def test_the_second_encoder_follows_the_first_and_has_no_gradients():
    workload, request = build("moco", "train")
    step = step_of(workload, request)
    first, second = workload.networks()
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True))
    step(CpuClock())
    moved = [parameter.detach().clone() for parameter in first.parameters()]
    still = [parameter.clone() for parameter in second.parameters()]
    step(CpuClock())
    for found, new, old in zip(second.parameters(), moved, still, strict=True):
        torch.testing.assert_close(found, 0.999 * old + 0.001 * new)
    assert not torch.equal(second.fc.weight, still[-2])
    assert all(parameter.grad is None for parameter in second.parameters())
    assert all(parameter.grad is not None for parameter in first.parameters())


def test_moco_is_judged_without_learning_but_for_v1():
    workload, request = build("moco", "eval")
    step = step_of(workload, request)
    (scores,), (again,) = step(CpuClock()), step(CpuClock())
    assert scores.shape == (4, 1 + 1024)
    assert torch.equal(scores, again)
    workload, request = build("moco", "eval", compat="v1")
    step = step_of(workload, request)
    (first,), (second,) = step(CpuClock()), step(CpuClock())
    # Its own keys stand in the queue by then.
    torch.testing.assert_close(first, scores)
    assert not torch.equal(second[:, 1:5], first[:, 1:5])
    torch.testing.assert_close(second[:, 1:5].diagonal(), second[:, 0], rtol=1e-4, atol=1e-4)


def test_v1_judges_two_batches():
    workload, request = build("moco", "eval", batches=2)
    assert len(step_of(workload, request)(CpuClock())) == 2
    assert workload.items == 8


@OPACUS_WARNS
def test_no_image_moves_the_private_network_by_more_than_its_share():
    workload, request = build("opacus_cifar10", "train")
    optimizer = workload.optimizer
    assert (optimizer.noise_multiplier, optimizer.max_grad_norm) == (1.0, 1.0)
    optimizer.zero_grad()
    workload.loss(workload.model(*workload.inputs)).backward()
    by_image = torch.stack(
        [
            torch.stack([p.grad_sample[i].norm() for p in workload.model.parameters()]).norm()
            for i in range(request.batch)
        ]
    )
    optimizer.clip_and_accumulate()
    clipped = torch.stack([p.summed_grad.norm() for p in workload.model.parameters()]).norm()
    assert clipped <= request.batch
    assert by_image.max() > 1
    # Each image's own gradient, computed without Opacus.
    workload.model.disable_hooks()
    network = workload.model._module
    for image in range(request.batch):
        scores = network(workload.inputs[0][image : image + 1])
        loss = functional.cross_entropy(scores, workload.loss.keywords["target"][image : image + 1])
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        found = torch.stack([gradient.norm() for gradient in gradients]).norm()
        assert by_image[image].item() == pytest.approx(found.item(), rel=1e-3)


@OPACUS_WARNS
def test_gradients_are_noisy():
    gradients = []
    for seed in (1, 2):
        workload, request = build("opacus_cifar10", "train")
        torch.manual_seed(seed)
        step_of(workload, request)(CpuClock())
        gradients.append(next(workload.model.parameters()).grad.clone())
    assert not torch.equal(*gradients)
    # Noise of one on the sum, divided by the batch, where the difference has twice the variance.
    assert (gradients[0] - gradients[1]).std().item() == pytest.approx(2**0.5 / request.batch, rel=0.05)


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:FutureWarning", "ignore:.*deprecated", "ignore::torch.jit.TracerWarning"
)
@pytest.mark.parametrize(("name", "type"), [("moco", "eval"), ("maml_omniglot", "eval"), ("opacus_cifar10", "eval")])
def test_jit_computes_the_same(name, type):
    workload, request = build(name, type)
    expected = step_of(workload, request)(CpuClock())
    found = step_of(MODES["jit"].prepare(workload, request), request)(CpuClock())
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:FutureWarning", "ignore:.*deprecated", "ignore::torch.jit.TracerWarning"
)
@pytest.mark.parametrize(
    ("name", "type", "message"),
    [
        ("maml", "eval", "stateless API can't be used with Jitted modules"),
        ("maml", "train", "stateless API can't be used with Jitted modules"),
        ("maml_omniglot", "train", "stateless API can't be used with Jitted modules"),
        ("opacus_cifar10", "train", "backward hooks assigned can't be compiled"),
    ],
)
def test_tracing_fails_for_the_reason_given(name, type, message):
    assert SUITE[name].description.why_not(type, "cpu", "jit")
    workload, request = build(name, type)
    with pytest.raises((RuntimeError, ValueError), match=message):
        MODES["jit"].prepare(workload, request)
