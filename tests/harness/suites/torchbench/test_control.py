import importlib
import math

import pytest

from harness import facts
from harness.benchmark import Request, load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of
from tests.workloads import build, meta

torch = pytest.importorskip("torch")

sac = importlib.import_module("harness.suites.torchbench.networks.soft_actor_critic")
drq = importlib.import_module("harness.suites.torchbench.networks.drq")

SUITE = load("torchbench")
AGENTS = ("drq", "soft_actor_critic")
NAMES = ("LearningToPaint", *AGENTS)


def test_the_networks_of_drq_are_those_of_v1():
    networks = meta("drq", "train").model
    encoder = (9 * 27 * 32 + 32) + 3 * (9 * 32 * 32 + 32)
    head = 32 * 35 * 35 * 50 + 50 + 2 * 50
    actor = head + (50 * 1024 + 1024) + (1024 * 1024 + 1024) + (1024 * 2 + 2)
    critic = head + 2 * ((51 * 1024 + 1024) + (1024 * 1024 + 1024) + (1024 + 1))
    expected = {
        "encoder": encoder,
        "actor": actor,
        "critic": critic,
        "target_encoder": encoder,
        "target_critic": critic,
    }
    assert {name: facts.parameters([network]) for name, network in networks.items()} == expected
    # As the facts of V1 give them, the shared convolutions counted with both.
    assert round((encoder + actor) / 1e6, 2) == 3.10
    assert round((encoder + critic) / 1e6, 2) == 4.20


def test_the_networks_of_soft_actor_critic_are_those_of_v1():
    networks = meta("soft_actor_critic", "train").model
    actor = (3 * 1024 + 1024) + (1024 * 1024 + 1024) + (1024 * 2 + 2)
    critic = (4 * 1024 + 1024) + (1024 * 1024 + 1024) + (1024 + 1)
    found = {name: facts.parameters([network]) for name, network in networks.items()}
    assert found == {"actor": actor, "critic": 2 * critic, "target": 2 * critic}


def test_the_renderer_is_that_of_v1():
    linear = sum(a * b + b for a, b in ((10, 512), (512, 1024), (1024, 2048), (2048, 4096)))
    pairs = ((16, 32), (32, 32), (8, 16), (16, 16), (4, 8), (8, 4))
    convolutions = sum(9 * a * b + b for a, b in pairs)
    assert facts.parameters([meta("LearningToPaint", "eval").model]) == linear + convolutions


def test_inputs_are_those_of_v1():
    acting, training = meta("drq", "eval").inputs, meta("drq", "train").inputs
    assert [tuple(tensor.shape) for tensor in acting] == [(1, 27, 84, 84)]
    assert [tuple(tensor.shape) for tensor in training] == [
        (128, 27, 84, 84),
        (128, 1),
        (128, 1),
        (128, 1),
        (128, 27, 84, 84),
    ]
    assert acting[0].dtype == training[0].dtype == training[4].dtype == torch.uint8
    assert meta("LearningToPaint", "train").inputs[0].shape == (64, 10)
    assert [tuple(tensor.shape) for tensor in meta("soft_actor_critic", "train").inputs] == [
        (512, 3),
        (512, 1),
        (512, 1),
        (512, 1),
        (512, 3),
    ]


@pytest.mark.parametrize("name", AGENTS)
def test_acting_gives_an_action_for_each_observation(name):
    workload, request = build(name, "eval")
    actions = step_of(workload, request)(CpuClock())
    assert actions.numel() == workload.items
    assert actions.abs().max() < 1
    assert actions.is_inference()
    assert not any(module.training for network in workload.networks() for module in network.modules())


def test_the_actions_of_an_episode_differ():
    workload, request = build("soft_actor_critic", "eval")
    assert len(step_of(workload, request)(CpuClock()).unique()) == request.size["episode"]


def snapshot(workload):
    return {
        name: {key: value.detach().clone() for key, value in network.named_parameters()}
        for name, network in workload.model.items()
    }


@pytest.mark.parametrize("name", AGENTS)
def test_one_call_trains_every_parameter_of_every_network(name):
    workload, request = build(name, "train")
    before = snapshot(workload)
    losses = step_of(workload, request)(CpuClock())
    assert len(losses) == 3
    after = snapshot(workload)
    for network, parameters in before.items():
        for key, value in parameters.items():
            assert not torch.equal(value, after[network][key]), f"{network}.{key}"


@pytest.mark.parametrize(
    ("name", "share", "pairs"),
    [
        ("soft_actor_critic", 0.005, {"target": "critic"}),
        ("drq", 0.01, {"target_critic": "critic", "target_encoder": "encoder"}),
    ],
)
def test_targets_follow_their_networks_slowly(name, share, pairs):
    workload, request = build(name, "train")
    before = snapshot(workload)
    step_of(workload, request)(CpuClock())
    after = snapshot(workload)
    for target, source in pairs.items():
        for key, old in before[target].items():
            expected = (1 - share) * old + share * after[source][key]
            torch.testing.assert_close(after[target][key], expected)


