"""Soft actor-critic: what its agents share, and the agent that balances a pendulum.

After Haarnoja et al., "Soft Actor-Critic Algorithms and Applications" (2018): a squashed normal policy, two critics of
which the smaller value counts, targets that follow them slowly, and a temperature that keeps the policy's entropy.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks.updates import descend, follow

OBSERVATION = 3
ACTION = 1
DISCOUNT = 0.99
LOWEST_LOG_STD, HIGHEST_LOG_STD = -10.0, 2.0
INITIAL_TEMPERATURE = 0.1


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them."""
    layers: list[nn.Module] = []
    for entering, leaving in pairwise(widths):
        layers += [nn.Linear(entering, leaving), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Policy(nn.Module):
    """What an actor sees [batch, width] to the mean and the log standard deviation [batch, actions] of a normal.

    width * hidden + hidden + hidden^2 + hidden + 2 * (hidden + 1) parameters; 1,055,746 with 3 and 1024.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = perceptron(width, hidden, hidden, 2 * ACTION)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """The two numbers of each action, before squashing."""
        mean, raw = self.layers(seen).chunk(2, dim=-1)
        return mean, LOWEST_LOG_STD + 0.5 * (HIGHEST_LOG_STD - LOWEST_LOG_STD) * (raw.tanh() + 1)


class TwinQ(nn.Module):
    """What a critic sees [batch, width] and an action [batch, actions] to two values [batch, 1] each.

    2 * ((width + 1) * hidden + hidden + hidden^2 + hidden + hidden + 1) parameters; 2,111,490 with 3 and 1024.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first = perceptron(width + ACTION, hidden, hidden, 1)
        self.second = perceptron(width + ACTION, hidden, hidden, 1)

    def forward(self, seen: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Both critics' values."""
        both = torch.cat([seen, action], dim=-1)
        return self.first(both), self.second(both)


class Temperature:
    """The weight of entropy, learned so that the policy's entropy is that of its number of actions, negated.

    A single number; it is kept as its logarithm.
    """

    def __init__(self, device: str, learning_rate: float) -> None:
        self.log = torch.full((), INITIAL_TEMPERATURE).log().to(device).requires_grad_()
        self.optimizer = torch.optim.Adam([self.log], lr=learning_rate)

    def value(self) -> Tensor:
        """The temperature, for losses of which it is no parameter."""
        return self.log.detach().exp()

    def loss(self, log_probability: Tensor) -> Tensor:
        """What is minimised where the entropy is as wanted."""
        return (self.log.exp() * (-log_probability.detach() + ACTION)).mean()


def sample(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """An action in (-1, 1) [batch, actions] from standard normal `noise`, and its log probability [batch, 1]."""
    std = log_std.exp()
    raw = mean + std * noise
    normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    # log(1 - tanh(raw)^2) in a form that is finite for large ones.
    squashing = 2 * (math.log(2) - raw - functional.softplus(-2 * raw))
    return raw.tanh(), (normal - squashing).sum(-1, keepdim=True)


def soft_value(values: tuple[Tensor, Tensor], log_probability: Tensor, temperature: Tensor) -> Tensor:
    """The smaller of two critics' values, with the entropy that the action had."""
    return torch.minimum(*values) - temperature * log_probability


def squared_errors(values: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
    """The sum of both critics' mean squared errors."""
    return functional.mse_loss(values[0], target) + functional.mse_loss(values[1], target)


def soft_actor_critic(request: Request) -> Workload:
    """Acting along a random episode, or one update from a random batch of transitions; all Adams have lr 1e-4."""
    return _training(request) if request.training else _acting(request)


def _acting(request: Request) -> Workload:
    torch.manual_seed(request.seed)
    actor = Policy(OBSERVATION, request.size["hidden"]).eval()
    episode = torch.randn(request.size["episode"], request.batch, OBSERVATION).to(request.device)

    def step(workload: Workload, clock: Any) -> Tensor:
        act = workload.model
        # One observation at a time, as the next one is known only after the action.
        with torch.inference_mode():
            return torch.stack([act(observation)[0].tanh() for observation in episode])

    actor = actor.to(request.device)
    return Workload(model=actor, inputs=(episode[0],), items=request.batch * len(episode), step=step)


def _training(request: Request) -> Workload:
    torch.manual_seed(request.seed)
    hidden, batch, device = request.size["hidden"], request.batch, request.device
    actor, critic = Policy(OBSERVATION, hidden).to(device), TwinQ(OBSERVATION, hidden).to(device)
    target = TwinQ(OBSERVATION, hidden).to(device).requires_grad_(False)
    target.load_state_dict(critic.state_dict())
    temperature = Temperature(device, learning_rate=1e-4)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=1e-4)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-4)
    seen, seen_next = (torch.randn(batch, OBSERVATION).to(device) for _ in range(2))
    action = (2 * torch.rand(batch, ACTION) - 1).to(device)
    reward = torch.randn(batch, 1).to(device)
    going_on = (torch.rand(batch, 1) > 1 / 200).float().to(device)

    def step(workload: Workload, clock: Any) -> tuple[Tensor, ...]:
        act, value, target_value = (workload.model[name] for name in ("actor", "critic", "target"))
        with torch.no_grad():
            action_next, log_probability = sample(*act(seen_next), torch.randn_like(action))
            future = soft_value(target_value(seen_next, action_next), log_probability, temperature.value())
            wanted = reward + going_on * DISCOUNT * future
        critic_loss = squared_errors(value(seen, action), wanted)
        descend(critic_loss, critic_optimizer, clock)

        proposed, log_probability = sample(*act(seen), torch.randn_like(action))
        actor_loss = -soft_value(value(seen, proposed), log_probability, temperature.value()).mean()
        descend(actor_loss, actor_optimizer, clock)

        temperature_loss = temperature.loss(log_probability)
        descend(temperature_loss, temperature.optimizer, clock)

        follow(target.parameters(), critic.parameters(), share=0.005)
        clock.mark("update")
        return critic_loss.detach(), actor_loss.detach(), temperature_loss.detach()

    return Workload(
        model={"actor": actor, "critic": critic, "target": target},
        examples={"actor": (seen,), "critic": (seen, action), "target": (seen, action)},
        inputs=(seen, action, reward, going_on, seen_next),
        items=batch,
        step=step,
    )
