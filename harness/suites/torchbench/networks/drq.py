"""DrQ: soft actor-critic from images, regularised by shifting them at random.

Own definition after Kostrikov, Yarats and Fergus, "Image Augmentation Is All You Need" (2020), with the
hyper-parameters of TorchBench V1. Values are averaged over two random shifts, for the targets as for the losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload
from harness.suites.torchbench.networks import soft_actor_critic as sac
from harness.suites.torchbench.networks.updates import descend, follow

SHIFT = 4
"""Largest shift of an image, in pixels."""
CONVOLUTIONS = 4
FOLLOWING = 0.01
LEARNING_RATE = 1e-3


def side(image: int) -> int:
    """Height and width of the encoder's maps: 3 x 3 convolutions without padding, the first of stride 2."""
    return (image - 3) // 2 + 1 - 2 * (CONVOLUTIONS - 1)


class Encoder(nn.Module):
    """Images [batch, channels, image, image] with values to 255 to flat maps [batch, filters * side^2].

    9 * channels * filters + filters and 3 * (9 * filters^2 + filters) parameters; 35,552 with 27 and 32.
    """

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, filters, 3, stride=2), nn.ReLU()]
        for _ in range(CONVOLUTIONS - 1):
            layers += [nn.Conv2d(filters, filters, 3), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Encode the images."""
        return self.convolutions(images / 255).flatten(1)


def head(maps: int, features: int) -> nn.Sequential:
    """What actor and critic each see of the shared maps: maps * features + 3 * features parameters."""
    return nn.Sequential(nn.Linear(maps, features), nn.LayerNorm(features), nn.Tanh())


class Actor(nn.Module):
    """Flat maps to the mean and the log standard deviation of an action.

    Without the convolutions 3,064,024 parameters with 39,200 maps, 50 features and 1024 hidden units.
    """

    def __init__(self, maps: int, features: int, hidden: int) -> None:
        super().__init__()
        self.head = head(maps, features)
        self.policy = sac.Policy(features, hidden)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The two numbers of each action, before squashing."""
        return self.policy(self.head(maps))


class Critic(nn.Module):
    """Flat maps and an action to two values.

    Without the convolutions 4,167,896 parameters with 39,200 maps, 50 features and 1024 hidden units.
    """

    def __init__(self, maps: int, features: int, hidden: int) -> None:
        super().__init__()
        self.head = head(maps, features)
        self.twins = sac.TwinQ(features, hidden)

    def forward(self, maps: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Both critics' values."""
        return self.twins(self.head(maps), action)


def networks(size: Mapping[str, Any], training: bool) -> dict[str, nn.Module]:
    """The encoder and the actor, and for training the critic and the targets of encoder and critic."""
    encoder = Encoder(size["channels"], size["filters"])
    shape = size["filters"] * side(size["image"]) ** 2, size["features"], size["hidden"]
    found: dict[str, nn.Module] = {"encoder": encoder, "actor": Actor(*shape)}
    if training:
        found |= {
            "critic": Critic(*shape),
            "target_encoder": Encoder(size["channels"], size["filters"]).requires_grad_(False),
            "target_critic": Critic(*shape).requires_grad_(False),
        }
        for name in ("encoder", "critic"):
            found[f"target_{name}"].load_state_dict(found[name].state_dict())
    return found


def shifted(images: Tensor) -> Tensor:
    """Each image moved by up to four pixels in either direction, its edge repeated."""
    batch, pixels = images.shape[0], images.shape[-1]
    padded = functional.pad(images, [SHIFT] * 4, mode="replicate")
    # A view of all the crops there are, of which one copy of those chosen is made, without asking the device.
    crops = padded.unfold(2, pixels, 1).unfold(3, pixels, 1)
    top, left = torch.randint(2 * SHIFT + 1, (2, batch), device=images.device)
    return crops[torch.arange(batch, device=images.device), :, top, left]


def data_regularised_q(request: Request) -> Workload:
    """Acting on one observation, or updates from a batch of transitions; observations are stacks of frames in bytes."""
    torch.manual_seed(request.seed)
    size, batch, device = request.size, request.batch, request.device
    nets = {name: network.to(device) for name, network in networks(size, request.training).items()}
    pixels = (batch, size["channels"], size["image"], size["image"])
    seen = torch.randint(256, pixels, dtype=torch.uint8).to(device)
    maps = torch.zeros(batch, size["filters"] * side(size["image"]) ** 2).to(device)
    examples = {"encoder": (seen.float(),), "actor": (maps,)}
    if not request.training:

        def act(workload: Workload, clock: Any) -> Tensor:
            with torch.inference_mode():
                mean, _ = workload.model["actor"](workload.model["encoder"](seen.float()))
                return mean.tanh()

        model = {name: network.eval() for name, network in nets.items()}
        return Workload(model=model, examples=examples, inputs=(seen,), items=batch, step=act)

    seen_next = torch.randint(256, pixels, dtype=torch.uint8).to(device)
    action = (2 * torch.rand(batch, sac.ACTION) - 1).to(device)
    reward = torch.randn(batch, 1).to(device)
    going_on = (torch.rand(batch, 1) > 1 / 200).float().to(device)
    temperature = sac.Temperature(device, LEARNING_RATE)
    # Actor and critic share the convolutions, which only the critic's loss moves.
    actor_optimizer = torch.optim.Adam(nets["actor"].parameters(), lr=LEARNING_RATE)
    critic_parameters = [*nets["encoder"].parameters(), *nets["critic"].parameters()]
    target_parameters = [*nets["target_encoder"].parameters(), *nets["target_critic"].parameters()]
    critic_optimizer = torch.optim.Adam(critic_parameters, lr=LEARNING_RATE)
    done = 0

    def step(workload: Workload, clock: Any) -> tuple[Tensor, ...]:
        nonlocal done
        encode, act, value = (workload.model[name] for name in ("encoder", "actor", "critic"))
        encode_target, value_target = workload.model["target_encoder"], workload.model["target_critic"]
        images, images_next = seen.float(), seen_next.float()
        views = [shifted(images) for _ in range(2)]
        with torch.no_grad():
            futures = []
            for view in (shifted(images_next) for _ in range(2)):
                action_next, log_probability = sac.sample(*act(encode(view)), torch.randn_like(action))
                values = value_target(encode_target(view), action_next)
                futures.append(sac.soft_value(values, log_probability, temperature.value()))
            wanted = reward + going_on * sac.DISCOUNT * (futures[0] + futures[1]) / 2
        critic_loss = sum(sac.squared_errors(value(encode(view), action), wanted) for view in views)
        descend(critic_loss, critic_optimizer, clock)
        done += 1
        if done % size["delay"]:
            return (critic_loss.detach(),)

        # As in the original the actor and the critic encode the image each for themselves.
        with torch.no_grad():
            maps_of_actor, maps_of_critic = encode(views[0]), encode(views[0])
        proposed, log_probability = sac.sample(*act(maps_of_actor), torch.randn_like(action))
        values = value(maps_of_critic, proposed)
        actor_loss = -sac.soft_value(values, log_probability, temperature.value()).mean()
        descend(actor_loss, actor_optimizer, clock)
        temperature_loss = temperature.loss(log_probability)
        descend(temperature_loss, temperature.optimizer, clock)
        follow(target_parameters, critic_parameters, FOLLOWING)
        clock.mark("update")
        return critic_loss.detach(), actor_loss.detach(), temperature_loss.detach()

    examples |= {"critic": (maps, action), "target_encoder": (seen.float(),), "target_critic": (maps, action)}
    inputs = (seen, action, reward, going_on, seen_next)
    return Workload(model=nets, examples=examples, inputs=inputs, items=batch, step=step)