def test_drq_updates_actor_and_targets_in_every_second_step_only():
    workload, request = build("drq", "train")
    once = step_of(workload, Request("train", "cpu", request.size, wanted_iterations=1))
    start = snapshot(workload)
    assert len(once(CpuClock())) == 1
    first = snapshot(workload)
    assert len(once(CpuClock())) == 3
    second = snapshot(workload)
    for network in ("actor", "target_critic", "target_encoder"):
        assert all(torch.equal(value, first[network][key]) for key, value in start[network].items())
        assert not all(torch.equal(value, second[network][key]) for key, value in start[network].items())
    assert not torch.equal(start["encoder"]["convolutions.0.weight"], first["encoder"]["convolutions.0.weight"])


@pytest.mark.parametrize("size", ["small", "v1", "current"])
def test_a_call_of_drq_holds_whole_periods(size):
    numbers = SUITE["drq"].description.sizes[size]
    assert numbers["iterations"] % numbers["delay"] == 0


@pytest.mark.parametrize("name", AGENTS)
def test_all_phases_are_marked_and_cover_the_step(name):
    workload, request = build(name, "train")
    step, clock = step_of(workload, request), CpuClock()
    step(clock)
    clock.start()
    step(clock)
    clock.stop()
    assert set(clock.phases) == {"forward", "backward", "update"}
    assert sum(clock.phases.values()) == pytest.approx(clock.elapsed, rel=0.1)


def test_training_stays_finite_and_moves_the_temperature_for_long():
    workload, request = build("soft_actor_critic", "train", train_batch=8, hidden=16)
    step = step_of(workload, request)
    losses = [tuple(loss.item() for loss in step(CpuClock())) for _ in range(300)]
    assert all(math.isfinite(loss) for row in losses for loss in row)
    assert losses[0][2] != losses[-1][2]


def test_the_log_probability_is_that_of_a_squashed_normal():
    torch.manual_seed(5)
    mean, log_std, noise = torch.randn(3, 20, 1, dtype=torch.float64)
    action, found = sac.sample(mean, log_std, noise)
    normal = torch.distributions.Normal(mean, log_std.exp())
    squashed = torch.distributions.TransformedDistribution(normal, torch.distributions.TanhTransform(cache_size=1))
    torch.testing.assert_close(found, squashed.log_prob(action), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(action, (mean + log_std.exp() * noise).tanh())


def test_a_policy_keeps_its_deviation_within_bounds():
    torch.manual_seed(0)
    policy = sac.Policy(3, 8)
    for width in (1.0, 1e6):
        _, log_std = policy(width * torch.randn(50, 3))
        assert log_std.min() >= -10
        assert log_std.max() <= 2


def test_the_value_is_the_smaller_one_with_entropy():
    values = torch.tensor([[1.0], [5.0]]), torch.tensor([[2.0], [3.0]])
    found = sac.soft_value(values, torch.tensor([[-1.0], [2.0]]), torch.tensor(0.5))
    assert found.tolist() == [[1.5], [2.0]]


def test_the_temperature_rises_while_entropy_is_too_low():
    temperature = sac.Temperature("cpu", learning_rate=1e-2)
    assert temperature.value().item() == pytest.approx(0.1)
    for log_probability, rises in ((5.0, True), (-5.0, False)):
        temperature = sac.Temperature("cpu", learning_rate=1e-2)
        sac.descend(temperature.loss(torch.tensor([[log_probability]])), temperature.optimizer, CpuClock())
        assert (temperature.value().item() > 0.1) is rises


def test_shifted_images_are_crops_of_the_image_with_repeated_edges():
    torch.manual_seed(1)
    images = torch.rand(6, 2, 10, 10)
    found = drq.shifted(images)
    assert found.shape == images.shape
    padded = torch.nn.functional.pad(images, [4] * 4, mode="replicate")
    places = set()
    for image, crop in zip(padded, found, strict=True):
        matches = [
            (top, left)
            for top in range(9)
            for left in range(9)
            if torch.equal(image[:, top : top + 10, left : left + 10], crop)
        ]
        assert len(matches) == 1
        places.update(matches)
    assert len(places) > 1


def test_the_encoder_of_drq_shrinks_images_as_the_facts_say():
    assert drq.side(84) == 35
    images = torch.zeros(2, 27, 84, 84)
    assert drq.Encoder(27, 32)(images).shape == (2, 32 * 35 * 35)


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:FutureWarning", "ignore:.*deprecated", "ignore::torch.jit.TracerWarning"
)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", ["eval", "train"])
def test_jit_computes_the_same(name, type):
    results = {}
    for mode in ("eager", "jit"):
        workload, request = build(name, type)
        prepared = MODES[mode].prepare(workload, request)
        torch.manual_seed(2)
        output = step_of(prepared, request)(CpuClock())
        results[mode] = [tensor.detach().clone() for tensor in (output if isinstance(output, tuple) else [output])]
    torch.testing.assert_close(results["jit"], results["eager"], rtol=1e-3, atol=1e-4)
